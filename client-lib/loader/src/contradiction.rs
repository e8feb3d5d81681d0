//! Compares what a plugin's constructors registered with what its notes declare: name, version, compiler, and every
//! contract's functions and state.
//!
//! The notes were believed before anything ran. A plugin that then registers something else was put together from parts
//! of several builds, or its notes were written by something else than its compiler.

use plugind_abi::contract::{Implementation, Print};
use plugind_abi::note::{OWN_ALLOCATOR, SYSTEM_ALLOCATOR};

use crate::manifest::{Contract, Manifest};
use crate::open::{Image, NotesError};
use crate::register::{Registrations, text};

/// In what a plugin's notes and registrations differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "its notes declare {declared} and its constructors register {registered}; build it anew, with one plugind release \
     for all its crates"
)]
pub struct Contradiction {
    /// What the notes have.
    pub declared: String,
    /// What the constructors registered.
    pub registered: String,
}

impl Image {
    /// The first thing in which what it registered differs from its notes, which are read from the file once more.
    ///
    /// # Errors
    ///
    /// [`NotesError`] if the notes cannot be read any more.
    pub fn contradiction(&self) -> Result<Option<Contradiction>, NotesError> {
        let manifest = self.manifest()?;
        Ok(contradiction(manifest.as_ref(), self.registrations()))
    }
}

/// One thing that both sides say.
#[derive(Debug)]
struct Fact {
    words: String,
    /// A fingerprint, and whether it is fixed and optional.
    exact: (Print, bool, bool),
    /// The name of a type, which the two sides spell in their own ways.
    of: String,
}

impl Fact {
    fn plain(words: String) -> Self {
        Self::exact(words, Print::new(0), false, false)
    }

    const fn exact(words: String, print: Print, fixed: bool, optional: bool) -> Self {
        Self {
            words,
            exact: (print, fixed, optional),
            of: String::new(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.words, self.exact) == (&other.words, other.exact)
    }
}

fn contradiction(
    declared: Option<&Manifest>,
    registered: Option<&Registrations>,
) -> Option<Contradiction> {
    // A plugin of another language may leave it at exported functions, and need not tell how it was built.
    if registered.is_none() && declared.is_none_or(|declared| declared.contracts.is_empty()) {
        return None;
    }
    let identity = declared.map(|declared| &declared.identity);
    let compiler = identity.is_some_and(|identity| !identity.toolchain.rustc.is_empty());
    let allocator = identity.is_some_and(|identity| identity.allocator.is_some());
    let mut declares = declared.map_or_else(Vec::new, declares).into_iter();
    let registers = |registered| registers(registered, compiler, allocator);
    let mut registers = registered.map_or_else(Vec::new, registers).into_iter();
    let (declared, registered) = loop {
        match (declares.next(), registers.next()) {
            (None, None) => return None,
            (Some(declared), Some(registered)) if declared.is_same(&registered) => {}
            different => break different,
        }
    };
    let tell = |fact: Option<Fact>| {
        fact.map_or_else(|| "nothing".to_owned(), |fact| fact.words + &fact.of)
    };
    let (declared, mut registered) = (tell(declared), tell(registered));
    if declared == registered {
        registered += " with other types";
    }
    Some(Contradiction {
        declared,
        registered,
    })
}

fn declares(manifest: &Manifest) -> Vec<Fact> {
    let identity = &manifest.identity;
    let mut contracts: Vec<_> = manifest.contracts.iter().collect();
    contracts.sort_unstable_by_key(|contract| &contract.name);
    let names: Vec<_> = contracts.iter().map(|contract| &*contract.name).collect();
    let mut facts = start(&identity.plugin, &identity.semver, &names);
    let toolchain = &identity.toolchain;
    if !toolchain.rustc.is_empty() {
        facts.push(Fact::plain(format!(
            "{} {}",
            toolchain.rustc, toolchain.target
        )));
    }
    for contract in contracts {
        let functions = contract.functions.iter().map(|function| {
            let words = function_of(&function.text, &contract.name);
            Fact::exact(
                words,
                Print::new(function.print),
                function.fixed,
                function.optional,
            )
        });
        facts.extend(functions);
        facts.push(declared_state(contract));
        if let Some(allocator) = &identity.allocator {
            facts.push(allocator_of(allocator));
        }
    }
    facts
}

fn registers(registered: &Registrations, compiler: bool, allocator: bool) -> Vec<Fact> {
    let names: Vec<_> = registered.contracts().collect();
    let mut facts = start(registered.plugin(), registered.semver(), &names);
    if compiler {
        facts.push(Fact::plain(registered.toolchain().to_owned()));
    }
    for (contract, implementation) in registered.implementations() {
        let functions = implementation.functions().iter().map(|function| {
            let signature = &function.signature;
            let words = function_of(&format!("{signature:?}"), contract);
            Fact::exact(
                words,
                signature.print,
                signature.fixed != 0,
                signature.optional != 0,
            )
        });
        facts.extend(functions);
        facts.push(registered_state(contract, implementation));
        if allocator {
            facts.push(allocator_of(match implementation.state().own_allocator {
                0 => SYSTEM_ALLOCATOR,
                _ => OWN_ALLOCATOR,
            }));
        }
    }
    facts
}

fn start(plugin: &str, semver: &str, contracts: &[&str]) -> Vec<Fact> {
    let contracts = match contracts {
        [] => "no contract".to_owned(),
        contracts => contracts.join(", "),
    };
    vec![
        Fact::plain(format!("{plugin} {semver}")),
        Fact::plain(contracts),
    ]
}

fn function_of(text: &str, contract: &str) -> String {
    format!("`{text}` of `{contract}`")
}

fn allocator_of(allocator: &str) -> Fact {
    Fact::plain(format!("the allocator `{allocator}`"))
}

fn declared_state(contract: &Contract) -> Fact {
    let state = contract.state.and_then(|state| contract.types.get(state));
    let state = state.map(|state| (Print::new(state.print), state.fixed, &*state.name));
    state_of(&contract.name, state)
}

fn registered_state(contract: &str, implementation: &Implementation) -> Fact {
    let state = implementation.state();
    let name = text(state.name).unwrap_or_default();
    let present = (state.present != 0).then_some((state.print, state.fixed != 0, name));
    state_of(contract, present)
}

fn state_of(contract: &str, state: Option<(Print, bool, &str)>) -> Fact {
    match state {
        Some((print, fixed, name)) => Fact {
            words: format!("the state of `{contract}`"),
            exact: (print, fixed, false),
            of: format!(", `{name}`"),
        },
        None => Fact::plain(format!("no state of `{contract}`")),
    }
}

#[cfg(test)]
mod tests {
    use plugind_abi::registration::Registration;

    use super::*;
    use crate::manifest::Identity;
    use crate::register::add;

    static NODE: Registration = Registration::new("a", "1.0.0", &[]);

    fn notes(plugin: &str, contracts: &[&str]) -> Manifest {
        let contract = |name: &&str| Contract {
            name: (*name).to_owned(),
            ..Contract::default()
        };
        Manifest {
            identity: Identity {
                plugin: plugin.to_owned(),
                semver: "1.0.0".to_owned(),
                ..Identity::default()
            },
            contracts: contracts.iter().map(contract).collect(),
        }
    }

    #[test]
    fn a_contradiction_names_both_sides() {
        let mut registered = None;
        add(&mut registered, &NODE).unwrap();
        let registered = registered.as_ref();
        let told = |declared: Option<&Manifest>, registered: Option<&Registrations>| {
            let found = contradiction(declared, registered);
            found.map(|found| found.to_string()).unwrap_or_default()
        };
        assert_eq!(told(Some(&notes("a", &[])), registered), "");
        assert_eq!(told(None, None), "");
        assert_eq!(told(Some(&notes("a", &[])), None), "");
        let mut compiled = notes("a", &[]);
        compiled.identity.toolchain.rustc = "rustc 1.0.0".to_owned();
        let cases = [
            (
                told(Some(&notes("b", &[])), registered),
                "declare b 1.0.0 and its constructors register a 1.0.0",
            ),
            (
                told(Some(&notes("a", &["Game"])), None),
                "declare a 1.0.0 and its constructors register nothing",
            ),
            (
                told(None, registered),
                "declare nothing and its constructors register a 1.0.0",
            ),
            (
                told(Some(&notes("a", &["Other", "Game"])), registered),
                "declare Game, Other and its constructors register no contract",
            ),
            (
                told(Some(&compiled), registered),
                "declare rustc 1.0.0  and its constructors register rustc ",
            ),
        ];
        for (sentence, words) in cases {
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
