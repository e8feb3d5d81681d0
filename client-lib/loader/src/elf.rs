//! Facts out of an ELF image's bytes; nothing of the image runs.
//!
//! Guarantees, whatever the bytes are: an answer and never a panic, memory within a small multiple of the input, and no
//! loop that is quadratic in it. Names and notes may be shared by many table entries, so all that is copied or scanned
//! is paid from one [`Budget`] of a few times the file's length; honest files stay far below it.
//!
//! The tables are found as the usual tools find them: by the section headers, and by the program headers in a file
//! whose section headers were stripped. A table that is not aligned as its entries must be is malformed; every linker
//! aligns them. Notes alone are read at any offset, because a note section may have any alignment.
//!
//! Left out: relocations, versions, and whether the segments themselves lie inside the file.

use std::collections::{HashMap, HashSet};

use object::elf::{self, FileHeader32, FileHeader64};
use object::pod::{self, Pod};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{BigEndian as Be, Endian, LittleEndian as Le};

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
    /// Defines `STB_GNU_UNIQUE` symbols: all versions in one process share them.
    pub unique_symbols: bool,
    /// Bytes of the file that the loader maps: the sum of `p_filesz` over `PT_LOAD`, saturating.
    pub mapped_bytes: u64,
}

/// A name the image offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Lossy UTF-8, never empty.
    pub name: String,
    /// What the name stands for.
    pub kind: ExportKind,
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
    if !bytes.as_ptr().cast::<u64>().is_aligned() {
        // Tables are aligned relative to the file's start, so that must be aligned too. Buffers and
        // mappings are; only a slice out of the middle of something is copied.
        let words: Vec<u64> = bytes.chunks(8).map(word).collect();
        return read(&pod::bytes_of_slice(&words)[..bytes.len()]);
    }
    let magic = &bytes[..bytes.len().min(elf::ELFMAG.len())];
    if magic.is_empty() || !elf::ELFMAG.starts_with(magic) {
        return Err(looks_like(bytes));
    }
    match slice(bytes, HEADER, 0, 16)?[4..7] {
        [1, 1, 1] => Image::<FileHeader32<Le>>::parse(bytes, Le)?.read(),
        [1, 2, 1] => Image::<FileHeader32<Be>>::parse(bytes, Be)?.read(),
        [2, 1, 1] => Image::<FileHeader64<Le>>::parse(bytes, Le)?.read(),
        [2, 2, 1] => Image::<FileHeader64<Be>>::parse(bytes, Be)?.read(),
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

const HEADER: &str = "the file header";
const SECTIONS: &str = "the section header table";
const SEGMENTS: &str = "the program header table";
const STRINGS: &str = "a string table";
const DYNAMIC: &str = "the dynamic table";
const SYMBOLS: &str = "the dynamic symbol table";

/// How often the file's length all names and note tables together may cost.
const BUDGET_FACTOR: u64 = 4;
/// What one name costs beside its bytes.
const NAME_COST: u64 = 64;

/// Bytes that may still be copied or scanned.
struct Budget(u64);

impl Budget {
    fn pay(&mut self, cost: u64) -> Answer<()> {
        let left = self.0.checked_sub(cost);
        self.0 = left.ok_or(ElfError::Malformed("its tables overlap too often"))?;
        Ok(())
    }

    /// The string at `offset` of a string table.
    fn string<'a>(&mut self, strings: &'a [u8], offset: u64) -> Answer<&'a [u8]> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let text = strings.get(offset..).unwrap_or_default();
        let end = text.iter().position(|&b| b == 0);
        let end = end.ok_or(ElfError::Malformed("a name lies outside its string table"))?;
        self.pay(end as u64 + NAME_COST)?;
        Ok(&text[..end])
    }
}

/// The header, and the two tables that say where everything else is.
struct Image<'a, H: FileHeader> {
    bytes: &'a [u8],
    endian: H::Endian,
    header: &'a H,
    segments: &'a [H::ProgramHeader],
    sections: &'a [H::SectionHeader],
}

/// A table's entries, and the strings that they name.
struct Table<'a, T>(&'a [T], &'a [u8]);

impl<'a, H: FileHeader> Image<'a, H> {
    fn parse(bytes: &'a [u8], endian: H::Endian) -> Answer<Self> {
        let header = &array::<H>(bytes, HEADER, 0, size_of::<H>() as u64)?[0];
        let (mut sections, mut segments): (&[_], &[_]) = (&[], &[]);
        // Counts too large for the header's fields are in section 0, so that must be there first.
        let at = header.e_shoff(endian).into();
        if at != 0 {
            let size = size_of::<H::SectionHeader>() as u64;
            slice(
                bytes,
                SECTIONS,
                at,
                size * u64::from(header.e_shnum(endian).max(1)),
            )?;
            let sized = u64::from(header.e_shentsize(endian)) == size;
            let Some(count) = header.shnum(endian, bytes).ok().filter(|_| sized) else {
                return malformed("size or number of section headers");
            };
            sections = array(bytes, SECTIONS, at, u64::from(count) * size)?;
        }
        let at = header.e_phoff(endian).into();
        if at != 0 && header.e_phnum(endian) != 0 {
            let size = size_of::<H::ProgramHeader>() as u64;
            let sized = u64::from(header.e_phentsize(endian)) == size;
            let Some(count) = header.phnum(endian, bytes).ok().filter(|_| sized) else {
                return malformed("size or number of program headers");
            };
            segments = array(bytes, SEGMENTS, at, u64::from(count) * size)?;
        }
        Ok(Image {
            bytes,
            endian,
            header,
            segments,
            sections,
        })
    }

    fn read(&self) -> Answer<Elf> {
        let mut budget = Budget((self.bytes.len() as u64).saturating_mul(BUDGET_FACTOR));
        let mut elf = Elf {
            class: if self.header.is_type_64() { 64 } else { 32 },
            little_endian: self.header.is_little_endian(),
            machine: self.header.e_machine(self.endian).0,
            file_type: self.header.e_type(self.endian).0,
            ..Elf::default()
        };
        for segment in self.loaded() {
            let size = segment.p_filesz(self.endian).into();
            elf.mapped_bytes = elf.mapped_bytes.saturating_add(size);
        }
        let dynamic = self.dynamic()?;
        self.read_dynamic(&dynamic, &mut elf, &mut budget)?;
        self.read_symbols(&self.symbols(&dynamic)?, &mut elf, &mut budget)?;
        self.read_notes(&mut elf, &mut budget)?;
        Ok(elf)
    }

    fn read_dynamic(
        &self,
        dynamic: &Table<'a, H::Dyn>,
        elf: &mut Elf,
        budget: &mut Budget,
    ) -> Answer<()> {
        let mut text = |value| budget.string(dynamic.1, value);
        let (mut rpath, mut runpath) = (None, None);
        for (tag, value) in self.tags(dynamic.0) {
            match tag {
                elf::DT_FLAGS => elf.static_tls = value & elf::DF_STATIC_TLS.0 != 0,
                elf::DT_NEEDED => elf.needed.push(lossy(text(value)?)),
                elf::DT_SONAME => elf.soname = Some(lossy(text(value)?)),
                elf::DT_RPATH => rpath = Some(value),
                elf::DT_RUNPATH => runpath = Some(value),
                _ => {}
            }
        }
        let paths = runpath.or(rpath).map(text).transpose()?.unwrap_or_default();
        for path in paths.split(|&b| b == b':').filter(|path| !path.is_empty()) {
            budget.pay(NAME_COST)?;
            elf.search_paths.push(lossy(path));
        }
        Ok(())
    }

    fn read_symbols(
        &self,
        symbols: &Table<'a, H::Sym>,
        elf: &mut Elf,
        budget: &mut Budget,
    ) -> Answer<()> {
        let (mut exported, mut undefined) = (HashSet::new(), HashMap::new());
        // Entry 0 is reserved and says nothing.
        for symbol in symbols.0.iter().skip(1) {
            let bind = symbol.st_bind();
            let (weak, unique) = (bind == elf::STB_WEAK, bind == elf::STB_GNU_UNIQUE);
            let visibility = symbol.st_visibility();
            let visible = visibility == elf::STV_DEFAULT || visibility == elf::STV_PROTECTED;
            let defined = !symbol.is_undefined(self.endian);
            // As for the loader the binding alone decides, whatever OS ABI the header names.
            elf.unique_symbols |= unique && defined;
            if !(weak || unique || bind == elf::STB_GLOBAL) || (defined && !visible) {
                continue;
            }
            let name = budget.string(symbols.1, symbol.st_name(self.endian).into())?;
            if name.is_empty() {
                continue;
            }
            if !defined {
                let at = *undefined.entry(name).or_insert(elf.undefined.len());
                let name = lossy(name);
                match elf.undefined.get_mut(at) {
                    // One strong need among several makes the name needed.
                    Some(known) => known.weak &= weak,
                    None => elf.undefined.push(Undefined { name, weak }),
                }
            } else if exported.insert(name) {
                let kind = match symbol.st_type() {
                    _ if symbol.is_absolute(self.endian) => ExportKind::Other,
                    elf::STT_FUNC | elf::STT_GNU_IFUNC => ExportKind::Function,
                    elf::STT_OBJECT | elf::STT_TLS | elf::STT_COMMON => ExportKind::Variable,
                    _ => ExportKind::Other,
                };
                let name = lossy(name);
                elf.exports.push(Export { name, kind });
            }
        }
        Ok(())
    }

    /// Reads the note sections, or in a file without any the note segments, which hold the same.
    fn read_notes(&self, elf: &mut Elf, budget: &mut Budget) -> Answer<()> {
        let e = self.endian;
        let mut areas: Vec<(u64, u64, u64)> = Vec::new();
        for s in self
            .sections
            .iter()
            .filter(|s| s.sh_type(e) == elf::SHT_NOTE)
        {
            areas.push((
                s.sh_offset(e).into(),
                s.sh_size(e).into(),
                s.sh_addralign(e).into(),
            ));
        }
        let segments = if areas.is_empty() { self.segments } else { &[] };
        for s in segments.iter().filter(|s| s.p_type(e) == elf::PT_NOTE) {
            areas.push((
                s.p_offset(e).into(),
                s.p_filesz(e).into(),
                s.p_align(e).into(),
            ));
        }
        for (offset, size, align) in areas {
            budget.pay(size)?;
            self.read_note_area(slice(self.bytes, "a note table", offset, size)?, align, elf)?;
        }
        Ok(())
    }

    /// A broken foreign note ends its area silently, as it does for the loader; one of ours is an error.
    fn read_note_area(&self, mut area: &'a [u8], align: u64, elf: &mut Elf) -> Answer<()> {
        // As the binary tools do: 8 is 8, and everything else 4.
        let align = if align == 8 { 8 } else { 4 };
        while let Some(rest) = area.get(12..) {
            let mut header = self.words(&area[..12]);
            let mut next = || header.next().unwrap_or_default();
            let (name_size, desc_size, kind) = (next() as usize, next() as usize, next());
            let Some(owner) = rest.get(..name_size) else {
                break;
            };
            let desc_at = (12 + name_size).next_multiple_of(align);
            let desc = area.get(desc_at..desc_at.saturating_add(desc_size));
            match (owner, desc) {
                (b"plugind\0", None) => return malformed("a plugind note is cut off"),
                (_, None) => break,
                (b"plugind\0", Some(desc)) => {
                    let desc = desc.to_vec();
                    elf.notes.push(Note { kind, desc });
                }
                (b"GNU\0", Some(desc)) if kind == elf::NT_GNU_BUILD_ID.0 => {
                    let hex = || desc.iter().map(|byte| format!("{byte:02x}")).collect();
                    elf.build_id.get_or_insert_with(hex);
                }
                _ => {}
            }
            let next = (desc_at + desc_size).next_multiple_of(align);
            area = area.get(next..).unwrap_or_default();
        }
        Ok(())
    }

    fn loaded(&self) -> impl Iterator<Item = &'a H::ProgramHeader> {
        self.segments
            .iter()
            .filter(|s| s.p_type(self.endian) == elf::PT_LOAD)
    }

    /// What is loaded at `address`, to the end of its segment.
    fn at(&self, table: &'static str, address: u64) -> Answer<&'a [u8]> {
        for segment in self.loaded() {
            let (offset, size) = segment.file_range(self.endian);
            let into = address.wrapping_sub(segment.p_vaddr(self.endian).into());
            if into < size {
                return slice(self.bytes, table, offset.saturating_add(into), size - into);
            }
        }
        malformed("a dynamic table lies in no segment")
    }

    fn section(&self, kind: elf::SectionType) -> Option<&'a H::SectionHeader> {
        self.sections
            .iter()
            .find(|s| s.sh_type(self.endian) == kind)
    }

    fn table<T: Pod>(&self, what: &'static str, s: &H::SectionHeader) -> Answer<Table<'a, T>> {
        let e = self.endian;
        let entries = array(self.bytes, what, s.sh_offset(e).into(), s.sh_size(e).into())?;
        match self.sections.get(s.sh_link(e) as usize) {
            Some(s) if s.sh_type(e) == elf::SHT_STRTAB => {
                let strings = slice(
                    self.bytes,
                    STRINGS,
                    s.sh_offset(e).into(),
                    s.sh_size(e).into(),
                );
                Ok(Table(entries, strings?))
            }
            _ => malformed("a table without a string table"),
        }
    }

    /// Tag and value of each dynamic entry, up to the null entry.
    fn tags(&self, entries: &'a [H::Dyn]) -> impl Iterator<Item = (elf::DynamicTag, u64)> {
        let entries = entries
            .iter()
            .map(|d| (d.tag(self.endian), d.val(self.endian)));
        entries.take_while(|(tag, _)| *tag != elf::DT_NULL)
    }

    fn value(&self, entries: &'a [H::Dyn], wanted: elf::DynamicTag) -> Option<u64> {
        self.tags(entries)
            .find(|(tag, _)| *tag == wanted)
            .map(|(_, value)| value)
    }

    fn dynamic(&self) -> Answer<Table<'a, H::Dyn>> {
        if let Some(section) = self.section(elf::SHT_DYNAMIC) {
            return self.table(DYNAMIC, section);
        }
        let e = self.endian;
        let mut segments = self.segments.iter();
        let Some(segment) = segments.find(|s| s.p_type(e) == elf::PT_DYNAMIC) else {
            return Ok(Table(&[], &[]));
        };
        let (offset, size) = segment.file_range(e);
        let entries = array(self.bytes, DYNAMIC, offset, size)?;
        let value = |tag| self.value(entries, tag);
        let strings = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
            (Some(address), Some(size)) => start(self.at(STRINGS, address)?, size)?,
            _ => &[],
        };
        Ok(Table(entries, strings))
    }

    fn symbols(&self, dynamic: &Table<'a, H::Dyn>) -> Answer<Table<'a, H::Sym>> {
        if let Some(section) = self.section(elf::SHT_DYNSYM) {
            return self.table(SYMBOLS, section);
        }
        let value = |tag| self.value(dynamic.0, tag);
        let Some(address) = value(elf::DT_SYMTAB) else {
            return Ok(Table(&[], &[]));
        };
        // Nothing states how many there are; without a hash table the loader could find none either.
        let mut count = 0;
        if let Some(address) = value(elf::DT_HASH) {
            let hash = self.at("the hash table", address)?;
            count = self.words(hash).nth(1).unwrap_or(0).into();
        }
        if let Some(address) = value(elf::DT_GNU_HASH) {
            let hashed = self.gnu_hash_count(self.at("the GNU hash table", address)?);
            count = count.max(hashed.ok_or(ElfError::Malformed("the GNU hash table has no end"))?);
        }
        let size = count * size_of::<H::Sym>() as u64;
        let entries = cast(start(self.at(SYMBOLS, address)?, size)?)?;
        Ok(Table(entries, dynamic.1))
    }

    fn words(&self, table: &'a [u8]) -> impl Iterator<Item = u32> {
        let (words, _) = table.as_chunks();
        words.iter().map(|&word| self.endian.read_u32(word))
    }

    /// The symbols end with the chain of the bucket that starts last; a chain ends with an odd word.
    fn gnu_hash_count(&self, hash: &'a [u8]) -> Option<u64> {
        let mut header = self.words(hash);
        let (buckets, first, bloom) = (header.next()? as usize, header.next()?, header.next()?);
        let bloom_words = (bloom as usize).checked_mul(size_of::<H::Word>() / 4)?;
        let mut words = self.words(hash).skip(bloom_words.checked_add(4)?);
        let last = words.by_ref().take(buckets).max().unwrap_or(0);
        if last == 0 {
            return Some(first.into());
        }
        let mut chain = words.skip(last.checked_sub(first)? as usize);
        let length = chain.position(|word| word & 1 == 1)?;
        Some(u64::from(last) + length as u64 + 1)
    }
}

/// The bytes at `offset`, or what ends beyond the end of `bytes`.
fn slice<'a>(bytes: &'a [u8], table: &'static str, at: u64, size: u64) -> Answer<&'a [u8]> {
    let (end, len) = (at.saturating_add(size), bytes.len() as u64);
    if end > len {
        return Err(ElfError::Truncated { table, end, len });
    }
    Ok(&bytes[at as usize..end as usize])
}

/// The first bytes of what is loaded.
fn start(loaded: &[u8], size: u64) -> Answer<&[u8]> {
    let start = usize::try_from(size)
        .ok()
        .and_then(|size| loaded.get(..size));
    start.ok_or(ElfError::Malformed(
        "a dynamic table ends beyond its segment",
    ))
}

fn array<'a, T: Pod>(bytes: &'a [u8], table: &'static str, at: u64, size: u64) -> Answer<&'a [T]> {
    cast(slice(bytes, table, at, size)?)
}

fn cast<T: Pod>(bytes: &[u8]) -> Answer<&[T]> {
    pod::slice_from_all_bytes(bytes).map_err(|()| ElfError::Malformed("a table is not aligned"))
}

fn malformed<T>(what: &'static str) -> Answer<T> {
    Err(ElfError::Malformed(what))
}

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

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    use super::*;

    const SOURCE: &str = r#"
        struct { unsigned n, d, t; char owner[8]; unsigned char desc[8]; } const note
            __attribute__((used, aligned(4), section(".note.plugind"), visibility("hidden"))) =
            { 8, 5, 7, "plugind", { 1, 2, 3, 4, 5 } };
        extern int elsewhere(void);
        extern int perhaps(void) __attribute__((weak));
        int variable = 1;
        __thread int per_thread = 2;
        __attribute__((visibility("hidden"))) int secret(void) { return 3; }
        __attribute__((weak)) int answer(void) { return elsewhere() + (perhaps ? perhaps() : secret()); }
    "#;

    /// A real shared object with everything in it that is read.
    static LIBRARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let dir = std::env::temp_dir().join(format!("plugind-elf-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (source, library) = (dir.join("fixture.c"), dir.join("libfixture.so"));
        std::fs::write(&source, SOURCE).unwrap();
        let built = Command::new("cc")
            .args([
                "-shared",
                "-fPIC",
                "-Wl,-soname,libfixture.so.1,--build-id=0x0123abcd",
            ])
            .arg("-Wl,--enable-new-dtags,-rpath,/a::/b")
            .arg("-o")
            .args([&library, &source])
            .status();
        let bytes = std::fs::read(library);
        std::fs::remove_dir_all(dir).unwrap();
        assert!(built.unwrap().success());
        bytes.unwrap()
    });

    fn xorshift(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state as usize
    }

    /// A 32-bit image of the given sections: type, linked section, contents. Section 0 is added.
    fn image(little: bool, sections: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let half = |v: u16| {
            if little {
                v.to_le_bytes()
            } else {
                v.to_be_bytes()
            }
        };
        let full = |v: u32| {
            if little {
                v.to_le_bytes()
            } else {
                v.to_be_bytes()
            }
        };
        let mut contents = Vec::new();
        let mut table = vec![0; 40];
        for (kind, link, bytes) in sections {
            let at = 52 + contents.len() as u32;
            for field in [0, *kind, 0, 0, at, bytes.len() as u32, *link, 0, 4, 0] {
                table.extend(full(field));
            }
            contents.extend_from_slice(bytes);
            contents.resize(contents.len().next_multiple_of(4), 0);
        }
        let mut file = vec![0x7f, b'E', b'L', b'F', 1, if little { 1 } else { 2 }, 1];
        file.resize(16, 0);
        file.extend([3, 20].map(half).concat());
        let table_at = 52 + contents.len() as u32;
        file.extend([1, 0, 0, table_at, 0].map(full).concat());
        file.extend(
            [52, 0, 0, 40, sections.len() as u16 + 1, 0]
                .map(half)
                .concat(),
        );
        file.extend(contents);
        file.extend(table);
        file
    }

    #[test]
    fn tells_what_a_shared_object_declares() {
        let elf = read(&LIBRARY).unwrap();
        assert_eq!(elf.file_type, 3);
        let kind = |name| elf.exports.iter().find(|e| e.name == name).map(|e| e.kind);
        assert_eq!(kind("answer"), Some(ExportKind::Function));
        assert_eq!(kind("variable"), Some(ExportKind::Variable));
        assert_eq!(kind("per_thread"), Some(ExportKind::Variable));
        assert_eq!(kind("secret"), None);
        let weak = |name| {
            elf.undefined
                .iter()
                .find(|u| u.name == name)
                .map(|u| u.weak)
        };
        assert_eq!(
            (weak("elsewhere"), weak("perhaps")),
            (Some(false), Some(true))
        );
        assert_eq!(elf.soname.as_deref(), Some("libfixture.so.1"));
        assert_eq!(elf.search_paths, ["/a", "/b"]);
        assert_eq!(elf.build_id.as_deref(), Some("0123abcd"));
        assert_eq!(
            elf.notes,
            [Note {
                kind: 7,
                desc: vec![1, 2, 3, 4, 5]
            }]
        );
        assert!(elf.mapped_bytes > 0 && elf.mapped_bytes <= LIBRARY.len() as u64);
        assert!(!elf.unique_symbols);
    }

    #[test]
    fn reads_the_same_without_section_headers() {
        let elf = read(&LIBRARY).unwrap();
        let mut stripped = LIBRARY.clone();
        let (at, counts) = if elf.class == 64 {
            (40..48, 60..64)
        } else {
            (32..36, 48..52)
        };
        stripped[at].fill(0);
        stripped[counts].fill(0);
        assert_eq!(read(&stripped).unwrap(), elf);
    }

    #[test]
    fn reads_a_slice_that_starts_anywhere() {
        let elf = read(&LIBRARY);
        for shift in 1..8 {
            let mut shifted = vec![0; shift];
            shifted.extend_from_slice(&LIBRARY);
            assert_eq!(read(&shifted[shift..]), elf);
        }
    }

    #[test]
    fn reads_notes_and_symbols_in_both_byte_orders() {
        for little in [true, false] {
            let full = |v: u32| {
                if little {
                    v.to_le_bytes()
                } else {
                    v.to_be_bytes()
                }
            };
            let note = [&full(8)[..], &full(3), &full(9), b"plugind\0", b"abc\0"].concat();
            let other = [&full(9)[..], &full(0), &full(9), b"plugindx\0\0\0\0"].concat();
            let notes = [&other[..], &note, &note].concat();
            let symbol = [
                &full(1)[..],
                &full(0),
                &full(0),
                &[0x12, 0, 0, 1 + u8::from(little)],
            ]
            .concat();
            let symbols = [&[0; 16][..], &symbol, &symbol].concat();
            let elf = read(&image(
                little,
                &[(7, 0, &notes), (11, 3, &symbols), (3, 0, b"\0name\0")],
            ))
            .unwrap();
            assert_eq!(
                (elf.class, elf.little_endian, elf.machine_name().as_str()),
                (32, little, "PowerPC")
            );
            let ours = Note {
                kind: 9,
                desc: b"abc".to_vec(),
            };
            assert_eq!(elf.notes, [ours.clone(), ours]);
            let name = Export {
                name: "name".to_owned(),
                kind: ExportKind::Function,
            };
            assert_eq!(elf.exports, [name]);

            let cut = image(little, &[(7, 0, &note[..21])]);
            assert_eq!(
                read(&cut),
                Err(ElfError::Malformed("a plugind note is cut off"))
            );
        }
    }

    #[test]
    fn says_what_the_file_is_instead() {
        assert_eq!(read(b""), Err(ElfError::Empty));
        assert_eq!(read(b"INPUT(-lfoo)\n"), Err(ElfError::Text));
        assert_eq!(read(b"!<arch>\nfoo.o/"), Err(ElfError::Archive));
        assert_eq!(read(&[0; 4096]), Err(ElfError::NotElf));
        let cut = read(&LIBRARY[..LIBRARY.len() - 1]).unwrap_err().to_string();
        let (whole, len) = (LIBRARY.len(), LIBRARY.len() - 1);
        let table = "truncated: the section header table ends at byte";
        assert_eq!(cut, format!("{table} {whole} but the file has {len} bytes"));
    }

    #[test]
    fn a_table_that_shares_its_bytes_without_end_is_refused_at_once() {
        let started = Instant::now();
        let text = [&[b'x'; 500_000][..], b"\0"].concat();
        let mut symbols = vec![0; 16];
        for at in 0..30_000_u32 {
            symbols.extend(at.to_le_bytes());
            symbols.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0, 1, 0]);
        }
        let refused = Err(ElfError::Malformed("its tables overlap too often"));
        assert_eq!(
            read(&image(true, &[(11, 2, &symbols), (3, 0, &text)])),
            refused
        );

        let mut notes = image(true, &[(7, 0, &text)]);
        let (table, len) = (notes.len() - 40, notes.len() as u32);
        let header = [0, 7, 0, 0, 0, len, 0, 0, 4, 0_u32]
            .map(u32::to_le_bytes)
            .concat();
        notes.truncate(table);
        notes.extend(header.repeat(10_000));
        notes[48..50].copy_from_slice(&10_000_u16.to_le_bytes());
        assert_eq!(read(&notes), refused);
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn any_bytes_give_an_answer() {
        for step in 0..=200 {
            let len = LIBRARY.len() * step / 200;
            assert_eq!(read(&LIBRARY[..len]).is_ok(), step == 200);
        }
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        let interesting = [0, 1, 0x7f, 0x80, 0xff];
        for round in 0..2_000 {
            let mut bytes = LIBRARY.clone();
            if round % 3 == 0 {
                // Also the way that only files without section headers go.
                let at = if bytes[4] == 2 { 40..48 } else { 32..36 };
                bytes[at].fill(0);
            }
            for _ in 0..1 + xorshift(&mut seed) % 8 {
                let bound = if round % 2 == 0 {
                    4096.min(bytes.len())
                } else {
                    bytes.len()
                };
                let at = xorshift(&mut seed) % bound;
                bytes[at] = match xorshift(&mut seed) % 2 {
                    0 => interesting[xorshift(&mut seed) % interesting.len()],
                    _ => xorshift(&mut seed) as u8,
                };
            }
            let _ = read(&bytes);
        }
    }
}
