//! Where something may have changed.
//!
//! Events are hints; `settle` decides by looking at the file. Directories are watched, never files (a watch on a file
//! dies with its inode) and never `deps`: the folder's lanes, and the nearest existing ancestor of the folder, so that
//! a folder that is not there yet, is removed, or is a link that gets switched, is seen.
//!
//! `notify` 8 is used without its recursive mode, which misses files written right after their directory was made;
//! new directories are read again after they are watched.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, TrySendError, bounded, never};
use notify::event::{
    AccessKind, AccessMode, CreateKind, EventKind, MetadataKind, ModifyKind, RenameMode,
};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::lanes::{self, Layout};
use crate::rights::Users;
use crate::signature;

/// More than a build writes between two looks of the engine; beyond it everything is looked at.
const HINTS: usize = 4096;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// One file of a lane.
    Path {
        /// Its lane.
        lane: String,
        /// Where.
        path: PathBuf,
        /// What the event said.
        change: Change,
    },
    /// Directories or links changed, or events were lost: everything.
    Everything,
}

/// What an event said about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A name now stands for a file that it did not stand for before: created, linked, renamed to.
    Appeared,
    /// Content was written.
    Written,
    /// A writer closed the file.
    Closed,
    /// The name is gone.
    Vanished,
    /// Times, mode or link count.
    Attributes,
    /// The signature beside it came or was written.
    Signed,
    /// No event: a scan found the file.
    Scanned,
}

impl Change {
    /// Whether it is about what the name stands for, not about its attributes.
    pub(crate) fn is_content(self) -> bool {
        matches!(self, Self::Appeared | Self::Vanished) || self.is_written()
    }

    /// Whether it is about the content of a file that goes by the name that it had.
    fn is_written(self) -> bool {
        matches!(self, Self::Written | Self::Closed)
    }
}

/// The watched directories.
pub(crate) struct Watch {
    watcher: Option<RecommendedWatcher>,
    events: Receiver<notify::Event>,
    overflowed: Arc<AtomicBool>,
    /// By real path, with the inode that is watched: a directory made anew under the same path needs a new watch.
    watched: HashMap<PathBuf, (u64, u64)>,
    /// Real directory to lane name and directory as the user named it.
    lanes: HashMap<PathBuf, Vec<lanes::Lane>>,
    /// The folder as named and as resolved: a change of any directory on the way to it counts.
    ways: Vec<PathBuf>,
    failure: Option<String>,
}

impl Watch {
    /// Starts without watched directories. `poll` leaves the system's events unused.
    pub(crate) fn new(poll: bool) -> Self {
        let (sender, received) = bounded(HINTS);
        let overflowed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&overflowed);
        // The handler never blocks: `watch` waits for the thread that runs it.
        let handler = move |event: notify::Result<notify::Event>| match event {
            Ok(event) if !is_relevant(&event) => {}
            Ok(event) => {
                if let Err(TrySendError::Full(_)) = sender.try_send(event) {
                    flag.store(true, Ordering::SeqCst);
                }
            }
            Err(_) => {
                flag.store(true, Ordering::SeqCst);
                let _ = sender.try_send(notify::Event::new(EventKind::Other));
            }
        };
        let (watcher, failure) = if poll {
            (None, None)
        } else {
            match notify::recommended_watcher(handler) {
                Ok(watcher) => (Some(watcher), None),
                Err(error) => (None, Some(explain(&error, None))),
            }
        };
        Self {
            // Without a watcher nobody holds the sending side, and a closed channel would be ready for ever.
            events: if watcher.is_some() { received } else { never() },
            watcher,
            overflowed,
            watched: HashMap::new(),
            lanes: HashMap::new(),
            ways: Vec::new(),
            failure,
        }
    }

    /// The channel to select on; what comes out goes through [`Watch::hints`].
    pub(crate) fn events(&self) -> &Receiver<notify::Event> {
        &self.events
    }

    /// Why the system's events cannot be relied on, if so: then the engine scans often instead.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether changes are found by scanning alone.
    pub(crate) fn is_polling(&self) -> bool {
        self.watcher.is_none() || self.failure.is_some()
    }

    /// Makes the watched directories those of the folder as it is now, and tells what is in them. A directory that is
    /// new to the watch is read after it is watched, so nothing written in between is missed.
    pub(crate) fn follow(&mut self, folder: &Path, own_store: &Path, owners: &Users) -> Layout {
        // Two rounds see a tree of three levels that appears while it is read; the events of a later change come after
        // the watch and start another call.
        let mut layout = Layout::read(folder, own_store, owners);
        for _ in 0..8 {
            let changed = self.rewatch(&layout, folder);
            if !changed {
                break;
            }
            layout = Layout::read(folder, own_store, owners);
        }
        self.ways = ways(folder);
        self.lanes.clear();
        for lane in &layout.lanes {
            if let Ok(real) = lane.dir.canonicalize() {
                self.lanes.entry(real).or_default().push(lane.clone());
            }
        }
        layout
    }

    /// True when a watch was added.
    fn rewatch(&mut self, layout: &Layout, folder: &Path) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let wanted = directories(layout, folder);
        self.watched.retain(|dir, _| {
            let keep = wanted.contains(dir);
            if !keep {
                let _ = watcher.unwatch(dir);
            }
            keep
        });
        let mut added = false;
        let mut failure = None;
        for dir in wanted {
            let Ok(found) = fs::metadata(&dir) else {
                continue;
            };
            let inode = (found.dev(), found.ino());
            if self.watched.get(&dir) == Some(&inode) {
                continue;
            }
            // The old watch, if any, hangs on an inode that is gone.
            let _ = watcher.unwatch(&dir);
            match watcher.watch(&dir, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(dir, inode);
                    added = true;
                }
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {
                    self.watched.remove(&dir);
                }
                Err(error) => {
                    self.watched.remove(&dir);
                    failure = Some(explain(&error, Some(&dir)));
                }
            }
        }
        self.failure = failure;
        added
    }

    /// What an event of [`Watch::events`] asks to look at.
    pub(crate) fn hints(&mut self, event: &notify::Event) -> Vec<Hint> {
        if event.need_rescan()
            || event.kind == EventKind::Other
            || self.overflowed.swap(false, Ordering::SeqCst)
        {
            return vec![Hint::Everything];
        }
        let changes: &[Change] = match event.kind {
            // One event with both names; the single halves are sent as well, so this one says nothing new.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => &[],
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                &[Change::Appeared]
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => &[Change::Vanished],
            EventKind::Modify(ModifyKind::Metadata(_)) => &[Change::Attributes],
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => &[Change::Closed],
            _ => &[Change::Written],
        };
        let mut hints = Vec::new();
        for change in changes {
            for path in &event.paths {
                self.hint(path, *change, event.kind, &mut hints);
            }
        }
        hints
    }

    fn hint(&mut self, path: &Path, change: Change, kind: EventKind, hints: &mut Vec<Hint>) {
        if self.watched.contains_key(path) {
            // A watched directory itself was removed, moved, or had its mode changed.
            if matches!(change, Change::Vanished | Change::Appeared) {
                // A new directory of the same name may have the same inode; its watch is gone all the same.
                self.watched.remove(path);
            }
            if !change.is_written() {
                hints.push(Hint::Everything);
            }
            return;
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let lanes = self.lanes.get(parent).map_or(&[][..], Vec::as_slice);
        let is_artifact = lanes::is_artifact(name) && kind != EventKind::Create(CreateKind::Folder);
        if !lanes.is_empty() && is_artifact {
            hints.extend(lanes.iter().map(|lane| Hint::Path {
                lane: lane.name.clone(),
                path: lane.dir.join(name),
                change,
            }));
            return;
        }
        let signed = signature::signed(name).filter(|name| lanes::is_artifact(name));
        if let Some(name) = signed.filter(|_| !lanes.is_empty()) {
            if change == Change::Appeared || change.is_written() {
                hints.extend(lanes.iter().map(|lane| Hint::Path {
                    lane: lane.name.clone(),
                    path: lane.dir.join(name),
                    change: Change::Signed,
                }));
            }
            return;
        }
        // A directory whose mode or owner changed may be a lane now.
        let appeared = !lanes.is_empty()
            && matches!(change, Change::Appeared | Change::Attributes)
            && fs::symlink_metadata(path).is_ok_and(|found| !found.is_file());
        let on_the_way = self.ways.iter().any(|way| way.starts_with(path));
        if appeared || (on_the_way && !change.is_written()) {
            hints.push(Hint::Everything);
        }
    }
}

/// The real directories to watch: lanes, and the parent of the folder, or what exists of it. A folder that is a link
/// also has the parent of what it points to watched.
fn directories(layout: &Layout, folder: &Path) -> BTreeSet<PathBuf> {
    let mut wanted: BTreeSet<PathBuf> = layout
        .lanes
        .iter()
        .filter_map(|lane| lane.dir.canonicalize().ok())
        .collect();
    for path in ways(folder) {
        let nearest = path
            .ancestors()
            .skip(1)
            .find_map(|dir| dir.canonicalize().ok());
        wanted.extend(nearest);
    }
    wanted
}

/// The folder as named, and as resolved if it exists.
fn ways(folder: &Path) -> Vec<PathBuf> {
    let mut ways = vec![folder.to_owned()];
    ways.extend(folder.canonicalize());
    ways
}

/// Whether an event may mean a change: opening and reading, which plugind does itself, do not.
fn is_relevant(event: &notify::Event) -> bool {
    !matches!(
        event.kind,
        EventKind::Access(
            AccessKind::Any
                | AccessKind::Read
                | AccessKind::Open(_)
                | AccessKind::Other
                | AccessKind::Close(
                    AccessMode::Any | AccessMode::Read | AccessMode::Execute | AccessMode::Other
                )
        ) | EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime))
    ) || event.need_rescan()
}

fn explain(error: &notify::Error, dir: Option<&Path>) -> String {
    let place = dir.map_or_else(String::new, |dir| format!(" {}", dir.display()));
    let remedy = match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "raise it with `sysctl fs.inotify.max_user_watches=524288`"
        }
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            "raise it with `sysctl fs.inotify.max_user_instances=1024`"
        }
        _ => "scanning takes its place",
    };
    let what = match &error.kind {
        notify::ErrorKind::MaxFilesWatch => "the limit of inotify watches is reached".to_owned(),
        other => format!("{other:?}"),
    };
    format!(
        "cannot watch{place}: {what}; {remedy}. Until then the folder is scanned five times a second"
    )
}
