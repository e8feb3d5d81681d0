//! Memory for the content of files, used again and again: fresh pages cost more than the copy into them.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    counted: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    /// Counts the bytes as waiting until the drop.
    pub(crate) fn hold(&mut self) {
        self.counted = self.bytes.len();
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
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}
