//! Every answer of the reader on real, cut, altered and foreign images.

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
    assert_eq!(elf.unique_symbols, [""; 0]);
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
fn reads_the_same_of_the_mapped_part_alone() {
    // As a debug build is: most of it behind what is mapped, and the section headers last.
    let elf = read(&LIBRARY).unwrap();
    let (at, count) = (0x28, 0x3c);
    let sections = u64::from_le_bytes(LIBRARY[at..at + 8].try_into().unwrap()) as usize;
    let mut large = LIBRARY[..sections].to_vec();
    large.resize(1 << 20, 7);
    let moved = large.len() as u64;
    large.extend_from_slice(&LIBRARY[sections..]);
    large[at..at + 8].copy_from_slice(&moved.to_le_bytes());
    assert_ne!(LIBRARY[count], 0);

    let whole = read(&large).unwrap();
    assert!(whole.mapped_end >= whole.mapped_bytes && whole.mapped_end < moved);
    assert_eq!(whole.mapped_end % (64 << 10), 0, "whole pages");
    let mapped = &large[..whole.mapped_end as usize];
    assert!(matches!(read(mapped), Err(ElfError::Truncated { .. })));
    let alone = read_mapped(mapped).unwrap();
    assert_eq!(
        Elf {
            mapped_end: whole.mapped_end,
            ..alone
        },
        whole
    );
    assert_eq!(elf.exports, whole.exports);
    large.push(0);
    let appended = read(&large).unwrap().mapped_end;
    assert_eq!(appended, large.len() as u64, "the plugin may look for it");
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
