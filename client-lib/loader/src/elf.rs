//! Facts out of an ELF image's bytes; nothing of the image runs.
//!
//! Guarantees, whatever the bytes are: an answer and never a panic, memory within a small multiple of the input, and no
//! loop that is quadratic in it. Names and notes may be shared by many table entries, so all that is copied or scanned
//! is paid from one budget of a few times the file's length; honest files stay far below it.
//!
//! The tables are found as the usual tools find them: by the section headers, and by the program headers in a file
//! whose section headers were stripped. A table that is not aligned as its entries must be is malformed; every linker
//! aligns them. Notes alone are read at any offset, because a note section may have any alignment.
//!
//! Left out: relocations, versions, and whether the segments themselves lie inside the file.

mod bytes;
mod image;
mod notes;
#[cfg(test)]
mod tests;

use object::elf::{self, FileHeader32, FileHeader64};
use object::pod;
use object::{BigEndian as Be, LittleEndian as Le};

use bytes::slice;
use image::{HEADER, Image};

/// What an ELF image says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elf {
    /// 32 or 64.
    pub class: u8,
    /// Byte order of the image.
    pub little_endian: bool,
    /// `e_machine`; see [`Elf::machine_name`].
    pub machine: u16,
    /// `e_type`: 3 (`ET_DYN`) for a shared object.
    pub file_type: u16,
    /// The names a lookup can find: defined global, weak and unique dynamic symbols of default or protected
    /// visibility, in the order of the table, each name once and without its version. The names of version
    /// definitions (`LIBFOO_1.0`) are among them as [`ExportKind::Other`], because they are such symbols too.
    pub exports: Vec<Export>,
    /// The names the image needs from others, in the order of the table, each once.
    pub undefined: Vec<Undefined>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<String>,
    /// `DT_SONAME`.
    pub soname: Option<String>,
    /// `DT_RUNPATH`, or else `DT_RPATH`, split at `:`, without empty entries.
    pub search_paths: Vec<String>,
    /// The linker's build id in lower-case hexadecimal.
    pub build_id: Option<String>,
    /// The notes whose owner is exactly `plugind`, in the order of the file's note tables.
    pub notes: Vec<Note>,
    /// `DF_STATIC_TLS`: every open takes from the process's small surplus of static TLS and never gives it back.
    pub static_tls: bool,
    /// The `STB_GNU_UNIQUE` symbols that it defines: all versions in one process share them.
    pub unique_symbols: Vec<String>,
    /// Bytes of the file that the loader maps: the sum of `p_filesz` over `PT_LOAD`, saturating.
    pub mapped_bytes: u64,
    /// Where the part of the file ends that a loader reads or maps: after the headers and the segments, and the page
    /// that the last of them ends in. What comes behind it, such as debug information, is for other tools. At most the
    /// file's length; all of it where the program headers do not tell, and where something was appended that the section
    /// headers do not know.
    pub mapped_end: u64,
}

/// A name the image offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Lossy UTF-8, never empty.
    pub name: String,
    /// What the name stands for.
    pub kind: ExportKind,
}

impl Export {
    /// Whether the linker made the name for itself: the bounds of a section (`__start_NAME`, `__stop_NAME`).
    pub fn is_linkers(&self) -> bool {
        self.name.starts_with("__start_") || self.name.starts_with("__stop_")
    }
}

/// What an exported name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportKind {
    /// Code, chosen at load time (`IFUNC`) or not.
    Function,
    /// Data, per thread or not.
    Variable,
    /// Anything else: untyped, or an absolute value, which is no place in the image.
    Other,
}

/// A name the image needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undefined {
    /// Lossy UTF-8, never empty.
    pub name: String,
    /// May stay unresolved.
    pub weak: bool,
}

/// A note of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The note's type field.
    pub kind: u32,
    /// The descriptor, without padding.
    pub desc: Vec<u8>,
}

/// Why an image cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The build has written nothing yet.
    #[error("not an ELF file but an empty one")]
    Empty,
    /// Readable text under a library's name.
    #[error("not an ELF file but text, such as a linker script")]
    Text,
    /// A static library under a shared one's name.
    #[error("not an ELF file but an ar archive (a static library)")]
    Archive,
    /// None of these; perhaps the first bytes are still to come.
    #[error("not an ELF file")]
    NotElf,
    /// The file is shorter than its tables say: still being written, or cut.
    #[error("truncated: {table} ends at byte {end} but the file has {len} bytes")]
    Truncated {
        /// What ends beyond the file's end.
        table: &'static str,
        /// Where it ends.
        end: u64,
        /// The file's length.
        len: u64,
    },
    /// The tables contradict themselves or each other.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

/// Reads the facts out of `bytes`, the whole file.
///
/// A file that is an ELF file but no shared object is `Ok` with what it has; `file_type` tells.
///
/// # Errors
///
/// [`ElfError`] for what is no ELF file, and for a table that is cut off or makes no sense.
pub fn read(bytes: &[u8]) -> Result<Elf, ElfError> {
    read_tables(bytes, Tables::All)
}

/// Reads the facts out of the first [`Elf::mapped_end`] bytes of a file, as a loader would: by the program headers
/// alone.
///
/// # Errors
///
/// As [`read`].
pub fn read_mapped(bytes: &[u8]) -> Result<Elf, ElfError> {
    read_tables(bytes, Tables::Segments)
}

/// Reads the notes of an image alone, by the program headers, and its byte order. `start` is the file's beginning: of
/// an image whose notes lie further back the answer is [`ElfError::Truncated`].
///
/// # Errors
///
/// As [`read`].
pub fn read_notes(start: &[u8]) -> Result<(Vec<Note>, bool), ElfError> {
    let elf = read_tables(start, Tables::Notes)?;
    Ok((elf.notes, elf.little_endian))
}

/// Which tables lead to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tables {
    /// The section headers, and the program headers where there are none.
    All,
    /// The program headers.
    Segments,
    /// The program headers, and from there to the notes and nothing else.
    Notes,
}

fn read_tables(bytes: &[u8], tables: Tables) -> Result<Elf, ElfError> {
    if !bytes.as_ptr().cast::<u64>().is_aligned() {
        // Tables are aligned relative to the file's start, so that must be aligned too. Buffers and
        // mappings are; only a slice out of the middle of something is copied.
        let words: Vec<u64> = bytes.chunks(8).map(word).collect();
        return read_tables(&pod::bytes_of_slice(&words)[..bytes.len()], tables);
    }
    let magic = &bytes[..bytes.len().min(elf::ELFMAG.len())];
    if magic.is_empty() || !elf::ELFMAG.starts_with(magic) {
        return Err(looks_like(bytes));
    }
    match slice(bytes, HEADER, 0, 16)?[4..7] {
        [1, 1, 1] => Image::<FileHeader32<Le>>::parse(bytes, Le, tables)?.read(tables),
        [1, 2, 1] => Image::<FileHeader32<Be>>::parse(bytes, Be, tables)?.read(tables),
        [2, 1, 1] => Image::<FileHeader64<Le>>::parse(bytes, Le, tables)?.read(tables),
        [2, 2, 1] => Image::<FileHeader64<Be>>::parse(bytes, Be, tables)?.read(tables),
        _ => Err(ElfError::Malformed("unknown class, byte order or version")),
    }
}

impl Elf {
    /// The machine's usual name, such as `x86-64` or `AArch64`, else `machine 0x..`.
    pub fn machine_name(&self) -> String {
        let name = match elf::Machine(self.machine) {
            elf::EM_386 => "x86",
            elf::EM_X86_64 => "x86-64",
            elf::EM_ARM => "ARM",
            elf::EM_AARCH64 => "AArch64",
            elf::EM_RISCV => "RISC-V",
            elf::EM_PPC => "PowerPC",
            elf::EM_PPC64 => "PowerPC64",
            elf::EM_S390 => "S/390",
            elf::EM_MIPS => "MIPS",
            elf::EM_LOONGARCH => "LoongArch",
            other => return format!("machine {:#x}", other.0),
        };
        name.to_owned()
    }
}

type Answer<T> = Result<T, ElfError>;

fn looks_like(bytes: &[u8]) -> ElfError {
    let head = &bytes[..bytes.len().min(512)];
    let text = |&b: &u8| b >= 0x80 || b.is_ascii_graphic() || b.is_ascii_whitespace();
    match head {
        [] => ElfError::Empty,
        _ if head.starts_with(b"!<arch>\n") || head.starts_with(b"!<thin>\n") => ElfError::Archive,
        _ if head.iter().all(text) => ElfError::Text,
        _ => ElfError::NotElf,
    }
}

fn word(chunk: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..chunk.len()].copy_from_slice(chunk);
    u64::from_ne_bytes(word)
}
