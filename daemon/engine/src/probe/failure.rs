//! What a probe's end means: a verdict, or a sentence about what the plugin did instead.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use plugind_wire::probe::{Cause, Level, Phase};

use super::child::{Ending, Last};
use super::confine::{MEMORY, calls};
use super::message::{Generation, Said};
use super::processor_seconds;

/// How somebody tells the probe to let a plugin do what it otherwise forbids.
const UNSANDBOXED: &str = "if it must, have it probed unsandboxed (`probe = \"unsandboxed\"` under `[plugin.NAME]` in plugind.toml, or \
     `plugind watch --probe unsandboxed`)";

/// Characters of what a probe says of a plugin, which is the plugin's word too.
const REASON: usize = 4096;
/// Characters of a release's name.
const RELEASE: usize = 64;

/// What came of a probe.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The image is good.
    Passed(Level),
    /// It is not.
    Failed(Box<Failure>),
    /// The program that was asked is none that can say: why.
    NoProbe(String),
}

/// Why a version does not pass.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How far it came.
    pub(crate) phase: Phase,
    /// What has to change before it can.
    pub(crate) cause: Cause,
    /// What it did, and what to do.
    pub(crate) reason: String,
    /// What the probe had given up by then.
    pub(crate) level: Option<Level>,
    /// What it wrote.
    pub(crate) output: Option<String>,
}

/// Reads what is left of a probe that had `deadline`.
pub(crate) fn judge(ending: &Ending, deadline: Duration) -> Verdict {
    match ending.said.first() {
        Some(Said::Hello { generation, .. }) if *generation == Generation::THIS => {}
        Some(Said::Hello { release, .. }) => {
            return Verdict::NoProbe(format!(
                "is plugind {}, which does not try plugins of {}",
                first(release, RELEASE),
                env!("CARGO_PKG_VERSION")
            ));
        }
        _ => return Verdict::NoProbe(format!("does not try plugins ({})", silence(ending))),
    }
    let level = ending.said.iter().find_map(|said| match said {
        Said::Confined { level } => Some(*level),
        _ => None,
    });
    let reached = match (level, ending.said.contains(&Said::Opened)) {
        (None, _) => Phase::Sandbox,
        (Some(_), false) => Phase::Constructors,
        (Some(_), true) => Phase::Registrations,
    };
    let (phase, (cause, reason)) = match ending.said.last() {
        Some(Said::Passed) => return Verdict::Passed(level.unwrap_or_default()),
        // What the loader lacks lies elsewhere, and nothing of the plugin has run.
        Some(Said::Failed {
            phase: Phase::Open,
            reason,
        }) => (Phase::Open, (Cause::Surroundings, first(reason, REASON))),
        Some(Said::Failed { phase, reason }) => (*phase, (Cause::Plugin, first(reason, REASON))),
        Some(Said::Forbidden { call }) => (reached, (Cause::Sandbox, forbidden(*call, reached))),
        _ => (reached, unsaid(ending, reached, level, deadline)),
    };
    let cause = match phase {
        // The image was not touched yet.
        Phase::Spawn | Phase::Sandbox => Cause::Surroundings,
        _ => cause,
    };
    let words = ending.output.words();
    let words = words.map_or_else(String::new, |words| format!("; it wrote: {words}"));
    Verdict::Failed(Box::new(Failure {
        phase,
        cause,
        reason: format!("{reason}{words}"),
        level,
        output: ending.output.text(),
    }))
}

fn first(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// A program that is no probe, in a few words.
fn silence(ending: &Ending) -> String {
    let how = match (ending.last, ending.status) {
        (Last::TimedOut, _) => "it said nothing in time".to_owned(),
        (_, Some(status)) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("it exited with code {code}"),
            (None, signal) => format!("it was ended by {}", signal_name(signal.unwrap_or(0))),
        },
        (_, None) => "it said something else".to_owned(),
    };
    let words = ending.output.words();
    words.map_or_else(|| how.clone(), |words| format!("{how}: {words}"))
}

/// What was being done, as a subject.
const fn doer(phase: Phase) -> &'static str {
    match phase {
        Phase::Spawn | Phase::Sandbox => "the probe itself",
        Phase::Open | Phase::Constructors => "a constructor of it",
        Phase::Registrations => "something that its constructors started",
    }
}

fn forbidden(call: u32, phase: Phase) -> String {
    let (purpose, name) = calls::purpose(call).map_or_else(
        || ("make a system call".to_owned(), call.to_string()),
        |(purpose, name)| (purpose.to_owned(), name.to_owned()),
    );
    format!(
        "{} tried to {purpose} (`{name}`, SIGSYS), which the probe's sandbox forbids; do it in a function that the \
         program calls; {UNSANDBOXED}",
        doer(phase)
    )
}

/// About a probe that gave no verdict.
fn unsaid(
    ending: &Ending,
    phase: Phase,
    level: Option<Level>,
    deadline: Duration,
) -> (Cause, String) {
    let doer = doer(phase);
    match (ending.last, ending.status) {
        (Last::TimedOut, _) => {
            let reason = format!(
                "{doer} did not end within {deadline:?}; a constructor must not wait or loop: if it only takes \
                 longer, raise --probe-timeout, or `probe_timeout` in plugind.toml"
            );
            (Cause::Time, reason)
        }
        (Last::SaidTooMuch, _) => {
            let reason = format!("{doer} wrote to the probe's own socket");
            (Cause::Plugin, reason)
        }
        (Last::Stopped, _) => {
            let reason = "plugind ended while it was being probed".to_owned();
            (Cause::Surroundings, reason)
        }
        (Last::Ended, Some(status)) => match status.signal() {
            Some(libc::SIGKILL) => (Cause::Surroundings, killed(doer)),
            Some(libc::SIGXCPU) => too_long(doer, level, deadline),
            _ => ended(status, doer, level, ending),
        },
        // How is not known, so it may have been somebody else's doing.
        (Last::Ended | Last::Verdict, _) => {
            (Cause::Surroundings, format!("{doer} ended its process"))
        }
    }
}

fn ended(status: ExitStatus, doer: &str, level: Option<Level>, ending: &Ending) -> (Cause, String) {
    let denied = denied(level, ending);
    let own = if denied.is_empty() {
        Cause::Plugin
    } else {
        Cause::Sandbox
    };
    let Some(signal) = status.signal() else {
        let code = status.code().unwrap_or_default();
        let reason = format!(
            "{doer} ended its process with exit code {code}; a constructor must return{denied}"
        );
        return (own, reason);
    };
    let name = signal_name(signal);
    let what = match signal {
        libc::SIGSEGV | libc::SIGBUS => "an access to memory that is not there",
        libc::SIGABRT => "an abort, or a panic that cannot unwind",
        libc::SIGILL | libc::SIGTRAP => "an instruction that is none, or a trap",
        libc::SIGFPE => "a division by zero or the like",
        libc::SIGSYS => {
            "a system call that the probe's sandbox forbids, made while signals were blocked, as starting a program is"
        }
        libc::SIGXFSZ => "a file in memory that grew too long for the probe's sandbox",
        _ => "a signal that it got",
    };
    let advice = if signal == libc::SIGSYS {
        format!("; do it in a function that the program calls; {UNSANDBOXED}")
    } else {
        denied
    };
    let cause = match signal {
        libc::SIGSYS | libc::SIGXFSZ => Cause::Sandbox,
        _ => own,
    };
    (cause, format!("{doer} crashed: {name}, {what}{advice}"))
}

/// Nobody tells by whom.
fn killed(doer: &str) -> String {
    format!(
        "its probe was killed (SIGKILL) while {doer} ran: by the system, as when memory runs out, or by somebody else, \
         unless the plugin did it itself; free memory and say `plugind retry`, or build it again"
    )
}

/// Of all its threads together.
fn too_long(doer: &str, level: Option<Level>, deadline: Duration) -> (Cause, String) {
    if !level.is_some_and(|level| level.limits) {
        let reason = format!(
            "{doer} used more processor time than somebody allows it (SIGXCPU), which is not a limit of the probe; raise \
             that limit (`ulimit -t`) where plugind is started"
        );
        return (Cause::Surroundings, reason);
    }
    let seconds = processor_seconds(deadline);
    let reason = format!(
        "{doer} used more processor time than the probe has for it (SIGXCPU after {seconds} s, of all its threads \
         together); a constructor must not loop: if it only takes longer, raise --probe-timeout, or `probe_timeout` in \
         plugind.toml"
    );
    (Cause::Time, reason)
}

/// What the sandbox has to do with it, as far as the plugin's own words tell.
fn denied(level: Option<Level>, ending: &Ending) -> String {
    let Some(level) = level.filter(|level| *level != Level::default()) else {
        return String::new();
    };
    let text = ending.output.text().unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if level.limits
        && has(&[
            "memory allocation of",
            "bad_alloc",
            "Cannot allocate memory",
        ])
    {
        format!(
            "; the probe's sandbox has {} GB of memory for it; {UNSANDBOXED}",
            MEMORY >> 30
        )
    } else if level.landlock
        && has(&[
            "Permission denied",
            "PermissionDenied",
            "Operation not permitted",
        ])
    {
        format!("; the probe's sandbox lets it write no file; {UNSANDBOXED}")
    } else {
        String::new()
    }
}

/// `signal(7)`.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
