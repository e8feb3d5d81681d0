//! The note: what a plugin declares in its file.
//!
//! An ELF note in section `.note.plugind`, owner `plugind`, type [`IDENTITY`]. Its descriptor is, in the byte order of
//! the image:
//!
//! ```text
//! u32 version            always first; this module describes version 1
//! repeated:
//!   u32 tag              PLUGIN, SEMVER in an identity, CONTRACT in a contract; others are skipped
//!   u32 length           bytes of the value, without padding
//!   [u8; length] value   UTF-8
//!   padding              zero bytes up to a multiple of four
//! ```
//!
//! No relocation is needed to read it, so it can be read from the file's bytes alone, and it survives optimisation,
//! link-time optimisation and stripping.

/// The owner of every note that plugind reads.
pub const OWNER: &str = "plugind";
/// Note type of a plugin's identity.
pub const IDENTITY: u32 = 1;
/// Note type of a contract that the plugin implements; one note per contract, with the same layout and the tag
/// [`CONTRACT`].
pub const IMPLEMENTS: u32 = 2;
/// Tag of a contract's name.
pub const CONTRACT: u32 = 3;
/// The version of the note's layout that this crate writes.
pub const VERSION: u32 = 1;
/// Tag of the plugin's name.
pub const PLUGIN: u32 = 1;
/// Tag of the plugin's semantic version.
pub const SEMVER: u32 = 2;

/// The bytes that the descriptor of a contract takes.
pub const fn contract_len(contract: &str) -> usize {
    4 + 8 + padded(contract.len())
}

/// The bytes that a descriptor takes for `plugin` and `semver`.
pub const fn descriptor_len(plugin: &str, semver: &str) -> usize {
    4 + 8 + padded(plugin.len()) + 8 + padded(semver.len())
}

/// One ELF note, `N` bytes of descriptor, ready to stand in `.note.plugind`.
#[repr(C, align(4))]
pub struct Note<const N: usize> {
    owner_size: u32,
    descriptor_size: u32,
    kind: u32,
    owner: [u8; 8],
    descriptor: [u8; N],
}

impl<const N: usize> Note<N> {
    /// Lays the note of a plugin's name and version out at compile time.
    ///
    /// # Panics
    ///
    /// If `N` is not [`descriptor_len`] of the same names, which is then a compile error.
    pub const fn identity(plugin: &str, semver: &str) -> Self {
        assert!(
            N == descriptor_len(plugin, semver),
            "N must be descriptor_len(plugin, semver)"
        );
        let bytes = [0; N];
        let (bytes, at) = write(bytes, 0, &VERSION.to_ne_bytes());
        let (bytes, at) = field(bytes, at, PLUGIN, plugin);
        let (descriptor, _) = field(bytes, at, SEMVER, semver);
        Self::with(IDENTITY, descriptor)
    }

    /// Lays the note of a contract out at compile time.
    ///
    /// # Panics
    ///
    /// If `N` is not [`contract_len`] of the same name, which is then a compile error.
    pub const fn contract(contract: &str) -> Self {
        assert!(
            N == contract_len(contract),
            "N must be contract_len(contract)"
        );
        let (bytes, at) = write([0; N], 0, &VERSION.to_ne_bytes());
        let (descriptor, _) = field(bytes, at, CONTRACT, contract);
        Self::with(IMPLEMENTS, descriptor)
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
    let [plugin, semver] = fields(descriptor, little_endian, [PLUGIN, SEMVER])?;
    Ok(Declared { plugin, semver })
}

/// Reads the name in the descriptor of a contract.
pub fn read_contract(descriptor: &[u8], little_endian: bool) -> Result<&str, NoteError> {
    let [contract] = fields(descriptor, little_endian, [CONTRACT])?;
    Ok(contract)
}

/// The values of these tags, each of which must stand once; other tags are skipped.
fn fields<const N: usize>(
    descriptor: &[u8],
    little_endian: bool,
    tags: [u32; N],
) -> Result<[&str; N], NoteError> {
    let word = |at: usize| -> Result<u32, NoteError> {
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
    let mut found = [None; N];
    let mut at = 4;
    while at < descriptor.len() {
        let tag = word(at)?;
        let len = word(at + 4)? as usize;
        let end = (at + 8).checked_add(len).ok_or(NoteError::CutShort)?;
        let value = descriptor.get(at + 8..end).ok_or(NoteError::CutShort)?;
        if let Some(index) = tags.iter().position(|wanted| *wanted == tag) {
            let text = core::str::from_utf8(value).map_err(|_| NoteError::NotText(tag))?;
            if found[index].replace(text).is_some() {
                return Err(NoteError::Twice(tag));
            }
        }
        at += 8 + padded(len);
    }
    let mut values = [""; N];
    for ((value, found), tag) in values.iter_mut().zip(found).zip(tags) {
        *value = found.ok_or(NoteError::Missing(tag))?;
    }
    Ok(values)
}

const fn padded(len: usize) -> usize {
    len.div_ceil(4) * 4
}

const fn field<const N: usize>(
    bytes: [u8; N],
    at: usize,
    tag: u32,
    value: &str,
) -> ([u8; N], usize) {
    let (bytes, at) = write(bytes, at, &tag.to_ne_bytes());
    let (bytes, at) = write(bytes, at, &(value.len() as u32).to_ne_bytes());
    let (bytes, end) = write(bytes, at, value.as_bytes());
    (bytes, at + padded(end - at))
}

const fn write<const N: usize>(
    mut bytes: [u8; N],
    mut at: usize,
    value: &[u8],
) -> ([u8; N], usize) {
    let mut i = 0;
    while i < value.len() {
        bytes[at] = value[i];
        i += 1;
        at += 1;
    }
    (bytes, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: Note<{ descriptor_len("hello", "1.2.3") }> = Note::identity("hello", "1.2.3");
    const LITTLE: bool = cfg!(target_endian = "little");

    #[test]
    fn reads_what_it_wrote() {
        let declared = read(NOTE.descriptor(), LITTLE).unwrap();
        assert_eq!((declared.plugin, declared.semver), ("hello", "1.2.3"));
    }

    #[test]
    fn a_contract_reads_as_it_was_written() {
        const CONTRACT: Note<{ contract_len("Game") }> = Note::contract("Game");
        assert_eq!(read_contract(CONTRACT.descriptor(), LITTLE), Ok("Game"));
        assert_eq!(
            read(CONTRACT.descriptor(), LITTLE),
            Err(NoteError::Missing(PLUGIN))
        );
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = NOTE.descriptor();
        for len in 0..whole.len() {
            // The last field may lose its padding only.
            let cut = read(&whole[..len], LITTLE);
            assert!(
                cut.is_err() || len >= whole.len() - 3,
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
