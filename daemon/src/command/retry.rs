//! `plugind retry`.

use std::process::ExitCode;

use anyhow::Result;

use super::print;
use crate::cli::{PlaceArgs, Retry};
use crate::place;

pub(crate) fn run(args: &Retry, place: &PlaceArgs) -> Result<ExitCode> {
    let mut name = args.plugin.clone();
    if name.contains('/') {
        // A file, as seen from here.
        let path = std::path::absolute(&name)?;
        name = path.to_string_lossy().into_owned();
    }
    let version = place::connect(place, true)?.retry(&name)?;
    print(&format!("{version} is published\n"))?;
    Ok(ExitCode::SUCCESS)
}
