//! What changed between two versions of a plugin, whoever uses it: functions, types field by field, states. It looks as
//! far as the comparison with a program's contract does, and with the same eyes; what that need not tell, such as a
//! function that nobody asks for yet, is told as well.

use std::collections::BTreeSet;

use super::compare::{compilers, named};
use super::differ::Differ;
use super::difference::{Change, Difference, Form, Next, Part, Sides, Subject};
use super::{Contract, Function, Manifest, Sort, Type};

/// So many differences of one contract are looked for.
const ENOUGH: usize = 512;

/// What changed in one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The contract's name.
    pub contract: String,
    /// At least one.
    pub differences: Vec<Difference>,
}

/// What changed from one version to another in the contracts that they implement; nothing if a program that fits one
/// fits the other and states can be carried.
pub fn compare_versions(from: &Manifest, to: &Manifest, sides: Sides<'_>) -> Vec<Changed> {
    let mut changed = Vec::new();
    let mut add = |contract: &Contract, differences: Vec<Difference>| {
        if !differences.is_empty() {
            let contract = contract.name.clone();
            changed.push(Changed {
                contract,
                differences,
            });
        }
    };
    for old in &from.contracts {
        let differences = match to.contract(&old.name) {
            Some(new) => contracts((from, old), (to, new), sides),
            None => vec![implemented(old, Change::Removed, sides.found)],
        };
        add(old, differences);
    }
    for new in &to.contracts {
        if from.contract(&new.name).is_none() {
            add(new, vec![implemented(new, Change::Added, sides.found)]);
        }
    }
    changed
}

fn implemented(contract: &Contract, change: Change, found: &str) -> Difference {
    let name = &contract.name;
    let form = Some(Form {
        krate: contract.krate.clone(),
        ..Form::text(name)
    });
    let (word, forms) = match change {
        Change::Removed => ("no longer implemented", (form, None)),
        _ => ("implemented", (None, form)),
    };
    Difference {
        what: format!("the contract `{name}` is {word} in {found}"),
        subject: Subject::new(Part::Contract, name),
        change,
        expected: forms.0,
        found: forms.1,
        next: Next::RebuildBoth,
    }
}

fn contracts(
    (from, old): (&Manifest, &Contract),
    (to, new): (&Manifest, &Contract),
    sides: Sides<'_>,
) -> Vec<Difference> {
    let mut differ = Differ::new(old, new, sides);
    differ.enough = ENOUGH;
    let mut by_compiler = BTreeSet::new();
    let mut renamed = Vec::new();
    for function in &old.functions {
        match named(new, &function.name) {
            Some(other) => {
                if !function.fixed && function.print == other.print {
                    by_compiler.insert(function.name.clone());
                }
                differ.version_of(function, other);
            }
            None => renamed.extend(differ.gone(function)),
        }
    }
    for function in &new.functions {
        if named(old, &function.name).is_none() && !renamed.contains(&function.name) {
            let what = format!("`{}` was added", function.text);
            let subject = Subject::new(Part::Function, &function.name);
            let form = Some(Form::text(&function.text));
            differ.push(
                what,
                &subject,
                Change::Added,
                (None, form),
                Next::RebuildHost,
            );
        }
    }
    if let (Some(old), Some(new)) = (old.state, new.state) {
        differ.types(old, new, &Subject::state());
    }
    let toolchains = (&from.identity.toolchain, &to.identity.toolchain);
    let mut differences = differ.differences;
    let agree = toolchains.0 == toolchains.1 || toolchains.0.agrees_with(toolchains.1);
    if !by_compiler.is_empty() && !agree {
        differences.insert(0, compilers(toolchains, &by_compiler, sides));
    }
    differences.truncate(ENOUGH);
    differences
}

impl Differ<'_> {
    /// One function in two versions.
    fn version_of(&mut self, old: &Function, new: &Function) {
        let subject = Subject::new(Part::Function, &old.name);
        if old.print != new.print {
            if old.text == new.text {
                self.functions(old, new);
            } else {
                let forms = (Form::text(&old.text), Form::text(&new.text));
                self.differs(&subject, forms.0, forms.1, "");
                // What is called the same may have changed as well.
                self.inside(old, new);
            }
        }
        if old.optional != new.optional {
            let form = |function: &Function| {
                let remark = if function.optional {
                    "  (optional)"
                } else {
                    ""
                };
                Form::text(&format!("{}{remark}", function.text))
            };
            let word = |function: &Function| match function.optional {
                true => "optional",
                false => "not optional",
            };
            let forms = (form(old), form(new));
            self.is_said((word(old), word(new)), &subject, Change::Changed, forms, "");
        }
        for (ours, theirs) in old.arguments.iter().zip(&new.arguments) {
            let (ours, theirs) = (&self.expected.types[ours.ty], &self.found.types[theirs.ty]);
            if ours.sort == Sort::Host && ours.name == theirs.name {
                self.calls(ours, theirs);
            }
        }
    }

    /// The types of one name in two functions that are written differently.
    fn inside(&mut self, old: &Function, new: &Function) {
        let arguments = old.arguments.iter().zip(&new.arguments);
        let arguments = arguments
            .map(|(ours, theirs)| (ours.ty, theirs.ty, Subject::argument(&ours.name, old)));
        let result = old.result.zip(new.result);
        let result = result.map(|(ours, theirs)| (ours, theirs, Subject::result(old)));
        for (ours, theirs, subject) in arguments.chain(result) {
            if self.expected.types[ours].name == self.found.types[theirs].name {
                self.types(ours, theirs, &subject);
            }
        }
    }

    /// A function that the newer version lacks; the name that it seems to have there.
    fn gone(&mut self, function: &Function) -> Option<String> {
        let mut others = self.found.functions.iter();
        let other = others.find(|other| {
            named(self.expected, &other.name).is_none() && self.looks_alike(function, other)
        });
        let (what, change) = match other {
            Some(other) => (
                format!(
                    "`{}` seems to be called `{}` in {}",
                    function.name, other.name, self.sides.found
                ),
                Change::Renamed,
            ),
            None => (format!("`{}` was removed", function.text), Change::Removed),
        };
        let forms = (
            Some(Form::text(&function.text)),
            other.map(|other| Form::text(&other.text)),
        );
        let subject = Subject::new(Part::Function, &function.name);
        self.push(what, &subject, change, forms, Next::RebuildPlugin);
        other.map(|other| other.name.clone())
    }

    /// What a plugin calls through a program's object.
    fn calls(&mut self, old: &Type, new: &Type) {
        let known = self.differences.len();
        for offer in &old.offers {
            let subject = Subject::offer(offer, old);
            let same_name = new.offers.iter().find(|other| other.name == offer.name);
            match same_name {
                Some(other) if other.print == offer.print => {}
                Some(other) => {
                    let forms = (Form::text(&offer.text), Form::text(&other.text));
                    let place = format!("`{}` of `{}`", offer.name, old.name);
                    self.differs(&subject.told(place), forms.0, forms.1, "");
                }
                None => {
                    let what = format!("`{}` of `{}` is not called any more", offer.text, old.name);
                    let form = Some(Form::text(&offer.text));
                    self.push(
                        what,
                        &subject,
                        Change::Removed,
                        (form, None),
                        Next::RebuildBoth,
                    );
                }
            }
        }
        for offer in &new.offers {
            if old.offers.iter().all(|other| other.name != offer.name) {
                let what = format!("`{}` of `{}` may be called now", offer.text, old.name);
                let form = Some(Form::text(&offer.text));
                let subject = Subject::offer(offer, old);
                self.push(
                    what,
                    &subject,
                    Change::Added,
                    (None, form),
                    Next::RebuildHost,
                );
            }
        }
        // Several functions have one object.
        let mut news = self.differences.split_off(known);
        news.retain(|one| !self.differences.contains(one));
        self.differences.append(&mut news);
    }
}
