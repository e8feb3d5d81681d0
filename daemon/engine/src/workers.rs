//! Threads for what takes longer than a look: copying, inspecting, probing.
//!
//! Results come back as messages; what is to do waits in the engine's own queues, so handing it over never blocks.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use plugind_wire::event::Stage;
use plugind_wire::status::Mode;
use plugind_wire::{VersionId, sentence};

use crate::buffers::Buffers;
use crate::diff::KeptNotes;
use crate::differences::of_contract;
use crate::expectation::Expectation;
use crate::file_limit;
use crate::inspect::{InspectError, Inspected, contract_names, inspect};
use crate::needed;
use crate::options::Trials;
use crate::probe::{Failed, Probed, Prober};
use crate::quarantine::Quarantine;
use crate::rejected::Rejected;
use crate::rest::{Addition, Additions};
use crate::settle::Settled;
use crate::stage::{Copying, Known, StageError, Staged, copy, revive};
use crate::trust::Trust;

/// Two of each kind at once: a small plugin does not wait for one large copy.
const THREADS: usize = 2;

/// A settled artifact to copy into the store.
pub(crate) struct Copy {
    /// Comes back in the result.
    pub(crate) source: Source,
    /// What to copy.
    pub(crate) settled: Settled,
    /// The store.
    pub(crate) store: PathBuf,
    /// It will hardly be a version: it is made to be sure.
    pub(crate) confirming: bool,
}

/// A version to decide about.
pub(crate) enum Examination {
    /// One that has just been staged.
    Staged {
        /// Which.
        staged: Box<Staged>,
        /// False leaves it inspected: a raw plugin nobody has asked for yet.
        probe: bool,
        /// The store.
        store: PathBuf,
        /// What connected programs require of the plugin.
        expected: Vec<Expectation>,
    },
    /// One whose examination stopped at the probe; it goes through all of it.
    Known(Known, Vec<Expectation>),
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
    /// Of adding the rest to a version's image.
    Rested(VersionId, io::Result<()>),
    /// Of an examination that ended before the probe.
    Inspected(Box<Inspected>),
    /// Of a whole examination.
    Probed(Box<Probed>),
    /// Of a version that failed in the probe.
    Failed(Box<Failed>),
    /// Of an examination that found a reason before.
    Rejected(Box<Rejected>),
}

/// The threads and what waits for them. What is copied next does not wait for an examination, nor either for a rest.
pub(crate) struct Workers {
    copying: Pool<Copy>,
    examining: Pool<Examination>,
    additions: Additions,
    finished: Receiver<Finished>,
    /// Nothing is ever written to it: its end is what ends running probes.
    probing: Option<PipeWriter>,
}

impl Workers {
    /// Starts the threads.
    pub(crate) fn start(
        mode: Mode,
        trials: Trials,
        trust: Arc<Trust>,
        quarantine: Arc<Quarantine>,
    ) -> io::Result<Self> {
        let (stop, probing) = io::pipe()?;
        let prober = Arc::new(Prober::new(mode, trials, quarantine, stop)?);
        let (done, finished) = bounded(4 * THREADS);
        let buffers = Arc::new(Buffers::default());
        let (shared, copied_with) = (Arc::clone(&buffers), Arc::clone(&trust));
        let tries = Arc::clone(&prober);
        Ok(Self {
            copying: Pool::start("stage", &done, move |to_do, done| {
                copy_all(to_do, done, &copied_with, &shared, &tries);
            })?,
            examining: Pool::start("examine", &done, move |to_do, done| {
                examine_all(to_do, done, &trust, &prober);
            })?,
            additions: Additions::start(done, buffers)?,
            finished,
            probing: Some(probing),
        })
    }

    /// Takes a copy; it starts as soon as a thread is free.
    pub(crate) fn copy(&mut self, copy: Copy) {
        self.copying.submit(copy);
    }

    /// Takes an examination; it starts as soon as a thread is free.
    pub(crate) fn examine(&mut self, examination: Examination) {
        self.examining.submit(examination);
    }

    /// Takes a rest; it is added when those before it are.
    pub(crate) fn add(&self, addition: Addition) {
        self.additions.submit(addition);
    }

    /// The channel of results; each goes through [`Workers::finish`].
    pub(crate) fn finished(&self) -> &Receiver<Finished> {
        &self.finished
    }

    /// Says that one result was taken.
    pub(crate) fn finish(&mut self, finished: &Finished) {
        match finished {
            Finished::Copied(..) => self.copying.finish(),
            Finished::Rested(..) => {}
            Finished::Inspected(_)
            | Finished::Probed(_)
            | Finished::Failed(_)
            | Finished::Rejected(_) => {
                self.examining.finish();
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // A thread may be about to hand over a result that nobody takes any more.
        let (_, nothing) = bounded(0);
        self.finished = nothing;
        // And one may wait for a plugin that never ends.
        self.probing = None;
    }
}

/// Threads of one kind. Dropping it waits for them, so whoever takes their results goes first.
struct Pool<J> {
    jobs: Option<Sender<J>>,
    queue: VecDeque<J>,
    running: usize,
    threads: Vec<JoinHandle<()>>,
}

impl<J: Send + 'static> Pool<J> {
    fn start(
        name: &str,
        done: &Sender<Finished>,
        work: impl Fn(&Receiver<J>, &Sender<Finished>) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, to_do) = bounded(THREADS);
        let threads = (0..THREADS)
            .map(|i| {
                let (to_do, done): (Receiver<J>, Sender<Finished>) = (to_do.clone(), done.clone());
                let work = work.clone();
                thread::Builder::new()
                    .name(format!("plugind-{name}-{i}"))
                    .spawn(move || {
                        file_limit::is_an_error_here();
                        work(&to_do, &done);
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            jobs: Some(jobs),
            queue: VecDeque::new(),
            running: 0,
            threads,
        })
    }

    fn submit(&mut self, job: J) {
        self.queue.push_back(job);
        self.pump();
    }

    fn finish(&mut self) {
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

impl<J> Drop for Pool<J> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Copies until there will be nothing to copy.
fn copy_all(
    to_do: &Receiver<Copy>,
    done: &Sender<Finished>,
    trust: &Trust,
    buffers: &Arc<Buffers>,
    prober: &Prober,
) {
    for job in to_do {
        if !job.confirming {
            prober.prepare();
        }
        let copied = catch_unwind(AssertUnwindSafe(|| {
            copy(job.settled, &job.store, &trust.signers, buffers)
        }));
        let result = copied.unwrap_or(Err(StageError::Panicked));
        if done.send(Finished::Copied(job.source, result)).is_err() {
            return;
        }
    }
}

/// Examines until there will be nothing to examine.
fn examine_all(
    to_do: &Receiver<Examination>,
    done: &Sender<Finished>,
    trust: &Trust,
    prober: &Prober,
) {
    for examination in to_do {
        if done.send(run(examination, trust, prober)).is_err() {
            return;
        }
    }
}

/// Runs an examination. Its input is untrusted; a defect in its reading ends the job and not the thread.
fn run(examination: Examination, trust: &Trust, prober: &Prober) -> Finished {
    match examination {
        Examination::Staged {
            staged,
            probe,
            store,
            expected,
        } => {
            let version = staged.version.clone();
            guarded(version, || {
                let staged = link_needed(*staged, &store, trust)?;
                examine(staged, &expected, prober, probe)
            })
        }
        Examination::Known(known, expected) => {
            let version = known.version.clone();
            guarded(version.clone(), || {
                let revived = revive(known).map_err(|error| {
                    let (stage, reason) = (Stage::Inspect, sentence(&error));
                    Box::new(Rejected::new(version, stage, reason))
                })?;
                examine(revived, &expected, prober, true)
            })
        }
    }
}

type Examined = Result<Finished, Box<Rejected>>;

fn guarded(version: VersionId, examine: impl FnOnce() -> Examined) -> Finished {
    catch_unwind(AssertUnwindSafe(examine))
        .unwrap_or_else(|_| {
            let reason = "plugind panicked over it; please report this, with the file";
            Err(Box::new(Rejected::new(
                version,
                Stage::Inspect,
                reason.to_owned(),
            )))
        })
        .unwrap_or_else(Finished::Rejected)
}

fn link_needed(mut staged: Staged, store: &Path, trust: &Trust) -> Result<Staged, Box<Rejected>> {
    if let (Ok(elf), Some(dir)) = (&staged.elf, staged.image.parent()) {
        let of = (trust, &*staged.version.plugin);
        staged.needed = needed::link(elf, &staged.artifact, dir, &staged.own, store, of)
            .map_err(|error| Box::new(reject(&staged, error.stage(), &error)))?;
    }
    Ok(staged)
}

/// Without `probe` it ends before the probe, as far as that knows nothing of it.
fn examine(staged: Staged, expected: &[Expectation], prober: &Prober, probe: bool) -> Examined {
    let inspected = match inspect(staged, expected) {
        Ok(inspected) => inspected,
        Err(rejected) => {
            let (staged, error) = *rejected;
            let mut rejected = reject(&staged, Stage::Inspect, &error);
            if let InspectError::Misfit { misfit, .. } = &error {
                rejected.misfit = true;
                rejected.differences = of_contract(&misfit.contract, &misfit.differences);
            }
            return Err(Box::new(rejected));
        }
    };
    if !probe {
        return Ok(match prober.unknown(inspected) {
            Ok(inspected) => Finished::Inspected(Box::new(inspected)),
            Err(failed) => Finished::Failed(failed),
        });
    }
    Ok(match prober.probe(inspected) {
        Ok(probed) => Finished::Probed(Box::new(probed)),
        Err(failed) => Finished::Failed(failed),
    })
}

fn reject(staged: &Staged, stage: Stage, error: &dyn std::error::Error) -> Rejected {
    let elf = staged.elf.as_ref().ok();
    Rejected {
        contracts: elf.map(contract_names).unwrap_or_default(),
        notes: elf.and_then(KeptNotes::of),
        ..Rejected::new(staged.version.clone(), stage, sentence(error))
    }
}
