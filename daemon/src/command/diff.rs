//! `plugind diff`: what changed between two versions, as a page in the manner of `diff`, or as JSON.
//!
//! `-` is what only the first has, `+` what only the second has; what is another thing than before has a line of each.
//! Functions stand first, then each type with its fields.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use plugind_client::Status;
use plugind_wire::difference::{Change, Diff, Difference, Form, Outlines, Part, Side};
use plugind_wire::manifest::Build;

use super::status::outcome;
use super::{print, print_json};
use crate::cli::{self, PlaceArgs};
use crate::exit::plain;
use crate::place;

pub(crate) fn run(args: &cli::Diff, place: &PlaceArgs) -> Result<ExitCode> {
    let client = place::connect(place, true)?;
    let diff = client.diff(&args.plugin, args.expected, args.found)?;
    if args.json {
        print_json(&diff)?;
    } else {
        print(&page(&diff, &client.status()?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn page(diff: &Diff, status: &Status) -> String {
    let mut page = String::new();
    for (mark, side) in [("---", &diff.expected), ("+++", &diff.found)] {
        let _ = writeln!(
            page,
            "{mark} {} {}",
            plain(&diff.plugin),
            head(side, diff, status)
        );
    }
    builds(&diff.expected, &diff.found, &mut page);
    if diff.differences.is_empty() {
        let _ = writeln!(page, "\n{}", nothing(diff));
    }
    let mut rest = &diff.differences[..];
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|one| one.contract != first.contract);
        let (own, others) = rest.split_at(end.unwrap_or(rest.len()));
        contract(own, &mut page);
        rest = others;
    }
    if diff.more {
        let _ = writeln!(page, "\nand more, which is left out");
    }
    page
}

/// A version in one line.
fn head(side: &Side, diff: &Diff, status: &Status) -> String {
    let semver = side.semver.as_deref().unwrap_or("(raw)");
    let stage = side
        .stage
        .map_or_else(String::new, |stage| format!(" at {}", stage.word()));
    let outcome = outcome(side.outcome, &diff.plugin, side.version, status);
    let digest = side.digest.short();
    format!(
        "v{} {}  {digest}  {outcome}{stage}",
        side.version,
        plain(semver)
    )
}

fn nothing(diff: &Diff) -> String {
    let [old, new] = [diff.expected.version, diff.found.version];
    let side = &diff.expected;
    match (side.raw, diff.found.raw, &*side.contracts) {
        (true, true, _) => "both are raw: they declare nothing that could be compared".to_owned(),
        (true, false, _) | (false, true, _) => {
            "one is raw and declares nothing; the other implements no contract".to_owned()
        }
        (false, false, []) => {
            "neither implements a contract: what they register is known when they are open"
                .to_owned()
        }
        (false, false, contracts) => format!(
            "no difference in functions, types and states: v{new} fits every program that v{old} fits ({})",
            contracts
                .iter()
                .map(|name| plain(name))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// What is known of how they were built, where that differs.
fn builds(old: &Side, new: &Side, page: &mut String) {
    let facts = |build: &Build| {
        let known = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            ("built by", known(&build.rustc)),
            ("for", known(&build.target)),
            ("profile", known(&build.profile)),
            ("panics", known(&build.panic)),
            ("processor", build.features.join(", ")),
            ("allocator", known(&build.allocator)),
            ("sdk", known(&build.sdk)),
        ]
    };
    let (Some(old), Some(new)) = (&old.build, &new.build) else {
        return;
    };
    for ((what, old), (_, new)) in facts(old).into_iter().zip(facts(new)) {
        if old != new {
            let _ = writeln!(page, "{what}: {} -> {}", told(&old), told(&new));
        }
    }
}

fn told(text: &str) -> String {
    match text {
        "" => "(not told)".to_owned(),
        text => plain(text),
    }
}

/// All differences of one contract.
fn contract(differences: &[Difference], page: &mut String) {
    let Some(first) = differences.first() else {
        return;
    };
    let _ = writeln!(page, "\ncontract {}", plain(&first.contract));
    let (types, functions): (Vec<_>, Vec<_>) = differences
        .iter()
        .partition(|one| matches!(one.part, Part::Type | Part::Field | Part::Variant));
    for one in functions {
        difference(one, page);
    }
    let mut told: Vec<&str> = Vec::new();
    for one in &types {
        let owner = owner(one);
        if told.contains(&owner) {
            continue;
        }
        told.push(owner);
        let _ = writeln!(page, "\n  {}{}", plain(owner), outlines(one.ty.as_ref()));
        for own in types.iter().filter(|other| self::owner(other) == owner) {
            difference(own, page);
        }
    }
}

/// The type that a difference is about.
fn owner(difference: &Difference) -> &str {
    match difference.part {
        Part::Type => &difference.name,
        _ => &difference.of,
    }
}

/// A type's bytes and crate in both.
fn outlines(types: Option<&Outlines>) -> String {
    let Some(Outlines { expected, found }) = types else {
        return String::new();
    };
    let change = |old: &str, new: &str| match old == new {
        true => plain(old),
        false => format!("{} -> {}", plain(old), plain(new)),
    };
    let bytes = change(&expected.bytes.to_string(), &found.bytes.to_string());
    let krate = change(&expected.krate, &found.krate);
    format!(", {bytes} bytes (crate {krate})")
}

/// A line for what is gone, and one for what is there instead.
fn difference(one: &Difference, page: &mut String) {
    let about = about(one);
    match one.change {
        // Told in one line, because nothing is gone.
        Change::Moved | Change::Reordered => {
            let (old, new) = (
                words(one, one.expected.as_ref()),
                words(one, one.found.as_ref()),
            );
            let what = if one.change == Change::Reordered {
                "order: "
            } else {
                ""
            };
            let _ = writeln!(page, "  ~ {about}{what}{old} -> {new}");
        }
        _ => {
            for (mark, form) in [('-', &one.expected), ('+', &one.found)] {
                if let Some(form) = form {
                    let _ = writeln!(page, "  {mark} {about}{}", words(one, Some(form)));
                }
            }
        }
    }
}

/// What a line is about, where its words do not say so themselves.
fn about(one: &Difference) -> String {
    let (name, of) = (plain(&one.name), plain(&one.of));
    match one.part {
        Part::Function if one.of.is_empty() => String::new(),
        Part::Function => format!("{of}: "),
        Part::Argument => format!("`{name}` of {of}: "),
        Part::Result => format!("result of {of}: "),
        Part::State => "state ".to_owned(),
        Part::Contract => "implements ".to_owned(),
        Part::Compiler => "built by ".to_owned(),
        Part::Type => String::new(),
        Part::Field | Part::Variant => match one.change {
            Change::Changed | Change::Moved | Change::Reordered => format!("{name}: "),
            _ => String::new(),
        },
    }
}

fn words(one: &Difference, form: Option<&Form>) -> String {
    let Some(form) = form else {
        return "nothing".to_owned();
    };
    let text = plain(&form.text);
    let at = form.offset.filter(|_| one.change != Change::Moved);
    let at = at.map(|offset| format!("at byte {offset}"));
    let after = match (one.part, one.change, &*form.after) {
        (Part::Field | Part::Variant, Change::Added | Change::Removed, before) => match before {
            "" => Some("first".to_owned()),
            before => Some(format!("after {}", plain(before))),
        },
        _ => None,
    };
    let place: Vec<_> = at.into_iter().chain(after).collect();
    let place = match &*place {
        [] => String::new(),
        place => format!("  {}", place.join(", ")),
    };
    let own = one
        .ty
        .as_ref()
        .is_some_and(|ty| [&ty.expected.krate, &ty.found.krate].contains(&&form.krate));
    let krate = match (own || form.krate.is_empty(), one.part) {
        (false, Part::Contract) => format!(" (crate {})", plain(&form.krate)),
        (false, Part::Field | Part::Argument | Part::Result | Part::State) => {
            format!("  (crate {})", plain(&form.krate))
        }
        _ => String::new(),
    };
    format!("{text}{place}{krate}")
}
