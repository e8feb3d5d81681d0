//! Which version of a plugin is wanted current in a lane: what somebody chose, else what the plugin's policy prefers.
//!
//! A choice names a version and what ends it. It is on disk before anybody is told of it, so no kill undoes what a
//! command answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugind_wire::VersionId;
use plugind_wire::choice::{Choose, Hold, Policy};
use plugind_wire::event::Kind;
use plugind_wire::message::{Failure, Reply};
use plugind_wire::sentence;
use semver::Version as Semver;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, Plugin, Progress, Version};
use crate::clients::Waiter;
use crate::engine::Loop;
use crate::events::of_version;
use crate::group::waits_for;

/// A version that somebody chose for a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    /// Its number.
    pub(crate) version: u64,
    /// How long.
    pub(crate) until: Until,
}

/// What ends a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Until {
    /// A version of the lane with a number above this that may be opened.
    Newer(u64),
    /// An unpin.
    Unpinned,
    /// A promotion, or the end of what makes one necessary: a policy, or a pause.
    Promoted,
}

/// By plugin and lane: what is kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choices {
    /// Nothing takes over by itself.
    pub(crate) paused: bool,
    pub(crate) plugins: BTreeMap<String, BTreeMap<String, Choice>>,
    /// What is current of those that change in groups.
    #[serde(default)]
    pub(crate) current: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The policies that the configuration gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies {
    pub(crate) general: Policy,
    pub(crate) by_plugin: BTreeMap<String, Policy>,
}

impl Policies {
    pub(crate) fn of(&self, plugin: &str) -> Policy {
        let own = self.by_plugin.get(plugin);
        own.copied().unwrap_or(self.general)
    }
}

impl Plugin {
    /// The version that the engine wants current in a lane: what is [`wanted`](Self::wanted), but that a group's members
    /// change together.
    pub(crate) fn selected(&self, lane: &str) -> Option<&Arc<Version>> {
        if !self.is_grouped {
            return self.wanted(lane);
        }
        let current = self.version(*self.current.get(lane)?)?;
        current.is_openable(lane).then_some(current)
    }

    /// The version that is chosen in a lane, or else preferred.
    pub(crate) fn wanted(&self, lane: &str) -> Option<&Arc<Version>> {
        self.chosen(lane)
            .map(|(version, _)| version)
            .or_else(|| self.preferred(lane))
    }

    /// Why the newest version of a lane that may be opened is not the one that is wanted current, and its number.
    pub(crate) fn holds(&self, lane: &str, paused: bool) -> Option<(Hold, u64)> {
        let newest = self.newest_openable(lane)?.shown.version;
        let selected = self.selected(lane).map(number);
        if selected == Some(newest) {
            return None;
        }
        if selected != self.wanted(lane).map(number) {
            return Some((Hold::Group, newest));
        }
        let hold = match self.chosen(lane).map(|(_, choice)| choice.until) {
            Some(Until::Newer(_)) => Hold::RolledBack,
            Some(Until::Unpinned) => Hold::Pinned,
            Some(Until::Promoted) if paused => Hold::Paused,
            Some(Until::Promoted) => Hold::Manual,
            None => Hold::Higher,
        };
        Some((hold, newest))
    }

    /// Whether the version that is current in a lane stays, whatever is built.
    pub(crate) fn is_pinned(&self, lane: &str) -> bool {
        let choice = self.choices.get(lane);
        choice.is_some_and(|choice| choice.until == Until::Unpinned)
    }

    fn chosen(&self, lane: &str) -> Option<(&Arc<Version>, &Choice)> {
        let choice = self.choices.get(lane)?;
        let version = self.version(choice.version)?;
        if let Until::Newer(number) = choice.until
            && self.newest_openable(lane)?.shown.version > number
        {
            return None;
        }
        version.is_openable(lane).then_some((version, choice))
    }

    fn preferred(&self, lane: &str) -> Option<&Arc<Version>> {
        match self.policy {
            Policy::Newest | Policy::Manual => self.newest_openable(lane),
            Policy::Highest => self.openable(lane).max_by(|one, other| {
                // Build metadata has no precedence; the build that came later has.
                semver(one)
                    .cmp(&semver(other))
                    .then(one.shown.version.cmp(&other.shown.version))
            }),
        }
    }

    fn newest_openable(&self, lane: &str) -> Option<&Arc<Version>> {
        self.openable(lane).next_back()
    }

    fn openable(&self, lane: &str) -> impl DoubleEndedIterator<Item = &Arc<Version>> {
        self.versions().filter(move |it| it.is_openable(lane))
    }
}

/// A semantic version without its build metadata; none is lower than any.
fn semver(version: &Version) -> Option<Semver> {
    let mut semver = Semver::parse(version.shown.semver.as_deref()?).ok()?;
    semver.build = semver::BuildMetadata::EMPTY;
    Some(semver)
}

impl Version {
    fn is_openable(&self, lane: &str) -> bool {
        self.shown.lane.as_deref() == Some(lane)
            && matches!(self.progress, Progress::Accepted | Progress::Deferred)
    }
}

impl Catalogue {
    /// Whether builds of a plugin take over only when somebody says so.
    fn promotes(&self, plugin: &Plugin) -> bool {
        self.paused || plugin.policy == Policy::Manual
    }

    fn choices(&self) -> Choices {
        let with = |(name, plugin): (&String, &Arc<Plugin>)| {
            (!plugin.choices.is_empty()).then(|| (name.clone(), plugin.choices.clone()))
        };
        let current = |(name, plugin): (&String, &Arc<Plugin>)| {
            let is_one = plugin.is_grouped && !plugin.current.is_empty();
            is_one.then(|| (name.clone(), plugin.current.clone()))
        };
        Choices {
            paused: self.paused,
            plugins: self.plugins.iter().filter_map(with).collect(),
            current: self.plugins.iter().filter_map(current).collect(),
        }
    }

    fn set(&mut self, choices: &Choices) {
        self.paused = choices.paused;
        for (name, plugin) in &mut self.plugins {
            let chosen = choices.plugins.get(name).cloned().unwrap_or_default();
            if plugin.choices != chosen {
                Arc::make_mut(plugin).choices = chosen;
            }
            if let Some(current) = choices.current.get(name)
                && plugin.current != *current
            {
                Arc::make_mut(plugin).current.clone_from(current);
            }
        }
    }

    /// Makes a version of a plugin in a group current.
    pub(crate) fn make_current(&mut self, plugin: &str, lane: &str, number: u64) {
        if let Some(plugin) = self.plugins.get_mut(plugin) {
            let current = &mut Arc::make_mut(plugin).current;
            current.insert(lane.to_owned(), number);
        }
    }

    /// The choices, with one in every lane whose builds take over only when somebody says so.
    fn holding(&self) -> Choices {
        let mut choices = self.choices();
        for (name, plugin) in &self.plugins {
            for lane in plugin.lanes().filter(|_| self.promotes(plugin)) {
                let Some(selected) = plugin.selected(lane) else {
                    continue;
                };
                let own = choices.plugins.entry(name.clone()).or_default();
                let pinned = |choice: &&mut Choice| choice.until == Until::Unpinned;
                if own.get_mut(lane).as_ref().is_some_and(pinned) {
                    continue;
                }
                let version = selected.shown.version;
                let until = Until::Promoted;
                own.insert(lane.to_owned(), Choice { version, until });
            }
        }
        choices
    }
}

/// Why there is no such choice.
type Refusal = (Failure, String);

impl Loop {
    /// Takes up what was chosen in earlier runs.
    pub(crate) fn remember_choices(&mut self, pause: bool) {
        match self.state.choices() {
            Ok(choices) => self.catalogue.set(&choices),
            Err(error) => self.warn(&format!(
                "what was pinned is forgotten, because the record cannot be read: {}; pin it again",
                sentence(&error)
            )),
        }
        if self.catalogue.paused && !pause {
            self.warn("the engine is still paused: no build takes over until `plugind resume`");
        }
        self.catalogue.paused |= pause;
        self.hold();
    }

    /// Keeps what is current where builds take over only when somebody says so: a first version is current by itself.
    pub(crate) fn hold(&mut self) {
        let holding = self.catalogue.holding();
        if holding != self.catalogue.choices() {
            // What is not on disk is chosen anew after a restart.
            let _ = self.put(&holding);
        }
    }

    /// Chooses a version, and answers with the one that is wanted current now.
    pub(crate) fn choose(&mut self, plugin: &str, what: Choose, waiter: Waiter) {
        match self.try_choose(plugin, what) {
            Ok((lane, why)) => {
                self.tell_selected(plugin, &lane, why, waiter);
                self.announce();
                self.show();
                let known = self.catalogue.plugins.get(plugin);
                if let Some(selected) = known.and_then(|known| known.selected(&lane)) {
                    let announcement = selected.announcement();
                    self.reply(waiter, Reply::Version { announcement });
                }
            }
            Err((failure, reason)) => self.fail(waiter, failure, &reason),
        }
    }

    /// The lane whose choice changed, and how.
    fn try_choose(&mut self, name: &str, what: Choose) -> Result<(String, &'static str), Refusal> {
        let Some(plugin) = self.catalogue.plugins.get(name) else {
            return Err((Failure::Unknown, self.unknown_plugin(name)));
        };
        let asked = match what {
            Choose::Rollback { to, .. } => to,
            Choose::Pin { version } | Choose::Promote { version } => version,
            Choose::Unpin => None,
        };
        let lane = match asked {
            Some(number) => self.lane_of(name, number)?,
            None => plugin.newest_lane().unwrap_or_default().to_owned(),
        };
        let Some(selected) = plugin.selected(&lane) else {
            let reason = format!("no version of {name} was accepted; `plugind status` says why");
            return Err((Failure::Unknown, reason));
        };
        let current = selected.shown.version;
        let newest = plugin.newest_openable(&lane).map_or(current, number);
        let promotes = self.catalogue.promotes(plugin);
        let is_pinned = plugin.is_pinned(&lane);
        let mut choices = self.catalogue.choices();
        let own = choices.plugins.entry(name.to_owned()).or_default();
        let why = match what {
            Choose::Rollback { to, hold } => {
                let mut older = plugin.openable(&lane).rev().map(number);
                let to = to.or_else(|| older.find(|number| *number < current));
                let version = to.ok_or_else(|| {
                    let reason = format!("there is no version of {name} before v{current}");
                    (Failure::Unknown, reason)
                })?;
                let until = match (hold || is_pinned, promotes) {
                    (true, _) => Until::Unpinned,
                    (false, true) => Until::Promoted,
                    (false, false) => Until::Newer(newest),
                };
                own.insert(lane.clone(), Choice { version, until });
                "rolled back"
            }
            Choose::Pin { version } => {
                let version = version.unwrap_or(current);
                let until = Until::Unpinned;
                own.insert(lane.clone(), Choice { version, until });
                "pinned"
            }
            Choose::Unpin => {
                for (lane, choice) in own.iter_mut().filter(|_| promotes) {
                    choice.version = plugin.selected(lane).map_or(choice.version, number);
                    choice.until = Until::Promoted;
                }
                if !promotes {
                    own.clear();
                }
                "unpinned"
            }
            Choose::Promote { .. } if is_pinned => {
                let reason = format!("{}, and then promote", Hold::Pinned.sentence(name, current));
                return Err((Failure::Held, reason));
            }
            Choose::Promote { version } if promotes => {
                let version = version.unwrap_or(newest);
                let until = Until::Promoted;
                own.insert(lane.clone(), Choice { version, until });
                "promoted"
            }
            Choose::Promote { .. } => {
                let reason = format!(
                    "builds of {name} take over by themselves; `policy = \"manual\"` in plugind.toml or `plugind \
                     pause` changes that, `plugind pin {name} N` and `plugind rollback {name}` choose another version"
                );
                return Err((Failure::Unsupported, reason));
            }
        };
        choices.plugins.retain(|_, own| !own.is_empty());
        self.put(&choices)?;
        self.do_not_wait_for_the_group(name);
        Ok((lane, why))
    }

    /// Who chooses a version of a member wants that now.
    fn do_not_wait_for_the_group(&mut self, name: &str) {
        let Some(plugin) = self.catalogue.plugins.get(name).filter(|it| it.is_grouped) else {
            return;
        };
        let lanes = plugin
            .lanes()
            .filter_map(|lane| Some((lane, plugin.wanted(lane)?)));
        let wanted: Vec<_> = lanes
            .map(|(lane, wanted)| (lane.to_owned(), number(wanted)))
            .collect();
        for (lane, number) in wanted {
            self.catalogue.make_current(name, &lane, number);
        }
        self.keep_choices();
    }

    /// Writes down what is current. Without that groups change anew after a restart.
    pub(crate) fn keep_choices(&mut self) {
        let _ = self.put(&self.catalogue.choices());
    }

    /// The lane of a version that may be chosen.
    fn lane_of(&self, name: &str, number: u64) -> Result<String, Refusal> {
        let id = VersionId {
            plugin: name.to_owned(),
            number,
        };
        let Some(version) = self.catalogue.version(&id) else {
            return Err((Failure::Unknown, self.unknown_version(&id)));
        };
        let Some(lane) = version.shown.lane.clone() else {
            let reason = format!("{id} was opened by its path; no lane follows it");
            return Err((Failure::Unsupported, reason));
        };
        match version.progress {
            Progress::Accepted | Progress::Deferred if version.shown.image.exists() => Ok(lane),
            Progress::Accepted | Progress::Deferred => {
                let image = version.shown.image.display();
                let reason = format!("the image of {id} is gone: {image}; build it again");
                Err((Failure::Unknown, reason))
            }
            Progress::OnItsWay => {
                let reason = format!("{id} is still examined; try again in a moment");
                Err((Failure::Unsupported, reason))
            }
            Progress::Rejected => {
                let why = version.shown.why(name).unwrap_or_default();
                Err((Failure::Rejected, format!("{id} was rejected: {why}")))
            }
        }
    }

    /// Makes the engine hold every build back, or stop to.
    pub(crate) fn pause(&mut self, pause: bool, waiter: Waiter) {
        let before = self.catalogue.paused;
        self.catalogue.paused = pause;
        let mut choices = self.catalogue.choices();
        if pause {
            choices = self.catalogue.holding();
        } else {
            for (name, own) in &mut choices.plugins {
                let plugin = self.catalogue.plugins.get(name);
                if plugin.is_some_and(|plugin| plugin.policy != Policy::Manual) {
                    own.retain(|_, choice| choice.until != Until::Promoted);
                }
            }
            choices.plugins.retain(|_, own| !own.is_empty());
        }
        if let Err((failure, reason)) = self.put(&choices) {
            self.catalogue.paused = before;
            self.fail(waiter, failure, &reason);
            return;
        }
        self.announce();
        self.show();
        self.reply(waiter, Reply::Done);
    }

    /// On disk first.
    fn put(&mut self, choices: &Choices) -> Result<(), Refusal> {
        match self.state.choose(choices) {
            Ok(()) => {
                self.catalogue.set(choices);
                Ok(())
            }
            Err(error) => {
                let reason = format!("{}; free some space there", sentence(&error));
                self.warn(&reason);
                Err((Failure::Unsupported, reason))
            }
        }
    }

    fn tell_selected(&mut self, plugin: &str, lane: &str, why: &str, waiter: Waiter) {
        let known = self.catalogue.plugins.get(plugin);
        if let Some(selected) = known.and_then(|known| known.selected(lane)) {
            let mut event = of_version(Kind::Selected, selected);
            event.held = self.held(plugin, lane);
            event.reason = Some(match self.name(waiter) {
                Some(client) => format!("{why} by {} (pid {})", client.program, client.pid),
                None => why.to_owned(),
            });
            self.tell(event);
        }
    }

    /// Why the newest version of a lane is not wanted current, in a sentence.
    pub(crate) fn held(&self, plugin: &str, lane: &str) -> Option<String> {
        let known = self.catalogue.plugins.get(plugin)?;
        let (hold, _) = known.holds(lane, self.catalogue.paused)?;
        let stays = known.selected(lane).map_or(0, number);
        let rejected = self.catalogue.rejected_member(plugin, lane);
        match (hold, rejected) {
            (Hold::Group, Some(other)) => Some(waits_for(other)),
            // They come in a moment.
            (Hold::Group, None) => None,
            _ => Some(hold.sentence(plugin, stays)),
        }
    }
}

fn number(version: &Arc<Version>) -> u64 {
    version.shown.version
}
