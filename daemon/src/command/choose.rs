//! `plugind rollback`, `pin`, `unpin`, `promote`, `pause` and `resume`: which version is wanted current.

use std::process::ExitCode;

use anyhow::Result;
use plugind_client::VersionId;

use super::print;
use crate::cli::{Pin, PlaceArgs, Promote, Rollback, Unpin};
use crate::place::connect;

pub(crate) fn rollback(args: &Rollback, place: &PlaceArgs) -> Result<ExitCode> {
    let version = connect(place, true)?.rollback(&args.plugin, args.to, args.hold)?;
    let end = if args.hold {
        format!("`plugind unpin {}`", args.plugin)
    } else {
        "the next build".to_owned()
    };
    told(&version, &format!("until {end}"))
}

pub(crate) fn pin(args: &Pin, place: &PlaceArgs) -> Result<ExitCode> {
    let version = connect(place, true)?.pin(&args.plugin, args.version)?;
    told(&version, &format!("until `plugind unpin {}`", args.plugin))
}

pub(crate) fn unpin(args: &Unpin, place: &PlaceArgs) -> Result<ExitCode> {
    let version = connect(place, true)?.unpin(&args.plugin)?;
    told(&version, "")
}

pub(crate) fn promote(args: &Promote, place: &PlaceArgs) -> Result<ExitCode> {
    let version = connect(place, true)?.promote(&args.plugin, args.version)?;
    told(&version, "")
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

/// The version that is wanted current now; what the programs run `plugind wait` says.
fn told(version: &VersionId, how_long: &str) -> Result<ExitCode> {
    let line = format!("{version} is selected {how_long}");
    print(&format!("{}\n", line.trim_end()))?;
    Ok(ExitCode::SUCCESS)
}
