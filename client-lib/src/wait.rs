//! Waits until what was built is what runs.
//!
//! The engine first looks at what is on disk, so that "newest" is what was there when the wait began, whether or not an
//! event of it has arrived. What then counts is what clients acknowledged.

use std::thread;
use std::time::{Duration, Instant};

use plugind_wire::VersionId;
use plugind_wire::choice::Hold;
use plugind_wire::event::ClientName;
use plugind_wire::status::{Outcome, Plugin, Status, Use, Version};
use plugind_wire::who::{self, Who};

use crate::client::Client;
use crate::error::ClientError;
use crate::request::Request;

/// Between two looks at the status.
const PAUSE: Duration = Duration::from_millis(10);
/// After this it is worth asking the clients why they are not there yet.
const LONG: Duration = Duration::from_millis(300);

/// What to wait for. By default the newest version, drained, in one client at least, for ten seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The version that every client must have reached or gone beyond, which need not exist yet; the newest in each
    /// client's lane otherwise.
    pub version: Option<u64>,
    /// How far.
    pub until: Until,
    /// How many clients there must be at least.
    pub clients: usize,
    /// How long to wait at most; to find out who is behind takes up to two seconds more.
    pub timeout: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            version: None,
            until: Until::Drained,
            clients: 1,
            timeout: Duration::from_secs(10),
        }
    }
}

/// How far a client must be with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Until {
    /// A reader of it has entered a frame or request on the version.
    Executing,
    /// No reader of it is inside a frame or request on an older one.
    Drained,
}

impl Until {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Executing => "executing",
            Self::Drained => "drained",
        }
    }
}

/// A client that is as far as was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The client.
    pub client: ClientName,
    /// The version it runs.
    pub version: u64,
}

impl Client {
    /// Waits until every client that uses the plugin, and one at least, runs the newest version of what was on disk when
    /// this was called. What a program waits for that uses the plugin itself includes that program.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unknown`] if nothing of that name has been built. [`ClientError::Rejected`] if the version was
    /// turned down, by a stage or by a client. [`ClientError::Held`] if an older version is pinned or builds are held back,
    /// [`ClientError::Paused`] if a client holds new versions back.
    /// [`ClientError::NotReached`] after the timeout: it says which process and thread are behind, and on what.
    pub fn wait(&self, plugin: &str, wait: &Wait) -> Result<Vec<Reached>, ClientError> {
        let begun = Instant::now();
        let left = || wait.timeout.saturating_sub(begun.elapsed());
        let mut scanned = false;
        let mut asked = false;
        let mut so_far = "nothing is known of it yet".to_owned();
        while !left().is_zero() {
            match self.reach(plugin, wait, &mut scanned, left()) {
                Ok(Reach::All(reached)) => return Ok(reached),
                Ok(Reach::Behind(status)) => {
                    so_far = behind(&status, None, plugin, wait);
                    if !asked && begun.elapsed() > LONG {
                        asked = true;
                        self.is_paused(&status, plugin, wait)?;
                    }
                }
                // It comes back and has everything looked at again.
                Err(ClientError::Disconnected) => scanned = false,
                Err(ClientError::TimedOut { .. }) => {
                    "the engine does not answer".clone_into(&mut so_far);
                }
                Err(error) => return Err(error),
            }
            thread::sleep(PAUSE.min(left()));
        }
        if scanned && let Ok(status) = self.status() {
            self.is_paused(&status, plugin, wait)?;
            so_far = behind(&status, self.who().ok().as_ref(), plugin, wait);
        }
        Err(ClientError::NotReached {
            plugin: plugin.to_owned(),
            waited: wait.timeout,
            so_far,
        })
    }

    fn reach(
        &self,
        plugin: &str,
        wait: &Wait,
        scanned: &mut bool,
        left: Duration,
    ) -> Result<Reach, ClientError> {
        if !*scanned {
            let name = plugin.to_owned();
            self.ask(|answer| Request::Scan(name, answer), left)?;
            *scanned = true;
        }
        let status = self.ask(Request::Status, left)?;
        let known = find(&status, plugin)?;
        turned_down(&status, known, wait)?;
        held(&status, known, wait)?;
        let uses: Vec<_> = uses(&status, plugin).collect();
        let all = uses.iter().all(|(_, used)| is_there(used, known, wait));
        if !all || uses.len() < wait.clients.max(1) {
            return Ok(Reach::Behind(status));
        }
        let reached = uses.into_iter().map(|(client, used)| Reached {
            client,
            version: used.live.unwrap_or_default(),
        });
        Ok(Reach::All(reached.collect()))
    }

    /// A client that holds new versions back will not come to this one.
    fn is_paused(&self, status: &Status, plugin: &str, wait: &Wait) -> Result<(), ClientError> {
        let (Ok(who), Ok(known)) = (self.who(), find(status, plugin)) else {
            return Ok(());
        };
        let paused = uses(status, plugin).find(|(client, used)| {
            let report = report(&who, client.pid);
            !is_there(used, known, wait) && report.is_some_and(|report| report.paused)
        });
        match paused {
            Some((client, _)) => Err(ClientError::Paused {
                plugin: plugin.to_owned(),
                client,
            }),
            None => Ok(()),
        }
    }
}

enum Reach {
    All(Vec<Reached>),
    Behind(Box<Status>),
}

fn find<'a>(status: &'a Status, plugin: &str) -> Result<&'a Plugin, ClientError> {
    let known = status.plugins.iter().find(|known| known.plugin == plugin);
    known.ok_or_else(|| ClientError::Unknown(format!("there is no plugin {plugin} any more")))
}

/// Everybody who uses a plugin.
fn uses<'a>(status: &'a Status, plugin: &'a str) -> impl Iterator<Item = (ClientName, &'a Use)> {
    status.clients.iter().flat_map(move |client| {
        let name = ClientName {
            pid: client.pid,
            program: client.program.clone(),
        };
        let uses = client.plugins.iter();
        uses.filter(move |used| used.plugin == plugin)
            .map(move |used| (name.clone(), used))
    })
}

/// What a client must run.
fn wanted(used: &Use, known: &Plugin, wait: &Wait) -> Option<u64> {
    wait.version.or_else(|| {
        let mut selected = known.selected.iter();
        let selected = selected.find(|selected| selected.lane == used.lane)?;
        Some(selected.version)
    })
}

fn is_there(used: &Use, known: &Plugin, wait: &Wait) -> bool {
    let Some(wanted) = wanted(used, known, wait) else {
        return false;
    };
    let live = match wait.version {
        // One that has gone on was there.
        Some(_) => used.live.is_some_and(|live| live >= wanted),
        None => used.live == Some(wanted),
    };
    live && match wait.until {
        Until::Executing => used.executing.entered > 0,
        Until::Drained => used.drained,
    }
}

/// A stage or a client turned down what is waited for.
fn turned_down(status: &Status, known: &Plugin, wait: &Wait) -> Result<(), ClientError> {
    let plugin = &known.plugin;
    let rejected = match wait.version {
        Some(number) => version(known, number).filter(|it| it.outcome == Outcome::Rejected),
        None => {
            if let Some(file) = status
                .rejected_files
                .iter()
                .find(|file| known.artifacts.iter().any(|it| it.path == file.path))
            {
                return Err(ClientError::Rejected(format!(
                    "{} was rejected at {}: {}",
                    file.path.display(),
                    file.stage.word(),
                    file.reason
                )));
            }
            newest_rejected(status, known)
        }
    };
    if let Some(version) = rejected {
        let stage = version.stage.map_or("", |stage| stage.word());
        let why = version.why(plugin).unwrap_or_default();
        return Err(ClientError::Rejected(format!(
            "{plugin} v{} was rejected at {stage}: {why}",
            version.version
        )));
    }
    for (client, used) in uses(status, plugin) {
        if let Some(refused) = &used.refused
            && Some(refused.version.number) == wanted(used, known, wait)
            && !is_there(used, known, wait)
        {
            return Err(ClientError::Rejected(format!(
                "{} was refused by {} (pid {}): {}",
                refused.version, client.program, client.pid, refused.reason
            )));
        }
    }
    Ok(())
}

/// What is waited for does not take over.
fn held(status: &Status, known: &Plugin, wait: &Wait) -> Result<(), ClientError> {
    let plugin = &known.plugin;
    let lanes: Vec<_> = uses(status, plugin).map(|(_, used)| &used.lane).collect();
    let concerned = |lane: &String| lanes.is_empty() || lanes.contains(&lane);
    for selected in known.selected.iter().filter(|it| concerned(&it.lane)) {
        let stays = selected.version;
        if let (Some(hold), Some(newest)) = (selected.hold, selected.newest)
            && hold != Hold::Higher
            && (hold != Hold::Group || selected.held.is_some())
            && wait.version.is_none_or(|wanted| wanted > stays)
        {
            return Err(ClientError::Held(format!(
                "{plugin} v{newest} does not take over: {}",
                selected
                    .held
                    .clone()
                    .unwrap_or_else(|| hold.sentence(plugin, stays))
            )));
        }
    }
    Ok(())
}

fn version(known: &Plugin, number: u64) -> Option<&Version> {
    known.versions.iter().find(|it| it.version == number)
}

/// The newest version in a lane that somebody uses, or in any if nobody does, if it was rejected.
fn newest_rejected<'a>(status: &Status, known: &'a Plugin) -> Option<&'a Version> {
    let lanes: Vec<_> = uses(status, &known.plugin)
        .map(|(_, used)| used.lane.as_str())
        .collect();
    let in_lane = |version: &&Version, lane: &str| version.lane.as_deref() == Some(lane);
    let newest = |lane: &str| known.versions.iter().rfind(|it| in_lane(it, lane));
    let newest: Vec<_> = if lanes.is_empty() {
        known.versions.last().into_iter().collect()
    } else {
        lanes.into_iter().filter_map(newest).collect()
    };
    let mut newest = newest.into_iter();
    newest.find(|version| version.outcome == Outcome::Rejected)
}

fn report(who: &Who, pid: u32) -> Option<&who::Report> {
    let client = who.clients.iter().find(|client| client.pid == pid)?;
    client.report.as_ref()
}

/// Who is not there yet, and why as far as that is known.
fn behind(status: &Status, who: Option<&Who>, plugin: &str, wait: &Wait) -> String {
    let Ok(known) = find(status, plugin) else {
        return format!("there is no plugin {plugin} any more");
    };
    let newest = known.versions.last().map_or(0, |newest| newest.version);
    if let Some(number) = wait.version.filter(|number| *number > newest) {
        return format!("there is no v{number} yet, the newest is v{newest}");
    }
    let uses: Vec<_> = uses(status, plugin).collect();
    if uses.len() < wait.clients.max(1) {
        return match uses.len() {
            0 => "no program uses it".to_owned(),
            n => format!("{n} of {} programs use it", wait.clients),
        };
    }
    let late =
        uses.iter()
            .filter(|(_, used)| !is_there(used, known, wait))
            .map(|(client, used)| {
                let wanted = wanted(used, known, wait);
                let why = match who.map(|who| report(who, client.pid)) {
                    Some(None) => "does not answer: it is stopped, or opens a plugin".to_owned(),
                    Some(Some(report)) => late_readers(report, used, wanted)
                        .unwrap_or_else(|| runs(used, wanted, wait)),
                    None => runs(used, wanted, wait),
                };
                format!("{} (pid {}) {why}", client.program, client.pid)
            });
    late.collect::<Vec<_>>().join("; ")
}

/// What a client runs instead.
fn runs(used: &Use, wanted: Option<u64>, wait: &Wait) -> String {
    match (used.live, wanted) {
        (None, _) => "runs no version of it".to_owned(),
        (Some(live), Some(wanted)) if live >= wanted => {
            format!("has v{live}, which is not {} there", wait.until.word())
        }
        (Some(live), Some(wanted)) => format!("runs v{live} and not v{wanted}"),
        (Some(live), None) => format!("runs v{live}"),
    }
}

/// The readers that are inside an older version.
fn late_readers(report: &who::Report, used: &Use, wanted: Option<u64>) -> Option<String> {
    let late = report.readers.iter().filter_map(|reader| {
        let inside = reader.executes(&used.plugin)?;
        let VersionId { number, .. } = inside.version;
        if wanted.is_none_or(|wanted| number >= wanted) {
            return None;
        }
        let name = reader.name.as_deref().unwrap_or_default();
        let what = match &reader.instance_of {
            Some(_) => ", an instance that was not synced,",
            None => "",
        };
        let since = reader.inside.as_ref()?.since_before;
        let since = since.map_or_else(String::new, |since| format!(" since before {since:.3}"));
        Some(format!(
            "thread {} {name}{what} is inside v{number}{since}",
            reader.thread
        ))
    });
    let late: Vec<_> = late.collect();
    (!late.is_empty()).then(|| format!("is behind: {}", late.join(", ")))
}
