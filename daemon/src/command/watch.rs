//! `plugind watch`: the engine in the foreground, its events on stdout.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::tz::TimeZone;
use plugind_engine::{Engine, Options};
use plugind_wire::event::{Event, Kind};
use plugind_wire::place::{self, Folder};
use plugind_wire::status::Mode;

use super::{print, print_json};
use crate::cli::{PlaceArgs, Watch};
use crate::exit::{INTERRUPTED, plain};
use crate::place::target_directory;

/// Events that wait for the terminal.
const EVENTS: usize = 4096;
/// How long a reader who does not read has to take the last of them.
const LAST_EVENTS: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Watch, place_args: &PlaceArgs) -> Result<ExitCode> {
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => target_directory()?,
    };
    let folder = Folder::new(&folder)?;
    let (tell, events) = bounded(EVENTS);
    let (interrupt, interrupted) = bounded(1);
    let ctrl_c = listen_to_signals(interrupt)?;
    let engine = Engine::start(Options {
        folder: folder.clone(),
        mode: Mode::Daemon,
        runtime_dir: place::runtime_dir()?,
        state_dir: match &place_args.state_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => place::state_dir()?,
        },
        socket: place_args.socket.clone(),
        config: args.choices.config.clone(),
        poll: args.choices.poll,
        probe: args.probe.choice(),
        trust_owner: args.choices.trust_owner.clone(),
        manual: args.manual,
        allow_client: args.choices.allow_client.clone(),
        events: Some(tell),
    })?;
    let stop = engine.stopper();
    let json = args.json;
    let (tell_printed, printed) = bounded(1);
    thread::Builder::new()
        .name("plugind-print".to_owned())
        .spawn({
            let (stop, exists) = (engine.stopper(), folder.path().exists());
            let folder = folder.path().display().to_string();
            move || {
                let result = print_events(&events, json, &folder, exists);
                // Nobody reads what happens: the command ends as any other would.
                stop.stop("its output is closed");
                let _ = tell_printed.send(result);
            }
        })?;
    thread::Builder::new()
        .name("plugind-signal".to_owned())
        .spawn(move || {
            if interrupted.recv().is_ok() {
                stop.stop("a signal asked it to");
            }
        })?;
    let ended = engine.wait();
    // The channel of events is closed now; a terminal that went away is the only way to fail. One that stands still,
    // as after Ctrl-S, does not keep the daemon.
    if let Ok(Err(error)) = printed.recv_timeout(LAST_EVENTS) {
        return Err(error.context("cannot print events"));
    }
    ended?;
    Ok(if ctrl_c.load(Ordering::SeqCst) {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Makes Ctrl-C, SIGTERM and SIGHUP messages, and tells afterwards whether it was Ctrl-C: the exit code differs, and
/// `ctrlc` does not say which signal came.
fn listen_to_signals(interrupt: Sender<()>) -> Result<Arc<AtomicBool>> {
    ctrlc::set_handler(move || {
        let _ = interrupt.try_send(());
    })
    .context("cannot listen to signals")?;
    let ctrl_c = Arc::new(AtomicBool::new(false));
    // Added after, not instead: signal-hook calls the handler that was there.
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&ctrl_c))
        .context("cannot listen to Ctrl-C")?;
    Ok(ctrl_c)
}

fn print_events(events: &Receiver<Event>, json: bool, folder: &str, exists: bool) -> Result<()> {
    for event in events {
        if json {
            print_json(&event)?;
        } else {
            print(&line(&event, folder, exists))?;
        }
    }
    Ok(())
}

/// One event as people read it: time, plugin and version, what, and why.
fn line(event: &Event, folder: &str, exists: bool) -> String {
    let time = event
        .time
        .to_zoned(TimeZone::system())
        .strftime("%H:%M:%S%.3f");
    let plugin = match (&event.plugin, event.version) {
        (Some(plugin), Some(version)) => format!("{plugin} v{version}"),
        (Some(plugin), None) => plugin.clone(),
        (None, _) => String::new(),
    };
    let client = event.client.as_ref().map_or_else(String::new, |client| {
        format!("{} (pid {})", client.program, client.pid)
    });
    let reason = plain(event.reason.as_deref().unwrap_or_default());
    let artifact = event.artifact.as_deref().unwrap_or_default();
    let artifact = artifact
        .strip_prefix(folder)
        .map_or(artifact, |rest| rest.trim_start_matches('/'));
    let artifact = plain(artifact);
    let digest = event
        .digest
        .map_or_else(String::new, |digest| digest.short());
    let held = event.held.as_deref().map_or_else(String::new, |why| {
        format!("  NOT THE NEWEST RUNS: {}", plain(why))
    });
    let what = match event.event {
        Kind::Watching if exists => format!("watching {folder}"),
        Kind::Watching => format!("watching {folder}, which does not exist yet"),
        Kind::Published => {
            let timings = event.timings_us.unwrap_or_default();
            let ms = |micros: u64| micros as f64 / 1e3;
            format!(
                "published  {digest}  {artifact}  {:.1} ms (settle {:.1}, stage {:.1}, inspect {:.1}, probe {:.1}){}{}{held}",
                ms(timings.total),
                ms(timings.settle),
                ms(timings.stage),
                ms(timings.inspect),
                ms(timings.probe),
                event
                    .not_probed
                    .as_deref()
                    .map_or_else(String::new, |why| format!("  not probed: {}", plain(why))),
                if reason.is_empty() {
                    String::new()
                } else {
                    format!("  warning: {reason}")
                }
            )
        }
        Kind::Selected => format!("selected  {digest}  {reason}{held}"),
        Kind::Unchanged => format!("unchanged  {digest}  {artifact}"),
        Kind::Rejected => {
            let stage = event.stage.map_or("", |stage| stage.word());
            format!("rejected at {stage}  {artifact}: {reason}")
        }
        Kind::Refused => format!("refused by {client}: {reason}"),
        Kind::Live => format!("live in {client}"),
        Kind::Executing => {
            let readers = event.readers.unwrap_or_default();
            format!(
                "executing in {client}, {} of {} readers",
                readers.entered, readers.of
            )
        }
        Kind::Drained => format!("drained in {client}"),
        Kind::Absent => format!("absent  {artifact}; {reason}"),
        Kind::ClientConnected => format!("client {client} connected"),
        Kind::ClientGone => format!("client {client} is gone"),
        Kind::Warning => format!("warning: {reason}"),
        Kind::Stopping => format!("stopping: {reason}"),
    };
    if plugin.is_empty() {
        format!("{time}  {what}\n")
    } else {
        format!("{time}  {plugin:<16} {what}\n")
    }
}
