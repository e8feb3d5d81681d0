//! What differs between the fields of two structs, and between the variants of two enums.

use std::collections::HashSet;

use super::differ::Differ;
use super::difference::{Change, Form, Next, Owner, Subject};
use super::{Field, Type, Variant};

impl Differ<'_> {
    pub(super) fn fields(
        &mut self,
        ours: &[Field],
        theirs: &[Field],
        owner: Owner<'_>,
        krate: &str,
    ) {
        let names = |fields: &[Field]| fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        let (our_names, their_names) = (names(ours), names(theirs));
        let removed: Vec<_> = missing(&our_names, &their_names);
        let added: Vec<_> = missing(&their_names, &our_names);
        let (here, there) = (self.expected, self.found);
        let (our_type, their_type) = (
            |f: &Field| &here.types[f.ty],
            |f: &Field| &there.types[f.ty],
        );
        if let ([from], [to]) = (&*removed, &*added)
            && from == to
            && our_type(&ours[*from]).print == their_type(&theirs[*to]).print
        {
            let (old, new) = (&ours[*from], &theirs[*to]);
            let field = Subject::field(Some(old), Some(new), &owner);
            let what = format!(
                "field `{}` of `{}` is called `{}` in {}{krate}",
                old.name,
                owner.name(),
                new.name,
                self.sides.found
            );
            let forms = (
                Some(Form::of(our_type(old), &old.name)),
                Some(Form::of(their_type(new), &new.name)),
            );
            self.push(what, &field, Change::Renamed, forms, Next::RebuildBoth);
            return;
        }
        let owned_by = owner.name();
        for index in &added {
            let field = &theirs[*index];
            let form = declared(field, their_type(field), &their_names, *index);
            let what = format!(
                "field `{}` was added to `{owned_by}`{krate} {}",
                form.text,
                after(&their_names, *index)
            );
            let field = Subject::field(None, Some(field), &owner);
            self.push(
                what,
                &field,
                Change::Added,
                (None, Some(form)),
                Next::RebuildHost,
            );
        }
        for index in &removed {
            let field = &ours[*index];
            let form = declared(field, our_type(field), &our_names, *index);
            let what = format!("field `{}` was removed from `{owned_by}`{krate}", form.text);
            let field = Subject::field(Some(field), None, &owner);
            self.push(
                what,
                &field,
                Change::Removed,
                (Some(form), None),
                Next::RebuildPlugin,
            );
        }
        if added.is_empty() && removed.is_empty() && our_names != their_names {
            self.reordered("fields", owner, (&our_names, &their_names), krate);
        }
        for field in ours {
            if let Some(other) = theirs.iter().find(|other| other.name == field.name) {
                let subject = Subject::field(Some(field), Some(other), &owner);
                let place = format!("{}{krate}", subject.place());
                self.types(field.ty, other.ty, &subject.told(place));
            }
        }
    }

    pub(super) fn variants(&mut self, owner: Owner<'_>, krate: &str) {
        let (ours, theirs) = (&owner.ours.variants, &owner.theirs.variants);
        let name = &owner.ours.name;
        let names = |all: &[Variant]| all.iter().map(|v| v.name.clone()).collect::<Vec<_>>();
        let (our_names, their_names) = (names(ours), names(theirs));
        let removed: Vec<_> = missing(&our_names, &their_names);
        let added: Vec<_> = missing(&their_names, &our_names);
        for index in &added {
            let variant = &their_names[*index];
            let what = format!(
                "variant `{variant}` was added to `{name}`{krate} {}",
                after(&their_names, *index)
            );
            let form = standing(Form::of(owner.theirs, variant), &their_names, *index);
            let variant = Subject::variant(variant, &owner);
            self.push(
                what,
                &variant,
                Change::Added,
                (None, Some(form)),
                Next::RebuildHost,
            );
        }
        for index in &removed {
            let variant = &our_names[*index];
            let what = format!("variant `{variant}` was removed from `{name}`{krate}");
            let form = standing(Form::of(owner.ours, variant), &our_names, *index);
            let variant = Subject::variant(variant, &owner);
            self.push(
                what,
                &variant,
                Change::Removed,
                (Some(form), None),
                Next::RebuildPlugin,
            );
        }
        if added.is_empty() && removed.is_empty() && our_names != their_names {
            self.reordered("variants", owner, (&our_names, &their_names), krate);
        }
        for variant in ours {
            let Some(other) = theirs.iter().find(|other| other.name == variant.name) else {
                continue;
            };
            if variant.discriminant != other.discriminant {
                let number = |of: &Variant, ty: &Type| {
                    let written = of.discriminant.map(|number| number.to_string());
                    Form::of(ty, &written.unwrap_or_else(|| "the next number".to_owned()))
                };
                let forms = (number(variant, owner.ours), number(other, owner.theirs));
                let variant = Subject::variant(&variant.name, &owner);
                self.is_and_is(&variant, Change::Changed, forms, krate);
            }
            let inside = Owner {
                variant: Some(&variant.name),
                ..owner
            };
            self.fields(&variant.fields, &other.fields, inside, krate);
        }
    }

    fn reordered(
        &mut self,
        what: &str,
        owner: Owner<'_>,
        (ours, theirs): (&[String], &[String]),
        krate: &str,
    ) {
        let place = format!("the order of the {what} of `{}`", owner.name());
        let subject = owner.subject().told(place);
        let (ours, theirs) = (ours.join(", "), theirs.join(", "));
        let forms = (Form::of(owner.ours, &ours), Form::of(owner.theirs, &theirs));
        let words = (format!("`{ours}`"), format!("`{theirs}`"));
        self.is_said(
            (&words.0, &words.1),
            &subject,
            Change::Reordered,
            forms,
            krate,
        );
    }
}

/// As it is declared.
fn declared(field: &Field, ty: &Type, names: &[String], place: usize) -> Form {
    let text = format!("{}: {}", field.name, ty.name);
    standing(Form::of(ty, &text), names, place)
}

fn standing(form: Form, names: &[String], place: usize) -> Form {
    let after = before(names, place).cloned().unwrap_or_default();
    Form { after, ..form }
}

/// The places of names that the others lack.
fn missing(names: &[String], others: &[String]) -> Vec<usize> {
    let others: HashSet<_> = others.iter().collect();
    let places = names.iter().enumerate();
    let missing = places.filter(|(_, name)| !others.contains(name));
    missing.map(|(place, _)| place).collect()
}

fn after(names: &[String], place: usize) -> String {
    match before(names, place) {
        Some(before) => format!("after `{before}`"),
        None => "at its start".to_owned(),
    }
}

fn before(names: &[String], place: usize) -> Option<&String> {
    names.get(place.checked_sub(1)?)
}
