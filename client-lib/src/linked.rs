//! A client without an engine: its plugins are linked into the program, in one version each, for good.

use std::sync::Arc;

use crossbeam_channel::{Receiver, unbounded};
use plugind_loader::{OpenError, Registry};
use plugind_wire::message::{Announcement, Mapped};
use plugind_wire::{Digest, VersionId};

use crate::error::ClientError;
use crate::plugin::Plugin;
use crate::reader::Readers;
use crate::request::FollowNews;
use crate::snapshot::{Snapshot, SymbolTable};

/// Makes a [`Client`](crate::Client) of plugins that are linked into the program, for a build that is given to others:
/// `link!(breakout, sparks)`, with the names of the plugins' libraries.
///
/// The API is the same; there is one version of each plugin, v1. Nothing is watched, opened or connected to, and the
/// program contains no code that could. What only an engine can answer is
/// [`ClientError::Unsupported`](crate::ClientError::Unsupported).
///
/// The plugins are dependencies of the program and libraries of the kinds `cdylib` and `rlib`, and `plugind-plugin` has
/// the feature `static`.
#[macro_export]
macro_rules! link {
    ($($plugin:ident),+ $(,)?) => {{
        $(extern crate $plugin as _;)+
        $crate::Client::linked($crate::__registry!())
    }};
}

/// The plugins, swapped in.
pub(crate) fn plugins(
    registry: &'static Registry,
    readers: &Arc<Readers>,
) -> Result<Vec<Plugin>, ClientError> {
    let images = plugind_loader::linked(registry).map_err(|source| OpenError::Register {
        path: "this program".into(),
        source,
    })?;
    let tables: Vec<_> = images
        .into_iter()
        .filter_map(|image| {
            let registrations = image.registrations()?;
            let content = Digest::of(registrations.semver().as_bytes());
            let announcement = Announcement {
                version: VersionId {
                    plugin: registrations.plugin().to_owned(),
                    number: 1,
                },
                digest: content,
                mapped: Mapped {
                    bytes: 0,
                    digest: content,
                },
                lane: None,
                semver: Some(registrations.semver().to_owned()),
                raw: false,
                image: image.path().to_owned(),
                group: Vec::new(),
            };
            Some(Arc::new(SymbolTable::new(announcement, image)))
        })
        .collect();
    let mut snapshot = Snapshot::default();
    snapshot.epoch += 1;
    snapshot.tables = tables.iter().cloned().map(Some).collect();
    readers.swap(snapshot);
    let plugins = tables.into_iter().enumerate().map(|(slot, table)| {
        let name = Arc::from(&*table.version().plugin);
        Plugin::new(name, slot, table, Arc::clone(readers))
    });
    Ok(plugins.collect())
}

pub(crate) fn find(linked: &[Plugin], name: &str) -> Result<Plugin, ClientError> {
    let found = linked.iter().find(|plugin| plugin.name() == name);
    found.cloned().ok_or_else(|| {
        let names: Vec<_> = linked.iter().map(Plugin::name).collect();
        ClientError::Unknown(format!(
            "plugin {name} is not linked into this program; there are: {}",
            names.join(", ")
        ))
    })
}

/// Tells of each plugin that implements a contract, at once.
pub(crate) fn implementing(linked: &[Plugin], contract: &str) -> Receiver<FollowNews> {
    let (tell, news) = unbounded();
    for plugin in linked {
        let table = plugin.current();
        let registrations = table.registrations();
        if registrations.is_some_and(|r| r.contracts().any(|other| other == contract)) {
            let _ = tell.send(FollowNews::Current(plugin.slot(), Arc::clone(&table)));
        }
    }
    news
}

pub(crate) fn no_engine() -> ClientError {
    ClientError::Unsupported(
        "the plugins are linked into this program; there is no engine to ask".to_owned(),
    )
}
