//! `plugind status`: a page, or the document itself.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use plugind_client::Status;
use plugind_wire::choice::Hold;
use plugind_wire::probe::{Level, Probe};
use plugind_wire::status::{Outcome, Plugin, Use, Version, what_goes_on};

use super::{print, print_json};
use crate::cli::{self, PlaceArgs};
use crate::exit::plain;
use crate::place;

/// Versions of a plugin that the page shows, newest first.
const SHOWN: usize = 5;

pub(crate) fn run(args: &cli::Status, place: &PlaceArgs) -> Result<ExitCode> {
    let status = place::connect(place, true)?.status()?;
    if args.json {
        print_json(&status)?;
    } else {
        print(&page(&status))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn page(status: &Status) -> String {
    let mut page = String::new();
    let mode = format!("{:?}", status.mode).to_lowercase();
    let _ = writeln!(
        page,
        "{} ({mode}, pid {})",
        status.folder.display(),
        status.pid
    );
    for warning in &status.warnings {
        let _ = writeln!(page, "  warning: {warning}");
    }
    if status.paused {
        let _ = writeln!(page, "  PAUSED: no build takes over until `plugind resume`");
    }
    if status.plugins.is_empty() {
        let _ = writeln!(
            page,
            "  no plugin has been built yet; a plugin's Cargo.toml says crate-type = [\"cdylib\"]"
        );
    }
    for plugin in &status.plugins {
        show_plugin(plugin, status, &mut page);
    }
    for file in &status.rejected_files {
        let _ = writeln!(
            page,
            "\n{}\n  rejected at {}: {}",
            plain(&file.path.display().to_string()),
            file.stage.word(),
            plain(&file.reason)
        );
    }
    for client in &status.clients {
        let _ = writeln!(page, "\nclient {} (pid {})", client.program, client.pid);
        for used in &client.plugins {
            show_use(used, status, &mut page);
        }
    }
    page
}

fn show_plugin(plugin: &Plugin, status: &Status, page: &mut String) {
    let raw = if plugin.raw { " (raw)" } else { "" };
    let _ = writeln!(page, "\n{}{raw}", plugin.plugin);
    for artifact in plugin.artifacts.iter().filter(|artifact| !artifact.present) {
        let good = plugin.versions.iter().filter(|version| {
            version.artifact == artifact.path
                && version.lane.is_some()
                && version.outcome != Outcome::Rejected
        });
        let newest = good.map(|version| version.version).max();
        let mut selected = plugin.selected.iter();
        let selected = selected.find(|selected| selected.lane == artifact.lane);
        let _ = writeln!(
            page,
            "  absent: {}; {}",
            artifact.path.display(),
            what_goes_on(newest, selected.map(|selected| selected.version))
        );
    }
    for selected in &plugin.selected {
        if let (Some(hold), Some(newest)) = (selected.hold, selected.newest) {
            let sentence = || hold.sentence(&plugin.plugin, selected.version);
            let why = selected.held.clone().filter(|_| hold == Hold::Group);
            let why = why.unwrap_or_else(sentence);
            let _ = writeln!(page, "  v{newest} IS NOT CURRENT: {why}");
        } else if selected.pinned {
            let why = Hold::Pinned.sentence(&plugin.plugin, selected.version);
            let _ = writeln!(page, "  {why}");
        }
    }
    let mut hidden = 0;
    for (age, version) in plugin.versions.iter().rev().enumerate() {
        if age >= SHOWN && !is_unmended(version, plugin) {
            hidden += 1;
            continue;
        }
        let selected = plugin
            .selected
            .iter()
            .any(|selected| selected.version == version.version);
        let outcome = outcome(version.outcome, &plugin.plugin, version.version, status);
        show_version(version, plugin, selected, outcome, page);
    }
    if hidden > 0 {
        let _ = writeln!(page, "    and {hidden} older");
    }
}

/// Whether what its file holds now is this, and rejected.
fn is_unmended(version: &Version, plugin: &Plugin) -> bool {
    let newer = plugin
        .versions
        .iter()
        .any(|other| other.version > version.version && other.artifact == version.artifact);
    version.outcome == Outcome::Rejected && !newer
}

/// What became of a version, as people read it: one that no program runs any more was live.
pub(super) fn outcome(
    outcome: Outcome,
    plugin: &str,
    version: u64,
    status: &Status,
) -> &'static str {
    let mut uses = status.clients.iter().flat_map(|client| &client.plugins);
    let runs = uses.any(|used| used.plugin == plugin && used.live == Some(version));
    match outcome {
        Outcome::Live if !runs => "was live",
        outcome => outcome.word(),
    }
}

fn show_version(
    version: &Version,
    plugin: &Plugin,
    selected: bool,
    outcome: &str,
    page: &mut String,
) {
    let mark = if selected { '*' } else { ' ' };
    let _ = write!(
        page,
        "  {mark} v{:<4} {:<8} {}  {:<11} {}",
        version.version,
        version.semver.as_deref().unwrap_or("-"),
        version.digest.short(),
        outcome,
        version.lane.as_deref().unwrap_or("opened by path"),
    );
    let settled = !matches!(version.outcome, Outcome::Rejected | Outcome::OnItsWay);
    match version.probe {
        Probe::NotProbed if settled => page.push_str("  NOT PROBED"),
        Probe::Deferred if settled => page.push_str("  not probed"),
        _ => {}
    }
    let _ = writeln!(page, "  {:.1} ms", version.timings_us.total as f64 / 1e3);
    if let Some(reason) = version.why(&plugin.plugin) {
        let stage = version.stage.map_or_else(String::new, |stage| {
            format!("rejected at {}: ", stage.word())
        });
        let _ = writeln!(page, "          {stage}{}", plain(&reason));
    }
    if settled && let Some(why) = not_probed(version) {
        let _ = writeln!(page, "          {}", plain(&why));
    }
    for warning in &version.warnings {
        let _ = writeln!(page, "          warning: {warning}");
    }
}

/// Why it is not known, or not as well as it could be, how a version behaves.
fn not_probed(version: &Version) -> Option<String> {
    match (version.probe, version.level) {
        (Probe::Deferred, _) => Some("not probed: no program has asked for it yet".to_owned()),
        (Probe::NotProbed, _) => {
            let why = version
                .not_probed
                .as_deref()
                .unwrap_or("it was published by an earlier release");
            Some(format!("not probed: {why}"))
        }
        (_, Some(level)) if level != Level::FULL => Some(format!("probed with {level} only")),
        _ => None,
    }
}

fn show_use(used: &Use, status: &Status, page: &mut String) {
    let Some(live) = used.live else {
        let _ = writeln!(page, "  {}: nothing live yet", used.plugin);
        show_refused(used, page);
        return;
    };
    let readers = format!("{}/{}", used.executing.entered, used.executing.of);
    let drained = if used.drained { ", drained" } else { "" };
    let _ = write!(
        page,
        "  {} v{live} live, executing in {readers} readers{drained}",
        used.plugin
    );
    let mut selected = status
        .plugins
        .iter()
        .filter(|plugin| plugin.plugin == used.plugin)
        .flat_map(|plugin| &plugin.selected);
    if let Some(selected) = selected.find(|selected| selected.lane == used.lane) {
        if selected.version != live {
            let _ = write!(page, "; lags behind v{}", selected.version);
        }
        if let Some(newest) = selected.newest {
            let _ = write!(page, "; v{newest} is newer and not current");
        }
    }
    page.push('\n');
    show_refused(used, page);
}

fn show_refused(used: &Use, page: &mut String) {
    if let Some(refused) = &used.refused {
        let _ = writeln!(page, "    refused {}: {}", refused.version, refused.reason);
    }
}
