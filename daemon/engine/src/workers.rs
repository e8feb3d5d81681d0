//! Threads for what takes longer than a look: copying, inspecting, probing.
//!
//! A job's result comes back as a message; jobs wait in the engine's own queue, so handing one over never blocks.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use plugind_wire::event::Stage;
use plugind_wire::{Digest, VersionId, sentence};

use crate::inspect::{Inspected, inspect};
use crate::needed;
use crate::probe::{Probed, probe};
use crate::settle::Settled;
use crate::stage::{Copying, StageError, Staged, copy, revive};

/// Two jobs at once: a small plugin does not wait for one large copy.
const THREADS: usize = 2;
/// How long a thread keeps the memory of its last copy: builds come in bursts, and an idle engine is small.
const KEPT: Duration = Duration::from_secs(20);

/// Something to do.
pub(crate) enum Job {
    /// Copy a settled artifact into the store.
    Copy {
        /// Comes back in the result.
        source: Source,
        /// What to copy.
        settled: Settled,
        /// The store.
        store: PathBuf,
    },
    /// Decide about a staged version.
    Examine {
        /// Which.
        staged: Box<Staged>,
        /// False leaves it inspected: a raw plugin nobody has asked for yet.
        probe: bool,
        /// The store.
        store: PathBuf,
    },
    /// Take a version whose examination stopped at the probe through all of it.
    ExamineAgain {
        /// Which.
        version: VersionId,
        /// Its content.
        digest: Digest,
        /// The image in the store.
        image: PathBuf,
        /// What it is a copy of.
        artifact: PathBuf,
    },
}

/// Where a copy came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A watched artifact. Those found at the start carry their place in the order of their age.
    Watched {
        /// The artifact.
        path: PathBuf,
        /// Its lane.
        lane: String,
        /// Its place among those found at the start.
        turn: Option<usize>,
    },
    /// A file that a client asked for by path.
    Opened {
        /// The file.
        path: PathBuf,
    },
}

/// What became of a job.
pub(crate) enum Finished {
    /// Of a copy.
    Copied(Source, Result<Copying, StageError>),
    /// Of an examination that ended before the probe.
    Inspected(Box<Inspected>),
    /// Of a whole examination.
    Probed(Box<Probed>),
    /// Of an examination that found a reason.
    Rejected(Box<Rejected>),
}

/// A version that was turned down.
pub(crate) struct Rejected {
    /// Which.
    pub(crate) version: VersionId,
    /// Where.
    pub(crate) stage: Stage,
    /// Why.
    pub(crate) reason: String,
}

/// The threads and what waits for them.
pub(crate) struct Workers {
    jobs: Option<Sender<Job>>,
    finished: Receiver<Finished>,
    queue: VecDeque<Job>,
    running: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts the threads.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (jobs, to_do) = bounded(THREADS);
        let (done, finished) = bounded(THREADS);
        let threads = (0..THREADS)
            .map(|i| {
                let (to_do, done): (Receiver<Job>, Sender<Finished>) =
                    (to_do.clone(), done.clone());
                thread::Builder::new()
                    .name(format!("plugind-stage-{i}"))
                    .spawn(move || work(&to_do, &done))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            jobs: Some(jobs),
            finished,
            queue: VecDeque::new(),
            running: 0,
            threads,
        })
    }

    /// Takes a job; it starts as soon as a thread is free.
    pub(crate) fn submit(&mut self, job: Job) {
        self.queue.push_back(job);
        self.pump();
    }

    /// The channel of results; each goes through [`Workers::finish`].
    pub(crate) fn finished(&self) -> &Receiver<Finished> {
        &self.finished
    }

    /// Says that one result was taken.
    pub(crate) fn finish(&mut self) {
        self.running -= 1;
        self.pump();
    }

    fn pump(&mut self) {
        let Some(jobs) = &self.jobs else { return };
        while self.running < THREADS
            && let Some(job) = self.queue.pop_front()
        {
            // The channel holds as many as there are threads, so this does not block.
            if jobs.send(job).is_ok() {
                self.running += 1;
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        // A thread may be about to hand over a result that nobody takes any more.
        let (_, nothing) = bounded(0);
        self.finished = nothing;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Runs jobs until there will be none.
fn work(to_do: &Receiver<Job>, done: &Sender<Finished>) {
    let mut bytes = Vec::new();
    loop {
        let job = if bytes.capacity() == 0 {
            to_do.recv().ok()
        } else {
            match to_do.recv_timeout(KEPT) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Disconnected) => None,
                Err(RecvTimeoutError::Timeout) => {
                    bytes = Vec::new();
                    continue;
                }
            }
        };
        let Some(job) = job else { return };
        if done.send(run(job, &mut bytes)).is_err() {
            return;
        }
    }
}

/// Runs a job. Its input is untrusted; a defect in its reading ends the job and not the thread.
fn run(job: Job, bytes: &mut Vec<u8>) -> Finished {
    match job {
        Job::Copy {
            source,
            settled,
            store,
        } => {
            let copied = catch_unwind(AssertUnwindSafe(|| copy(settled, &store, bytes)));
            Finished::Copied(source, copied.unwrap_or(Err(StageError::Panicked)))
        }
        Job::Examine {
            staged,
            probe,
            store,
        } => {
            let version = staged.version.clone();
            guarded(version, || examine(link_needed(*staged, &store)?, probe))
        }
        Job::ExamineAgain {
            version,
            digest,
            image,
            artifact,
        } => guarded(version.clone(), || {
            examine(revive(version, digest, image, artifact), true)
        }),
    }
}

type Examined = Result<Finished, Box<Rejected>>;

fn guarded(version: VersionId, examine: impl FnOnce() -> Examined) -> Finished {
    catch_unwind(AssertUnwindSafe(examine))
        .unwrap_or_else(|_| {
            Err(Box::new(Rejected {
                version,
                stage: Stage::Inspect,
                reason: "plugind panicked over it; please report this, with the file".to_owned(),
            }))
        })
        .unwrap_or_else(Finished::Rejected)
}

fn link_needed(mut staged: Staged, store: &Path) -> Result<Staged, Box<Rejected>> {
    if let (Ok(elf), Some(dir)) = (&staged.elf, staged.image.parent()) {
        staged.needed = needed::link(elf, &staged.artifact, dir, &staged.own, store)
            .map_err(|error| reject(&staged, Stage::Stage, &error))?;
    }
    Ok(staged)
}

fn examine(staged: Staged, wanted: bool) -> Examined {
    match inspect(staged) {
        Ok(inspected) if wanted => Ok(Finished::Probed(Box::new(probe(inspected)))),
        Ok(inspected) => Ok(Finished::Inspected(Box::new(inspected))),
        Err(rejected) => {
            let (staged, error) = *rejected;
            Err(reject(&staged, Stage::Inspect, &error))
        }
    }
}

fn reject(staged: &Staged, stage: Stage, error: &dyn std::error::Error) -> Box<Rejected> {
    Box::new(Rejected {
        version: staged.version.clone(),
        stage,
        reason: sentence(error),
    })
}
