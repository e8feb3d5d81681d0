//! The tables of an image: where they are, and what their entries say.

use std::collections::{HashMap, HashSet};

use object::Endian;
use object::elf;
use object::pod::Pod;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};

use super::bytes::{array, cast, lossy, malformed, slice, start};
use super::{Answer, Elf, ElfError, Export, ExportKind, Tables, Undefined};

pub(super) const HEADER: &str = "the file header";
pub(super) const SECTIONS: &str = "the section header table";
pub(super) const SEGMENTS: &str = "the program header table";
pub(super) const STRINGS: &str = "a string table";
pub(super) const DYNAMIC: &str = "the dynamic table";
pub(super) const SYMBOLS: &str = "the dynamic symbol table";

/// How often the file's length all names and note tables together may cost.
pub(super) const BUDGET_FACTOR: u64 = 4;
/// No supported platform has larger pages (64-bit ARM and PowerPC may have these).
const LARGEST_PAGE: u64 = 64 << 10;
/// What one name costs beside its bytes.
pub(super) const NAME_COST: u64 = 64;

/// Bytes that may still be copied or scanned.
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn pay(&mut self, cost: u64) -> Answer<()> {
        let left = self.0.checked_sub(cost);
        self.0 = left.ok_or(ElfError::Malformed("its tables overlap too often"))?;
        Ok(())
    }

    /// The string at `offset` of a string table.
    pub(super) fn string<'a>(&mut self, strings: &'a [u8], offset: u64) -> Answer<&'a [u8]> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let text = strings.get(offset..).unwrap_or_default();
        let end = text.iter().position(|&b| b == 0);
        let end = end.ok_or(ElfError::Malformed("a name lies outside its string table"))?;
        self.pay(end as u64 + NAME_COST)?;
        Ok(&text[..end])
    }
}

/// The header, and the two tables that say where everything else is.
pub(super) struct Image<'a, H: FileHeader> {
    pub(super) bytes: &'a [u8],
    pub(super) endian: H::Endian,
    header: &'a H,
    pub(super) segments: &'a [H::ProgramHeader],
    pub(super) sections: &'a [H::SectionHeader],
}

/// A table's entries, and the strings that they name.
pub(super) struct Table<'a, T>(&'a [T], &'a [u8]);

impl<'a, H: FileHeader> Image<'a, H> {
    pub(super) fn parse(bytes: &'a [u8], endian: H::Endian, tables: Tables) -> Answer<Self> {
        let header = &array::<H>(bytes, HEADER, 0, size_of::<H>() as u64)?[0];
        let (mut sections, mut segments): (&[_], &[_]) = (&[], &[]);
        // Counts too large for the header's fields are in section 0, so that must be there first.
        let at = header.e_shoff(endian).into();
        if at != 0 && tables == Tables::All {
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

    pub(super) fn read(&self, tables: Tables) -> Answer<Elf> {
        let mut budget = Budget((self.bytes.len() as u64).saturating_mul(BUDGET_FACTOR));
        let mut elf = Elf {
            class: if self.header.is_type_64() { 64 } else { 32 },
            little_endian: self.header.is_little_endian(),
            machine: self.header.e_machine(self.endian).0,
            file_type: self.header.e_type(self.endian).0,
            ..Elf::default()
        };
        if tables == Tables::Notes {
            self.read_notes(&mut elf, &mut budget)?;
            return Ok(elf);
        }
        for segment in self.loaded() {
            let size = segment.p_filesz(self.endian).into();
            elf.mapped_bytes = elf.mapped_bytes.saturating_add(size);
        }
        elf.mapped_end = self.mapped_end();
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
            // As for the loader the binding alone decides, whatever OS ABI the header names.
            let (weak, unique) = (bind == elf::STB_WEAK, bind == elf::STB_GNU_UNIQUE);
            let visibility = symbol.st_visibility();
            let visible = visibility == elf::STV_DEFAULT || visibility == elf::STV_PROTECTED;
            let defined = !symbol.is_undefined(self.endian);
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
                if unique {
                    elf.unique_symbols.push(name.clone());
                }
                elf.exports.push(Export { name, kind });
            }
        }
        Ok(())
    }

    /// See [`Elf::mapped_end`].
    fn mapped_end(&self) -> u64 {
        let len = self.bytes.len() as u64;
        let e = self.endian;
        // A number of program headers too large for its field stands in section 0. And what somebody appended to the
        // file the plugin itself may read while it is opened.
        if self.segments.is_empty()
            || self.header.e_phnum(e) == elf::PN_XNUM
            || self.sections_end() < len
        {
            return len;
        }
        let headers: u64 = self.header.e_phoff(e).into();
        let headers = headers.saturating_add(size_of_val(self.segments) as u64);
        let ends = self.segments.iter().map(|segment| {
            let (offset, size) = segment.file_range(e);
            offset.saturating_add(size)
        });
        let end = ends.fold(headers.max(size_of::<H>() as u64), u64::max);
        end.checked_next_multiple_of(LARGEST_PAGE)
            .map_or(len, |end| end.min(len))
    }

    /// Where everything ends that the section headers know, and they themselves; 0 without any.
    fn sections_end(&self) -> u64 {
        let e = self.endian;
        let headers: u64 = self.header.e_shoff(e).into();
        let headers = headers.saturating_add(size_of_val(self.sections) as u64);
        let sections = self.sections.iter().filter_map(|section| {
            let (offset, size) = section.file_range(e)?;
            Some(offset.saturating_add(size))
        });
        let end = sections.fold(headers, u64::max);
        if self.sections.is_empty() { 0 } else { end }
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

    pub(super) fn words(&self, table: &'a [u8]) -> impl Iterator<Item = u32> {
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
