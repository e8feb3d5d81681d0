//! `plugind history`: a line for each outcome, newest last, or JSON Lines.

use std::process::ExitCode;

use anyhow::Result;
use jiff::tz::TimeZone;
use plugind_wire::history::{Entry, Outcome};

use super::{print, print_json};
use crate::cli::{self, PlaceArgs};
use crate::exit::{Failure, plain};
use crate::place;

/// So many lines fit into what people look at; a script gets all.
const LAST: u64 = 50;

pub(crate) fn run(args: &cli::History, place: &PlaceArgs) -> Result<ExitCode> {
    let client = place::connect(place, true)?;
    let plugin = args.plugin.as_deref();
    let last = args.last.or((!args.json).then_some(LAST));
    let show = |entry: &Entry| match args.json {
        true => print_json(entry),
        false => print(&line(entry)),
    };
    if !args.follow {
        let entries = client.history(plugin, last)?;
        entries.iter().try_for_each(show)?;
        if entries.is_empty() && !args.json {
            print("nothing has become of any version yet\n")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for entry in client.follow_history(plugin, last)? {
        show(&entry)?;
    }
    let reason = "the engine is gone; what it kept is shown again once `plugind watch` runs";
    Err(Failure::NothingServes(reason.to_owned()).into())
}

/// One outcome as people read it: time, plugin and version, digest, what, and why.
fn line(entry: &Entry) -> String {
    let time = entry.time.to_zoned(TimeZone::system());
    let time = time.strftime("%Y-%m-%d %H:%M:%S%.3f");
    let plugin = match (&entry.plugin, entry.version) {
        (Some(plugin), Some(version)) => format!("{plugin} v{version}"),
        (Some(plugin), None) => plugin.clone(),
        (None, _) => "-".to_owned(),
    };
    let digest = entry.digest.map_or("-".to_owned(), |digest| digest.short());
    let semver = entry.semver.as_deref().unwrap_or("-");
    format!(
        "{time}  {:<16} {digest:<12}  {:<8} {:<10} {}\n",
        plain(&plugin),
        plain(semver),
        entry.outcome.word(),
        plain(&what(entry))
    )
    .trim_end()
    .to_owned()
        + "\n"
}

/// What there is to say of an outcome.
fn what(entry: &Entry) -> String {
    let ms = |micros: u64| format!("{:.1} ms", micros as f64 / 1e3);
    let reason = entry.reason.as_deref();
    let client = entry
        .client
        .as_ref()
        .map(|client| format!("{} (pid {})", client.program, client.pid));
    let client = client.as_deref().unwrap_or("a program");
    match entry.outcome {
        Outcome::Published => {
            let took = entry.timings_us.map_or(0, |timings| timings.total);
            let warning = reason.map_or_else(String::new, |why| format!("  warning: {why}"));
            format!("after {}{warning}", ms(took))
        }
        Outcome::Live => {
            let opened = entry
                .opened_us
                .map(|took| format!(", opened in {}", ms(took)));
            format!("in {client}{}", opened.unwrap_or_default())
        }
        Outcome::Refused => format!("by {client}: {}", reason.unwrap_or_default()),
        Outcome::Rejected => {
            let stage = entry.stage.map_or("", |stage| stage.word());
            let file = match entry.version {
                None => format!("  {}", entry.artifact),
                Some(_) => String::new(),
            };
            format!("at {stage}{file}: {}", reason.unwrap_or_default())
        }
        Outcome::Superseded => "a newer one came before any program had it".to_owned(),
    }
}
