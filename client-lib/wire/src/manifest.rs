//! What an image says of itself, read without running any of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::contract::Contract;

/// What a plugin declares, as `inspect` read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The plugin's name: from its note, else the file's stem without `lib`.
    pub plugin: String,
    /// The plugin's semantic version; a raw plugin has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub semver: Option<String>,
    /// True for an image without a plugind note: its exported symbols form its table, unchecked.
    pub raw: bool,
    /// The contracts that it implements.
    #[serde(default)]
    pub contracts: Vec<String>,
    /// The same, with functions and types.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub implements: Vec<Contract>,
    /// How it was built; absent for a raw plugin.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub build: Option<Build>,
    /// The processor the code is for, such as `x86-64`.
    pub machine: String,
    /// The linker's build id, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub build_id: Option<String>,
    /// The library's own name, if it carries one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub soname: Option<String>,
    /// Libraries it needs, by the names it asks for.
    pub needed: Vec<String>,
    /// Where it looks for them first (`DT_RUNPATH`, else `DT_RPATH`).
    pub search_paths: Vec<String>,
    /// Names that other images can look up: defined, global, weak or unique, without version suffix.
    pub exports: Vec<String>,
    /// Bytes of the file that are mapped when it is opened.
    pub mapped_bytes: u64,
    /// What breaks separate initialisation, in sentences.
    pub warnings: Vec<String>,
}

/// How a plugin was built, as far as it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    /// What `rustc -V` says, and the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rustc: Option<String>,
    /// The target triple.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `debug` or `release`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// `unwind` or `abort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub panic: Option<String>,
    /// Processor features that its code may use, beyond those that every processor of the target has.
    pub features: Vec<String>,
    /// Where owned values come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocator: Option<String>,
    /// The release of plugind's SDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk: Option<String>,
    /// The generation of plugind's boundary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
}

/// The document of `plugind inspect FILE --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its content.
    pub digest: Digest,
    /// Why it would be rejected; absent when it would be accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rejected: Option<String>,
    /// What it declares; absent when it cannot be read.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub manifest: Option<Manifest>,
}
