//! Tells what happened: to the log, to whoever started the engine, and to clients that subscribed.

use crossbeam_channel::{Sender, TrySendError};
use plugind_wire::event::{Event, Kind, Stage};
use plugind_wire::message::ToClient;

use crate::catalogue::Version;
use crate::engine::Loop;

/// The channel of whoever started the engine.
pub(crate) struct Listener {
    to: Sender<Event>,
    lost: u64,
}

impl Listener {
    pub(crate) fn new(to: Sender<Event>) -> Self {
        Self { to, lost: 0 }
    }

    fn tell(&mut self, event: Event) {
        if self.lost > 0 {
            let mut notice = Event::new(Kind::Warning);
            notice.reason = Some(format!(
                "{} events were lost because nobody read them",
                self.lost
            ));
            if self.to.try_send(notice).is_ok() {
                self.lost = 0;
            }
        }
        if let Err(TrySendError::Full(_)) = self.to.try_send(event) {
            self.lost += 1;
        }
    }
}

impl Loop {
    /// Tells everybody.
    pub(crate) fn tell(&mut self, event: Event) {
        tracing::debug!(
            event = event.event.word(),
            plugin = event.plugin,
            version = event.version,
            reason = event.reason
        );
        for session in self.sessions.values().filter(|session| session.subscribed) {
            session.outbox.send(ToClient::Event {
                event: Box::new(event.clone()),
            });
        }
        if let Some(listener) = &mut self.listener {
            listener.tell(event);
        }
    }

    /// Tells of something that hinders watching, once.
    pub(crate) fn warn(&mut self, warning: &str) {
        if !self.catalogue.warnings.iter().any(|known| known == warning) {
            self.catalogue.warnings.push(warning.to_owned());
            let mut event = Event::new(Kind::Warning);
            event.reason = Some(warning.to_owned());
            self.tell(event);
        }
    }
}

/// An event about a version.
pub(crate) fn of_version(kind: Kind, version: &Version) -> Event {
    let mut event = Event::new(kind);
    event.plugin = Some(version.plugin.clone());
    event.version = Some(version.shown.version);
    event.semver.clone_from(&version.shown.semver);
    event.digest = Some(version.shown.digest);
    event.lane.clone_from(&version.shown.lane);
    event.artifact = Some(version.shown.artifact.display().to_string());
    event
}

/// The same, with what the probe found.
pub(crate) fn of_probed(kind: Kind, version: &Version) -> Event {
    let mut event = of_version(kind, version);
    event.probe = Some(version.shown.probe);
    event.not_probed.clone_from(&version.shown.not_probed);
    event.level = version.shown.level;
    event.phase = version.shown.phase;
    event.cause = version.shown.cause;
    event.quarantined = version.shown.quarantined;
    event.timings_us = Some(version.shown.timings_us);
    event
}

/// An event about a file that became no version.
pub(crate) fn of_file(
    kind: Kind,
    path: &std::path::Path,
    lane: Option<&str>,
    why: Option<(Stage, &str)>,
) -> Event {
    let mut event = Event::new(kind);
    event.artifact = Some(path.display().to_string());
    event.lane = lane.map(str::to_owned);
    event.stage = why.map(|(stage, _)| stage);
    event.reason = why.map(|(_, reason)| reason.to_owned());
    event
}
