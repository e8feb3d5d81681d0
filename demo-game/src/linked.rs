//! The plugins as parts of this program: nothing is built, watched or opened.

use std::time::Duration;

use anyhow::Result;
use plugind_client::Client;

/// What stands in the place of the builds.
pub(crate) struct Build;

impl Build {
    pub(crate) fn start(_by_hand: bool) -> Result<Self> {
        Ok(Self)
    }

    /// A client of the plugins.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(plugind_client::link!(breakout, sparks)?)
    }

    /// Nothing is built.
    pub(crate) fn since_finished(&self) -> Option<Duration> {
        None
    }

    /// Nothing is built.
    pub(crate) fn since_saved(&self) -> Option<Duration> {
        None
    }

    /// There is none.
    pub(crate) fn problem(&self) -> Option<String> {
        None
    }
}
