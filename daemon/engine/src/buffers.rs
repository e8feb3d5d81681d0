//! Memory for the content of files, used again and again: fresh pages cost more than the copy into them.
//!
//! Content begins at a page's begin. A large allocation begins 16 bytes behind one, and there the kernel's copy out of
//! the page cache takes six times as long on AMD's Zen (3.4 against 0.5 ms for 4.6 MB), whose `rep movsb` is slow where
//! the target lies a few bytes further into its page than the source.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::size_limit;

/// A page of most systems; of a larger one it is a part, which does as well.
const PAGE: usize = 4096;

/// As many as copies at once.
const SPARE: usize = 2;

/// Spare buffers, and how much is out.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    spare: Mutex<Vec<Vec<u8>>>,
    held: AtomicUsize,
}

impl Buffers {
    /// An empty one.
    pub(crate) fn take(self: &Arc<Self>) -> Buffer {
        Buffer {
            bytes: self.lock().pop().unwrap_or_default(),
            start: 0,
            counted: 0,
            home: Arc::clone(self),
        }
    }

    /// Bytes that wait for somebody, as [`Buffer::hold`] counted them.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Gives the spare memory back: builds come in bursts, and an idle engine is small.
    pub(crate) fn forget_spare(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some bytes; the memory goes back to where it came from.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Where the content begins.
    start: usize,
    counted: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    /// Takes in what is left of a file. If that is more than `expected` bytes, it takes longer.
    pub(crate) fn read(&mut self, file: &File, expected: u64) -> io::Result<()> {
        self.bytes.clear();
        // Some more than the file has, or the read that finds its end would have to make room first.
        let expected = usize::try_from(expected).unwrap_or(usize::MAX);
        self.bytes.try_reserve(expected.saturating_add(2 * PAGE))?;
        self.start = self.bytes.as_ptr().align_offset(PAGE).min(PAGE);
        self.bytes.resize(self.start, 0);
        size_limit::read(file, &mut self.bytes)
    }

    /// Counts the bytes as waiting until the drop.
    pub(crate) fn hold(&mut self) {
        self.counted = self.len();
        self.home.held.fetch_add(self.counted, Ordering::Relaxed);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.held.fetch_sub(self.counted, Ordering::Relaxed);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut spare = self.home.lock();
        if spare.len() < SPARE {
            spare.push(bytes);
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_begins_with_a_page_whatever_was_expected() {
        let path = std::env::temp_dir().join(format!("plugind-buffer-{}", std::process::id()));
        let content: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &content).unwrap();
        let buffers = Arc::new(Buffers::default());
        for expected in [content.len() as u64, 0, 1 << 20] {
            let mut buffer = buffers.take();
            buffer.read(&File::open(&path).unwrap(), expected).unwrap();
            assert!(*buffer == *content, "{expected}");
            let begins = buffer.as_ptr().addr() % PAGE == 0;
            assert!(begins || expected < content.len() as u64);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
