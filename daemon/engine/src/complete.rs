//! Is this file structurally complete? Asked of a file that may still be growing.
//!
//! Complete means: header, program headers and section headers lie inside the file, so does everything they point at,
//! and the section names are where the header says. A file that already has its final size but is still zero towards
//! its end fails, because linkers put the section headers last, and zeroed ones name no string table. Only the header
//! and the two tables are read, never the whole file.
//!
//! What this cannot see is contents that are still to be written inside tables that are complete; that is what the read
//! lease is for. Whatever the bytes are, the answer is a word, never a panic, and memory stays below [`TABLE_MAX`].

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::slice::ChunksExact;

/// A larger program or section header table is not believed; real ones are a few kilobytes.
const TABLE_MAX: u64 = 16 << 20;

/// What is missing. All but [`Incomplete::Unreadable`] may pass as the file grows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Incomplete {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// Not what a linker writes, or its first bytes are still to come.
    #[error("not an ELF file")]
    NotElf,
    /// A text file under a library's name.
    #[error("not an ELF file but text, such as a linker script")]
    Text,
    /// The file is shorter than its tables say.
    #[error("{what} ends at byte {end} but the file has {len} bytes")]
    Truncated {
        /// What ends beyond the file's end.
        what: String,
        /// Where it ends.
        end: u64,
        /// The length the file was said to have.
        len: u64,
    },
    /// The tables make no sense, or are not written yet.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// Reading failed, or the file shrank meanwhile.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

/// Whether `file`, of `len` bytes, holds all that its own tables say it holds.
pub(crate) fn check(file: &File, len: u64) -> Result<(), Incomplete> {
    let image = Image::open(file, len)?;
    let mut f = image.fields(&image.header);
    f.skip(16);
    let file_type = f.uint(2);
    f.skip(6);
    let (_entry, segments_at, sections_at) = (f.word(), f.word(), f.word());
    f.skip(4);
    let (header_size, segment_size, mut segment_count) = (f.uint(2), f.uint(2), f.uint(2));
    let (section_size, mut section_count, mut names) = (f.uint(2), f.uint(2), f.uint(2));
    if file_type == 0 || header_size != image.header.len() as u64 {
        return Err(Incomplete::Malformed("its header is not filled in"));
    }
    if sections_at == 0 && (segments_at == 0 || segment_count == 0) {
        return Err(Incomplete::Malformed(
            "it has neither segments nor sections",
        ));
    }

    if sections_at != 0 && (section_count == 0 || names == SHN_XINDEX || segment_count == PN_XNUM) {
        // Numbers too large for the header are in section 0.
        let zero = image.table(SECTIONS, sections_at, 1, section_size, image.section_size())?;
        let zero = Section::parse(image.fields(&zero));
        if section_count == 0 {
            section_count = zero.size;
        }
        if names == SHN_XINDEX {
            names = zero.link;
        }
        if segment_count == PN_XNUM {
            segment_count = zero.info;
        }
    }
    // The section headers come first because they usually stand last: what is missing at all is missing there.
    if sections_at != 0 {
        let size = image.section_size();
        let table = image.table(SECTIONS, sections_at, section_count, section_size, size)?;
        image.check_sections(table.chunks_exact(size as usize), names)?;
    }
    if segments_at != 0 && segment_count != 0 {
        let size = image.segment_size();
        let table = image.table(SEGMENTS, segments_at, segment_count, segment_size, size)?;
        image.check_segments(table.chunks_exact(size as usize))?;
    }
    Ok(())
}

const HEADER: &str = "the file header";
const SECTIONS: &str = "the section header table";
const SEGMENTS: &str = "the program header table";
const PN_XNUM: u64 = 0xffff;
const SHN_XINDEX: u64 = 0xffff;
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_NOTE: u64 = 4;
const SHT_NULL: u64 = 0;
const SHT_STRTAB: u64 = 3;
const SHT_NOBITS: u64 = 8;

/// The file, and how its header says to read it.
struct Image<'a> {
    file: &'a File,
    len: u64,
    header: Vec<u8>,
    wide: bool,
    little: bool,
}

impl<'a> Image<'a> {
    fn open(file: &'a File, len: u64) -> Result<Self, Incomplete> {
        let mut image = Image {
            file,
            len,
            header: Vec::new(),
            wide: true,
            little: true,
        };
        let head = image.read(0, len.min(256))?;
        match head.get(..4) {
            _ if head.is_empty() => return Err(Incomplete::Empty),
            Some(b"\x7fELF") => {}
            None if b"\x7fELF".starts_with(&head) => {}
            _ if is_text(&head) => return Err(Incomplete::Text),
            _ => return Err(Incomplete::NotElf),
        }
        image.inside(|| HEADER.into(), 0, 16)?;
        (image.wide, image.little) = match (head[4], head[5], head[6]) {
            (class @ 1..=2, data @ 1..=2, 1) => (class == 2, data == 1),
            _ => {
                return Err(Incomplete::Malformed(
                    "its class, byte order or version is none that exists",
                ));
            }
        };
        let size = if image.wide { 64 } else { 52 };
        image.inside(|| HEADER.into(), 0, size)?;
        image.header = head[..size as usize].to_vec();
        Ok(image)
    }

    fn check_segments(&self, entries: ChunksExact<'_, u8>) -> Result<(), Incomplete> {
        for (index, entry) in entries.enumerate() {
            let mut f = self.fields(entry);
            let kind = f.uint(4);
            // The flags stand in different places in the two classes.
            f.skip(if self.wide { 4 } else { 0 });
            let (offset, _address, _physical, size) = (f.word(), f.word(), f.word(), f.word());
            if matches!(kind, PT_LOAD | PT_DYNAMIC | PT_NOTE) {
                self.inside(|| format!("segment {index}"), offset, size)?;
            }
        }
        Ok(())
    }

    fn check_sections(&self, entries: ChunksExact<'_, u8>, names: u64) -> Result<(), Incomplete> {
        let last = entries.len().saturating_sub(1);
        let mut named = false;
        for (index, entry) in entries.enumerate() {
            let section = Section::parse(self.fields(entry));
            // The last header may be the only one that is not written yet.
            if index == last && index > 0 && entry.iter().all(|&b| b == 0) {
                return Err(Incomplete::Malformed(
                    "its last section header is all zeros",
                ));
            }
            named |= index as u64 == names && section.kind == SHT_STRTAB;
            // Section 0 describes no bytes; its size may be the number of sections.
            if !matches!(section.kind, SHT_NULL | SHT_NOBITS) {
                self.inside(|| format!("section {index}"), section.offset, section.size)?;
            }
        }
        let unnamed = Incomplete::Malformed("its section names are in no string table");
        if named { Ok(()) } else { Err(unnamed) }
    }

    fn table(
        &self,
        what: &str,
        at: u64,
        count: u64,
        stated: u64,
        entry: u64,
    ) -> Result<Vec<u8>, Incomplete> {
        if stated != entry {
            return Err(Incomplete::Malformed(
                "a section or program header has the wrong size",
            ));
        }
        let size = count.saturating_mul(entry);
        self.inside(|| what.into(), at, size)?;
        if size > TABLE_MAX {
            return Err(Incomplete::Malformed(
                "a header table is larger than 16 MiB",
            ));
        }
        self.read(at, size)
    }

    fn inside(&self, what: impl Fn() -> String, offset: u64, size: u64) -> Result<(), Incomplete> {
        let end = offset.saturating_add(size);
        if end <= self.len {
            Ok(())
        } else {
            Err(Incomplete::Truncated {
                what: what(),
                end,
                len: self.len,
            })
        }
    }

    /// The caller has bounded `size`.
    fn read(&self, offset: u64, size: u64) -> Result<Vec<u8>, Incomplete> {
        let mut bytes = vec![0; size as usize];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|e| Incomplete::Unreadable(e.to_string()))?;
        Ok(bytes)
    }

    fn segment_size(&self) -> u64 {
        if self.wide { 56 } else { 32 }
    }

    fn section_size(&self) -> u64 {
        if self.wide { 64 } else { 40 }
    }

    fn fields<'b>(&self, rest: &'b [u8]) -> Fields<'b> {
        Fields {
            rest,
            wide: self.wide,
            little: self.little,
        }
    }
}

struct Section {
    kind: u64,
    offset: u64,
    size: u64,
    link: u64,
    info: u64,
}

impl Section {
    fn parse(mut f: Fields<'_>) -> Self {
        f.skip(4);
        let kind = f.uint(4);
        let (_flags, _address, offset, size) = (f.word(), f.word(), f.word(), f.word());
        Section {
            kind,
            offset,
            size,
            link: f.uint(4),
            info: f.uint(4),
        }
    }
}

/// The fields of one entry, one after the other. Entries are handed out whole; beyond the end all is zero.
struct Fields<'a> {
    rest: &'a [u8],
    wide: bool,
    little: bool,
}

impl Fields<'_> {
    fn uint(&mut self, size: usize) -> u64 {
        let (field, rest) = self.rest.split_at_checked(size).unwrap_or_default();
        self.rest = rest;
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.little {
            field.iter().rev().fold(0, push)
        } else {
            field.iter().fold(0, push)
        }
    }

    /// An address, offset or size.
    fn word(&mut self) -> u64 {
        self.uint(if self.wide { 8 } else { 4 })
    }

    fn skip(&mut self, size: usize) {
        self.rest = self.rest.get(size..).unwrap_or_default();
    }
}

fn is_text(head: &[u8]) -> bool {
    head.iter()
        .all(|&b| b >= 0x80 || b.is_ascii_graphic() || b.is_ascii_whitespace())
}

#[cfg(test)]
mod tests;
