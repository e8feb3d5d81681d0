//! Opens what is announced, swaps the snapshot, and acknowledges what the readers' words say.

use std::sync::Arc;

use plugind_wire::event::Stage;
use plugind_wire::message::{Acknowledged, Announcement, ToEngine};

use plugind_wire::{Digest, VersionId, sentence};

use crate::error::ClientError;
use crate::event::ClientEvent;
use crate::link::Writer;
use crate::loader::Loader;
use crate::logs::Records;
use crate::progress::Current;
use crate::request::{FollowNews, Kept};
use crate::snapshot::{Refused, SymbolTable};

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
        for announcement in versions {
            let Some(slot) = self.slot(&announcement.version.plugin) else {
                continue;
            };
            let id = announcement.version.clone();
            let digest = announcement.digest;
            match self.table(slot, &state, announcement) {
                Ok(table) => {
                    if snapshot.tables.len() <= slot {
                        snapshot.tables.resize(slot + 1, None);
                    }
                    snapshot.tables[slot] = Some(Arc::clone(&table));
                    snapshot.refused.remove(&slot);
                    is_new = true;
                    swapped.push((slot, table));
                }
                Err(error) => {
                    let reason = sentence(&error);
                    tracing::warn!(version = %id, reason, "refused; what is current stays");
                    let followed = &mut self.followed[slot];
                    followed.tell(|| FollowNews::Refused(id.clone(), reason.clone()));
                    followed.refused = Some((id.clone(), reason.clone()));
                    let refused = Refused {
                        version: id.clone(),
                        reason: reason.clone(),
                    };
                    snapshot.refused.insert(slot, Arc::new(refused));
                    is_new = true;
                    self.refuse(id, digest, reason);
                }
            }
        }
        if !is_new {
            return;
        }
        let epoch = snapshot.epoch;
        let old = self.readers.snapshot.load_full();
        self.retired.push(old);
        self.readers.swap(snapshot);
        // One: nobody but this list holds it.
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        for (slot, table) in swapped {
            self.swapped(slot, table, epoch, &state);
        }
        self.look_at_readers();
    }

    /// A build that this client will not hear of again. Who waits for a first version need not wait for an older one.
    pub(crate) fn rejected(
        &mut self,
        version: VersionId,
        stage: Stage,
        reason: String,
        has_older: bool,
    ) {
        tracing::warn!(%version, stage = stage.word(), reason, "rejected");
        let slot = self.slot(&version.plugin).filter(|_| !has_older);
        if let Some(slot) = slot
            && self.followed[slot].current.is_none()
        {
            let followed = &mut self.followed[slot];
            let why = format!("rejected at {}: {reason}", stage.word());
            followed.refused = Some((version.clone(), why.clone()));
            followed.tell(|| FollowNews::Refused(version.clone(), why.clone()));
        }
        self.listeners.tell(&ClientEvent::Rejected {
            version,
            stage,
            reason,
        });
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
        let table = open(announcement)?;
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
        for waiter in followed.waiters.drain(..) {
            let _ = waiter.try_send(FollowNews::Current(slot, Arc::clone(&table)));
        }
        self.listeners.tell(&ClientEvent::Swapped { version });
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

pub(crate) fn open(announcement: Announcement) -> Result<SymbolTable, ClientError> {
    let mapped = announcement.mapped;
    let image = plugind_loader::open(&announcement.image, mapped.bytes, mapped.digest.as_bytes())?;
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
