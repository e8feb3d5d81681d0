//! A barrier that costs the reader nothing.
//!
//! A reader writes its own word and then looks at the snapshot; the writer swaps the snapshot and then looks at the
//! words. Each side must not see the other's old value at once, which needs a full barrier on both (Dekker's pattern).
//! `membarrier(2)`, private expedited, lets the rare side issue the barrier for all threads of the process.
//!
//! Where the kernel lacks it both sides fence. macOS and Windows: both sides fence; Windows has
//! `FlushProcessWriteBuffers` for the writer (unwritten).

use std::sync::atomic::{Ordering, compiler_fence, fence};

use rustix::thread::{MembarrierCommand, membarrier};

/// How this process orders its readers' words against its swaps.
#[derive(Debug, Clone, Copy)]
pub struct Barrier {
    expedited: bool,
}

impl Default for Barrier {
    fn default() -> Self {
        Self::new()
    }
}

impl Barrier {
    /// Registers the process with the kernel.
    pub fn new() -> Self {
        Self {
            expedited: membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok(),
        }
    }

    /// The frequent side: between the store to one's own word and the load of the shared value.
    #[inline]
    pub fn light(self) {
        if self.expedited {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// The rare side: between the store of the shared value and the loads of the words.
    ///
    /// # Panics
    ///
    /// If the kernel fails a command for which it registered the process, which `membarrier(2)` excludes: going on
    /// would break the promise of `drained` without a trace.
    pub fn heavy(self) {
        fence(Ordering::SeqCst);
        if self.expedited {
            membarrier(MembarrierCommand::PrivateExpedited)
                .expect("the kernel registered this process for membarrier");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hint;
    use std::sync::atomic::{AtomicU32, AtomicUsize};
    use std::thread;

    use super::*;

    const ROUNDS: usize = 20_000;

    /// On cache lines of its own: the store must be able to linger in one core's buffer.
    #[repr(align(128))]
    #[derive(Default)]
    struct Cell(AtomicU32);

    /// Dekker's pattern, over and over, both sides starting at once. How often did neither see the other's store? On
    /// x86-64 without barriers some 100 times in a run.
    fn both_missed(light: impl Fn() + Sync, heavy: impl Fn() + Sync) -> usize {
        let cells: Vec<_> = (0..ROUNDS)
            .map(|_| (Cell::default(), Cell::default()))
            .collect();
        let arrived = AtomicUsize::new(0);
        let meet = |round: usize| {
            arrived.fetch_add(1, Ordering::SeqCst);
            let mut spins = 0;
            while arrived.load(Ordering::SeqCst) < 2 * (round + 1) {
                spins += 1;
                if spins < 10_000 {
                    hint::spin_loop();
                } else {
                    // The other side waits for a core, perhaps this one.
                    thread::yield_now();
                }
            }
        };
        let side = |mine: fn(&(Cell, Cell)) -> (&Cell, &Cell), between: &dyn Fn()| -> Vec<u32> {
            let look = |(round, pair)| {
                let (mine, other) = mine(pair);
                meet(round);
                mine.0.store(1, Ordering::Relaxed);
                between();
                other.0.load(Ordering::Relaxed)
            };
            cells.iter().enumerate().map(look).collect()
        };
        let (reader, writer) = thread::scope(|scope| {
            let reader = scope.spawn(|| side(|pair| (&pair.0, &pair.1), &light));
            let writer = side(|pair| (&pair.1, &pair.0), &heavy);
            (reader.join().expect("it only stores and loads"), writer)
        });
        let seen = reader.iter().zip(&writer);
        seen.filter(|seen| *seen == (&0, &0)).count()
    }

    #[test]
    fn a_reader_and_a_swap_never_miss_each_other() {
        let barrier = Barrier::new();
        assert_eq!(both_missed(|| barrier.light(), || barrier.heavy()), 0);
        let fences = Barrier { expedited: false };
        assert_eq!(both_missed(|| fences.light(), || fences.heavy()), 0);
    }
}
