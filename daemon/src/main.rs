//! The `plugind` command.
//!
//! Data goes to stdout, everything else to stderr. What the commands do is in `command`, one file each; this file
//! turns their result into an exit code.
#![deny(unsafe_code)]

mod cli;
mod command;
mod exit;
mod place;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::exit::Failure;

fn main() -> ExitCode {
    plugind_engine::probe_entry();
    let cli = Cli::parse();
    start_log();
    let result = match &cli.command {
        Command::Watch(watch) => command::watch::run(watch, &cli.place),
        Command::Call(call) => command::call::run(call, &cli.place),
        Command::Status(status) => command::status::run(status, &cli.place),
        Command::Inspect(inspect) => command::inspect::run(inspect),
        Command::Probe(probe) => command::probe::run(probe, &cli.place),
        Command::Diff(diff) => command::diff::run(diff, &cli.place),
        Command::Retry(retry) => command::retry::run(retry, &cli.place),
        Command::Who(who) => command::who::run(who, &cli.place),
        Command::Wait(wait) => command::wait::run(wait, &cli.place),
        Command::Rollback(rollback) => command::choose::rollback(rollback, &cli.place),
        Command::Pin(pin) => command::choose::pin(pin, &cli.place),
        Command::Unpin(unpin) => command::choose::unpin(unpin, &cli.place),
        Command::Promote(promote) => command::choose::promote(promote, &cli.place),
        Command::Pause => command::choose::pause(&cli.place),
        Command::Resume => command::choose::resume(&cli.place),
        Command::History(history) => command::history::run(history, &cli.place),
        Command::Stop => command::stop::run(&cli.place),
    };
    match result {
        Ok(code) => code,
        // Whoever read the output went away, as `head` does: there is nobody to tell.
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("plugind: {}", plugind_wire::sentence(error.as_ref()));
            ExitCode::from(Failure::of(&error).code())
        }
    }
}

/// Logs go to stderr; `PLUGIND_LOG` chooses them (`info`, `plugind_engine=debug`), `PLUGIND_LOG_FORMAT=json` makes
/// them JSON Lines.
fn start_log() {
    // notify warns of every watch that went away with its directory; what clients meet the commands say themselves.
    let default = "warn,notify=error,plugind_client=error";
    let filter = EnvFilter::try_from_env("PLUGIND_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if std::env::var_os("PLUGIND_LOG_FORMAT").is_some_and(|format| format == "json") {
        log.json().init();
    } else {
        log.init();
    }
}
