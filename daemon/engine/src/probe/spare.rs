//! A probe that is started while its plugin is still being copied: starting a program takes about as long as trying a
//! plugin, and needs to know nothing of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use plugind_wire::status::Mode;

use super::child::Started;
use super::program;
use crate::file_limit;

/// How long one may wait for its order. A copy that takes longer starts another.
const PATIENCE: Duration = Duration::from_secs(1);

/// At most one process that waits for its order, and the thread that starts it and that it does not outlive.
pub(crate) struct Spare {
    waiting: Arc<Waiting>,
    wanted: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The process, and what program it is. It is locked while it is started: whoever needs one then waits for this one.
type Waiting = Mutex<Option<(PathBuf, Started)>>;

impl Spare {
    /// None waits yet.
    pub(crate) fn new(mode: Mode) -> io::Result<Self> {
        let waiting = Arc::new(Waiting::default());
        let (wanted, wants) = bounded(1);
        let thread = thread::Builder::new()
            .name("plugind-spare".to_owned())
            .spawn({
                let waiting = Arc::clone(&waiting);
                move || {
                    file_limit::is_an_error_here();
                    keep(&waiting, &wants, mode);
                }
            })?;
        Ok(Self {
            waiting,
            wanted: Some(wanted),
            thread: Some(thread),
        })
    }

    /// One will be needed soon. Does not wait.
    pub(crate) fn prepare(&self) {
        if let Some(wanted) = &self.wanted {
            // One that is not taken in yet asks for the same.
            let _ = wanted.try_send(());
        }
    }

    /// One of this program, if it is there.
    pub(crate) fn take(&self, program: &Path) -> Option<Started> {
        let waiting = lock(&self.waiting).take();
        waiting
            .filter(|(of, _)| of == program)
            .map(|(_, started)| started)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts one when it is wanted and none is there, and ends it when nobody has taken it in time.
fn keep(waiting: &Waiting, wants: &Receiver<()>, mode: Mode) {
    while wants.recv().is_ok() {
        start(&mut lock(waiting), mode);
        while wants.recv_timeout(PATIENCE).is_ok() {
            start(&mut lock(waiting), mode);
        }
        let late = lock(waiting).take();
        // Not under the lock: it is waited for.
        drop(late);
    }
}

fn start(waiting: &mut Option<(PathBuf, Started)>, mode: Mode) {
    if waiting.is_none()
        && let Some(program) = program::candidates(mode).into_iter().next()
    {
        // Whoever needs one and finds none starts one, and tells why that fails.
        *waiting = Started::start(&program, None)
            .ok()
            .map(|started| (program, started));
    }
}

fn lock(waiting: &Waiting) -> MutexGuard<'_, Option<(PathBuf, Started)>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
