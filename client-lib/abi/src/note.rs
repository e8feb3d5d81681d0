//! The note: what a plugin declares in its file.
//!
//! An ELF note in section `.note.plugind`, owner `plugind`: one of type [`IDENTITY`], and one of type [`IMPLEMENTS`]
//! for each contract. The first word of a descriptor is the layout's version, then come fields with a tag, a length
//! and a value each. `client-lib/src/docs/manifest.rs` specifies it.
//!
//! No relocation is needed to read it, so it can be read from the file's bytes alone, and it survives optimisation,
//! link-time optimisation and stripping.

use crate::describe::{Contract, Type, Writer, write_contract};
use crate::registration::ABI;

/// The owner of every note that plugind reads.
pub const OWNER: &str = "plugind";
/// Note type of a plugin's identity.
pub const IDENTITY: u32 = 1;
/// Note type of a contract that the plugin implements; one note per contract.
pub const IMPLEMENTS: u32 = 2;
/// The version of the note's layout that this crate writes.
pub const VERSION: u32 = 2;

/// Tag of the plugin's name.
pub const PLUGIN: u32 = 1;
/// Tag of the plugin's semantic version.
pub const SEMVER: u32 = 2;
/// Tag of the compiler, as `rustc -V` and the commit.
pub const RUSTC: u32 = 8;
/// Tag of the target triple.
pub const TARGET: u32 = 9;
/// Tag of `debug` or `release`.
pub const PROFILE: u32 = 10;
/// Tag of `unwind` or `abort`.
pub const PANIC: u32 = 11;
/// Tag of the processor features that the code may use, joined by commas.
pub const FEATURES: u32 = 12;
/// Tag of the allocator that owned values come from.
pub const ALLOCATOR: u32 = 13;
/// What stands there for the system's, with which every version can free what another allocated.
pub const SYSTEM_ALLOCATOR: &str = "system";
/// What stands there if the plugin may have one of its own.
pub const OWN_ALLOCATOR: &str = "own";
/// Tag of the release of plugind's SDK.
pub const SDK: u32 = 14;
/// Tag of the boundary's generation, [`ABI`], a number.
pub const GENERATION: u32 = 15;

/// Tag of a contract's name.
pub const CONTRACT: u32 = 3;
/// Tag of the crate that declares the contract.
pub const CRATE: u32 = 4;
/// Tag of a type; stands once per type, in an order in which none mentions a later one.
pub const TYPE: u32 = 5;
/// Tag of a function; stands once per function.
pub const FUNCTION: u32 = 6;
/// Tag of the state's type, as a place among the types.
pub const STATE: u32 = 7;

/// What a plugin says of itself, beside its contracts.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The plugin's name.
    pub plugin: &'static str,
    /// Its semantic version.
    pub semver: &'static str,
    /// `debug` or `release`.
    pub profile: &'static str,
    /// `unwind` or `abort`.
    pub panic: &'static str,
    /// Processor features, and whether the code may use them.
    pub features: &'static [(&'static str, bool)],
    /// The allocator that owned values come from.
    pub allocator: &'static str,
}

impl Identity {
    const fn write<const N: usize>(&self) -> Writer<N> {
        let mut to = Writer::new();
        to.word(VERSION);
        to.field(PLUGIN, self.plugin);
        to.field(SEMVER, self.semver);
        to.number(GENERATION, ABI);
        to.field(SDK, env!("CARGO_PKG_VERSION"));
        to.field(self::RUSTC, crate::RUSTC);
        to.field(self::TARGET, crate::TARGET);
        to.field(PROFILE, self.profile);
        to.field(PANIC, self.panic);
        to.list(FEATURES, self.features);
        to.field(ALLOCATOR, self.allocator);
        to
    }

    /// The bytes that its descriptor takes.
    pub const fn len(&self) -> usize {
        self.write::<0>().len()
    }

    /// Never: a descriptor starts with its version.
    pub const fn is_empty(&self) -> bool {
        false
    }
}

/// One ELF note, `N` bytes of descriptor, ready to stand in `.note.plugind`.
#[repr(C, align(4))]
#[derive(Debug)]
pub struct Note<const N: usize> {
    owner_size: u32,
    descriptor_size: u32,
    kind: u32,
    owner: [u8; 8],
    descriptor: [u8; N],
}

impl<const N: usize> Note<N> {
    /// Lays the note of a plugin's identity out at compile time.
    ///
    /// # Panics
    ///
    /// If `N` is not [`Identity::len`] of the same, which is then a compile error.
    pub const fn identity(identity: &Identity) -> Self {
        Self::with(IDENTITY, identity.write::<N>().finish())
    }

    /// Lays the note of a contract out at compile time, with the state of the plugin that implements it.
    ///
    /// # Panics
    ///
    /// If `N` is not [`contract_len`](crate::describe::contract_len) of the same, which is then a compile error.
    pub const fn implements(contract: &Contract, state: Option<&'static Type>) -> Self {
        Self::with(IMPLEMENTS, write_contract::<N>(contract, state))
    }

    const fn with(kind: u32, descriptor: [u8; N]) -> Self {
        Self {
            owner_size: 8,
            descriptor_size: N as u32,
            kind,
            owner: *b"plugind\0",
            descriptor,
        }
    }

    /// The descriptor's bytes.
    pub const fn descriptor(&self) -> &[u8; N] {
        &self.descriptor
    }
}

/// What an identity note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared<'a> {
    /// The plugin's name.
    pub plugin: &'a str,
    /// The plugin's semantic version, as written.
    pub semver: &'a str,
}

/// Why a descriptor cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteError {
    /// The bytes end inside a field.
    CutShort,
    /// The note was written by a newer SDK; holds the version found.
    Version(u32),
    /// A value is not UTF-8; holds the tag.
    NotText(u32),
    /// A field is missing; holds the tag.
    Missing(u32),
    /// A field stands twice; holds the tag.
    Twice(u32),
}

impl core::fmt::Display for NoteError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::CutShort => write!(f, "the plugin's note is cut short"),
            Self::Version(found) => write!(
                f,
                "the plugin's note has layout version {found}, and this plugind reads version {VERSION}; \
                 build the plugin and the program with the same plugind release"
            ),
            Self::NotText(tag) => write!(f, "field {tag} of the plugin's note is not UTF-8"),
            Self::Missing(tag) => write!(f, "the plugin's note lacks field {tag}"),
            Self::Twice(tag) => write!(f, "the plugin's note has field {tag} twice"),
        }
    }
}

impl core::error::Error for NoteError {}

/// Reads the descriptor of a plugin's identity; the version decides before anything else is looked at.
pub fn read(descriptor: &[u8], little_endian: bool) -> Result<Declared<'_>, NoteError> {
    let [plugin, semver] = texts(descriptor, little_endian, [PLUGIN, SEMVER])?;
    let plugin = plugin.ok_or(NoteError::Missing(PLUGIN))?;
    let semver = semver.ok_or(NoteError::Missing(SEMVER))?;
    Ok(Declared { plugin, semver })
}

/// The texts of these tags, each of which may stand once; other tags are skipped.
pub fn texts<const N: usize>(
    descriptor: &[u8],
    little_endian: bool,
    tags: [u32; N],
) -> Result<[Option<&str>; N], NoteError> {
    let mut found = [None; N];
    for field in fields(descriptor, little_endian)? {
        let (tag, value) = field?;
        if let Some(index) = tags.iter().position(|wanted| *wanted == tag) {
            let text = core::str::from_utf8(value).map_err(|_| NoteError::NotText(tag))?;
            if found[index].replace(text).is_some() {
                return Err(NoteError::Twice(tag));
            }
        }
    }
    Ok(found)
}

/// Tag and value of each field, in order.
pub fn fields(
    descriptor: &[u8],
    little_endian: bool,
) -> Result<impl Iterator<Item = Result<(u32, &[u8]), NoteError>>, NoteError> {
    let word = move |at: usize| -> Result<u32, NoteError> {
        let bytes = descriptor
            .get(at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .ok_or(NoteError::CutShort)?;
        Ok(if little_endian {
            u32::from_le_bytes(*bytes)
        } else {
            u32::from_be_bytes(*bytes)
        })
    };
    let version = word(0)?;
    if version != VERSION {
        return Err(NoteError::Version(version));
    }
    let mut at = 4;
    Ok(core::iter::from_fn(move || {
        let start = at;
        (start < descriptor.len()).then(|| {
            // After an error there is no next field.
            at = descriptor.len();
            let (tag, len) = (word(start)?, word(start + 4)? as usize);
            let end = (start + 8).checked_add(len).ok_or(NoteError::CutShort)?;
            let value = descriptor.get(start + 8..end);
            let value = value.ok_or(NoteError::CutShort)?;
            at = end.next_multiple_of(4);
            Ok((tag, value))
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity {
        plugin: "hello",
        semver: "1.2.3",
        profile: "debug",
        panic: "unwind",
        features: &[("sse2", true), ("avx", false), ("fma", true)],
        allocator: SYSTEM_ALLOCATOR,
    };
    const NOTE: Note<{ IDENTITY.len() }> = Note::identity(&IDENTITY);
    const LITTLE: bool = cfg!(target_endian = "little");

    #[test]
    fn reads_what_it_wrote() {
        let declared = read(NOTE.descriptor(), LITTLE).unwrap();
        assert_eq!((declared.plugin, declared.semver), ("hello", "1.2.3"));
    }

    #[test]
    fn what_is_not_asked_for_is_skipped() {
        let found = texts(NOTE.descriptor(), LITTLE, [FEATURES, CONTRACT]);
        assert_eq!(found, Ok([Some("sse2,fma"), None]));
        assert_eq!(
            texts(NOTE.descriptor(), LITTLE, [RUSTC]),
            Ok([Some(crate::RUSTC)])
        );
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = NOTE.descriptor();
        for len in 0..whole.len() {
            // The last field may lose its padding only.
            let cut = texts(&whole[..len], LITTLE, [ALLOCATOR]);
            assert!(
                !matches!(cut, Ok([Some(_)])) || len >= whole.len() - 3,
                "{len} bytes gave {cut:?}"
            );
        }
    }

    #[test]
    fn a_newer_layout_is_named_before_anything_else_is_read() {
        let mut bytes = *NOTE.descriptor();
        bytes[..4].copy_from_slice(&7u32.to_ne_bytes());
        assert_eq!(read(&bytes[..5], LITTLE), Err(NoteError::Version(7)));
    }
}
