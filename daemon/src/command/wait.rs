//! `plugind wait`.

use std::process::ExitCode;

use anyhow::Result;
use plugind_client::{Until, Wait};
use serde::Serialize;

use super::{print, print_json};
use crate::cli::{self, PlaceArgs};
use crate::place;

/// What `--json` prints.
#[derive(Serialize)]
struct Waited<'a> {
    schema: u32,
    plugin: &'a str,
    reached: &'static str,
    clients: Vec<Client>,
}

#[derive(Serialize)]
struct Client {
    pid: u32,
    program: String,
    version: u64,
}

pub(crate) fn run(args: &cli::Wait, place: &PlaceArgs) -> Result<ExitCode> {
    let until = if args.executing {
        Until::Executing
    } else {
        Until::Drained
    };
    let wait = Wait {
        version: args.version,
        until,
        clients: args.clients,
        timeout: args.timeout,
    };
    let reached = place::connect(place, true)?.wait(&args.plugin, &wait)?;
    if args.json {
        print_json(&Waited {
            schema: plugind_wire::SCHEMA,
            plugin: &args.plugin,
            reached: until.word(),
            clients: reached
                .into_iter()
                .map(|one| Client {
                    pid: one.client.pid,
                    program: one.client.program,
                    version: one.version,
                })
                .collect(),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    for one in reached {
        let (plugin, word) = (&args.plugin, until.word());
        let client = one.client;
        print(&format!(
            "{plugin} v{} is {word} in {} (pid {})\n",
            one.version, client.program, client.pid
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
