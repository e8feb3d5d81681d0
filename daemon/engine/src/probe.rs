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
mod library_path;
mod message;
mod output;
mod program;

use std::io::{self, PipeReader};
use std::path::Path;
use std::time::{Duration, Instant};

use plugind_wire::probe::{Confinement, Level, Phase};
use plugind_wire::status::Mode;

use crate::inspect::Inspected;
use crate::options::ProbeOptions;

use self::child::{Ending, Setting};
use self::failure::{Failure, Verdict, judge};
use self::message::{Generation, Identity, Order};

pub use self::entry::probe_entry;
pub use self::file::probe_file;

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
}

/// What all probes of an engine have in common.
pub(crate) struct Prober {
    mode: Mode,
    options: ProbeOptions,
    /// Becomes readable when the engine ends.
    stop: Option<PipeReader>,
}

impl Prober {
    /// Probes that end early when the other end of `stop` does.
    pub(crate) const fn new(mode: Mode, options: ProbeOptions, stop: Option<PipeReader>) -> Self {
        Self {
            mode,
            options,
            stop,
        }
    }

    /// Tries a version. Nothing of it runs anywhere else.
    pub(crate) fn probe(&self, inspected: Inspected) -> Result<Probed, Box<Failed>> {
        let started = Instant::now();
        let tried = self.attempt(&inspected);
        let done = Instant::now();
        match tried {
            Ok(tried) => Ok(Probed {
                inspected,
                tried,
                probe: done - started,
                done,
            }),
            Err(failure) => Err(Box::new(Failed {
                inspected,
                failure: *failure,
                probe: done - started,
            })),
        }
    }

    fn attempt(&self, inspected: &Inspected) -> Result<Tried, Box<Failure>> {
        if self.options.confinement == Confinement::Off {
            return Ok(Tried::NotProbed("its probe is switched off".to_owned()));
        }
        let order = self.order(inspected);
        let mut useless = Vec::new();
        for program in program::candidates(self.mode) {
            match self.ask(&program, &order, inspected) {
                Ok(ending) => match judge(&ending, self.options.timeout) {
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

    fn order(&self, inspected: &Inspected) -> Order {
        Order {
            generation: Generation::THIS,
            parent: std::process::id(),
            image: inspected.staged.image.clone(),
            mapped: inspected.staged.mapped,
            expected: Identity::declared(&inspected.manifest),
            confinement: self.options.confinement,
            // One more than the deadline allows one thread: it counts only where nobody is left to keep that.
            processor_seconds: self.options.timeout.as_secs().saturating_add(1),
        }
    }

    fn ask(&self, program: &Path, order: &Order, inspected: &Inspected) -> io::Result<Ending> {
        let library_path = library_path::for_image(inspected);
        child::run(
            program,
            order,
            &Setting {
                library_path: library_path.as_deref(),
                deadline: self.options.timeout,
                stop: self.stop.as_ref(),
            },
        )
    }
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
        reason: format!(
            "its probe cannot be started: {error}; free descriptors, processes or memory, and build it again"
        ),
        level: None,
        output: None,
    }
}
