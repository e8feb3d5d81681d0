//! Tries a version in a process that may die, and lets through what opens there and registers what its notes declare.
//!
//! The process is `plugind`, or the program that embeds the engine, started again: it gives up what it can, opens the
//! image by the same code as a client, and says what came of it. A plugin that crashes, hangs, exits or does what no
//! constructor should do does so there, and is rejected with how far it came, how it ended and what it wrote. A process
//! that is started anew shares nothing with this one: no descriptor, no lock that another thread holds.
//!
//! It finds broken plugins. A hostile one can behave until it is let through.

mod child;
mod confine;
mod entry;
mod failure;
mod file;
#[cfg(test)]
mod fuzz;
mod library_path;
mod message;
mod output;
mod program;
mod spare;

use std::io::{self, PipeReader};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plugind_wire::probe::{Cause, Confinement, Level, Phase};
use plugind_wire::status::Mode;

use crate::inspect::Inspected;
use crate::json_file::WriteError;
use crate::options::{ProbeOptions, Trials};
use crate::quarantine::{Kept, Quarantine, Record};

use self::child::{Ending, Started};
use self::failure::{Verdict, judge};
use self::message::{Generation, Order};
use self::spare::Spare;

pub(crate) use self::failure::Failure;

pub use self::entry::probe_entry;
pub use self::file::{abandon_probe, probe_file};

/// A version that may be announced.
#[derive(Debug)]
pub(crate) struct Probed {
    /// The version.
    pub(crate) inspected: Inspected,
    /// What is known of its behaviour.
    pub(crate) tried: Tried,
    /// How long that took.
    pub(crate) probe: Duration,
    /// When it was done.
    pub(crate) done: Instant,
}

/// What is known of a version's behaviour.
#[derive(Debug)]
pub(crate) enum Tried {
    /// It behaved, in a process that had given up so much.
    Passed(Level),
    /// Nothing: why.
    NotProbed(String),
}

/// A version that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The version.
    pub(crate) inspected: Inspected,
    /// What it did.
    pub(crate) failure: Failure,
    /// How long that took.
    pub(crate) probe: Duration,
    /// What is remembered of it.
    pub(crate) memory: Memory,
}

/// What the quarantine has of a version that failed.
#[derive(Debug)]
pub(crate) enum Memory {
    /// It failed before, and was not tried now.
    Known(Timestamp),
    /// It failed now.
    New(Kept),
    /// Nothing, because what it failed by may be gone the next time.
    Nothing,
    /// Nothing, because it could not be written.
    Lost(WriteError),
}

/// What all probes of an engine have in common.
pub(crate) struct Prober {
    mode: Mode,
    trials: Trials,
    /// Nothing where every probe is asked for by hand.
    quarantine: Option<Arc<Quarantine>>,
    /// Becomes readable when the engine ends.
    stop: Option<PipeReader>,
    /// Nothing where nobody says that a probe will be needed soon.
    spare: Option<Spare>,
}

impl Prober {
    /// Probes for an engine, which end early when the other end of `stop` does.
    pub(crate) fn new(
        mode: Mode,
        trials: Trials,
        quarantine: Arc<Quarantine>,
        stop: PipeReader,
    ) -> io::Result<Self> {
        Ok(Self {
            mode,
            trials,
            quarantine: Some(quarantine),
            stop: Some(stop),
            spare: Some(Spare::new(mode)?),
        })
    }

    /// One probe that is asked for by hand.
    pub(crate) fn once(options: ProbeOptions) -> Self {
        Self {
            mode: Mode::Daemon,
            trials: Trials::all(options),
            quarantine: None,
            stop: None,
            spare: None,
        }
    }

    /// A version will be tried soon, of a plugin that is not known yet.
    pub(crate) fn prepare(&self) {
        let general = self.trials.of("");
        if let Some(spare) = &self.spare
            && general.confinement != Confinement::Off
        {
            spare.prepare();
        }
    }

    /// Tries a version, unless it is known to fail. Nothing of it runs anywhere else.
    pub(crate) fn probe(&self, inspected: Inspected) -> Result<Probed, Box<Failed>> {
        let inspected = self.unknown(inspected)?;
        let started = Instant::now();
        let tried = self.attempt(&inspected);
        let done = Instant::now();
        let probe = done - started;
        match tried {
            Ok(tried) => {
                if matches!(tried, Tried::Passed(_)) {
                    self.release(&inspected);
                }
                Ok(Probed {
                    inspected,
                    tried,
                    probe,
                    done,
                })
            }
            Err(failure) => Err(Box::new(Failed {
                memory: self.keep(&inspected, &failure),
                inspected,
                failure: *failure,
                probe,
            })),
        }
    }

    /// Lets through what is not known to fail.
    pub(crate) fn unknown(&self, inspected: Inspected) -> Result<Inspected, Box<Failed>> {
        let quarantine = self.quarantine.as_ref();
        let record = quarantine.and_then(|all| all.find(&inspected.staged.digest));
        let options = self.options(&inspected);
        match record.filter(|record| record.counts(&inspected, &options)) {
            None => Ok(inspected),
            Some(record) => Err(Box::new(Failed {
                inspected,
                memory: Memory::Known(record.since),
                failure: remembered(record),
                probe: Duration::ZERO,
            })),
        }
    }

    fn keep(&self, inspected: &Inspected, failure: &Failure) -> Memory {
        let Some(quarantine) = &self.quarantine else {
            return Memory::Nothing;
        };
        match quarantine.keep(inspected, &self.options(inspected), failure) {
            Ok(Some(kept)) => Memory::New(kept),
            Ok(None) => Memory::Nothing,
            Err(error) => Memory::Lost(error),
        }
    }

    /// What passed now failed under other conditions.
    fn release(&self, inspected: &Inspected) {
        if let Some(quarantine) = &self.quarantine
            && let Err(error) = quarantine.forget(&inspected.staged.digest)
        {
            tracing::warn!(%error, version = %inspected.staged.version, "what passed stays in quarantine");
        }
    }

    fn attempt(&self, inspected: &Inspected) -> Result<Tried, Box<Failure>> {
        let options = self.options(inspected);
        if options.confinement == Confinement::Off {
            return Ok(Tried::NotProbed("its probe is switched off".to_owned()));
        }
        let order = order(inspected, &options);
        let mut useless = Vec::new();
        for program in program::candidates(self.mode) {
            match self.ask(&program, &order, inspected, options.timeout) {
                Ok(ending) => match judge(&ending, options.timeout) {
                    Verdict::Passed(level) => return Ok(Tried::Passed(level)),
                    Verdict::Failed(failure) => return Err(failure),
                    Verdict::NoProbe(why) => useless.push(format!("{} {why}", program.display())),
                },
                // Another program may do.
                Err(error) if is_about_program(&error) => {
                    useless.push(format!("{} cannot be started ({error})", program.display()));
                }
                Err(error) => return Err(Box::new(not_started(&error))),
            }
        }
        Ok(Tried::NotProbed(program::nobody(&useless)))
    }

    fn options(&self, inspected: &Inspected) -> ProbeOptions {
        self.trials.of(&inspected.staged.version.plugin)
    }

    fn ask(
        &self,
        program: &Path,
        order: &Order,
        inspected: &Inspected,
        deadline: Duration,
    ) -> io::Result<Ending> {
        let library_path = library_path::for_image(inspected);
        let spare = self.spare.as_ref().filter(|_| library_path.is_none());
        if let Some(started) = spare.and_then(|spare| spare.take(program)) {
            let ending = started.run(order, deadline, self.stop.as_ref())?;
            // Somebody may have ended it while it waited, which says nothing of the plugin.
            if !ending.is_before_the_image() {
                return Ok(ending);
            }
        }
        let started = Started::start(program, library_path.as_deref())?;
        started.run(order, deadline, self.stop.as_ref())
    }
}

/// How a version failed before. What it wrote then is not kept.
fn remembered(record: Record) -> Failure {
    Failure {
        phase: record.phase,
        cause: record.cause,
        reason: record.reason,
        level: record.level,
        output: None,
    }
}

fn order(inspected: &Inspected, options: &ProbeOptions) -> Order {
    Order {
        generation: Generation::THIS,
        parent: std::process::id(),
        image: inspected.staged.image.clone(),
        mapped: inspected.staged.mapped,
        confinement: options.confinement,
        processor_seconds: processor_seconds(options.timeout),
    }
}

/// One more than the deadline allows one thread: then it counts only where nobody is left to keep that.
fn processor_seconds(deadline: Duration) -> u64 {
    deadline.as_secs().saturating_add(1)
}

/// Whether an error is the program's and not the system's.
fn is_about_program(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ExecutableFileBusy, IsADirectory, NotADirectory, NotFound, PermissionDenied,
    };
    let kinds = [
        ExecutableFileBusy,
        IsADirectory,
        NotADirectory,
        NotFound,
        PermissionDenied,
    ];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(libc::ENOEXEC)
}

fn not_started(error: &io::Error) -> Failure {
    Failure {
        phase: Phase::Spawn,
        cause: Cause::Surroundings,
        reason: format!(
            "its probe cannot be started: {error}; free descriptors, processes or memory, and build it again"
        ),
        level: None,
        output: None,
    }
}
