//! The notes of an image.

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use super::bytes::{malformed, slice};
use super::image::{Budget, Image};
use super::{Answer, Elf, Note};

impl<'a, H: FileHeader> Image<'a, H> {
    /// Reads the note sections, or in a file without any the note segments, which hold the same.
    pub(super) fn read_notes(&self, elf: &mut Elf, budget: &mut Budget) -> Answer<()> {
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
}
