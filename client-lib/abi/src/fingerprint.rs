//! A hash that is the same in every build: FNV-1a with 128 bits (Fowler, Noll, Vo; parameters as in
//! draft-eastlake-fnv), computed at compile time. Not cryptographic: it tells accidents apart, not attacks.

/// A hash under construction.
#[derive(Debug, Clone, Copy)]
pub struct Fingerprint(u128);

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl Fingerprint {
    /// Of nothing.
    #[expect(clippy::new_without_default, reason = "it stands in constants")]
    pub const fn new() -> Self {
        Self(OFFSET)
    }

    /// Folds a text, with its end.
    #[must_use]
    pub const fn text(self, text: &str) -> Self {
        let mut hash = self.number(text.len() as u128).0;
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            hash = step(hash, bytes[i]);
            i += 1;
        }
        Self(hash)
    }

    /// Folds a number: a size, an offset, or another fingerprint.
    #[must_use]
    pub const fn number(self, number: u128) -> Self {
        let bytes = number.to_le_bytes();
        let mut hash = self.0;
        let mut i = 0;
        while i < bytes.len() {
            hash = step(hash, bytes[i]);
            i += 1;
        }
        Self(hash)
    }

    /// The hash.
    pub const fn finish(self) -> u128 {
        self.0
    }
}

const fn step(hash: u128, byte: u8) -> u128 {
    (hash ^ byte as u128).wrapping_mul(PRIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_told_apart() {
        let two = |a, b| Fingerprint::new().text(a).text(b).finish();
        assert_ne!(two("ab", "c"), two("a", "bc"));
        assert_ne!(two("ab", "c"), two("c", "ab"));
    }
}
