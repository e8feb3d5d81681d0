//! Which engine a command means.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use plugind_client::{Client, ClientError};
use plugind_wire::place::{self, Card, Folder};
use plugind_wire::status::Mode;

use crate::cli::PlaceArgs;
use crate::exit::Failure;

/// An engine that answers, or nobody.
#[derive(Debug)]
pub(crate) enum Found {
    /// Its socket, and the folder it serves if that is known.
    Engine {
        socket: PathBuf,
        folder: Option<PathBuf>,
    },
    /// Nothing serves this directory.
    Nobody,
}

/// The engine nearest to this directory: the one whose folder contains it, else the nearest below it, else the one
/// that serves the target directory of the enclosing workspace. `--socket` and `--pid` choose instead.
pub(crate) fn find(args: &PlaceArgs) -> Result<Found> {
    if let Some(socket) = &args.socket {
        place::check_socket_path(socket)?;
        return Ok(Found::Engine {
            socket: socket.clone(),
            folder: None,
        });
    }
    let mut cards = place::serving(&place::runtime_dir()?);
    if let Some(pid) = args.pid {
        cards.retain(|card| card.pid == pid);
        if cards.is_empty() {
            return Err(Failure::NothingServes(format!(
                "process {pid} serves nothing; leave --pid out to find the engine nearest to this directory"
            ))
            .into());
        }
        return one(cards);
    }
    let here = env::current_dir().context("cannot tell the current directory")?;
    let nearest = place::nearest(cards.clone(), &here);
    if !nearest.is_empty() {
        return one(nearest);
    }
    if cards.is_empty() {
        return Ok(Found::Nobody);
    }
    let Ok(target) = target_directory() else {
        return Ok(Found::Nobody);
    };
    let target = Folder::new(&target)?;
    cards.retain(|card| card.folder == target.path());
    one(cards)
}

/// The daemon, if one of them is: programs that embed an engine for its folder come second.
fn one(mut cards: Vec<Card>) -> Result<Found> {
    let daemons = cards
        .iter()
        .filter(|card| card.mode == Mode::Daemon)
        .count();
    if daemons == 1 {
        cards.retain(|card| card.mode == Mode::Daemon);
    }
    if cards.len() > 1 {
        let list: Vec<_> = cards
            .iter()
            .map(|card| {
                format!(
                    "  --pid {}  {} {}",
                    card.pid,
                    match card.mode {
                        Mode::Daemon => "daemon of",
                        Mode::Embedded => "embedded for",
                    },
                    card.folder.display()
                )
            })
            .collect();
        return Err(Failure::Usage(format!(
            "several engines are equally near; choose one with --pid:\n{}",
            list.join("\n")
        ))
        .into());
    }
    Ok(cards.pop().map_or(Found::Nobody, |card| Found::Engine {
        socket: card.socket,
        folder: Some(card.folder),
    }))
}

/// A client of the engine that the command means, which must answer now.
pub(crate) fn connect(args: &PlaceArgs, asks_only: bool) -> Result<Client> {
    match find(args)? {
        Found::Nobody => Err(Failure::NothingServes(format!(
            "nothing serves {}; start `plugind watch` in the workspace, or name a socket with --socket",
            env::current_dir().unwrap_or_default().display()
        ))
        .into()),
        Found::Engine { socket, folder } => {
            // Whoever is to answer a command answers now.
            place::connect(&socket).map_err(|error| {
                let socket = socket.display();
                Failure::NothingServes(match error.kind() {
                    io::ErrorKind::PermissionDenied => format!(
                        "this user may not connect to {socket}; who runs plugind there can allow it with \
                         `plugind watch --allow-client USER`"
                    ),
                    _ => format!("nothing answers at {socket}: {error}"),
                })
            })?;
            let folder = folder.unwrap_or_else(|| PathBuf::from("."));
            let mut builder = Client::builder(folder).socket(socket).deadline(Duration::from_secs(10));
            builder = if asks_only {
                builder.asks_only()
            } else {
                builder.program("plugind call")
            };
            builder.connect().map_err(|error| match error {
                // It took the connection, and then said nothing.
                ClientError::NothingServes { waited, .. } => {
                    ClientError::TimedOut { waited }.into()
                }
                error => error.into(),
            })
        }
    }
}

/// The target directory of the enclosing workspace, as cargo tells it.
pub(crate) fn target_directory() -> Result<PathBuf> {
    #[derive(serde::Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(&cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .with_context(|| {
            format!(
                "cannot run {}; name the folder to watch",
                Path::new(&cargo).display()
            )
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::Usage(format!(
            "cargo cannot tell the target directory ({}); name the folder to watch",
            said.lines()
                .next()
                .unwrap_or("cargo failed")
                .trim_start_matches("error: ")
        ))
        .into());
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo metadata gave something else")?;
    Ok(metadata.target_directory)
}
