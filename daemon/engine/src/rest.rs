//! Adds to an image what is behind its mapped part: debug information and section headers, for debuggers and
//! backtraces. It is most of a debug build, so it has a thread of its own, and nothing that leads to new code waits for
//! it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use plugind_wire::VersionId;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tempfile::TempDir;

use crate::buffers::{Buffer, Buffers};
use crate::file_limit;
use crate::workers::Finished;

/// How long memory is kept after its last use.
const KEPT: Duration = Duration::from_secs(20);
/// How much it stands back behind the other threads, as `nice(1)` counts it. Linux counts it for each thread.
const NICE: i32 = 10;
/// Between two pieces the engine's end is noticed, and whoever removes the file gets a turn.
const PIECE: usize = 256 << 10;

/// What is to be added to a copy.
#[derive(Debug)]
pub(crate) struct Rest {
    file: File,
    from: u64,
    content: Buffer,
}

/// A rest to be added, and what happens then.
pub(crate) struct Addition {
    /// To which version's image.
    pub(crate) version: VersionId,
    /// What.
    pub(crate) rest: Option<Rest>,
    /// The copy then takes the place of an image that lacks its rest.
    pub(crate) mends: Option<Mends>,
}

/// A copy that is to take an image's place.
pub(crate) struct Mends {
    /// The copy's directory.
    pub(crate) made: TempDir,
    /// The copy, below that directory.
    pub(crate) copy: PathBuf,
    /// The image.
    pub(crate) image: PathBuf,
}

impl Rest {
    /// What `content` has behind `from`; `file` ends there.
    pub(crate) fn new(file: File, from: u64, mut content: Buffer) -> Self {
        content.hold();
        Self {
            file,
            from,
            content,
        }
    }

    /// Adds it; false if `ending` was set meanwhile. Without room nothing of it stays.
    fn add(&self, ending: &AtomicBool) -> io::Result<bool> {
        let rest = usize::try_from(self.from).map_or(&[][..], |from| &self.content[from..]);
        for (piece, at) in rest.chunks(PIECE).zip((self.from..).step_by(PIECE)) {
            if ending.load(Ordering::Relaxed) {
                return Ok(false);
            }
            if let Err(error) = self.file.write_all_at(piece, at) {
                self.file.set_len(self.from)?;
                return Err(error);
            }
        }
        Ok(true)
    }
}

impl Addition {
    fn run(self, ending: &AtomicBool) -> io::Result<()> {
        if let Some(rest) = &self.rest
            && !rest.add(ending)?
        {
            return Ok(());
        }
        match self.mends {
            Some(mends) => fs::rename(mends.made.path().join(mends.copy), mends.image),
            None => Ok(()),
        }
    }
}

/// The thread, and what waits for it.
pub(crate) struct Additions {
    to_do: Option<Sender<Addition>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Additions {
    /// Starts the thread.
    pub(crate) fn start(done: Sender<Finished>, buffers: Arc<Buffers>) -> io::Result<Self> {
        // Unbounded, because the engine never waits; what waits is bounded by the copies, which count it.
        let (to_do, additions) = unbounded();
        let ending = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ending);
        let thread = thread::Builder::new()
            .name("plugind-rest".to_owned())
            .spawn(move || work(&additions, &done, &buffers, &flag))?;
        Ok(Self {
            to_do: Some(to_do),
            ending,
            thread: Some(thread),
        })
    }

    /// Takes one.
    pub(crate) fn submit(&self, addition: Addition) {
        if let Some(to_do) = &self.to_do {
            let _ = to_do.send(addition);
        }
    }
}

impl Drop for Additions {
    /// Leaves what is not done: the next start mends it.
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        self.to_do = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(
    additions: &Receiver<Addition>,
    done: &Sender<Finished>,
    buffers: &Buffers,
    ending: &AtomicBool,
) {
    file_limit::is_an_error_here();
    // What leads to new code goes first where processors are few. Where that is forbidden it shares them.
    let _ = setpriority_process(Some(gettid()), NICE);
    loop {
        match additions.recv_timeout(KEPT) {
            Ok(addition) => {
                let version = addition.version.clone();
                let result = addition.run(ending);
                if ending.load(Ordering::Relaxed)
                    || done.send(Finished::Rested(version, result)).is_err()
                {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => buffers.forget_spare(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
