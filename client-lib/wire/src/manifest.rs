//! What an image says of itself, read without running any of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Digest;

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
