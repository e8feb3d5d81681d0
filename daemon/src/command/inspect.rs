//! `plugind inspect`: what a file declares, as a page or as JSON.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use plugind_wire::manifest::{Build, Inspection, Manifest};

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
    let manifest = inspection.manifest.as_ref();
    if let Some(manifest) = manifest {
        let semver = manifest
            .semver
            .as_deref()
            .unwrap_or("(raw: no plugind note)");
        line("plugin", &format!("{} {semver}", manifest.plugin));
    }
    line("file", &inspection.file.display().to_string());
    line("digest", &inspection.digest.short());
    let mapped = manifest.map_or_else(String::new, |m| {
        format!(", {} of them mapped", bytes(m.mapped_bytes))
    });
    line("size", &format!("{}{mapped}", bytes(inspection.size)));
    if let Some(build) = manifest.and_then(|manifest| manifest.build.as_ref()) {
        built(build, &mut line);
    }
    if let Some(manifest) = manifest {
        image(manifest, &mut line);
        for warning in &manifest.warnings {
            line("warning", warning);
        }
    }
    if let Some(reason) = &inspection.rejected {
        line("rejected", reason);
    }
    for contract in manifest.iter().flat_map(|manifest| &manifest.implements) {
        super::contract::show(contract, &mut page);
    }
    page
}

fn built(build: &Build, line: &mut impl FnMut(&str, &str)) {
    let rustc = build
        .rustc
        .as_deref()
        .and_then(|r| r.split(" commit ").next());
    let by = [rustc, build.target.as_deref()];
    let by: Vec<_> = by.into_iter().flatten().collect();
    if !by.is_empty() {
        line("built by", &by.join(" for "));
    }
    let profile = build.profile.clone();
    let panic = build.panic.as_ref().map(|panic| format!("panics {panic}"));
    let allocator = build.allocator.as_ref();
    let allocator = allocator.map(|allocator| format!("allocator {allocator}"));
    let how: Vec<_> = [profile, panic, allocator].into_iter().flatten().collect();
    if !how.is_empty() {
        line("profile", &how.join(", "));
    }
    if !build.features.is_empty() {
        line("processor", &build.features.join(", "));
    }
    if let Some(sdk) = &build.sdk {
        let generation = build.generation;
        let generation = generation.map_or_else(String::new, |g| format!(", generation {g}"));
        line("sdk", &format!("plugind {sdk}{generation}"));
    }
}

fn image(manifest: &Manifest, line: &mut impl FnMut(&str, &str)) {
    // What cannot be described is named.
    for contract in manifest
        .contracts
        .iter()
        .filter(|_| manifest.implements.is_empty())
    {
        line("implements", contract);
    }
    line("machine", &manifest.machine);
    if let Some(build_id) = &manifest.build_id {
        line("build id", build_id);
    }
    if let Some(soname) = &manifest.soname {
        line("soname", soname);
    }
    if !manifest.needed.is_empty() {
        line("needs", &manifest.needed.join(", "));
    }
    for path in &manifest.search_paths {
        line("looks in", path);
    }
    for export in &manifest.exports {
        line("exports", export);
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
