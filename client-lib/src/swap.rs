//! Opens what is announced, swaps the snapshot, and acknowledges what the readers' words say.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use plugind_loader::OpenError;
use plugind_loader::manifest::Contract;
use plugind_wire::message::{Acknowledged, Announcement, Rejection, ToEngine};

use plugind_wire::{Digest, VersionId, sentence};

use crate::error::ClientError;
use crate::event::ClientEvent;
use crate::link::Writer;
use crate::loader::Loader;
use crate::logs::Records;
use crate::progress::Current;
use crate::request::{FollowNews, Kept};
use crate::snapshot::{Refused, Snapshot, SymbolTable};

/// The slot of a plugin, the version that was announced, its content, and the version open, or else why not, and whether
/// it is because it does not fit.
type Opened = (
    usize,
    VersionId,
    Digest,
    Result<Arc<SymbolTable>, (String, bool)>,
);

impl Loader {
    /// Opens a batch and swaps what could be opened, together.
    pub(crate) fn announced(&mut self, versions: Vec<Announcement>) {
        let state = self
            .engine
            .as_ref()
            .map_or_else(String::new, |(hello, _)| hello.state.clone());
        let mut snapshot = (**self.readers.snapshot.load()).clone();
        snapshot.epoch += 1;
        let (mut swapped, mut is_new) = (Vec::new(), false);
        for (slot, id, digest, opened) in self.open_all(versions, &state) {
            match opened {
                Ok(table) => {
                    if snapshot.tables.len() <= slot {
                        snapshot.tables.resize(slot + 1, None);
                    }
                    snapshot.tables[slot] = Some(Arc::clone(&table));
                    snapshot.refused.remove(&slot);
                    is_new = true;
                    swapped.push((slot, table));
                }
                Err((reason, misfit)) => {
                    let refused = Refused {
                        misfit,
                        version: id.clone(),
                        reason: reason.clone(),
                    };
                    self.not_used(&mut snapshot, slot, refused);
                    is_new = true;
                    self.refuse(id, digest, reason);
                }
            }
        }
        if !is_new {
            return;
        }
        let epoch = snapshot.epoch;
        self.put(snapshot);
        for (slot, table) in swapped {
            self.swapped(slot, table, epoch, &state);
        }
        self.look_at_readers();
    }

    /// Opens what is followed of a batch. Of a group all can be used, or none.
    fn open_all(&self, versions: Vec<Announcement>, state: &str) -> Vec<Opened> {
        let mut failed = BTreeMap::new();
        let mut all = Vec::new();
        for announcement in versions {
            let Some(slot) = self.slot(&announcement.version.plugin) else {
                continue;
            };
            let (id, digest) = (announcement.version.clone(), announcement.digest);
            let group = announcement.group.clone();
            let current = self.followed[slot].current.as_ref();
            let is_current =
                current.is_some_and(|it| it.state == state && *it.table.version() == id);
            // It came along with its group.
            if !group.is_empty() && is_current {
                continue;
            }
            let opened = self.table(slot, state, announcement).map_err(|error| {
                let misfit = matches!(error, ClientError::Open(OpenError::Misfit(_)));
                (sentence(&error), misfit)
            });
            if opened.is_err() && !group.is_empty() {
                failed.entry(group.clone()).or_insert_with(|| id.clone());
            }
            all.push((group, (slot, id, digest, opened)));
        }
        let together = all.into_iter().map(|(group, (slot, id, digest, opened))| {
            let opened = match (opened, failed.get(&group)) {
                (Ok(_), Some(other)) => Err((
                    format!("it changes together with {other}, which is not used"),
                    false,
                )),
                (opened, _) => opened,
            };
            (slot, id, digest, opened)
        });
        together.collect()
    }

    fn put(&mut self, snapshot: Snapshot) {
        let old = self.readers.snapshot.load_full();
        self.readers.swap(snapshot);
        // It is set once, here.
        let _ = old.ended.set(Timestamp::now());
        self.retired.push(old);
        // One: nobody but this list holds it.
        self.retired.retain(|old| Arc::strong_count(old) > 1);
    }

    /// Notes why the newest version of a plugin is not used, and tells who waits for one.
    fn not_used(&mut self, snapshot: &mut Snapshot, slot: usize, mut refused: Refused) {
        refused.misfit &= refused.version.number > self.followed[slot].reconsidered;
        let Refused {
            version, reason, ..
        } = &refused;
        tracing::warn!(%version, reason, "not used; what is current stays");
        let refused = Arc::new(refused);
        self.followed[slot].tell(|| FollowNews::Refused(Arc::clone(&refused)));
        self.followed[slot].refused = Some(Arc::clone(&refused));
        snapshot.refused.insert(slot, refused);
    }

    /// The engine turned a version down before anybody could open it.
    pub(crate) fn rejected(&mut self, rejection: Rejection) {
        let Rejection {
            version,
            stage,
            reason,
            has_older,
            misfit,
            contracts,
        } = rejection;
        let refused = Refused {
            version: version.clone(),
            reason: format!("rejected at {}: {reason}", stage.word()),
            misfit,
        };
        match self.slot(&version.plugin) {
            None => self.tell_followers(&contracts, &Arc::new(refused)),
            // Who waits for a first version gets the older one.
            Some(slot) if has_older && self.followed[slot].current.is_none() => {}
            Some(slot) => {
                let mut snapshot = (**self.readers.snapshot.load()).clone();
                snapshot.epoch += 1;
                self.not_used(&mut snapshot, slot, refused);
                self.put(snapshot);
            }
        }
        self.listeners.tell(&ClientEvent::Rejected {
            version,
            stage,
            reason,
        });
        self.look_at_readers();
    }

    /// What is built is the current version again.
    pub(crate) fn unchanged(&mut self, version: &VersionId) {
        let Some(slot) = self.slot(&version.plugin) else {
            return;
        };
        let current = self.followed[slot].current.as_ref();
        if current.is_none_or(|current| current.table.version() != version) {
            return;
        }
        self.followed[slot].refused = None;
        let mut snapshot = (**self.readers.snapshot.load()).clone();
        if snapshot.refused.remove(&slot).is_some() {
            snapshot.epoch += 1;
            self.put(snapshot);
            self.listeners.tell(&ClientEvent::Unchanged {
                version: version.clone(),
            });
            self.look_at_readers();
        }
    }

    /// Tells everybody of a version that could not be opened.
    pub(crate) fn refuse(&self, version: VersionId, digest: Digest, reason: String) {
        if let Some((_, writer)) = &self.engine {
            writer.send(&ToEngine::Acknowledge {
                version: version.clone(),
                digest,
                what: Acknowledged::Refused {
                    reason: reason.clone(),
                },
            });
        }
        self.listeners
            .tell(&ClientEvent::Refused { version, reason });
    }

    /// The announced version, open. The same content under another state directory's numbers is not opened anew.
    fn table(
        &self,
        slot: usize,
        state: &str,
        announcement: Announcement,
    ) -> Result<Arc<SymbolTable>, ClientError> {
        if let Some(current) = &self.followed[slot].current
            && current.state != state
            && current.table.digest() == announcement.digest
        {
            return Ok(Arc::new(current.table.relabelled(announcement)));
        }
        let table = open(announcement, &self.followed[slot].expected())?;
        for requirement in &self.followed[slot].requirements {
            requirement.check(&table)?;
        }
        Ok(Arc::new(table))
    }

    fn swapped(&mut self, slot: usize, table: Arc<SymbolTable>, epoch: u64, state: &str) {
        let followed = &mut self.followed[slot];
        let version = table.version().clone();
        tracing::info!(version = %version, digest = table.digest().short(), "live");
        followed.current = Some(Current::new(Arc::clone(&table), epoch, state.to_owned()));
        followed.refused = None;
        // First, so that who waited for the version and listens from then on is not told of it.
        self.listeners.tell(&ClientEvent::Swapped { version });
        for waiter in followed.waiters.drain(..) {
            let _ = waiter.try_send(FollowNews::Current(slot, Arc::clone(&table)));
        }
    }

    /// An instance's state could not be carried to a version.
    pub(crate) fn kept(&mut self, kept: Kept) {
        let current = self
            .followed
            .get_mut(kept.slot)
            .and_then(|followed| followed.current.as_mut());
        if let Some(current) = current
            && *current.table.version() == kept.version
            && current.table.digest() == kept.digest
        {
            current.keep(kept.reason.clone());
            self.refuse(kept.version, kept.digest, kept.reason);
        }
    }

    /// Reads the readers' words and tells what is new.
    pub(crate) fn look_at_readers(&mut self) {
        for (slot, followed) in self.followed.iter_mut().enumerate() {
            let Some(current) = followed.current.as_mut().filter(|_| !followed.removed) else {
                continue;
            };
            let seen = self.readers.look(slot, current.since);
            let was_drained = current.is_drained();
            let news = current.news(seen);
            if let Some((_, writer)) = &self.engine {
                for what in news {
                    acknowledge(writer, Some(current), what);
                }
            }
            if current.is_drained() && !was_drained {
                let version = current.table.version();
                tracing::debug!(version = %version, after = ?current.age(), "drained");
                self.listeners.tell(&ClientEvent::Drained {
                    version: current.table.version().clone(),
                });
            }
        }
    }
}

pub(crate) fn open(
    announcement: Announcement,
    expected: &[Contract],
) -> Result<SymbolTable, ClientError> {
    let (mapped, path) = (announcement.mapped, &announcement.image);
    let image = plugind_loader::open(path, mapped.bytes, mapped.digest.as_bytes(), expected)?;
    image.attach_logs(Records(announcement.version.clone()));
    Ok(SymbolTable::new(announcement, image))
}

pub(crate) fn acknowledge(writer: &Writer, current: Option<&Current>, what: Acknowledged) {
    if let Some(current) = current {
        writer.send(&ToEngine::Acknowledge {
            version: current.table.version().clone(),
            digest: current.table.digest(),
            what,
        });
    }
}
