//! As much of ELF as a fixture needs to cut a file where it hurts.

/// Where the last byte that a loader maps ends, in a 64-bit little-endian image.
pub fn end_of_last_load(image: &[u8]) -> usize {
    let word = |at: usize, len: usize| -> usize {
        image[at..at + len]
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | usize::from(*byte))
    };
    const PT_LOAD: usize = 1;
    let (table, entry, count) = (word(0x20, 8), word(0x36, 2), word(0x38, 2));
    (0..count)
        .map(|nth| table + nth * entry)
        .filter(|header| word(*header, 4) == PT_LOAD)
        .map(|header| word(header + 8, 8) + word(header + 32, 8))
        .max()
        .expect("an image has something to load")
}
