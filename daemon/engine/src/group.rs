//! Plugins that change together: the versions of a group's members that are wanted current become so at one moment, when
//! whatever builds them has come to rest, and not while one of them is rejected.
//!
//! There is rest when no file of a member is being looked at, copied or examined, and cargo builds nothing in the lane.
//! Cargo holds a lock on `<lane>/.cargo-lock` while it builds. It is never taken, not even shared: the kernel lists who
//! holds which locks in `/proc/locks` (`proc(5)`).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalogue::{Catalogue, Plugin, Progress};
use crate::engine::Loop;

/// So long must everything be at rest, if not every member has changed: without cargo nobody says which is the last.
const REST: Duration = Duration::from_millis(25);
/// Between two looks whether cargo still builds.
const LOOK: Duration = Duration::from_millis(10);
/// A build that takes longer after the last member that changed is not waited for.
const LONGEST: Duration = Duration::from_secs(10);

/// Plugins that change together.
#[derive(Debug, Default)]
pub(crate) struct Group {
    plugins: Vec<String>,
    /// By lane, what is to become current.
    gathering: BTreeMap<String, Gathering>,
}

/// Members that are to change.
#[derive(Debug)]
struct Gathering {
    /// Which version of each.
    to: BTreeMap<String, u64>,
    /// Since when it is these.
    since: Instant,
    /// The last moment at which something was not at rest.
    moving: Instant,
    /// When to look again.
    next: Instant,
}

impl Group {
    pub(crate) fn new(plugins: Vec<String>) -> Self {
        Self {
            plugins,
            gathering: BTreeMap::new(),
        }
    }
}

impl Plugin {
    /// Whether what its file holds was turned down last.
    fn is_rejected(&self, lane: &str) -> bool {
        let rejected = self.newest_in(lane);
        let rejected = rejected.filter(|newest| newest.progress == Progress::Rejected);
        rejected.is_some_and(|newest| {
            // Its file may have become an earlier one again.
            let rebuilt = self.rebuilt.as_ref();
            rebuilt.is_none_or(|(built, then)| built != lane || *then < newest.shown.version)
        })
    }
}

impl Catalogue {
    /// The members of the group that a plugin stands in.
    pub(crate) fn group_of(&self, plugin: &str) -> &[String] {
        let mut groups = self.groups.iter();
        let own = groups.find(|members| members.iter().any(|member| member == plugin));
        own.map_or(&[], Vec::as_slice)
    }

    /// What is wanted of every member in a lane, if that is not what they have.
    fn to_change(&self, members: &[String], lane: &str) -> Option<BTreeMap<String, u64>> {
        let wanted = |name: &String| {
            let wanted = self.plugins.get(name)?.wanted(lane)?;
            Some((name.clone(), wanted.shown.version))
        };
        let to: BTreeMap<_, _> = members.iter().filter_map(wanted).collect();
        let is = |(name, number): (&String, &u64)| self.current(name, lane) == Some(*number);
        (!to.iter().all(is)).then_some(to)
    }

    fn current(&self, plugin: &str, lane: &str) -> Option<u64> {
        self.plugins.get(plugin)?.current.get(lane).copied()
    }

    /// The member of a plugin's group that keeps the others from changing.
    pub(crate) fn rejected_member(&self, plugin: &str, lane: &str) -> Option<&str> {
        let rejected = |name: &&String| {
            let is_rejected = |known: &Arc<Plugin>| known.is_rejected(lane);
            let mut files = self.rejected_files.keys();
            let file = files.any(|path| {
                let artifact = self.artifacts.get(path);
                artifact.is_some_and(|it| it.plugin.as_ref() == Some(*name) && it.lane == lane)
            });
            file || self.plugins.get(*name).is_some_and(is_rejected)
        };
        self.group_of(plugin)
            .iter()
            .find(rejected)
            .map(String::as_str)
    }
}

impl Loop {
    /// Changes every group that is at rest; tells whether one was.
    pub(crate) fn change_groups(&mut self) -> bool {
        let now = Instant::now();
        let mut groups = std::mem::take(&mut self.groups);
        let mut changed = false;
        for group in &mut groups {
            for lane in self.lanes_of(&group.plugins) {
                changed |= self.change_group(group, &lane, now);
            }
        }
        self.groups = groups;
        if changed {
            self.keep_choices();
        }
        changed
    }

    fn change_group(&mut self, group: &mut Group, lane: &str, now: Instant) -> bool {
        let Some(to) = self.catalogue.to_change(&group.plugins, lane) else {
            group.gathering.remove(lane);
            return false;
        };
        let gathering = group.gathering.entry(lane.to_owned());
        let gathering = gathering.or_insert_with(|| Gathering {
            to: BTreeMap::new(),
            since: now,
            moving: now,
            next: now,
        });
        if gathering.to != to {
            (gathering.to, gathering.since, gathering.moving) = (to, now, now);
        }
        let first = group.plugins.first().map_or("", String::as_str);
        let busy = group
            .plugins
            .iter()
            .any(|plugin| self.is_busy(plugin, lane));
        let builds = is_locked(&self.hello.folder.join(lane).join(".cargo-lock"));
        if busy || builds {
            gathering.moving = now;
        }
        let all = gathering
            .to
            .iter()
            .all(|(plugin, number)| self.catalogue.current(plugin, lane) != Some(*number));
        let complete = all && gathering.to.len() == group.plugins.len();
        let rests = complete || now - gathering.moving >= REST || now - gathering.since >= LONGEST;
        let rejected = self.catalogue.rejected_member(first, lane).is_some();
        if busy || rejected || !rests {
            gathering.next = match (rejected, builds) {
                // What mends it wakes the loop.
                (true, _) => now + LONGEST,
                (false, true) => now + LOOK,
                (false, false) => gathering.moving + REST,
            };
            return false;
        }
        for (plugin, number) in &gathering.to {
            self.catalogue.make_current(plugin, lane, *number);
        }
        group.gathering.remove(lane);
        true
    }

    /// Whether a group of the plugin is about to change.
    pub(crate) fn gathers(&self, plugin: &str) -> bool {
        let own = |group: &&Group| group.plugins.iter().any(|member| member == plugin);
        self.groups.iter().find(own).is_some_and(|group| {
            let mut lanes = group.gathering.keys();
            lanes.any(|lane| self.catalogue.rejected_member(plugin, lane).is_none())
        })
    }

    /// When the next group is to be looked at.
    pub(crate) fn next_gathering(&self) -> Option<Instant> {
        let gathering = self
            .groups
            .iter()
            .flat_map(|group| group.gathering.values());
        gathering.map(|gathering| gathering.next).min()
    }

    fn lanes_of(&self, plugins: &[String]) -> Vec<String> {
        let known = plugins
            .iter()
            .filter_map(|name| self.catalogue.plugins.get(name));
        let lanes = known.flat_map(|plugin| plugin.lanes().map(str::to_owned));
        let lanes: std::collections::BTreeSet<_> = lanes.collect();
        lanes.into_iter().collect()
    }

    /// Whether a file of a plugin is on its way to being a version.
    fn is_busy(&self, plugin: &str, lane: &str) -> bool {
        let known = self.catalogue.plugins.get(plugin);
        known.is_some_and(|known| {
            let mut versions = known.versions();
            versions.any(|version| {
                version.progress == Progress::OnItsWay
                    && version.shown.lane.as_deref() == Some(lane)
            })
        }) || self.tracked.iter().any(|(path, tracked)| {
            let artifact = self.catalogue.artifacts.get(path);
            let own = artifact.and_then(|artifact| artifact.plugin.as_deref());
            tracked.lane == lane && tracked.is_busy() && own.is_none_or(|own| own == plugin)
        })
    }
}

/// The sentence about a member that cannot change because of another.
pub(crate) fn waits_for(other: &str) -> String {
    format!("waits for {other} of its group, which was rejected; mend that and build it")
}

/// Whether somebody has a lock on the file for themselves.
fn is_locked(path: &Path) -> bool {
    let (Ok(found), Ok(locks)) = (fs::metadata(path), fs::read_to_string("/proc/locks")) else {
        return false;
    };
    let device = found.dev();
    let file = format!(
        "{:02x}:{:02x}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device),
        found.ino()
    );
    locks.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        // `->` before the kind: somebody who waits for it.
        matches!(words[..], [_, "FLOCK", _, "WRITE", _, of, ..] if of == file)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_while_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".cargo-lock");
        assert!(!is_locked(&path));
        let file = fs::File::create(&path).unwrap();
        assert!(!is_locked(&path));
        file.lock_shared().unwrap();
        assert!(!is_locked(&path));
        file.unlock().unwrap();
        file.lock().unwrap();
        assert!(is_locked(&path));
        drop(file);
        assert!(!is_locked(&path));
    }
}
