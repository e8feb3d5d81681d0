//! Real files, cut and half written.

use std::path::PathBuf;
use std::process::Command;

use super::*;

/// A real shared object, and a file to put variants of it into.
struct Fixture {
    dir: PathBuf,
    library: Vec<u8>,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let dir = format!("plugind-complete-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        std::fs::create_dir_all(&dir).unwrap();
        let (source, library) = (dir.join("fixture.c"), dir.join("libfixture.so"));
        std::fs::write(&source, "int answer(void) { return 42; } int variable = 1;").unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status();
        assert!(built.unwrap().success());
        Fixture {
            library: std::fs::read(library).unwrap(),
            dir,
        }
    }

    fn check(&self, bytes: &[u8]) -> Result<(), Incomplete> {
        let path = self.dir.join("variant.so");
        std::fs::write(&path, bytes).unwrap();
        check(&File::open(path).unwrap(), bytes.len() as u64)
    }

    /// Where the section header table starts.
    fn sections_at(&self) -> usize {
        let word = |at: usize| u64::from_ne_bytes(self.library[at..at + 8].try_into().unwrap());
        if self.library[4] == 2 {
            word(40) as usize
        } else {
            word(32) as u32 as usize
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn xorshift(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

#[test]
fn only_the_whole_file_is_complete() {
    let f = Fixture::new("prefix");
    assert_eq!(f.check(&f.library), Ok(()));
    let len = f.library.len();
    let near = (0..1024).chain(len.saturating_sub(4096)..len);
    for cut in near.chain((0..len).step_by(97)) {
        assert!(
            f.check(&f.library[..cut]).is_err(),
            "the first {cut} of {len} bytes"
        );
    }
    let cut = f.check(&f.library[..4096]).unwrap_err();
    let table = "the section header table ends at byte";
    assert_eq!(
        cut.to_string(),
        format!("{table} {len} but the file has 4096 bytes")
    );
}

#[test]
fn a_tail_of_zeros_is_incomplete() {
    let f = Fixture::new("zeros");
    let written = (0..f.sections_at()).step_by(512);
    // Any header that is not written at all shows, also the last one alone.
    let size = if f.library[4] == 2 { 64 } else { 40 };
    for written in written.chain((f.sections_at() + size..f.library.len()).step_by(size)) {
        let mut bytes = f.library.clone();
        bytes[written..].fill(0);
        assert!(
            f.check(&bytes).is_err(),
            "the first {written} bytes are written"
        );
    }
}

#[test]
fn segments_alone_are_enough() {
    let f = Fixture::new("segments");
    let mut stripped = f.library[..f.sections_at()].to_vec();
    let (at, counts) = if stripped[4] == 2 {
        (40..48, 60..64)
    } else {
        (32..36, 48..52)
    };
    stripped[at].fill(0);
    stripped[counts].fill(0);
    assert_eq!(f.check(&stripped), Ok(()));
    assert!(f.check(&stripped[..stripped.len() / 2]).is_err());
    let count = if stripped[4] == 2 { 56..58 } else { 44..46 };
    stripped[count].fill(0);
    let nothing = Incomplete::Malformed("it has neither segments nor sections");
    assert_eq!(f.check(&stripped), Err(nothing));
}

#[test]
fn counts_too_large_for_the_header_are_in_section_0() {
    let f = Fixture::new("extended");
    if f.library[4..6] != [2, 1] {
        return;
    }
    let mut bytes = f.library.clone();
    let (at, count, names) = (f.sections_at(), bytes[60], bytes[62]);
    bytes[60..64].copy_from_slice(&[0, 0, 0xff, 0xff]);
    bytes[at + 32] = count;
    bytes[at + 40] = names;
    assert_eq!(f.check(&bytes), Ok(()));
    assert!(f.check(&bytes[..bytes.len() - 1]).is_err());
    // Not believed, and not allocated.
    bytes[at + 32..at + 40].fill(0xff);
    assert!(matches!(f.check(&bytes), Err(Incomplete::Truncated { .. })));
}

#[test]
fn other_files_are_told_apart() {
    let f = Fixture::new("other");
    assert_eq!(f.check(b""), Err(Incomplete::Empty));
    assert_eq!(f.check(b"GROUP ( libc.so.6 )\n"), Err(Incomplete::Text));
    assert_eq!(f.check(&[0; 8192]), Err(Incomplete::NotElf));
    assert!(matches!(
        f.check(b"\x7fE"),
        Err(Incomplete::Truncated { .. })
    ));
    // The linker's temporary: all there but the magic.
    let mut bytes = f.library.clone();
    bytes[..4].fill(0);
    assert_eq!(f.check(&bytes), Err(Incomplete::NotElf));
}

#[test]
fn a_file_that_shrinks_meanwhile_is_unreadable() {
    let f = Fixture::new("shrinks");
    let path = f.dir.join("libfixture.so");
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.set_len(100).unwrap();
    let checked = check(&file, f.library.len() as u64);
    assert!(matches!(checked, Err(Incomplete::Unreadable(_))));
}

#[test]
fn any_bytes_give_an_answer() {
    let f = Fixture::new("mutated");
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let tables = f.sections_at();
    for round in 0..2_000 {
        let mut bytes = f.library.clone();
        for _ in 0..1 + xorshift(&mut seed) % 8 {
            let at = match round % 3 {
                0 => xorshift(&mut seed) % 1024,
                1 => tables + xorshift(&mut seed) % (bytes.len() - tables),
                _ => xorshift(&mut seed) % bytes.len(),
            };
            bytes[at] = xorshift(&mut seed) as u8;
        }
        let _ = f.check(&bytes);
    }
    for step in 0..200 {
        assert!(f.check(&f.library[..f.library.len() * step / 200]).is_err());
    }
}
