//! Any bytes give an answer: files of `corpus`, altered at random, through every reader of images and notes, and what
//! could be read through the comparison of contracts.
//!
//! The sequence is the same in every run. `PLUGIND_FUZZ=1000000` makes it longer, and `PLUGIND_FUZZ_IMAGES`, a list of
//! files separated by colons, puts other images in the place of the corpus; both print what was reached.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plugind_loader::elf;
use plugind_loader::manifest::{
    Contract, Field, Function, Manifest, Sides, Toolchain, compare, compare_states,
    compare_versions, fits_here,
};

/// Inputs of one seed in a usual run, without optimisation.
const ROUNDS: usize = 3_000;
/// So long nothing takes, on any machine.
const LONGEST: Duration = Duration::from_secs(5);

/// Marsaglia's xorshift with 64 bits (2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() % bound.max(1)
    }
}

/// What the inputs reached.
#[derive(Debug, Default)]
struct Reached {
    inputs: usize,
    elf: usize,
    symbols: usize,
    notes: usize,
    manifests: usize,
    different: usize,
    contracts: usize,
}

fn corpus() -> Vec<PathBuf> {
    if let Some(images) = env::var_os("PLUGIND_FUZZ_IMAGES") {
        return env::split_paths(&images).collect();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let files = fs::read_dir(folder).expect("the corpus");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

/// Bytes that are altered in place, and put back.
struct Altered {
    bytes: Vec<u8>,
    /// Where alterations reach something: around headers, notes and symbols.
    places: Vec<(usize, usize)>,
    undo: Vec<(usize, u8)>,
}

impl Altered {
    fn new(bytes: Vec<u8>) -> Self {
        let mut places = vec![(0, bytes.len()), (0, bytes.len().min(4096))];
        for owner in positions(&bytes, b"plugind\0") {
            places.push((owner.saturating_sub(12), (owner + 4096).min(bytes.len())));
        }
        if let Some(table) = section_headers(&bytes) {
            places.push((table, bytes.len()));
        }
        Self {
            bytes,
            places,
            undo: Vec::new(),
        }
    }

    fn put(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.bytes.get_mut(at) {
            self.undo.push((at, *place));
            *place = byte;
        }
    }

    fn alter(&mut self, random: &mut Random) {
        const TELLING: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
        let (from, to) = self.places[random.below(self.places.len())];
        for _ in 0..1 + random.below(4) {
            let at = from + random.below(to - from);
            match random.below(5) {
                0 => self.put(at, TELLING[random.below(TELLING.len())]),
                1 => self.put(at, random.next() as u8),
                2 => self.put(at, self.bytes[at].wrapping_add(1)),
                3 => {
                    let word = random.next() as u32 >> random.below(32);
                    for (index, byte) in word.to_le_bytes().into_iter().enumerate() {
                        self.put((at & !3) + index, byte);
                    }
                }
                _ => {
                    let (other, len) = (from + random.below(to - from), 1 + random.below(32));
                    for index in 0..len.min(to - other.max(at)) {
                        self.put(at + index, self.bytes[other + index]);
                    }
                }
            }
        }
    }

    fn restore(&mut self) {
        while let Some((at, byte)) = self.undo.pop() {
            self.bytes[at] = byte;
        }
    }
}

fn positions(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(wanted.len()).enumerate();
    let found = windows.filter(|(_, window)| *window == wanted);
    found.map(|(at, _)| at).take(8).collect()
}

/// Of an image for 64 bits, little endian.
fn section_headers(bytes: &[u8]) -> Option<usize> {
    let offset = u64::from_le_bytes(*bytes.get(0x28..)?.first_chunk()?);
    usize::try_from(offset)
        .ok()
        .filter(|table| *table > 0 && *table < bytes.len())
}

/// Everything that looks into an image.
fn look(bytes: &[u8], honest: &[Contract], reached: &mut Reached) {
    reached.inputs += 1;
    let _ = elf::read_mapped(bytes);
    let mut notes = Vec::new();
    if let Ok(elf) = elf::read(bytes) {
        reached.elf += 1;
        reached.symbols += usize::from(!elf.exports.is_empty() || !elf.undefined.is_empty());
        notes.push((elf.notes, elf.little_endian));
    }
    notes.extend(elf::read_notes(bytes));
    reached.notes += usize::from(notes.iter().any(|(notes, _)| !notes.is_empty()));
    for (notes, little_endian) in notes {
        if let Ok(Some(manifest)) = Manifest::read(&notes, little_endian) {
            reached.manifests += 1;
            let _ = fits_here(&manifest.identity);
            for contract in &manifest.contracts {
                consider(contract, honest, reached);
            }
        }
    }
}

/// What was read holds together, and can be compared with what is honest.
fn consider(contract: &Contract, honest: &[Contract], reached: &mut Reached) {
    reached.contracts += 1;
    for (place, ty) in contract.types.iter().enumerate() {
        let earlier = |fields: &[Field]| assert!(fields.iter().all(|field| field.ty < place));
        earlier(&ty.fields);
        ty.variants
            .iter()
            .for_each(|variant| earlier(&variant.fields));
        ty.offers.iter().for_each(|offer| mentions(offer, place));
    }
    let all = contract.types.len();
    contract
        .functions
        .iter()
        .for_each(|function| mentions(function, all));
    let (own, unknown) = (Toolchain::own(), Toolchain::default());
    // Equal fingerprints would end every comparison at once.
    let mut strange = contract.clone();
    strange.functions.iter_mut().for_each(|one| one.print ^= 1);
    strange.types.iter_mut().for_each(|ty| ty.print ^= 1);
    for other in honest {
        compare(other, contract, (&own, &own));
        let differences = compare(other, &strange, (&own, &own));
        reached.different += usize::from(!differences.is_empty());
        assert!(
            differences
                .iter()
                .all(|one| !one.what.contains(char::is_control))
        );
        compare(contract, other, (&unknown, &own));
        compare_states(&strange, other, Sides::CONTRACT);
    }
    // Two versions of a plugin.
    let version = |contracts| Manifest {
        contracts,
        ..Manifest::default()
    };
    let (old, new) = (version(honest.to_vec()), version(vec![strange]));
    for changed in compare_versions(&old, &new, Sides::CONTRACT) {
        assert!(!changed.differences.is_empty());
        let mut whats = changed.differences.iter().map(|one| &one.what);
        assert!(whats.all(|what| !what.contains(char::is_control)));
    }
    assert_eq!(compare_versions(&old, &old, Sides::CONTRACT), []);
}

fn mentions(function: &Function, known: usize) {
    let arguments = function.arguments.iter().map(|argument| argument.ty);
    assert!(arguments.chain(function.result).all(|place| place < known));
}

fn rounds() -> Option<usize> {
    env::var("PLUGIND_FUZZ").ok()?.parse().ok()
}

#[test]
fn images_altered_at_random_give_an_answer() {
    let files = corpus();
    assert!(files.len() >= 5, "{files:?}");
    let mut reached = Reached::default();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for file in &files {
        let bytes = fs::read(file).expect("a file of the corpus");
        let honest = elf::read_notes(&bytes).ok();
        let honest = honest.and_then(|(notes, little)| Manifest::read(&notes, little).ok()?);
        let honest = honest
            .map(|manifest| manifest.contracts)
            .unwrap_or_default();
        let mut altered = Altered::new(bytes);
        for _ in 0..rounds().map_or(ROUNDS, |rounds| rounds.div_ceil(files.len())) {
            altered.alter(&mut random);
            let started = Instant::now();
            look(&altered.bytes, &honest, &mut reached);
            assert!(
                started.elapsed() < LONGEST,
                "{} {:?}",
                file.display(),
                altered.undo
            );
            altered.restore();
        }
        look(&altered.bytes, &honest, &mut reached);
    }
    println!("{reached:?}");
    assert!(
        reached.notes * 5 > reached.inputs,
        "alterations miss the notes: {reached:?}"
    );
    assert!(reached.different > 0 && reached.manifests > reached.different / 4);
}

#[test]
fn descriptors_cut_and_altered_give_an_answer() {
    let mut reached = Reached::default();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let files = corpus();
    let descriptors = files.iter().filter_map(|file| {
        let bytes = fs::read(file).expect("a file of the corpus");
        let (notes, little_endian) = elf::read_notes(&bytes).ok()?;
        let contract = notes.into_iter().find(|note| note.kind == 2)?;
        Some((contract.desc, little_endian))
    });
    let descriptors: Vec<_> = descriptors.collect();
    assert!(!descriptors.is_empty());
    for (descriptor, little_endian) in &descriptors {
        let honest = Contract::read(descriptor, *little_endian).expect("it is whole");
        assert_eq!(
            compare(&honest, &honest, (&Toolchain::own(), &Toolchain::own())),
            []
        );
        for len in 0..descriptor.len() {
            let cut = Contract::read(&descriptor[..len], *little_endian);
            // A cut between two fields leaves less, and never the same.
            assert_ne!(
                cut.as_ref(),
                Ok(&honest),
                "{len} of {} bytes",
                descriptor.len()
            );
        }
        let mut altered = Altered::new(descriptor.clone());
        for _ in 0..rounds().map_or(ROUNDS, |rounds| rounds.div_ceil(descriptors.len())) {
            altered.alter(&mut random);
            let len = match random.below(4) {
                0 => random.below(altered.bytes.len()),
                _ => altered.bytes.len(),
            };
            reached.inputs += 1;
            if let Ok(contract) = Contract::read(&altered.bytes[..len], *little_endian) {
                consider(&contract, std::slice::from_ref(&honest), &mut reached);
            }
            let _ = Contract::read(&altered.bytes[..len], !*little_endian);
            altered.restore();
        }
    }
    println!("{reached:?}");
    assert!(reached.different * 10 > reached.inputs, "{reached:?}");
}
