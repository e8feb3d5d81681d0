//! One thing in which two builds differ: as a sentence for people, and in parts for programs.

use std::fmt;

use super::{Field, Function, Type};

/// One thing in which two builds differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// A sentence, without what to do.
    pub what: String,
    /// What it is about.
    pub subject: Subject,
    /// What happened to that, seen from the first build.
    pub change: Change,
    /// What the first build has; nothing where it has nothing.
    pub expected: Option<Form>,
    /// What the second build has; nothing where it has nothing.
    pub found: Option<Form>,
    /// What helps.
    pub next: Next,
}

/// What a difference is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What kind of thing.
    pub part: Part,
    /// Its name; empty for what has none. A field of a variant is `Variant::field`.
    pub name: String,
    /// The type or function that it is a part of; empty for what stands alone.
    pub of: String,
    /// That type, or the type that it is itself, in the first build and in the second.
    pub ty: Option<(Outline, Outline)>,
    /// In a sentence.
    place: String,
    /// Where a field lies in the two builds.
    offsets: (Option<u64>, Option<u64>),
}

/// A type from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Bytes of a value.
    pub bytes: u64,
    /// The crate that declares it, as `name version`; empty for the language and its library.
    pub krate: String,
}

/// What kind of thing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are Rust's own words")]
pub enum Part {
    Contract,
    Function,
    Argument,
    Result,
    State,
    Type,
    Field,
    Variant,
    /// What compiled it.
    Compiler,
}

/// What happened to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The first build lacks it.
    Added,
    /// The second build lacks it.
    Removed,
    /// It has another name.
    Renamed,
    /// It is something else.
    Changed,
    /// Its parts stand in another order.
    Reordered,
    /// It lies elsewhere, or takes another room.
    Moved,
}

/// How a thing looks in one build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// As it is written or told.
    pub text: String,
    /// Where it lies in its type, if it is a field that lies somewhere.
    pub offset: Option<u64>,
    /// The crate that declares its type, as `name version`; empty for the language and its library.
    pub krate: String,
    /// The field or variant before it, of one that was added or removed; empty where that is the first.
    pub after: String,
}

/// What to do about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The plugin's contract has more than the program's.
    RebuildHost,
    /// The plugin's contract has less.
    RebuildPlugin,
    /// Something is different.
    RebuildBoth,
    /// The compilers differ where that matters.
    OneCompiler,
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RebuildHost => "rebuild the host with the plugin's contract",
            Self::RebuildPlugin => "rebuild the plugin with the host's contract",
            Self::RebuildBoth => "rebuild the host and the plugin with the same contract",
            Self::OneCompiler => "build both with one compiler, or give those types `#[repr(C)]`",
        })
    }
}

/// How the two builds are called in sentences.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The first.
    pub expected: &'a str,
    /// The second.
    pub found: &'a str,
}

impl Sides<'_> {
    /// A program and a plugin.
    pub const CONTRACT: Self = Self {
        expected: "the program",
        found: "the plugin",
    };
}

impl Subject {
    pub(super) fn new(part: Part, name: &str) -> Self {
        Self {
            part,
            name: name.to_owned(),
            of: String::new(),
            ty: None,
            place: format!("`{name}`"),
            offsets: (None, None),
        }
    }

    pub(super) fn state() -> Self {
        let mut subject = Self::new(Part::State, "");
        "the state".clone_into(&mut subject.place);
        subject
    }

    pub(super) fn result(function: &Function) -> Self {
        let mut subject = Self::new(Part::Result, "");
        subject.place = format!("the result of `{}`", function.name);
        subject.of.clone_from(&function.name);
        subject
    }

    pub(super) fn argument(name: &str, function: &Function) -> Self {
        let mut subject = Self::new(Part::Argument, name);
        subject.place = format!("`{name}` of `{}`", function.name);
        subject.of.clone_from(&function.name);
        subject
    }

    /// What a plugin calls through a program's object.
    pub(super) fn offer(function: &Function, object: &Type) -> Self {
        let mut subject = Self::new(Part::Function, &function.name);
        subject.of.clone_from(&object.name);
        subject
    }

    pub(super) fn ty(ours: &Type, theirs: &Type) -> Self {
        let mut subject = Self::new(Part::Type, &ours.name);
        subject.ty = Some(outlines(ours, theirs));
        subject
    }

    /// The same, with other words for it.
    pub(super) fn told(mut self, place: String) -> Self {
        self.place = place;
        self
    }

    /// The thing in a sentence.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// A variant of a type.
    pub(super) fn variant(name: &str, owner: &Owner<'_>) -> Self {
        Self {
            of: owner.ours.name.clone(),
            ty: Some(outlines(owner.ours, owner.theirs)),
            place: format!("`{}::{name}`", owner.ours.name),
            ..Self::new(Part::Variant, name)
        }
    }

    /// A field of a type or of one of its variants, as far as the two builds have it.
    pub(super) fn field(ours: Option<&Field>, theirs: Option<&Field>, owner: &Owner<'_>) -> Self {
        let name = ours.or(theirs).map_or("", |field| &field.name);
        let inside = owner.variant.map(|variant| format!("{variant}::"));
        let offset = |field: Option<&Field>| field.and_then(|field| field.offset);
        Self {
            of: owner.ours.name.clone(),
            ty: Some(outlines(owner.ours, owner.theirs)),
            place: format!("`{name}` of `{}`", owner.name()),
            offsets: (offset(ours), offset(theirs)),
            ..Self::new(
                Part::Field,
                &format!("{}{name}", inside.unwrap_or_default()),
            )
        }
    }

    /// How it looks in the two builds.
    pub(super) fn forms(
        &self,
        expected: Option<Form>,
        found: Option<Form>,
    ) -> (Option<Form>, Option<Form>) {
        let at = |form: Option<Form>, offset| form.map(|form| Form { offset, ..form });
        (at(expected, self.offsets.0), at(found, self.offsets.1))
    }
}

/// What has fields or variants: a type of both builds, or one variant of it.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) ours: &'a Type,
    pub(super) theirs: &'a Type,
    pub(super) variant: Option<&'a str>,
}

impl Owner<'_> {
    /// In a sentence.
    pub(super) fn name(&self) -> String {
        match self.variant {
            Some(variant) => format!("{}::{variant}", self.ours.name),
            None => self.ours.name.clone(),
        }
    }

    /// The owner itself.
    pub(super) fn subject(&self) -> Subject {
        match self.variant {
            Some(variant) => Subject::variant(variant, self),
            None => Subject::ty(self.ours, self.theirs),
        }
    }
}

fn outlines(ours: &Type, theirs: &Type) -> (Outline, Outline) {
    let outline = |ty: &Type| Outline {
        bytes: ty.size,
        krate: ty.krate.clone(),
    };
    (outline(ours), outline(theirs))
}

impl Form {
    pub(super) fn text(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    /// Something about a type.
    pub(super) fn of(ty: &Type, text: &str) -> Self {
        Self {
            krate: ty.krate.clone(),
            ..Self::text(text)
        }
    }
}
