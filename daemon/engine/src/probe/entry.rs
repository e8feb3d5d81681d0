//! The probe itself: a program that was started again, to open one image and to die.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use plugind_loader::{OpenError, sacrifice};
use plugind_wire::probe::{Confinement, Level, Phase};
use plugind_wire::sentence;
use rustix::process::{DumpableBehavior, Resource, Signal};

use super::confine;
use super::message::{ARGUMENT, Generation, Order, Said};

/// A longer reason is cut.
const REASON: usize = 4096;

/// Whether this program can be its own probe.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The first line of a program's `main`: from then on the program can try plugins for its own engine. If it was started
/// for that, it does so and does not return; otherwise this takes no time.
///
/// Nothing may come before it, because what comes before it happens in every probe.
pub fn probe_entry() {
    ENTERED.store(true, Ordering::Relaxed);
    if env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == ARGUMENT)
    {
        sacrifice::close_inherited();
        // Whoever ordered it is gone, or speaks of something else: there is nobody to tell.
        let _ = serve();
        sacrifice::end(0);
    }
}

/// Whether the program's `main` calls [`probe_entry`].
pub(crate) fn is_entered() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

fn serve() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A plugin that reads from descriptor 0 finds its end, and finds no socket.
    rustix::stdio::dup2_stdin(std::fs::File::options().read(true).open("/dev/null")?)?;
    say(
        &socket,
        &Said::Hello {
            release: env!("CARGO_PKG_VERSION").to_owned(),
            generation: Generation::THIS,
        },
    )?;
    let mut line = String::new();
    BufReader::new(&socket).read_line(&mut line)?;
    let generation: OrderGeneration = serde_json::from_str(&line)?;
    if generation.generation != Generation::THIS {
        return Ok(());
    }
    let order: Order = serde_json::from_str(&line)?;
    if parent_id() != order.parent {
        // It ended before its death could be a signal.
        return Ok(());
    }
    say(&socket, &attempt(&order, &socket)?)
}

/// The part of an order that every generation can read.
#[derive(serde::Deserialize)]
struct OrderGeneration {
    generation: Generation,
}

fn attempt(order: &Order, socket: &UnixStream) -> io::Result<Said> {
    // A crash is expected and told; a core file, or a program that the system runs for each crash, helps nobody.
    confine::lower(Resource::Core, Some(0));
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let level = match order.confinement {
        Confinement::Sandboxed => {
            confine::confine(socket.try_clone()?.into(), order.processor_seconds)
        }
        Confinement::Unsandboxed | Confinement::Off => Level::default(),
    };
    say(socket, &Said::Confined { level })?;
    let image = match plugind_loader::open(
        Path::new(&order.image),
        order.mapped.bytes,
        order.mapped.digest.as_bytes(),
        // What programs require was compared when it was inspected.
        &[],
    ) {
        Ok(image) => image,
        Err(error) => {
            let phase = match error {
                OpenError::Register { .. } => Phase::Registrations,
                _ => Phase::Open,
            };
            return Ok(failed(phase, sentence(&error)));
        }
    };
    say(socket, &Said::Opened)?;
    Ok(match image.contradiction() {
        Ok(None) => Said::Passed,
        Ok(Some(contradiction)) => failed(Phase::Registrations, contradiction.to_string()),
        Err(error) => failed(Phase::Registrations, sentence(&error)),
    })
}

fn failed(phase: Phase, mut reason: String) -> Said {
    reason.truncate(reason.floor_char_boundary(REASON));
    Said::Failed { phase, reason }
}

fn say(mut socket: &UnixStream, said: &Said) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    socket.write_all(&line)
}
