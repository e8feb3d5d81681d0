//! `plugind probe`: how a file behaves when it is opened, as a page or as JSON.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use plugind_wire::place;
use plugind_wire::probe::{Probe, Trial};

use super::{print, print_json};
use crate::cli::{self, PlaceArgs};
use crate::exit::{CRASHED, INTERRUPTED, plain};

pub(crate) fn run(args: &cli::Probe, place_args: &PlaceArgs) -> Result<ExitCode> {
    let state_dir = match &place_args.state_dir {
        Some(dir) => std::path::absolute(dir)?,
        None => place::state_dir()?,
    };
    place::private_dir(&state_dir, "XDG_STATE_HOME")?;
    let store = state_dir.join("probe");
    let interrupted = clean_up_after_signals(store.clone())?;
    let trial = plugind_engine::probe_file(&args.file, &store, args.options());
    while interrupted.load(Ordering::SeqCst) {
        // The copy was taken from under the probe, so what it found means nothing; the signal's thread ends the process.
        std::thread::park();
    }
    let trial = trial.with_context(|| format!("cannot probe {}", args.file.display()))?;
    if args.json {
        print_json(&trial)?;
    } else {
        print(&page(&trial))?;
    }
    Ok(match trial.reason {
        Some(_) => ExitCode::from(CRASHED as u8),
        None => ExitCode::SUCCESS,
    })
}

/// Ctrl-C, SIGTERM and SIGHUP end the command, and the process that it probes in with it; the copy goes first.
///
/// What it returns is true from before the copy is touched.
fn clean_up_after_signals(store: PathBuf) -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let told = interrupted.clone();
    ctrlc::set_handler(move || {
        told.store(true, Ordering::SeqCst);
        plugind_engine::abandon_probe(&store);
        std::process::exit(i32::from(INTERRUPTED));
    })
    .context("cannot listen to signals")?;
    Ok(interrupted)
}

fn page(trial: &Trial) -> String {
    let mut page = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(page, "{name:<12} {value}");
    };
    line("file", &trial.file.display().to_string());
    if let Some(plugin) = &trial.plugin {
        line("plugin", plugin);
    }
    line("digest", &trial.digest.short());
    match (&trial.reason, &trial.not_probed) {
        (Some(reason), _) => {
            let stage = trial.stage.map_or("", |stage| stage.word());
            line("rejected", &format!("at {stage}: {}", plain(reason)));
        }
        (None, Some(why)) => line("not probed", why),
        (None, None) => line("probe", trial.probe.word()),
    }
    if let Some(phase) = trial.phase {
        line("phase", phase.word());
    }
    if let Some(cause) = trial.cause {
        line("cause", cause.word());
    }
    if let Some(level) = trial.level {
        line("sandbox", &level.to_string());
    }
    if matches!(trial.probe, Probe::Passed | Probe::Failed) {
        line("took", &format!("{:.1} ms", trial.probe_us as f64 / 1e3));
    }
    for written in trial.output.iter().flat_map(|output| output.lines()) {
        line("it wrote", written);
    }
    page
}
