//! What functions and contracts look like.

use super::Type;
use crate::fingerprint::Fingerprint;

/// What a function looks like.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// As it is written, for people.
    pub text: &'static str,
    /// A plugin may lack it.
    pub optional: bool,
    /// How it takes the state: empty, `&State` or `&mut State`.
    pub state: &'static str,
    /// Without the state.
    pub arguments: &'static [Argument],
    /// Nothing for the function that makes the state.
    pub result: Option<&'static Type>,
    /// Every type in it is fixed.
    pub fixed: bool,
    /// Folds everything that must be equal on both sides.
    pub print: u128,
}

/// One argument.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// How it crosses: `value`, `&`, `&mut`, `&[]`, `&mut []`, `&str`.
    pub how: &'static str,
    /// The type whose layout matters.
    pub ty: &'static Type,
}

impl Function {
    /// Describes one; arguments' names are for people and make no other function.
    pub const fn new(
        (name, text): (&'static str, &'static str),
        optional: bool,
        state: &'static str,
        arguments: &'static [Argument],
        result: Option<&'static Type>,
    ) -> Self {
        let mut hash = Fingerprint::new().text(name).text(state);
        let mut fixed = true;
        let mut i = 0;
        while i < arguments.len() {
            hash = hash.text(arguments[i].how).number(arguments[i].ty.print);
            fixed &= arguments[i].ty.fixed;
            i += 1;
        }
        hash = match result {
            Some(ty) => {
                fixed &= ty.fixed;
                hash.text("->").number(ty.print)
            }
            None => hash.text("State"),
        };
        Self {
            name,
            text,
            optional,
            state,
            arguments,
            result,
            fixed,
            print: hash.finish(),
        }
    }
}

/// What a contract looks like.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// The trait's name.
    pub name: &'static str,
    /// The crate that declares it, as `name version`.
    pub krate: &'static str,
    /// In the order of the trait.
    pub functions: &'static [Function],
}
