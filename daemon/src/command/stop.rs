//! `plugind stop`.

use std::process::ExitCode;

use anyhow::Result;

use super::print;
use crate::cli::PlaceArgs;
use crate::place;

pub(crate) fn run(args: &PlaceArgs) -> Result<ExitCode> {
    let client = place::connect(args, true)?;
    // Asked first, because there is nobody to ask afterwards.
    let folder = client.status()?.folder;
    client.stop_engine()?;
    print(&format!("stopped the daemon of {}\n", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
