//! `plugind watch` in a process of its own.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use plugind_wire::event::{Event, Kind};
use plugind_wire::status::Status;

use crate::{Home, Process, Seen};

/// A daemon whose events are collected; see [`Process`] for its signals.
pub struct Daemon<'h> {
    home: &'h Home,
    process: Process<Event>,
}

impl<'h> Daemon<'h> {
    /// Starts `plugind watch DIR --json` with `args`, and returns once its socket answers.
    pub fn watch(home: &'h Home, dir: &Path, args: &[&str]) -> Self {
        let mut command = home.plugind(["watch", "--json"]);
        command.args(args).arg(dir);
        Self::spawn(home, command)
    }

    /// Starts a command that prints the same events, and returns once its socket answers.
    pub fn spawn(home: &'h Home, command: std::process::Command) -> Self {
        let daemon = Self {
            home,
            process: Process::spawn(command),
        };
        let first = daemon.wait("the socket is ready", |_| true).line.event;
        assert_eq!(first, Kind::Watching, "`watching` is the first event");
        daemon
    }

    /// The first event ever that `wanted` accepts.
    ///
    /// # Panics
    ///
    /// After the deadline, with all events so far, stderr and status.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Seen<Event> {
        self.wait_from(0, what, wanted)
    }

    /// Like [`Daemon::wait`], for events after a [`Daemon::mark`].
    pub fn wait_from(
        &self,
        mark: usize,
        what: &str,
        wanted: impl Fn(&Event) -> bool,
    ) -> Seen<Event> {
        self.process.wait(what, mark, wanted, || self.status_text())
    }

    /// The event of this kind about version `number` of `plugin`.
    pub fn wait_version(&self, kind: Kind, plugin: &str, number: u64) -> Seen<Event> {
        self.wait(&format!("{} {plugin} v{number}", kind.word()), |event| {
            is(event, kind, plugin, number)
        })
    }

    /// The event of this kind by process `client` about version `number` of `plugin`.
    pub fn wait_client(&self, kind: Kind, plugin: &str, number: u64, client: u32) -> Seen<Event> {
        let what = format!("{} {plugin} v{number} by {client}", kind.word());
        self.wait(&what, |event| {
            is(event, kind, plugin, number) && by(event, client)
        })
    }

    /// The events about `plugin` of this kind until now, in order.
    pub fn events(&self, kind: Kind, plugin: &str) -> Vec<Event> {
        let mut events: Vec<_> = self.lines().into_iter().map(|seen| seen.line).collect();
        events.retain(|event| event.event == kind && event.plugin.as_deref() == Some(plugin));
        events
    }

    /// The versions in [`Daemon::events`], in order.
    pub fn numbers(&self, kind: Kind, plugin: &str) -> Vec<u64> {
        let events = self.events(kind, plugin);
        events
            .iter()
            .map(|event| event.version.expect("it is about a version"))
            .collect()
    }

    /// The versions in [`Daemon::events`] that process `client` told of, in order.
    pub fn numbers_by(&self, kind: Kind, plugin: &str, client: u32) -> Vec<u64> {
        let events = self.events(kind, plugin);
        events
            .iter()
            .filter(|event| by(event, client))
            .map(|event| event.version.expect("it is about a version"))
            .collect()
    }

    /// How many events there are, to be given to [`Daemon::wait_from`].
    pub fn mark(&self) -> usize {
        self.lines().len()
    }

    /// `plugind status --json`.
    pub fn status(&self) -> Status {
        self.home.status(self.pid())
    }

    fn status_text(&self) -> String {
        let mut command = self.home.plugind(["status", "--json", "--pid"]);
        match command.arg(self.pid().to_string()).output() {
            Ok(output) => format!(
                "--- its status\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => format!("--- no status: {error}\n"),
        }
    }
}

fn is(event: &Event, kind: Kind, plugin: &str, number: u64) -> bool {
    event.event == kind && event.plugin.as_deref() == Some(plugin) && event.version == Some(number)
}

fn by(event: &Event, client: u32) -> bool {
    event.client.as_ref().is_some_and(|name| name.pid == client)
}

impl Deref for Daemon<'_> {
    type Target = Process<Event>;

    fn deref(&self) -> &Self::Target {
        &self.process
    }
}

impl DerefMut for Daemon<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.process
    }
}
