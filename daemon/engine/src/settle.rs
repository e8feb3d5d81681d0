//! When is an artifact finished?
//!
//! There is no fixed delay. A file is settled when nobody can write its inode any more (see [`crate::lease`]) and its
//! tables lie inside it (see [`crate::complete`]).
//!
//! One kind of writer escapes the lease: one that opens the file anew for each piece, between two pieces. It betrays
//! itself, by writing to an inode that was settled before without emptying it first (see [`crate::truncation`]), by
//! closing it once more before it is copied, or by leaving the file incomplete while nobody can write it; then the file
//! must also have been quiet for [`QUIET`]. Where leases do not work every file must have been quiet, for
//! [`QUIET_WITHOUT_LEASE`].
//!
//! An incomplete file that nobody can write is rejected after [`PATIENCE`] without a change; the next change starts
//! over.

use std::fs::{File, Metadata};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::complete;
use crate::identity::Identity;
use crate::lease::{self, Lease};
use crate::rights::Users;
use crate::truncation::FirstPage;
use crate::watch::Change;

/// How long an inode that is written in pieces must be quiet.
const QUIET: Duration = Duration::from_millis(25);
/// The same where the kernel does not tell whether somebody can still write.
const QUIET_WITHOUT_LEASE: Duration = Duration::from_millis(250);
/// How long an incomplete file that nobody can write may stay as it is.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a name may be missing: builds remove the old file before they put the new one there.
const MISSING: Duration = Duration::from_millis(500);
/// The first and the longest pause between two looks at a file that is being written; a look costs microseconds.
const RETRY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(8));

/// A complete artifact that nobody could write when it was looked at.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Opened at that moment.
    pub(crate) file: File,
    /// What it was at that moment.
    pub(crate) identity: Identity,
    /// When the change was first heard of.
    pub(crate) heard: Instant,
    /// From then to now.
    pub(crate) took: Duration,
}

impl Settled {
    /// What happened to the file since it was looked at: it must still be what it was, still under its name, and
    /// still written by nobody.
    pub(crate) fn since(&self) -> Since {
        let identities = [self.file.metadata(), std::fs::metadata(&self.path)]
            .map(|found| found.ok().as_ref().map(Identity::of));
        let same = |like: fn(&Identity, &Identity) -> bool| {
            identities
                .iter()
                .all(|now| now.is_some_and(|now| like(&now, &self.identity)))
        };
        if !same(Identity::same_content) || lease::ask(&self.file) == Lease::Writable {
            Since::Written
        } else if same(PartialEq::eq) {
            Since::Nothing
        } else {
            Since::Touched
        }
    }
}

/// What happened to a file since it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// Nothing.
    Nothing,
    /// Its mode, owner or link count changed.
    Touched,
    /// Its content changed or may be changing, or its name stands for another file.
    Written,
}

/// What a look at a file showed.
#[derive(Debug)]
pub(crate) enum Look {
    /// It is finished.
    Settled(Settled),
    /// Look again at this time, or when a hint says so: it is being written, or missing for a moment.
    Again(Instant),
    /// Look again at this time, or when a hint says so: it is complete, and must be quiet until then.
    Quiet(Instant),
    /// The name is gone.
    Absent,
    /// It cannot become a plugin as it is.
    Rejected {
        /// Why, and what to do.
        reason: String,
        /// What was looked at; the same state is not looked at again.
        identity: Option<Identity>,
    },
}

/// What was settled last under a name.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    /// What it was.
    pub(crate) identity: Identity,
    /// Tells whether the inode was emptied since, where that can be told.
    page: Option<Arc<FirstPage>>,
}

impl Before {
    /// What was settled and copied; `hold` keeps its first page mapped.
    pub(crate) fn of(settled: &Settled, hold: bool) -> Self {
        let page = hold.then(|| FirstPage::of(&settled.file)).flatten();
        // A page that was taken hold of after the next change says nothing of it.
        let is_same = || {
            settled
                .file
                .metadata()
                .is_ok_and(|now| Identity::of(&now).same_content(&settled.identity))
        };
        Self {
            identity: settled.identity,
            page: page.filter(|_| is_same()).map(Arc::new),
        }
    }

    fn was_emptied(&self) -> bool {
        self.page.as_ref().is_some_and(|page| page.was_emptied())
    }
}

/// The way of one artifact from its first hint to [`Settled`].
#[derive(Debug)]
pub(crate) struct Settling {
    path: PathBuf,
    heard: Instant,
    /// What was settled last under this name.
    before: Option<Before>,
    /// A name was put there anew since, so writing to the same inode number proves nothing.
    appeared: bool,
    /// Written to since, under the name it had.
    written: bool,
    /// A writer closed it since, under the name it had.
    closed: bool,
    /// A writer that was seen to leave the file between two pieces.
    in_pieces: bool,
    /// What the last look saw, and since when that has not changed.
    last: Option<(Option<Identity>, Instant)>,
    pause: Duration,
}

impl Settling {
    /// Starts at a first hint; `before` is what was settled last under this name.
    pub(crate) fn new(path: PathBuf, before: Option<Before>, now: Instant) -> Self {
        Self {
            path,
            heard: now,
            before,
            appeared: false,
            written: false,
            closed: false,
            in_pieces: false,
            last: None,
            pause: RETRY.0,
        }
    }

    /// Starts again because the file changed while it was copied. If its content did, a writer is at work who was not
    /// seen: one that opens the file for each piece.
    pub(crate) fn again(path: PathBuf, heard: Instant, content_changed: bool) -> Self {
        Self {
            in_pieces: content_changed,
            ..Self::new(path, None, heard)
        }
    }

    /// Takes note of a hint.
    pub(crate) fn hear(&mut self, change: Change, now: Instant) {
        match change {
            Change::Appeared => {
                self.appeared = true;
                self.closed = false;
                self.in_pieces = false;
            }
            Change::Written | Change::Closed => {
                self.written = true;
                // Closed once more before it was copied: by somebody who opens it for each piece, or in a hurry.
                self.in_pieces |= self.closed && change == Change::Closed;
                self.closed |= change == Change::Closed;
                self.last = self.last.map(|(seen, _)| (seen, now));
            }
            Change::Vanished | Change::Attributes | Change::Signed | Change::Scanned => {}
        }
        self.pause = RETRY.0;
    }

    /// Whether a writer was heard to come back since the file was found finished, or since the first hint.
    pub(crate) fn is_in_pieces(&self) -> bool {
        self.in_pieces
    }

    /// Looks at the file.
    pub(crate) fn look(&mut self, now: Instant, owners: &Users) -> Look {
        let (file, lease, found) = match open(&self.path) {
            Ok(opened) => opened,
            Err(error) => return self.look_in_vain(error, now),
        };
        if !found.is_file() {
            return Look::Rejected {
                reason: format!(
                    "it is {} and no file; give it a name that is not a plugin's",
                    kind(&found)
                ),
                identity: Some(Identity::of(&found)),
            };
        }
        let identity = Identity::of(&found);
        if let Some(reason) = owners.refuse_file(&self.path, &found) {
            return Look::Rejected {
                reason,
                identity: Some(identity),
            };
        }
        let unchanged_since = self.note(Some(identity), now);
        if lease == Lease::Writable {
            return self.later(now);
        }
        if let Err(incomplete) = complete::check(&file, identity.size()) {
            self.in_pieces = true;
            if now.duration_since(unchanged_since) < PATIENCE {
                return self.later(now);
            }
            return Look::Rejected {
                reason: format!("{incomplete}; build it again"),
                identity: Some(identity),
            };
        }
        let quiet = match lease {
            Lease::Unknown => QUIET_WITHOUT_LEASE,
            _ if self.in_pieces || self.is_patched(&identity) => QUIET,
            _ => Duration::ZERO,
        };
        if now.duration_since(unchanged_since) < quiet {
            return Look::Quiet(unchanged_since + quiet);
        }
        // That was waited out; what is heard from now on is of a writer who is not done.
        self.in_pieces = false;
        Look::Settled(Settled {
            path: self.path.clone(),
            file,
            identity,
            heard: self.heard,
            took: now.duration_since(self.heard),
        })
    }

    /// Whether the inode that was settled before was written to since, without being emptied first.
    fn is_patched(&self, now: &Identity) -> bool {
        self.before.as_ref().is_some_and(|before| {
            !self.appeared
                && before.identity.same_inode(now)
                && (self.written || !before.identity.same_content(now))
                && !before.was_emptied()
        })
    }

    fn look_in_vain(&mut self, error: Errno, now: Instant) -> Look {
        let since = self.note(None, now);
        let waited = now.duration_since(since);
        let dangling = error == Errno::NOENT && self.path.is_symlink();
        if error == Errno::NOENT && !dangling {
            return if waited < MISSING {
                Look::Again(since + MISSING)
            } else {
                Look::Absent
            };
        }
        if waited < PATIENCE {
            return Look::Again(since + PATIENCE);
        }
        let reason = match (error, std::fs::read_link(&self.path)) {
            (Errno::NOENT, Ok(target)) => format!(
                "it is a link to {}, which does not exist; build that file or remove the link",
                target.display()
            ),
            (Errno::ACCESS, _) => {
                "this user may not read it; make it readable (chmod a+r)".to_owned()
            }
            (error, _) => format!("it cannot be opened: {error}"),
        };
        Look::Rejected {
            reason,
            identity: None,
        }
    }

    /// Notes what is there and tells since when that has not changed.
    fn note(&mut self, seen: Option<Identity>, now: Instant) -> Instant {
        match self.last {
            Some((last, since)) if last == seen => since,
            _ => {
                // A first look starts the clock at the hint, unless that is what has to be waited out.
                self.last = Some((seen, now));
                now
            }
        }
    }

    fn later(&mut self, now: Instant) -> Look {
        let next = now + self.pause;
        self.pause = (self.pause * 2).min(RETRY.1);
        Look::Again(next)
    }
}

/// What something is that is no regular file.
fn kind(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Opens without waiting for anybody (a FIFO) and without touching a device's state. What the file is is asked after
/// whether somebody can write it, so that it is what the last writer left.
fn open(path: &Path) -> Result<(File, Lease, Metadata), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let lease = lease::ask(&file);
    let found = file
        .metadata()
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok((file, lease, found))
}
