//! One thread's view of the snapshot.
//!
//! Each reader has a **word** of its own: idle, or inside a frame and on which snapshot. Entering and leaving are plain
//! stores to that word; there is no counter that readers share. The loader thread swaps the snapshot, says its epoch,
//! issues a barrier for the whole process (see [`Barrier`]), and then reads the words. Entering stores the word and then
//! looks at the newest epoch: a reader that looks idle to the loader thread can only enter the new snapshot, and one that
//! is inside an older one is seen.
//!
//! No reader looks at a clock. One that is behind a version has been inside since before that version became current,
//! because from then on nobody could enter an older one; and when that was the loader thread knows.
//!
//! A reader speaks up by itself in two rare cases: when it finds a new snapshot, and when it leaves a frame that the
//! loader thread is waiting for.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use plugind_loader::{Barrier, this_thread};

use crate::plugin::Plugin;
use crate::snapshot::{Snapshot, SymbolTable};

/// The snapshot, the words, and the way to wake the loader thread.
pub(crate) struct Readers {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    newest: Newest,
    words: Mutex<Vec<Weak<Word>>>,
    barrier: Barrier,
    wake: Sender<()>,
    pub(crate) woken: Receiver<()>,
}

/// The epoch of the newest snapshot, stored after it. On cache lines of its own, which change at a swap only.
#[repr(align(128))]
struct Newest(AtomicU64);

/// What one reader says of itself. On cache lines of its own, so that readers do not slow each other.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Word {
    /// [`IDLE`], or the epoch of the snapshot that the reader is inside of. While it enters, an older one may stand
    /// here, never a newer one.
    inside: AtomicU64,
    /// The newest epoch it has entered.
    entered: AtomicU64,
    /// The loader thread waits for it to leave.
    awaited: AtomicBool,
    /// The thread that was seen with it last.
    thread: AtomicU32,
    /// The only plugin that it speaks for; none for a reader of all.
    slot: Option<usize>,
}

/// No snapshot has this epoch.
const IDLE: u64 = 0;

/// What the loader thread sees of all readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How many readers there are.
    pub(crate) readers: u32,
    /// How many have entered this epoch or a newer one.
    pub(crate) entered: u32,
    /// How many are inside an older one.
    pub(crate) behind: u32,
    /// Of these, how many are instances of the plugin.
    pub(crate) instances_behind: u32,
}

/// Where one reader stands, in its own word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stand {
    /// The thread that was seen with it last.
    pub(crate) thread: u32,
    /// The only plugin that it speaks for.
    pub(crate) slot: Option<usize>,
    /// The epoch of the snapshot that it is inside of.
    pub(crate) inside: Option<u64>,
}

impl Readers {
    pub(crate) fn new() -> Self {
        let (wake, woken) = bounded(1);
        let first = Snapshot::default();
        Self {
            newest: Newest(AtomicU64::new(first.epoch)),
            snapshot: ArcSwap::from_pointee(first),
            words: Mutex::default(),
            barrier: Barrier::new(),
            wake,
            woken,
        }
    }

    /// Stores a snapshot; when this returns, a reader that is idle can only enter this one or a newer one.
    pub(crate) fn swap(&self, snapshot: Snapshot) {
        let epoch = snapshot.epoch;
        self.snapshot.store(Arc::new(snapshot));
        // Release: who sees the epoch finds the snapshot.
        self.newest.0.store(epoch, Ordering::Release);
        self.barrier.heavy();
    }

    /// The epoch of the newest snapshot, or of the one before while it is being swapped.
    #[inline]
    pub(crate) fn newest(&self) -> u64 {
        self.newest.0.load(Ordering::Acquire)
    }

    /// Looks at the words of the readers that speak for the plugin in this slot. Readers that are behind will wake the
    /// loader thread when they are not any more.
    pub(crate) fn look(&self, slot: usize, epoch: u64) -> Seen {
        let mut seen = self.count(slot, epoch, true);
        if seen.behind > 0 {
            // Either the reader sees that it is awaited, or its leaving is seen here.
            self.barrier.heavy();
            seen = self.count(slot, epoch, false);
        }
        seen
    }

    fn count(&self, slot: usize, epoch: u64, mark: bool) -> Seen {
        let mut seen = Seen {
            readers: 0,
            entered: 0,
            behind: 0,
            instances_behind: 0,
        };
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.retain(|word| {
            let Some(word) = word.upgrade() else {
                return false;
            };
            if word.slot.is_some_and(|own| own != slot) {
                return true;
            }
            seen.readers += 1;
            // Acquire: what the reader did inside happened before it is seen outside.
            let inside = word.inside.load(Ordering::Acquire);
            if inside != IDLE && inside < epoch {
                seen.behind += 1;
                seen.instances_behind += u32::from(word.slot.is_some());
                if mark {
                    word.awaited.store(true, Ordering::Relaxed);
                }
            }
            if word.entered.load(Ordering::Relaxed) >= epoch {
                seen.entered += 1;
            }
            true
        });
        seen
    }

    /// Where every reader stands, in the order in which they were made.
    pub(crate) fn stands(&self) -> Vec<Stand> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let words = words.iter().filter_map(Weak::upgrade);
        let stand = |word: Arc<Word>| Stand {
            thread: word.thread.load(Ordering::Relaxed),
            slot: word.slot,
            inside: Some(word.inside.load(Ordering::Acquire)).filter(|inside| *inside != IDLE),
        };
        words.map(stand).collect()
    }

    fn wake(&self) {
        // Full means that the loader thread will look anyway.
        let _ = self.wake.try_send(());
    }
}

/// One thread's view of all plugins. Make one per thread; it may be moved to another.
pub struct Reader {
    readers: Arc<Readers>,
    barrier: Barrier,
    /// What is entered if there is nothing newer.
    current: Arc<Snapshot>,
    /// The newest epoch it has entered, as its word says.
    entered: u64,
    word: Arc<Word>,
}

impl Reader {
    /// A reader of all plugins, or of the one in `slot`.
    pub(crate) fn new(readers: Arc<Readers>, slot: Option<usize>) -> Self {
        let word = Arc::new(Word {
            slot,
            thread: AtomicU32::new(this_thread()),
            ..Word::default()
        });
        let mut words = readers.words.lock().unwrap_or_else(PoisonError::into_inner);
        // Readers that came and went while nothing was swapped leave no trace.
        if words.len() == words.capacity() {
            words.retain(|word| word.strong_count() > 0);
        }
        words.push(Arc::downgrade(&word));
        drop(words);
        let current = readers.snapshot.load_full();
        // There is one reader more to count.
        readers.wake();
        Self {
            barrier: readers.barrier,
            readers,
            current,
            entered: IDLE,
            word,
        }
    }

    /// Takes the newest snapshot and stays on it until the frame is dropped: one version of every plugin.
    ///
    /// Never waits and never frees a snapshot or a version.
    #[inline]
    pub fn enter(&mut self) -> Frame<'_> {
        // First the word, with what is entered at worst, then the look: see the module's text.
        self.word
            .inside
            .store(self.current.epoch, Ordering::Relaxed);
        self.barrier.light();
        if self.readers.newest() > self.entered {
            self.enter_newest();
        }
        Frame {
            reader: self,
            here: PhantomData,
        }
    }

    /// The rare side of [`Reader::enter`]: there is a snapshot that is new to this reader.
    #[cold]
    #[inline(never)]
    fn enter_newest(&mut self) {
        self.current = self.readers.snapshot.load_full();
        self.entered_anew();
    }

    fn entered_anew(&mut self) {
        let epoch = self.current.epoch;
        self.entered = epoch;
        self.is_here();
        self.word.inside.store(epoch, Ordering::Release);
        self.word.entered.store(epoch, Ordering::Release);
        self.readers.wake();
    }
}

impl Reader {
    /// Enters the newest snapshot and stays, until [`Reader::stay_on`] another one or the reader's end.
    pub(crate) fn stay(&mut self) -> Arc<Snapshot> {
        // Leaving the frame without its drop leaves the word as it is: inside.
        std::mem::forget(self.enter());
        Arc::clone(&self.current)
    }

    /// It is with this thread now.
    pub(crate) fn is_here(&self) {
        self.word.thread.store(this_thread(), Ordering::Relaxed);
    }

    /// Becomes idle.
    #[inline]
    pub(crate) fn leave(&mut self) {
        let word = &*self.word;
        // Release: what was done inside is done before it is seen outside.
        word.inside.store(IDLE, Ordering::Release);
        self.barrier.light();
        if word.awaited.load(Ordering::Relaxed) {
            self.was_awaited();
        }
    }

    /// The rare side of [`Reader::leave`].
    #[cold]
    #[inline(never)]
    fn was_awaited(&self) {
        self.word.awaited.store(false, Ordering::Relaxed);
        self.readers.wake();
    }

    /// The plugin's version in the snapshot that was entered last.
    #[inline]
    pub(crate) fn table<'a>(&'a self, plugin: &'a Plugin) -> &'a Arc<SymbolTable> {
        assert!(
            Arc::ptr_eq(&self.readers, &plugin.readers),
            "the plugin belongs to another client than the reader"
        );
        plugin.table_in(&self.current)
    }

    /// Moves on to a snapshot without being idle in between.
    pub(crate) fn stay_on(&mut self, snapshot: &Arc<Snapshot>) {
        if self.current.epoch == snapshot.epoch {
            return;
        }
        self.current = Arc::clone(snapshot);
        self.entered_anew();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A reader that stayed is idle only now; the loader thread may look before the word is gone.
        self.word.inside.store(IDLE, Ordering::Release);
        // There is one reader less to count.
        self.readers.wake();
    }
}

/// A stay on one snapshot, such as a frame of a game or a request of a service. Dropping it makes the reader idle.
pub struct Frame<'reader> {
    reader: &'reader mut Reader,
    /// The word says where this thread is, so the frame stays on it.
    here: PhantomData<*const ()>,
}

impl Frame<'_> {
    /// The plugin's version in this frame.
    ///
    /// A plugin that was first asked for after the frame began is given in its first version.
    ///
    /// # Panics
    ///
    /// If the plugin is another client's.
    #[inline]
    pub fn table<'a>(&'a self, plugin: &'a Plugin) -> &'a Arc<SymbolTable> {
        self.reader.table(plugin)
    }
}

impl Drop for Frame<'_> {
    #[inline]
    fn drop(&mut self) {
        self.reader.leave();
    }
}
