//! What is known of every plugin, version and client.
//!
//! The engine's thread owns one and changes it; after each change the others get a copy through an `ArcSwap`, which
//! costs pointers, because records are shared until they change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugind_wire::choice::Policy;
use plugind_wire::event::{ClientName, Stage};
use plugind_wire::message::{Announcement, EngineHello, Mapped};
use plugind_wire::status::{self, Status};
use plugind_wire::{Digest, SCHEMA, VersionId};
use serde::{Deserialize, Serialize};

use crate::choice::{Choice, Policies};
use crate::group::waits_for;

/// A connection's number; the engine's own, never reused.
pub(crate) type ClientId = u64;

/// All records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    /// By name.
    pub(crate) plugins: BTreeMap<String, Arc<Plugin>>,
    /// By path.
    pub(crate) artifacts: BTreeMap<PathBuf, Artifact>,
    /// Files that could not become a version.
    pub(crate) rejected_files: BTreeMap<PathBuf, (Stage, String)>,
    /// Those that open plugins.
    pub(crate) clients: BTreeMap<ClientId, Arc<Client>>,
    /// What hinders watching.
    pub(crate) warnings: Vec<String>,
    /// No build takes over by itself.
    pub(crate) paused: bool,
    /// What takes over by itself otherwise.
    pub(crate) policies: Arc<Policies>,
    /// Plugins that change together.
    pub(crate) groups: Arc<Vec<Vec<String>>>,
}

/// One plugin's versions, by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plugin {
    pub(crate) versions: BTreeMap<u64, Arc<Version>>,
    /// The lane in which it was built again last, with nothing changed, and the newest version then.
    pub(crate) rebuilt: Option<(String, u64)>,
    /// Which version takes over by itself.
    pub(crate) policy: Policy,
    /// What somebody chose instead, by lane.
    pub(crate) choices: BTreeMap<String, Choice>,
    /// It changes together with others.
    pub(crate) is_grouped: bool,
    /// What is current then, by lane.
    pub(crate) current: BTreeMap<String, u64>,
}

/// One version, as it is kept on disk too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Version {
    /// Whose.
    pub(crate) plugin: String,
    /// True without a plugind note.
    pub(crate) raw: bool,
    /// How far it came.
    pub(crate) progress: Progress,
    /// Content of the libraries beside it, by name.
    #[serde(default)]
    pub(crate) needed: BTreeMap<String, Digest>,
    /// The contracts that it says it implements.
    #[serde(default)]
    pub(crate) contracts: Vec<String>,
    /// Rejected because it fitted none of the programs that were there.
    #[serde(default)]
    pub(crate) misfit: bool,
    /// The part of the image that a loader maps.
    pub(crate) mapped: Mapped,
    /// The image's length when all of it is there.
    pub(crate) size: u64,
    /// Everything that a status shows.
    pub(crate) shown: status::Version,
}

/// How far a version came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// It has a number and is being examined.
    OnItsWay,
    /// Raw, inspected, and nobody has asked for it.
    Deferred,
    /// It may be opened.
    Accepted,
    /// It may not.
    Rejected,
}

/// A watched file.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    /// Its lane.
    pub(crate) lane: String,
    /// The plugin it last gave, once it gave one.
    pub(crate) plugin: Option<String>,
    /// There, or gone since.
    pub(crate) present: bool,
}

/// A client that opens plugins, and what it acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Which.
    pub(crate) name: ClientName,
    /// By plugin.
    pub(crate) uses: BTreeMap<String, status::Use>,
}

impl Version {
    /// Whether the same content may stand for this version again. One that a client could not open may do better once
    /// what it lacked is there.
    pub(crate) fn is_sound(&self) -> bool {
        self.progress != Progress::Rejected
            && self.shown.reason.is_none()
            && self.shown.image.exists()
    }

    /// Whether the image ends before its end: its rest is on the way, or plugind was killed before it was added.
    pub(crate) fn is_cut(&self) -> bool {
        fs::metadata(&self.shown.image).is_ok_and(|image| image.len() < self.size)
    }

    /// Its identity.
    pub(crate) fn id(&self) -> VersionId {
        VersionId {
            plugin: self.plugin.clone(),
            number: self.shown.version,
        }
    }

    /// As clients are told of it.
    pub(crate) fn announcement(&self) -> Announcement {
        Announcement {
            version: self.id(),
            digest: self.shown.digest,
            mapped: self.mapped,
            lane: self.shown.lane.clone(),
            semver: self.shown.semver.clone(),
            raw: self.raw,
            image: self.shown.image.clone(),
            group: Vec::new(),
        }
    }
}

impl Plugin {
    /// The newest version in a lane, if it fitted none of the programs that were there.
    pub(crate) fn misfit(&self, lane: Option<&str>) -> Option<&Arc<Version>> {
        let mut lanes = self.versions.values().rev();
        let newest_lane = || lanes.find_map(|version| version.shown.lane.as_deref());
        let newest = self.newest_in(lane.or_else(newest_lane)?)?;
        newest.misfit.then_some(newest)
    }

    /// The newest version of a lane, whatever became of it.
    pub(crate) fn newest_in(&self, lane: &str) -> Option<&Arc<Version>> {
        let mut versions = self.versions.values().rev();
        versions.find(|version| version.shown.lane.as_deref() == Some(lane))
    }

    /// The newest version, not rejected, that came from an artifact.
    pub(crate) fn newest_from(&self, artifact: &Path) -> Option<&Arc<Version>> {
        self.versions.values().rev().find(|version| {
            version.progress != Progress::Rejected
                && version.shown.lane.is_some()
                && version.shown.artifact == artifact
        })
    }

    /// The newest version of an artifact, whatever became of it.
    pub(crate) fn latest_from(&self, artifact: &Path) -> Option<&Arc<Version>> {
        let mut versions = self.versions.values().rev();
        versions.find(|it| it.shown.lane.is_some() && it.shown.artifact == artifact)
    }

    /// Sentences about libraries beside a version that another version had in another build: the loader knows them by
    /// name, so a program that has one keeps it.
    pub(crate) fn changed_libraries(&self, number: u64) -> Vec<String> {
        let Some(version) = self.versions.get(&number) else {
            return Vec::new();
        };
        let changed = version.needed.iter().filter(|(name, digest)| {
            let others = self
                .versions
                .range(..number)
                .map(|(_, other)| &other.needed);
            others
                .rev()
                .any(|needed| needed.get(*name).is_some_and(|other| other != *digest))
        });
        changed
            .map(|(name, _)| {
                format!("{name} beside it changed: a program that has an older build of it loaded keeps that one until it starts again")
            })
            .collect()
    }

    /// Whether a version that may be opened implements a contract.
    pub(crate) fn implements(&self, contract: &str) -> bool {
        self.versions.values().any(|version| {
            version.progress == Progress::Accepted
                && version.contracts.iter().any(|other| other == contract)
        })
    }

    /// All, oldest first.
    pub(crate) fn versions(&self) -> impl DoubleEndedIterator<Item = &Arc<Version>> {
        self.versions.values()
    }

    /// The version before this one that was the same file, byte for byte, and rejected like it.
    pub(crate) fn rejected_before(&self, version: &Version) -> Option<&Arc<Version>> {
        let older = self.versions.range(..version.shown.version).map(|(_, v)| v);
        older
            .rev()
            .find(|other| other.shown.artifact == version.shown.artifact)
            .filter(|other| {
                other.progress == Progress::Rejected && other.shown.digest == version.shown.digest
            })
    }

    /// By number.
    pub(crate) fn version(&self, number: u64) -> Option<&Arc<Version>> {
        self.versions.get(&number)
    }

    /// The newest version of this content that was not rejected.
    fn by_content(&self, digest: &Digest) -> Option<&Arc<Version>> {
        self.versions
            .values()
            .rev()
            .find(|version| version.shown.digest == *digest && version.is_sound())
    }

    /// Those that a version came from.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &str> {
        let mut lanes: Vec<_> = self
            .versions
            .values()
            .filter_map(|version| version.shown.lane.as_deref())
            .collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes.into_iter()
    }
}

impl Catalogue {
    /// One version.
    pub(crate) fn version(&self, id: &VersionId) -> Option<&Arc<Version>> {
        self.plugins.get(&id.plugin)?.version(id.number)
    }

    /// Adds a version or replaces its record.
    pub(crate) fn put(&mut self, version: Version) {
        let is_grouped = !self.group_of(&version.plugin).is_empty();
        let plugin = self.plugins.entry(version.plugin.clone());
        let plugin = plugin.or_insert_with(|| {
            let policy = self.policies.of(&version.plugin);
            let plugin = Plugin {
                policy,
                is_grouped,
                ..Plugin::default()
            };
            plugin.into()
        });
        Arc::make_mut(plugin)
            .versions
            .insert(version.shown.version, Arc::new(version));
    }

    /// The versions whose image lacks its rest.
    pub(crate) fn cut(&self) -> Vec<VersionId> {
        let versions = self.plugins.values();
        versions
            .flat_map(|plugin| plugin.versions.values())
            .filter(|version| version.progress != Progress::Rejected && version.is_cut())
            .map(|version| version.id())
            .collect()
    }

    /// Changes a version's record.
    pub(crate) fn change(&mut self, id: &VersionId, change: impl FnOnce(&mut Version)) {
        let version = self
            .plugins
            .get_mut(&id.plugin)
            .and_then(|plugin| Arc::make_mut(plugin).versions.get_mut(&id.number));
        if let Some(version) = version {
            change(Arc::make_mut(version));
        }
    }

    /// A version of this content that was not rejected, of the plugin of this name if there is one: what opening a file
    /// by path hands out.
    pub(crate) fn by_content(&self, plugin: &str, digest: &Digest) -> Option<&Arc<Version>> {
        let own = self.plugins.get(plugin).into_iter();
        own.chain(self.plugins.values())
            .find_map(|plugin| plugin.by_content(digest))
    }

    /// Changes what a client acknowledged about a plugin.
    pub(crate) fn change_use(
        &mut self,
        client: ClientId,
        plugin: &str,
        change: impl FnOnce(&mut status::Use),
    ) {
        if let Some(client) = self.clients.get_mut(&client) {
            let uses = &mut Arc::make_mut(client).uses;
            let used = uses
                .entry(plugin.to_owned())
                .or_insert_with(|| status::Use {
                    plugin: plugin.to_owned(),
                    lane: String::new(),
                    live: None,
                    digest: None,
                    executing: plugind_wire::event::Readers::default(),
                    drained: false,
                    refused: None,
                });
            change(used);
        }
    }

    /// A client uses a plugin no more.
    pub(crate) fn end_use(&mut self, client: ClientId, plugin: &str) {
        if let Some(client) = self.clients.get_mut(&client) {
            Arc::make_mut(client).uses.remove(plugin);
        }
    }

    /// The document of `plugind status --json`.
    pub(crate) fn status(
        &self,
        hello: &EngineHello,
        socket: &Path,
        since: jiff::Timestamp,
    ) -> Status {
        Status {
            schema: SCHEMA,
            folder: hello.folder.clone(),
            socket: socket.to_owned(),
            pid: hello.pid,
            mode: hello.mode,
            release: hello.release.clone(),
            state: hello.state.clone(),
            since,
            plugins: self
                .plugins
                .iter()
                .map(|(name, plugin)| self.show(name, plugin))
                .collect(),
            rejected_files: self
                .rejected_files
                .iter()
                .map(|(path, (stage, reason))| status::RejectedFile {
                    path: path.clone(),
                    stage: *stage,
                    reason: reason.clone(),
                })
                .collect(),
            clients: self
                .clients
                .values()
                .map(|client| status::Client {
                    pid: client.name.pid,
                    program: client.name.program.clone(),
                    plugins: client.uses.values().cloned().collect(),
                })
                .collect(),
            warnings: self.warnings.clone(),
            paused: self.paused,
        }
    }

    fn show(&self, name: &str, plugin: &Plugin) -> status::Plugin {
        let selected = plugin.lanes().filter_map(|lane| {
            let version = plugin.selected(lane)?;
            Some(status::Selected {
                lane: lane.to_owned(),
                version: version.shown.version,
                digest: version.shown.digest,
                hold: plugin.holds(lane, self.paused).map(|(hold, _)| hold),
                pinned: plugin.is_pinned(lane),
                held: self.rejected_member(name, lane).map(waits_for),
                newest: plugin.holds(lane, self.paused).map(|(_, newest)| newest),
            })
        });
        let artifacts = self
            .artifacts
            .iter()
            .filter(|(_, artifact)| artifact.plugin.as_deref() == Some(name))
            .map(|(path, artifact)| status::Artifact {
                path: path.clone(),
                lane: artifact.lane.clone(),
                present: artifact.present,
            });
        status::Plugin {
            plugin: name.to_owned(),
            raw: plugin.versions.values().next_back().is_some_and(|v| v.raw),
            selected: selected.collect(),
            artifacts: artifacts.collect(),
            versions: plugin.versions.values().map(|v| v.shown.clone()).collect(),
        }
    }
}
