//! `plugind retry`.

use std::process::ExitCode;

use anyhow::Result;

use super::print;
use crate::cli::{PlaceArgs, Retry};
use crate::place;

pub(crate) fn run(args: &Retry, place: &PlaceArgs) -> Result<ExitCode> {
    let version = place::connect(place, true)?.retry(&args.plugin)?;
    print(&format!("{version} is published\n"))?;
    Ok(ExitCode::SUCCESS)
}
