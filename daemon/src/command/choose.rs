//! `plugind rollback`, `pin`, `unpin`, `promote`, `pause` and `resume`: which version is wanted current.

use std::process::ExitCode;

use anyhow::Result;
use plugind_client::{Client, VersionId};
use plugind_wire::choice::Hold;

use super::print;
use crate::cli::{Pin, PlaceArgs, Promote, Rollback, Unpin};
use crate::place::connect;

pub(crate) fn rollback(args: &Rollback, place: &PlaceArgs) -> Result<ExitCode> {
    let client = connect(place, true)?;
    let version = client.rollback(&args.plugin, args.to, args.hold)?;
    told(&client, &version)
}

pub(crate) fn pin(args: &Pin, place: &PlaceArgs) -> Result<ExitCode> {
    let client = connect(place, true)?;
    let version = client.pin(&args.plugin, args.version)?;
    told(&client, &version)
}

pub(crate) fn unpin(args: &Unpin, place: &PlaceArgs) -> Result<ExitCode> {
    let client = connect(place, true)?;
    let version = client.unpin(&args.plugin)?;
    told(&client, &version)
}

pub(crate) fn promote(args: &Promote, place: &PlaceArgs) -> Result<ExitCode> {
    let client = connect(place, true)?;
    let version = client.promote(&args.plugin, args.version)?;
    told(&client, &version)
}

pub(crate) fn pause(place: &PlaceArgs) -> Result<ExitCode> {
    connect(place, true)?.pause_engine()?;
    print("paused: no build takes over until `plugind promote` or `plugind resume`\n")?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn resume(place: &PlaceArgs) -> Result<ExitCode> {
    connect(place, true)?.resume_engine()?;
    Ok(ExitCode::SUCCESS)
}

/// The version that is wanted current now, and how long; what the programs run `plugind wait` says.
fn told(client: &Client, version: &VersionId) -> Result<ExitCode> {
    let status = client.status()?;
    let mut plugins = status.plugins.iter();
    let known = plugins.find(|known| known.plugin == version.plugin);
    let mut selected = known.into_iter().flat_map(|known| &known.selected);
    let selected = selected.find(|selected| selected.version == version.number);
    let why = selected.and_then(|selected| {
        let pinned = selected.pinned.then_some(Hold::Pinned);
        selected.hold.or(pinned)
    });
    let why = why.map_or_else(String::new, |why| {
        format!(": {}", why.sentence(&version.plugin, version.number))
    });
    print(&format!("{version} is selected{why}\n"))?;
    Ok(ExitCode::SUCCESS)
}
