//! Names of types, with their arguments.

use crate::fingerprint::Fingerprint;

/// A type's name with its arguments. Knows nothing of fields, so that a type inside a recursion can be named before it
/// is described.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// Its word, such as `World` or `Vec`; in front of what it stands before, as in `&mut `, if it is a prefix.
    pub text: &'static str,
    /// The crate that declares it, as `name version`; empty for the language and its library.
    pub krate: &'static str,
    /// How it is written.
    pub form: Form,
    /// The names of its arguments.
    pub of: &'static [&'static Name],
}

/// How a name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Word`, `Word<A, B>`
    Plain,
    /// `&A`
    Prefix,
    /// `[A]`
    Slice,
    /// `[A; 3]`
    Array(usize),
    /// `(A, B)`
    Tuple,
}

impl Name {
    /// A name of the language or its library.
    pub const fn of(text: &'static str, of: &'static [&'static Self]) -> Self {
        Self::in_form(text, Form::Plain, of)
    }

    /// One that is not written as a word.
    pub const fn in_form(text: &'static str, form: Form, of: &'static [&'static Self]) -> Self {
        Self {
            text,
            krate: "",
            form,
            of,
        }
    }

    /// A name that a crate declares.
    pub const fn declared(
        text: &'static str,
        krate: &'static str,
        of: &'static [&'static Self],
    ) -> Self {
        Self {
            text,
            krate,
            form: Form::Plain,
            of,
        }
    }

    pub(super) const fn fold(&self, mut hash: Fingerprint) -> Fingerprint {
        hash = hash.text(self.text);
        if let Form::Array(count) = self.form {
            hash = hash.number(count as u128);
        }
        let mut i = 0;
        while i < self.of.len() {
            hash = self.of[i].fold(hash);
            i += 1;
        }
        hash.number(self.of.len() as u128)
    }

    pub(super) const fn is(&self, other: &Self) -> bool {
        let mut same = same_text(self.text, other.text)
            && same_text(self.krate, other.krate)
            && self.of.len() == other.of.len();
        let mut i = 0;
        while same && i < self.of.len() {
            same = self.of[i].is(other.of[i]);
            i += 1;
        }
        same
    }
}

const fn same_text(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut i = 0;
    while i < one.len() && i < other.len() && one[i] == other[i] {
        i += 1;
    }
    i == one.len() && i == other.len()
}
