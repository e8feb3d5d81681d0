//! Contracts and types, as `plugind inspect --json` shows them.

use serde::{Deserialize, Serialize};

/// A contract that a plugin implements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The trait's name.
    pub contract: String,
    /// The crate that declares it, as `name version`.
    #[serde(rename = "crate")]
    pub krate: String,
    /// In the order of the trait.
    pub functions: Vec<Function>,
    /// The type of the plugin's state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<String>,
    /// Every type that the functions and the state mention, each after those that it mentions itself.
    pub types: Vec<Type>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its name.
    pub function: String,
    /// As it is written.
    pub signature: String,
    /// Folds what must be equal in the program.
    pub fingerprint: String,
    /// No compiler decides the layout of any type in it.
    pub fixed: bool,
    /// A program does without it.
    pub optional: bool,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Type {
    /// Its name with its arguments.
    #[serde(rename = "type")]
    pub name: String,
    /// The crate that declares it, as `name version`; absent for the language and its library.
    #[serde(rename = "crate", skip_serializing_if = "String::is_empty", default)]
    pub krate: String,
    /// What kind of type.
    pub kind: Kind,
    /// Bytes of a value.
    pub size: u64,
    /// Bytes to which it is aligned.
    pub align: u64,
    /// No compiler decides the layout.
    pub fixed: bool,
    /// What stands in `repr`; of an opaque type, why its layout holds.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub repr: String,
    /// Folds what must be equal in the program.
    pub fingerprint: String,
    /// Of a struct, in the order of the declaration.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub fields: Vec<Field>,
    /// Of an enum, in the order of the declaration.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub variants: Vec<Variant>,
    /// What the plugin may call through a program's object.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub calls: Vec<Function>,
}

/// What kind of type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Of the language or its library.
    Library,
    /// A struct.
    Struct,
    /// An enum.
    Enum,
    /// Foreign, and somebody vouches for its layout.
    Opaque,
    /// Described elsewhere in the list, by a recursion.
    Named,
    /// A program's object.
    Host,
    /// Of an SDK that knows more.
    Unknown,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name, or its place as a number; empty for an argument of a library's type.
    pub field: String,
    /// Its type.
    #[serde(rename = "type")]
    pub name: String,
    /// Where it lies; absent inside a variant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name.
    pub variant: String,
    /// Its number, if it is written; as text, because not every reader of JSON has so large numbers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub discriminant: Option<String>,
    /// In the order of the declaration.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub fields: Vec<Field>,
}
