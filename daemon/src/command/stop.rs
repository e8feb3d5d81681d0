//! `plugind stop`.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::PlaceArgs;
use crate::place;

pub(crate) fn run(args: &PlaceArgs) -> Result<ExitCode> {
    place::connect(args, true)?.stop_engine()?;
    Ok(ExitCode::SUCCESS)
}
