//! Finds what differs between two types or functions, from the outside in. Where the names are the same it looks
//! inside; what it then tells is the innermost difference.

use std::collections::HashSet;

use super::compare::{Difference, Next, Sides};
use super::{Contract, Field, Function, Sort, Type, Variant};

/// More differences explain nothing.
const ENOUGH: usize = 32;
/// So deep no honest type is nested.
const DEEPEST: usize = 64;

/// What was found so far.
pub(super) struct Differ<'a> {
    pub(super) expected: &'a Contract,
    pub(super) found: &'a Contract,
    pub(super) sides: Sides<'a>,
    pub(super) differences: Vec<Difference>,
    /// Each pair of types is looked at once.
    seen: HashSet<(usize, usize)>,
    depth: usize,
}

impl<'a> Differ<'a> {
    pub(super) fn new(expected: &'a Contract, found: &'a Contract, sides: Sides<'a>) -> Self {
        Self {
            expected,
            found,
            sides,
            differences: Vec::new(),
            seen: HashSet::new(),
            depth: 0,
        }
    }

    /// Two functions of one name whose fingerprints differ.
    pub(super) fn functions(&mut self, expected: &Function, found: &Function) {
        let before = self.differences.len();
        let shape = |function: &Function| {
            let hows: Vec<_> = function.arguments.iter().map(|a| a.how.clone()).collect();
            (function.state.clone(), hows, function.result.is_some())
        };
        if shape(expected) == shape(found) {
            for (ours, theirs) in expected.arguments.iter().zip(&found.arguments) {
                let place = format!("`{}` of `{}`", ours.name, expected.name);
                self.types(ours.ty, theirs.ty, &place);
            }
            if let (Some(ours), Some(theirs)) = (expected.result, found.result) {
                let place = format!("the result of `{}`", expected.name);
                self.types(ours, theirs, &place);
            }
            // A type that several functions have is told of once.
            if self.differences.len() > before || self.all_seen(expected, found) {
                return;
            }
        }
        let which = format!("`{}`", expected.name);
        self.differs(&which, &expected.text, &found.text, "");
    }

    fn all_seen(&self, expected: &Function, found: &Function) -> bool {
        let arguments = expected.arguments.iter().zip(&found.arguments);
        let arguments = arguments.map(|(ours, theirs)| (ours.ty, theirs.ty));
        let mut pairs = arguments.chain(expected.result.zip(found.result));
        !self.differences.is_empty() && pairs.any(|pair| self.seen.contains(&pair))
    }

    /// Whether two functions differ in nothing but their names.
    pub(super) fn looks_alike(&self, expected: &Function, found: &Function) -> bool {
        let ours = |place: usize| self.expected.types[place].print;
        let theirs = |place: usize| self.found.types[place].print;
        let mut arguments = expected.arguments.iter().zip(&found.arguments);
        expected.state == found.state
            && expected.arguments.len() == found.arguments.len()
            && arguments.all(|(a, b)| a.how == b.how && ours(a.ty) == theirs(b.ty))
            && expected.result.map(ours) == found.result.map(theirs)
    }

    /// Two types that stand at the same place.
    pub(super) fn types(&mut self, expected: usize, found: usize, place: &str) {
        let (ours, theirs) = (&self.expected.types[expected], &self.found.types[found]);
        if ours.print == theirs.print
            || self.differences.len() >= ENOUGH
            || self.depth >= DEEPEST
            || !self.seen.insert((expected, found))
        {
            return;
        }
        let krate = self.krate(ours, theirs);
        if ours.name != theirs.name || ours.sort != theirs.sort {
            self.differs(place, &ours.name, &theirs.name, &krate);
            return;
        }
        self.depth += 1;
        let before = self.differences.len();
        let name = format!("`{}`", ours.name);
        match ours.sort {
            Sort::Struct => self.fields(&ours.fields, &theirs.fields, &ours.name, &krate),
            Sort::Enum => self.variants(&ours.variants, &theirs.variants, &ours.name, &krate),
            _ => {
                for (ours, theirs) in ours.fields.iter().zip(&theirs.fields) {
                    self.types(ours.ty, theirs.ty, place);
                }
            }
        }
        let representation = |ty: &Type| match &*ty.repr {
            "" => "without `repr`".to_owned(),
            repr if ty.sort == Sort::Opaque => format!("taken as it is ({repr})"),
            repr => format!("`#[repr({repr})]`"),
        };
        if ours.repr != theirs.repr {
            let (ours, theirs) = (representation(ours), representation(theirs));
            self.is_and_is(&name, &ours, &theirs, &krate);
        }
        if self.differences.len() == before {
            self.layouts(ours, theirs, &krate);
        }
        self.depth -= 1;
    }

    /// Two types with the same parts.
    fn layouts(&mut self, ours: &Type, theirs: &Type, krate: &str) {
        let name = format!("`{}`", ours.name);
        let moved = ours.fields.iter().zip(&theirs.fields);
        let moved = moved
            .filter(|(ours, theirs)| ours.offset != theirs.offset)
            .find_map(|(a, b)| Some((&a.name, a.offset?, b.offset?)));
        let bytes = |ty: &Type| format!("{} bytes, aligned to {}", ty.size, ty.align);
        if ours.drops != theirs.drops {
            let what = |ty: &Type| {
                let what = if ty.drops { "dropped" } else { "not dropped" };
                what.to_owned()
            };
            self.is_and_is(&name, &what(ours), &what(theirs), krate);
        } else if let Some((field, ours, theirs)) = moved {
            let place = format!("`{field}` of {name}");
            self.is_and_is(
                &place,
                &format!("at byte {ours}"),
                &format!("at byte {theirs}"),
                krate,
            );
        } else if bytes(ours) != bytes(theirs) {
            self.is_and_is(&name, &bytes(ours), &bytes(theirs), krate);
        } else {
            let what = format!(
                "{name}{krate} is laid out by another compiler in {}",
                self.sides.found
            );
            self.push(
                what,
                Some(&ours.name),
                Some(&theirs.name),
                Next::OneCompiler,
            );
        }
    }

    fn fields(&mut self, ours: &[Field], theirs: &[Field], owner: &str, krate: &str) {
        let names = |fields: &[Field]| fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        let (our_names, their_names) = (names(ours), names(theirs));
        let removed: Vec<_> = missing(&our_names, &their_names);
        let added: Vec<_> = missing(&their_names, &our_names);
        if let ([from], [to]) = (&*removed, &*added)
            && from == to
            && self.expected.types[ours[*from].ty].print == self.found.types[theirs[*to].ty].print
        {
            let place = format!("field `{}` of `{owner}`", ours[*from].name);
            self.called(&place, &ours[*from].name, &theirs[*to].name, krate);
            return;
        }
        for index in &added {
            let field = &theirs[*index];
            let text = format!("{}: {}", field.name, self.found.types[field.ty].name);
            let what = format!(
                "field `{text}` was added to `{owner}`{krate} {}",
                after(&their_names, *index)
            );
            self.push(what, None, Some(&text), Next::RebuildHost);
        }
        for index in &removed {
            let field = &ours[*index];
            let text = format!("{}: {}", field.name, self.expected.types[field.ty].name);
            let what = format!("field `{text}` was removed from `{owner}`{krate}");
            self.push(what, Some(&text), None, Next::RebuildPlugin);
        }
        if added.is_empty() && removed.is_empty() && our_names != their_names {
            let place = format!("the order of the fields of `{owner}`");
            self.differs(
                &place,
                &our_names.join(", "),
                &their_names.join(", "),
                krate,
            );
        }
        for field in ours {
            if let Some(other) = theirs.iter().find(|other| other.name == field.name) {
                let place = format!("`{}` of `{owner}`{krate}", field.name);
                self.types(field.ty, other.ty, &place);
            }
        }
    }

    fn variants(&mut self, ours: &[Variant], theirs: &[Variant], owner: &str, krate: &str) {
        let names = |all: &[Variant]| all.iter().map(|v| v.name.clone()).collect::<Vec<_>>();
        let (our_names, their_names) = (names(ours), names(theirs));
        let removed: Vec<_> = missing(&our_names, &their_names);
        let added: Vec<_> = missing(&their_names, &our_names);
        for index in &added {
            let name = &their_names[*index];
            let what = format!(
                "variant `{name}` was added to `{owner}`{krate} {}",
                after(&their_names, *index)
            );
            self.push(what, None, Some(name), Next::RebuildHost);
        }
        for index in &removed {
            let name = &our_names[*index];
            let what = format!("variant `{name}` was removed from `{owner}`{krate}");
            self.push(what, Some(name), None, Next::RebuildPlugin);
        }
        if added.is_empty() && removed.is_empty() && our_names != their_names {
            let place = format!("the order of the variants of `{owner}`");
            self.differs(
                &place,
                &our_names.join(", "),
                &their_names.join(", "),
                krate,
            );
        }
        for variant in ours {
            let Some(other) = theirs.iter().find(|other| other.name == variant.name) else {
                continue;
            };
            let name = format!("{owner}::{}", variant.name);
            if variant.discriminant != other.discriminant {
                let number = |of: &Variant| {
                    let written = of.discriminant.map(|number| number.to_string());
                    written.unwrap_or_else(|| "the next number".to_owned())
                };
                self.is_and_is(
                    &format!("`{name}`"),
                    &number(variant),
                    &number(other),
                    krate,
                );
            }
            self.fields(&variant.fields, &other.fields, &name, krate);
        }
    }

    fn differs(&mut self, place: &str, expected: &str, found: &str, krate: &str) {
        let (ours, theirs) = (format!("`{expected}`"), format!("`{found}`"));
        if ours == theirs {
            let what = format!("{place} is {ours} in both, whose types differ{krate}");
            self.push(what, Some(expected), Some(found), Next::RebuildBoth);
        } else {
            self.is_and_is(place, &ours, &theirs, krate);
        }
    }

    fn is_and_is(&mut self, place: &str, expected: &str, found: &str, krate: &str) {
        let Sides {
            expected: here,
            found: there,
        } = self.sides;
        let place = place.strip_suffix(krate).unwrap_or(place);
        let what = format!("{place} is {expected} in {here} and {found} in {there}{krate}");
        self.push(what, Some(expected), Some(found), Next::RebuildBoth);
    }

    fn called(&mut self, place: &str, expected: &str, found: &str, krate: &str) {
        let what = format!("{place} is called `{found}` in {}{krate}", self.sides.found);
        self.push(what, Some(expected), Some(found), Next::RebuildBoth);
    }

    fn push(&mut self, what: String, expected: Option<&str>, found: Option<&str>, next: Next) {
        self.differences.push(Difference {
            what,
            expected: expected.map(str::to_owned),
            found: found.map(str::to_owned),
            next,
        });
    }

    /// Where a type comes from, if that is not the contract's own crate, or if the two builds have two versions.
    fn krate(&self, ours: &Type, theirs: &Type) -> String {
        match (&*ours.krate, &*theirs.krate) {
            ("", "") => String::new(),
            (a, b) if a == b && a == self.expected.krate => String::new(),
            (a, b) if a == b => format!(" (crate {a})"),
            (a, b) => match (a.split_once(' '), b.split_once(' ')) {
                (Some((name, old)), Some((other, new))) if name == other => {
                    format!(" (crate {name} {old} / {new})")
                }
                _ => format!(" (crate {a} / {b})"),
            },
        }
    }
}

/// The places of names that the others lack.
fn missing(names: &[String], others: &[String]) -> Vec<usize> {
    let others: HashSet<_> = others.iter().collect();
    let places = names.iter().enumerate();
    let missing = places.filter(|(_, name)| !others.contains(name));
    missing.map(|(place, _)| place).collect()
}

fn after(names: &[String], place: usize) -> String {
    match place.checked_sub(1).and_then(|before| names.get(before)) {
        Some(before) => format!("after `{before}`"),
        None => "at its start".to_owned(),
    }
}
