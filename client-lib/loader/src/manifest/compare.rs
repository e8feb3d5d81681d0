//! Compares two builds' descriptions of a contract: what differs, field by field, and what to do about it.

use std::collections::BTreeSet;
use std::fmt;

use super::differ::Differ;
use super::difference::{Change, Difference, Form, Next, Part, Sides, Subject};
use super::{Contract, Function, Manifest, Sort, Toolchain};

/// Why a plugin does not fit a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The contract.
    pub contract: String,
    /// At least one.
    pub differences: Vec<Difference>,
}

/// So many differences are told; the first ones explain the others.
const TOLD: usize = 8;

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it does not fit the contract `{}`: ", self.contract)?;
        for (index, difference) in self.differences.iter().take(TOLD).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}", difference.what)?;
        }
        if self.differences.len() > TOLD {
            write!(f, ", and {} more", self.differences.len() - TOLD)?;
        }
        let mut steps = self.differences.iter().map(|difference| difference.next);
        let first = steps.next().unwrap_or(Next::RebuildBoth);
        let next = match steps.find(|step| *step != first) {
            Some(_) => Next::RebuildBoth,
            None => first,
        };
        write!(f, "; {next}")
    }
}

impl std::error::Error for Misfit {}

impl Manifest {
    /// Whether the plugin fits a program's contract, compiled by `toolchain`.
    ///
    /// # Errors
    ///
    /// [`Misfit`] lists what differs.
    pub fn fits(&self, expected: &Contract, toolchain: &Toolchain) -> Result<(), Misfit> {
        let toolchains = (toolchain, &self.identity.toolchain);
        let differences = match self.contract(&expected.name) {
            Some(found) => compare(expected, found, toolchains),
            None => vec![self.not_implemented(&expected.name)],
        };
        if differences.is_empty() {
            return Ok(());
        }
        Err(Misfit {
            contract: expected.name.clone(),
            differences,
        })
    }

    fn not_implemented(&self, contract: &str) -> Difference {
        let names: Vec<_> = self.contracts.iter().map(|c| c.name.as_str()).collect();
        Difference {
            what: match &*names {
                [] => "it implements no contract (`#[plugin] impl ..`)".to_owned(),
                names => format!("it implements {} and not this one", names.join(", ")),
            },
            subject: Subject::new(Part::Contract, contract),
            change: Change::Removed,
            expected: Some(Form::text(contract)),
            found: None,
            next: Next::RebuildPlugin,
        }
    }
}

/// What keeps a plugin's contract from being bound as a program's; nothing if it fits. The toolchains are the
/// program's and the plugin's; they matter where a layout is the compiler's.
pub fn compare(
    expected: &Contract,
    found: &Contract,
    toolchains: (&Toolchain, &Toolchain),
) -> Vec<Difference> {
    let mut differ = Differ::new(expected, found, Sides::CONTRACT);
    let mut by_compiler = BTreeSet::new();
    for function in &expected.functions {
        match named(found, &function.name) {
            Some(other) if other.print == function.print => {
                differ.offers(function, other, &mut by_compiler);
                if !function.fixed {
                    by_compiler.insert(function.name.clone());
                }
            }
            Some(other) => differ.functions(function, other),
            None if function.optional => {}
            None => missing(&mut differ, function),
        }
    }
    let mut differences = differ.differences;
    if !by_compiler.is_empty() && !toolchains.0.agrees_with(toolchains.1) {
        differences.insert(0, compilers(toolchains, &by_compiler, Sides::CONTRACT));
    }
    differences
}

/// What changed between the states of two versions; nothing if one can be carried to the other.
pub fn compare_states(from: &Contract, to: &Contract, sides: Sides<'_>) -> Vec<Difference> {
    let mut differ = Differ::new(from, to, sides);
    if let (Some(from), Some(to)) = (from.state, to.state) {
        differ.types(from, to, &Subject::state());
    }
    differ.differences
}

pub(super) fn named<'a>(contract: &'a Contract, name: &str) -> Option<&'a Function> {
    let mut functions = contract.functions.iter();
    functions.find(|function| function.name == name)
}

fn missing(differ: &mut Differ<'_>, function: &Function) {
    let other = differ.found.functions.iter().find(|other| {
        named(differ.expected, &other.name).is_none() && differ.looks_alike(function, other)
    });
    let name = &function.name;
    let (what, change, next) = match other {
        Some(other) => (
            format!(
                "`{name}` seems to be called `{}` in {}",
                other.name, differ.sides.found
            ),
            Change::Renamed,
            Next::RebuildBoth,
        ),
        None => (
            format!("it lacks `{}`", function.text),
            Change::Removed,
            Next::RebuildPlugin,
        ),
    };
    let forms = (
        Some(Form::text(&function.text)),
        other.map(|other| Form::text(&other.text)),
    );
    let function = Subject::new(Part::Function, name);
    differ.push(what, &function, change, forms, next);
}

/// What is the same for one compiler only.
pub(super) fn compilers(
    (expected, found): (&Toolchain, &Toolchain),
    functions: &BTreeSet<String>,
    sides: Sides<'_>,
) -> Difference {
    let names: Vec<_> = functions.iter().map(|name| format!("`{name}`")).collect();
    let (have, names) = match &*names {
        [one] => ("has", one.clone()),
        names => ("have", names.join(", ")),
    };
    Difference {
        what: format!(
            "{} was built by {found} and {} by {expected}, and {names} {have} types whose layout the compiler decides",
            sides.found, sides.expected
        ),
        subject: Subject::new(Part::Compiler, ""),
        change: Change::Changed,
        expected: Some(Form::text(&expected.to_string())),
        found: Some(Form::text(&found.to_string())),
        next: Next::OneCompiler,
    }
}

impl Differ<'_> {
    /// Whether the program offers what the plugin may call through the arguments of a function that is the same.
    fn offers(
        &mut self,
        expected: &Function,
        found: &Function,
        by_compiler: &mut BTreeSet<String>,
    ) {
        for (ours, theirs) in expected.arguments.iter().zip(&found.arguments) {
            let (ours, theirs) = (&self.expected.types[ours.ty], &self.found.types[theirs.ty]);
            if theirs.sort != Sort::Host {
                continue;
            }
            for called in &theirs.offers {
                let same_name = ours.offers.iter().find(|offer| offer.name == called.name);
                match same_name {
                    Some(offer) if offer.print == called.print => {
                        if !called.fixed {
                            by_compiler.insert(format!("{}::{}", theirs.name, called.name));
                        }
                    }
                    Some(offer) => {
                        let before = self.differences.len();
                        self.functions(offer, called);
                        for difference in &mut self.differences[before..] {
                            if difference.subject.part == Part::Function {
                                difference.subject.of.clone_from(&theirs.name);
                            }
                            difference.what = format!(
                                "its `{}` calls `{}` of `{}`, which this program offers in another form: {}",
                                expected.name, called.name, theirs.name, difference.what
                            );
                        }
                    }
                    None => {
                        let what = format!(
                            "its `{}` calls `{}` of `{}`, which this program does not offer",
                            expected.name, called.text, theirs.name
                        );
                        let offer = Subject::offer(called, theirs);
                        let found = Some(Form::text(&called.text));
                        self.push(
                            what,
                            &offer,
                            Change::Added,
                            (None, found),
                            Next::RebuildHost,
                        );
                    }
                }
            }
        }
    }
}
