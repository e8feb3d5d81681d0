//! What differs between two builds: of a rejection, between a program and a plugin; of `plugind diff`, between two
//! versions of a plugin.

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::event::Stage;
use crate::manifest::Build;
use crate::status::Outcome;

/// The document of `plugind diff PLUGIN N M --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The plugin's name.
    pub plugin: String,
    /// The version that was named first: what is `expected` in the differences.
    pub expected: Side,
    /// The other: what is `found`.
    pub found: Side,
    /// In the order of contracts and functions; none if a program that fits one version fits the other and states are
    /// carried.
    pub differences: Vec<Difference>,
    /// There are still more.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub more: bool,
}

/// One of two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Its number.
    pub version: u64,
    /// The plugin's semantic version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub semver: Option<String>,
    /// Its content.
    pub digest: Digest,
    /// True without a plugind note: it declares nothing.
    pub raw: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// The stage that rejected it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stage: Option<Stage>,
    /// The contracts that it implements.
    pub contracts: Vec<String>,
    /// How it was built; absent for a raw plugin.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub build: Option<Build>,
}

/// One thing in which two builds differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The contract's name.
    pub contract: String,
    /// What kind of thing differs.
    pub part: Part,
    /// Its name; absent for what has none. A field of a variant is `Variant::field`.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub name: String,
    /// The type or function that it is a part of; absent for what stands alone.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub of: String,
    /// The type that differs or has a part that does, as both sides have it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub ty: Option<Outlines>,
    /// What happened to it, seen from what was expected.
    pub change: Change,
    /// What was expected; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<Form>,
    /// What was found; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub found: Option<Form>,
    /// All of it in a sentence, without what to do.
    pub what: String,
    /// What helps; absent between two versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// A type from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlines {
    /// As it was expected.
    pub expected: Outline,
    /// As it was found.
    pub found: Outline,
}

/// A type from outside, in one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// Bytes of a value.
    pub bytes: u64,
    /// The crate that declares it, as `name version`; absent for the language and its library.
    #[serde(rename = "crate", skip_serializing_if = "String::is_empty", default)]
    pub krate: String,
}

/// How a thing looks in one build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// A signature, a type, a field as it is declared, or a few words.
    pub text: String,
    /// Of a field: the byte of its type at which it lies; absent inside a variant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
    /// The crate that declares its type, as `name version`; absent for the language and its library.
    #[serde(rename = "crate", skip_serializing_if = "String::is_empty", default)]
    pub krate: String,
    /// The field or variant before it, of one that was added or removed; absent where that is the first.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub after: String,
}

/// What kind of thing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The contract itself.
    Contract,
    /// A function of the contract, or of a program's object, which is `of` then.
    Function,
    /// An argument of a function.
    Argument,
    /// The result of a function.
    Result,
    /// The plugin's state.
    State,
    /// A type.
    Type,
    /// A field of a type.
    Field,
    /// A variant of an enum.
    Variant,
    /// What compiled it, where that matters.
    Compiler,
}

/// What happened to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not expected.
    Added,
    /// It was expected and is not there.
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
