//! `plugind who`: a page, or the document itself.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use plugind_client::Who;
use plugind_wire::who::{Inside, Reader, Report, Running};

use super::{print, print_json};
use crate::cli::{self, PlaceArgs};
use crate::exit::{Failure, plain};
use crate::place;

pub(crate) fn run(args: &cli::Who, place: &PlaceArgs) -> Result<ExitCode> {
    let client = place::connect(place, true)?;
    let mut who = client.who()?;
    if let Some(plugin) = &args.plugin {
        keep(&mut who, plugin);
        let status = client.status()?;
        if !status.plugins.iter().any(|known| known.plugin == *plugin) {
            let known = status.plugins.iter().map(|known| known.plugin.as_str());
            let reason = format!(
                "there is no plugin {plugin} in {}; there are: {}",
                status.folder.display(),
                known.collect::<Vec<_>>().join(", ")
            );
            return Err(Failure::Unknown(reason).into());
        }
    }
    if args.json {
        print_json(&who)?;
    } else {
        print(&page(&who, args.plugin.as_deref()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Leaves what is about one plugin; a client that did not answer may use it.
fn keep(who: &mut Who, plugin: &str) {
    let is_of = |running: &Running| running.version.plugin == plugin;
    for report in who.clients.iter_mut().filter_map(|it| it.report.as_mut()) {
        report.current.retain(is_of);
        report.retired.retain(|version| version.plugin == plugin);
        report.readers.retain(|reader| {
            let own = reader.instance_of.as_deref();
            own.is_none_or(|own| own == plugin)
        });
        for reader in &mut report.readers {
            if let Some(inside) = &mut reader.inside {
                inside.versions.retain(is_of);
            }
        }
    }
    who.clients.retain(|client| {
        let report = client.report.as_ref();
        report.is_none_or(|report| !report.current.is_empty())
    });
}

fn page(who: &Who, plugin: Option<&str>) -> String {
    if who.clients.is_empty() {
        let what = plugin.map_or_else(String::new, |plugin| format!(" that uses {plugin}"));
        return format!("no program{what} is connected\n");
    }
    let mut page = String::new();
    for client in &who.clients {
        let _ = writeln!(page, "{} (pid {})", plain(&client.program), client.pid);
        match &client.report {
            None => page.push_str("  does not answer: it is stopped, or opens a plugin\n"),
            Some(report) => show(report, &mut page),
        }
    }
    page
}

fn show(report: &Report, page: &mut String) {
    if report.paused {
        page.push_str("  is paused: it takes no new versions until it resumes\n");
    }
    for running in &report.current {
        let _ = writeln!(
            page,
            "  runs {} {}",
            running.version,
            running.digest.short()
        );
    }
    for reader in &report.readers {
        let name = reader.name.as_deref().unwrap_or("?");
        let _ = writeln!(
            page,
            "  {:>7} {:<15} {}",
            reader.thread,
            plain(name),
            state(reader)
        );
    }
    if report.readers.is_empty() {
        page.push_str("  has no reader\n");
    }
    if !report.retired.is_empty() {
        let retired: Vec<_> = report.retired.iter().map(ToString::to_string).collect();
        let _ = writeln!(page, "  still holds {}", retired.join(", "));
    }
}

fn state(reader: &Reader) -> String {
    let what = if reader.instance_of.is_some() {
        "instance, "
    } else {
        ""
    };
    let Some(Inside {
        versions,
        since_before,
    }) = &reader.inside
    else {
        return format!("{what}idle");
    };
    let versions: Vec<_> = versions
        .iter()
        .map(|running| running.version.to_string())
        .collect();
    let since = since_before.map_or_else(String::new, |since| format!(" since before {since:.3}"));
    format!("{what}inside {}{since}", versions.join(", "))
}
