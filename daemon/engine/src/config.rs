//! `plugind.toml`: choices that belong to a project.
//!
//! The file stands in the watched folder or in a directory above it, the nearest counts; `--config` names another. It
//! is read once, at the start. What a flag or the program says goes before what the file says. A key that nobody knows
//! is an error, because a choice that is silently not made may be one that was to protect somebody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugind_loader::near;
use plugind_wire::choice::Policy;
use plugind_wire::probe::Confinement;
use serde::{Deserialize, Deserializer, de};

use crate::options::ProbeChoice;
use crate::rights::{User, Users};
use crate::signature::Signer;

/// The file's name.
const NAME: &str = "plugind.toml";

/// What the file says; what is left open is `None`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Scan instead of relying on the system's events.
    pub(crate) poll: Option<bool>,
    /// Users whose files are taken, beside this user's and root's.
    pub(crate) trust_owner: Option<Named>,
    /// Users who may talk to the engine, beside this one and root.
    pub(crate) allow_client: Option<Named>,
    probe: Option<Confinement>,
    #[serde(deserialize_with = "seconds")]
    probe_timeout: Option<Duration>,
    /// The public key (minisign) with which every artifact is signed.
    pub(crate) signed_by: Option<Signer>,
    /// Which version takes over by itself.
    pub(crate) policy: Option<Policy>,
    /// By the plugin's name.
    pub(crate) plugin: BTreeMap<String, Plugin>,
    /// Plugins that change together; none stands in two.
    #[serde(deserialize_with = "groups")]
    pub(crate) group: Vec<Group>,
}

/// Plugins that change together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// Their names.
    pub(crate) plugins: Vec<String>,
}

/// What the file says of one plugin, instead of what it says of all.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Plugin {
    probe: Option<Confinement>,
    #[serde(deserialize_with = "seconds")]
    probe_timeout: Option<Duration>,
    pub(crate) signed_by: Option<Signer>,
    pub(crate) policy: Option<Policy>,
}

/// One user or several, by name or number.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "give a user's name or number, or a list of them"
)]
pub(crate) enum Named {
    One(User),
    Several(Vec<User>),
}

impl Named {
    pub(crate) fn into_vec(self) -> Vec<User> {
        match self {
            Self::One(user) => vec![user],
            Self::Several(users) => users,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("{} is not used: {why}, or name another one with --config", path.display())]
    NotYours {
        /// Which.
        path: PathBuf,
        /// Its owner and mode, and what to do.
        why: String,
    },
    /// It says something that nobody understands.
    #[error("{}:{line}: {message}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What, and what was perhaps meant.
        message: String,
    },
    /// A user that does not exist.
    #[error("there is no user {name}, whom `{key}` names; give a user's name or number")]
    NoUser {
        /// The key or flag.
        key: &'static str,
        /// The name.
        name: String,
    },
}

impl Config {
    /// The configuration of a folder: `named`, or else the nearest file, or else an empty one. `owners` may write it.
    pub(crate) fn of(
        folder: &Path,
        named: Option<&Path>,
        owners: &Users,
    ) -> Result<Self, ConfigError> {
        let found = named.map(Path::to_owned).or_else(|| {
            let places = folder.ancestors().map(|dir| dir.join(NAME));
            places.into_iter().find(|path| path.is_file())
        });
        found.map_or_else(|| Ok(Self::default()), |path| Self::read(&path, owners))
    }

    /// How versions are tried of which nothing else is said.
    pub(crate) fn probe(&self) -> ProbeChoice {
        choice(self.probe, self.probe_timeout)
    }

    fn read(path: &Path, owners: &Users) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut file = fs::File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        // What is in `/dev/null` nobody has written.
        let is_device = found.file_type().is_char_device();
        if let Some(why) = owners.refuse(&found).filter(|_| !is_device) {
            let path = path.to_owned();
            return Err(ConfigError::NotYours { path, why });
        }
        let mut text = String::new();
        io::Read::read_to_string(&mut file, &mut text).map_err(unreadable)?;
        toml::from_str(&text).map_err(|error| {
            let (line, message) = explain(&text, error.span(), error.message());
            ConfigError::Wrong {
                path: path.to_owned(),
                line,
                message,
            }
        })
    }
}

impl Plugin {
    /// How its versions are tried.
    pub(crate) fn probe(&self) -> ProbeChoice {
        choice(self.probe, self.probe_timeout)
    }
}

const fn choice(confinement: Option<Confinement>, timeout: Option<Duration>) -> ProbeChoice {
    ProbeChoice {
        timeout,
        confinement,
    }
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let seconds = f64::deserialize(from)?;
    let duration = Duration::try_from_secs_f64(seconds).ok();
    let duration = duration.filter(|duration| !duration.is_zero());
    let wrong = || de::Error::custom("give a number of seconds above 0, such as 10 or 0.5");
    Ok(Some(duration.ok_or_else(wrong)?))
}

fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Group>, D::Error> {
    let groups = Vec::<Group>::deserialize(from)?;
    let mut seen = BTreeSet::new();
    for plugin in groups.iter().flat_map(|group| &group.plugins) {
        if !seen.insert(plugin) {
            let wrong =
                format!("{plugin} stands in a group twice; a plugin changes with one group");
            return Err(de::Error::custom(wrong));
        }
    }
    Ok(groups)
}

/// The line of an error, and its message with the known word that is nearest to an unknown one.
fn explain(text: &str, span: Option<Range<usize>>, message: &str) -> (usize, String) {
    let before = text
        .get(..span.map_or(0, |span| span.start))
        .unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    let kinds = [("unknown field", "key"), ("unknown variant", "word")];
    let kind = kinds
        .into_iter()
        .find(|(start, _)| message.starts_with(start));
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (Some((_, kind)), Some(unknown)) = (kind, quoted.next()) else {
        return (line, message.lines().collect::<Vec<_>>().join("; "));
    };
    let known: Vec<_> = quoted.collect();
    let hint = match near(unknown, known.iter().copied()).first() {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("there are `{}`", known.join("`, `")),
    };
    (line, format!("nobody knows the {kind} `{unknown}`; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine() -> Users {
        Users::with(&[], "trust_owner").unwrap()
    }

    fn read(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), text).unwrap();
        Config::of(&dir.path().join("target"), None, &mine())
    }

    fn wrong(text: &str) -> String {
        match read(text).unwrap_err() {
            ConfigError::Wrong { line, message, .. } => format!("{line}: {message}"),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn what_nobody_knows_is_told_with_its_line_and_the_nearest() {
        assert_eq!(
            wrong("# ours\n\ntrust_owners = [\"me\"]\n"),
            "3: nobody knows the key `trust_owners`; did you mean `trust_owner`?"
        );
        assert_eq!(
            wrong("\n[plugin.x]\nprobed = \"off\"\n"),
            "3: nobody knows the key `probed`; did you mean `probe`?"
        );
        assert_eq!(
            wrong("xyzzy = 1\n").split("; ").next(),
            Some("1: nobody knows the key `xyzzy`")
        );
        assert_eq!(
            wrong("probe = \"sandbox\"\n"),
            "1: nobody knows the word `sandbox`; did you mean `sandboxed`?"
        );
        assert!(wrong("signed_by = 3\n").starts_with("1: invalid type"));
        assert!(wrong("\nsigned_by = \"key\"").starts_with("2: this is no public key"));
        assert!(wrong("poll = true\npoll = false\n").starts_with("2: duplicate key"));
        assert!(wrong("allow_client = 1.5\n").contains("give a user's name or number"));
        let twice = "[[group]]\nplugins = [\"a\", \"b\"]\n[[group]]\nplugins = [\"a\"]\n";
        assert!(wrong(twice).contains("a stands in a group twice"));
        assert!(wrong("probe_timeout = 0\n").contains("seconds above 0"));
    }

    #[test]
    fn what_is_known_is_understood() {
        let config = read(
            "trust_owner = \"a\"\nallow_client = [\"b\", 7]\nprobe_timeout = 2\n\
             [plugin.x]\nprobe = \"off\"\nprobe_timeout = 0.5\n",
        )
        .unwrap();
        let name = |name: &str| User::Name(name.to_owned());
        assert_eq!(
            config.trust_owner.map(Named::into_vec),
            Some(vec![name("a")])
        );
        assert_eq!(
            config.allow_client.map(Named::into_vec),
            Some(vec![name("b"), User::Number(7)])
        );
        let x = config.plugin["x"].probe();
        assert_eq!(x.confinement, Some(Confinement::Off));
        assert_eq!(x.timeout, Some(Duration::from_millis(500)));
    }

    #[test]
    fn the_nearest_file_counts_and_none_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a/target");
        let of = |named: Option<&Path>| Config::of(&target, named, &mine());
        assert_eq!(of(None).unwrap().poll, None);
        fs::create_dir_all(&target).unwrap();
        fs::write(dir.path().join(NAME), "poll = false").unwrap();
        fs::write(dir.path().join("a").join(NAME), "poll = true").unwrap();
        assert_eq!(of(None).unwrap().poll, Some(true));
        let missing = dir.path().join("missing.toml");
        let error = of(Some(&missing)).unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }));
    }
}
