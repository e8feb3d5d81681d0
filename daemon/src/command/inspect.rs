//! `plugind inspect`: what a file declares, as a page or as JSON.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use plugind_wire::manifest::{Inspection, Manifest};

use super::{print, print_json};
use crate::cli::Inspect;
use crate::exit::CRASHED;

pub(crate) fn run(args: &Inspect) -> Result<ExitCode> {
    let inspection = plugind_engine::inspect_file(&args.file)
        .with_context(|| format!("cannot read {}", args.file.display()))?;
    if args.json {
        print_json(&inspection)?;
    } else {
        print(&page(&inspection))?;
    }
    Ok(match inspection.rejected {
        Some(_) => ExitCode::from(CRASHED as u8),
        None => ExitCode::SUCCESS,
    })
}

fn page(inspection: &Inspection) -> String {
    let mut page = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(page, "{name:<12} {value}");
    };
    line("file", &inspection.file.display().to_string());
    if let Some(manifest) = &inspection.manifest {
        let semver = manifest
            .semver
            .as_deref()
            .unwrap_or("(raw: no plugind note)");
        line("plugin", &format!("{} {semver}", manifest.plugin));
    }
    line("digest", &inspection.digest.short());
    let mapped = inspection.manifest.as_ref().map_or_else(String::new, |m| {
        format!(", {} of them mapped", bytes(m.mapped_bytes))
    });
    line("size", &format!("{}{mapped}", bytes(inspection.size)));
    if let Some(manifest) = &inspection.manifest {
        declared(manifest, &mut line);
    }
    if let Some(reason) = &inspection.rejected {
        line("rejected", reason);
    }
    page
}

fn declared(manifest: &Manifest, line: &mut impl FnMut(&str, &str)) {
    for contract in &manifest.contracts {
        line("implements", contract);
    }
    line("machine", &manifest.machine);
    if let Some(build_id) = &manifest.build_id {
        line("build id", build_id);
    }
    if let Some(soname) = &manifest.soname {
        line("soname", soname);
    }
    for needed in &manifest.needed {
        line("needs", needed);
    }
    for path in &manifest.search_paths {
        line("looks in", path);
    }
    for export in &manifest.exports {
        line("exports", export);
    }
    for warning in &manifest.warnings {
        line("warning", warning);
    }
}

fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        c if c < 1e3 => format!("{c} B"),
        c if c < 1e6 => format!("{:.1} kB", c / 1e3),
        c => format!("{:.1} MB", c / 1e6),
    }
}
