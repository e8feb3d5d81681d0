//! Which version of a plugin is wanted current, where it need not be the newest build.

use serde::{Deserialize, Serialize};

/// What is asked of a plugin's versions. Without a number it is about the lane that was built last, else about the lane of
/// the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Choose {
    /// An earlier version, until the next build is accepted.
    Rollback {
        /// Which; the one before the current one otherwise.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        to: Option<u64>,
        /// Until somebody says [`Choose::Unpin`] instead.
        hold: bool,
    },
    /// A version, whatever is built.
    Pin {
        /// Which; the current one otherwise.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        version: Option<u64>,
    },
    /// No version in particular, in every lane.
    Unpin,
    /// A version of a plugin whose builds do not take over by themselves.
    Promote {
        /// Which; the newest otherwise.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        version: Option<u64>,
    },
}

/// Which of a plugin's versions takes over by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The newest build.
    #[default]
    Newest,
    /// The highest semantic version; of equal ones the newest build. A version without one is lower than all others.
    Highest,
    /// The first; later ones are promoted.
    Manual,
}

/// Why a version stays current although there are newer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Somebody went back to it; the next build takes over.
    RolledBack,
    /// Somebody pinned it.
    Pinned,
    /// Builds of the plugin are promoted.
    Manual,
    /// The engine is paused.
    Paused,
    /// It changes together with others, which are not ready.
    Group,
    /// Its semantic version is higher.
    Higher,
}

impl Hold {
    /// The sentence about the version that stays, and what ends that.
    pub fn sentence(self, plugin: &str, stays: u64) -> String {
        match self {
            Self::RolledBack => format!(
                "rolled back to v{stays} until the next build; `plugind unpin {plugin}` ends that now"
            ),
            Self::Pinned => format!("pinned to v{stays} until `plugind unpin {plugin}`"),
            Self::Manual => format!("v{stays} stays until `plugind promote {plugin}`"),
            Self::Paused => {
                format!("paused at v{stays} until `plugind resume` or `plugind promote {plugin}`")
            }
            Self::Group => "waits for the others of its group".to_owned(),
            Self::Higher => format!("v{stays} has the higher semantic version"),
        }
    }
}
