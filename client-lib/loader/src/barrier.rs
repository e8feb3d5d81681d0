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
