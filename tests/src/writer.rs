//! A writer that takes its time.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// What a slow writer sends at once.
pub const CHUNK: usize = 1024;

/// How a slow writer went.
pub struct Pace {
    /// The longest time between the ends of two writes. A machine that is busy elsewhere can hold a writer up for
    /// longer than it meant to pause.
    pub longest_gap: Duration,
}

/// Hands `bytes` to `write` in chunks, each with its offset, and pauses 5 ms before every one but the first.
pub fn write_in_chunks(
    bytes: &[u8],
    mut write: impl FnMut(usize, &[u8]) -> io::Result<()>,
) -> Pace {
    let mut longest_gap = Duration::ZERO;
    let mut last = None;
    for (nth, chunk) in bytes.chunks(CHUNK).enumerate() {
        if nth > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        write(nth * CHUNK, chunk).expect("the slow writer writes");
        let now = Instant::now();
        if let Some(before) = last.replace(now) {
            longest_gap = longest_gap.max(now.duration_since(before));
        }
    }
    Pace { longest_gap }
}
