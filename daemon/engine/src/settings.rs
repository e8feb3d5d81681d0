//! What an engine goes by: what was chosen at its start before what `plugind.toml` says, and that before what is usual.

use std::path::Path;

use crate::choice::Policies;
use crate::config::{Config, ConfigError, Named};
use crate::options::{Options, Trials};
use crate::rights::{User, Users};
use crate::signature::Signers;
use crate::trust::Trust;

/// What an engine goes by.
pub(crate) struct Settings {
    /// Scan instead of relying on the system's events.
    pub(crate) poll: bool,
    /// Who may ask and command.
    pub(crate) allowed: Users,
    /// Whose files are taken, and who must have signed them.
    pub(crate) trust: Trust,
    /// How versions are tried.
    pub(crate) trials: Trials,
    /// Which version takes over by itself.
    pub(crate) policies: Policies,
    /// Plugins that change together.
    pub(crate) groups: Vec<Vec<String>>,
}

impl Settings {
    /// Of an engine on this folder.
    pub(crate) fn of(folder: &Path, options: &Options) -> Result<Self, ConfigError> {
        // Whoever may decide what runs may as well say how.
        let authors = options.trust_owner.clone().unwrap_or_default();
        let authors = Users::with(&authors, "trust_owner")?;
        let config = Config::of(folder, options.config.as_deref(), &authors)?;
        let general = config.probe();
        let owners = chosen(&options.trust_owner, config.trust_owner);
        let allowed = chosen(&options.allow_client, config.allow_client);
        let mut trials = Trials {
            chosen: options.probe,
            general,
            ..Trials::default()
        };
        let mut signers = Signers {
            general: config.signed_by,
            ..Signers::default()
        };
        let mut policies = Policies {
            general: config.policy.unwrap_or_default(),
            ..Policies::default()
        };
        for (name, plugin) in config.plugin {
            trials.by_plugin.insert(name.clone(), plugin.probe());
            if let Some(policy) = plugin.policy {
                policies.by_plugin.insert(name.clone(), policy);
            }
            if let Some(key) = plugin.signed_by {
                signers.by_plugin.insert(name, key);
            }
        }
        Ok(Self {
            poll: options.poll.or(config.poll).unwrap_or(false),
            allowed: Users::with(&allowed, "allow_client")?,
            trust: Trust {
                owners: Users::with(&owners, "trust_owner")?,
                signers,
            },
            trials,
            policies,
            groups: config
                .group
                .into_iter()
                .map(|group| group.plugins)
                .collect(),
        })
    }
}

fn chosen(at_start: &Option<Vec<User>>, file: Option<Named>) -> Vec<User> {
    let chosen = at_start.clone().or(file.map(Named::into_vec));
    chosen.unwrap_or_default()
}
