//! Finds what differs between two types or functions, from the outside in. Where the names are the same it looks
//! inside; what it then tells is the innermost difference. Fields and variants are in `members`.

use std::collections::HashSet;

use super::difference::{Change, Difference, Form, Next, Owner, Part, Sides, Subject};
use super::{Contract, Function, Sort, Type};

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
    /// How many differences are looked for.
    pub(super) enough: usize,
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
            enough: ENOUGH,
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
                let argument = Subject::argument(&ours.name, expected);
                self.types(ours.ty, theirs.ty, &argument);
            }
            if let (Some(ours), Some(theirs)) = (expected.result, found.result) {
                self.types(ours, theirs, &Subject::result(expected));
            }
            // A type that several functions have is told of once.
            if self.differences.len() > before || self.all_seen(expected, found) {
                return;
            }
        }
        let function = Subject::new(Part::Function, &expected.name);
        let (ours, theirs) = (Form::text(&expected.text), Form::text(&found.text));
        self.differs(&function, ours, theirs, "");
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
    pub(super) fn types(&mut self, expected: usize, found: usize, place: &Subject) {
        let (ours, theirs) = (&self.expected.types[expected], &self.found.types[found]);
        if ours.print == theirs.print
            || self.differences.len() >= self.enough
            || self.depth >= DEEPEST
            || !self.seen.insert((expected, found))
        {
            return;
        }
        let krate = self.krate(ours, theirs);
        if ours.name != theirs.name || ours.sort != theirs.sort {
            let (ours, theirs) = (Form::of(ours, &ours.name), Form::of(theirs, &theirs.name));
            self.differs(place, ours, theirs, &krate);
            return;
        }
        self.depth += 1;
        let before = self.differences.len();
        let owner = Owner {
            ours,
            theirs,
            variant: None,
        };
        match ours.sort {
            Sort::Struct => self.fields(&ours.fields, &theirs.fields, owner, &krate),
            Sort::Enum => self.variants(owner, &krate),
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
            let forms = Form::of(ours, &representation(ours));
            let forms = (forms, Form::of(theirs, &representation(theirs)));
            self.is_and_is(&owner.subject(), Change::Changed, forms, &krate);
        }
        if self.differences.len() == before {
            self.layouts(ours, theirs, &krate);
        }
        self.depth -= 1;
    }

    /// Two types with the same parts.
    fn layouts(&mut self, ours: &Type, theirs: &Type, krate: &str) {
        let owner = Owner {
            ours,
            theirs,
            variant: None,
        };
        let moved = ours.fields.iter().zip(&theirs.fields);
        let moved = moved
            .filter(|(ours, theirs)| ours.offset != theirs.offset)
            .find_map(|(a, b)| Some(((a, a.offset?), (b, b.offset?))));
        let bytes = |ty: &Type| format!("{} bytes, aligned to {}", ty.size, ty.align);
        let forms = |text: fn(&Type) -> String| {
            let form = |ty: &Type| Form::of(ty, &text(ty));
            (form(ours), form(theirs))
        };
        if ours.drops != theirs.drops {
            let dropped = forms(|ty| {
                let what = if ty.drops { "dropped" } else { "not dropped" };
                what.to_owned()
            });
            self.is_and_is(&owner.subject(), Change::Changed, dropped, krate);
        } else if let Some(((field, ours), (other, theirs))) = moved {
            let field = Subject::field(Some(field), Some(other), &owner);
            let at = |offset| Form::text(&format!("at byte {offset}"));
            self.is_and_is(&field, Change::Moved, (at(ours), at(theirs)), krate);
        } else if bytes(ours) != bytes(theirs) {
            self.is_and_is(&owner.subject(), Change::Moved, forms(bytes), krate);
        } else {
            let what = format!(
                "`{}`{krate} is laid out by another compiler in {}",
                ours.name, self.sides.found
            );
            let (one, other) = ("laid out by one compiler", "laid out by another");
            let forms = (Form::of(ours, one), Form::of(theirs, other));
            self.push(
                what,
                &owner.subject(),
                Change::Moved,
                (Some(forms.0), Some(forms.1)),
                Next::OneCompiler,
            );
        }
    }

    pub(super) fn differs(&mut self, subject: &Subject, ours: Form, theirs: Form, krate: &str) {
        let quoted = |form: &Form| format!("`{}`", form.text);
        if ours.text == theirs.text {
            let place = subject.place();
            let what = format!(
                "{place} is {} in both, whose types differ{krate}",
                quoted(&ours)
            );
            let forms = (Some(ours), Some(theirs));
            self.push(what, subject, Change::Changed, forms, Next::RebuildBoth);
        } else {
            let words = (quoted(&ours), quoted(&theirs));
            self.is_said(
                (&words.0, &words.1),
                subject,
                Change::Changed,
                (ours, theirs),
                krate,
            );
        }
    }

    /// A thing is this and that, in words that are no type or name.
    pub(super) fn is_and_is(
        &mut self,
        subject: &Subject,
        change: Change,
        (ours, theirs): (Form, Form),
        krate: &str,
    ) {
        let words = (ours.text.clone(), theirs.text.clone());
        self.is_said((&words.0, &words.1), subject, change, (ours, theirs), krate);
    }

    pub(super) fn is_said(
        &mut self,
        (ours, theirs): (&str, &str),
        subject: &Subject,
        change: Change,
        forms: (Form, Form),
        krate: &str,
    ) {
        let Sides {
            expected: here,
            found: there,
        } = self.sides;
        let place = subject.place();
        let place = place.strip_suffix(krate).unwrap_or(place);
        let what = format!("{place} is {ours} in {here} and {theirs} in {there}{krate}");
        let forms = (Some(forms.0), Some(forms.1));
        self.push(what, subject, change, forms, Next::RebuildBoth);
    }

    pub(super) fn push(
        &mut self,
        what: String,
        subject: &Subject,
        change: Change,
        (expected, found): (Option<Form>, Option<Form>),
        next: Next,
    ) {
        let (expected, found) = subject.forms(expected, found);
        self.differences.push(Difference {
            what,
            subject: subject.clone(),
            change,
            expected,
            found,
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
