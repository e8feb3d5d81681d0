//! Differences between two builds, as they are told to programs. They hold a plugin's own words, so they are as long as
//! honest ones at most.

use plugind_loader::manifest::{self, Difference};
use plugind_wire::difference as told;

/// Characters of a name, a type or a signature.
const FORM: usize = 400;
/// Characters of a sentence.
const SENTENCE: usize = 1200;

/// What differs in a contract.
pub(crate) fn of_contract(contract: &str, differences: &[Difference]) -> Vec<told::Difference> {
    differences
        .iter()
        .map(|difference| one(contract, difference))
        .collect()
}

/// Without what to do, where nothing is to be done.
pub(crate) fn without_advice(mut differences: Vec<told::Difference>) -> Vec<told::Difference> {
    for difference in &mut differences {
        difference.next = None;
    }
    differences
}

fn one(contract: &str, difference: &Difference) -> told::Difference {
    let subject = &difference.subject;
    let form = |form: &manifest::Form| told::Form {
        text: cut(&form.text, FORM),
        offset: form.offset,
        krate: cut(&form.krate, FORM),
        after: cut(&form.after, FORM),
    };
    let outline = |one: &manifest::Outline| told::Outline {
        bytes: one.bytes,
        krate: cut(&one.krate, FORM),
    };
    let ty = subject.ty.as_ref().map(|(ours, theirs)| told::Outlines {
        expected: outline(ours),
        found: outline(theirs),
    });
    told::Difference {
        contract: cut(contract, FORM),
        part: part(subject.part),
        name: cut(&subject.name, FORM),
        of: cut(&subject.of, FORM),
        ty,
        change: change(difference.change),
        expected: difference.expected.as_ref().map(form),
        found: difference.found.as_ref().map(form),
        what: cut(&difference.what, SENTENCE),
        next: Some(difference.next.to_string()),
    }
}

fn part(part: manifest::Part) -> told::Part {
    match part {
        manifest::Part::Contract => told::Part::Contract,
        manifest::Part::Function => told::Part::Function,
        manifest::Part::Argument => told::Part::Argument,
        manifest::Part::Result => told::Part::Result,
        manifest::Part::State => told::Part::State,
        manifest::Part::Type => told::Part::Type,
        manifest::Part::Field => told::Part::Field,
        manifest::Part::Variant => told::Part::Variant,
        manifest::Part::Compiler => told::Part::Compiler,
    }
}

fn change(change: manifest::Change) -> told::Change {
    match change {
        manifest::Change::Added => told::Change::Added,
        manifest::Change::Removed => told::Change::Removed,
        manifest::Change::Renamed => told::Change::Renamed,
        manifest::Change::Changed => told::Change::Changed,
        manifest::Change::Reordered => told::Change::Reordered,
        manifest::Change::Moved => told::Change::Moved,
    }
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn words_are_as_long_as_they_may_be() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äöü..");
    }
}
