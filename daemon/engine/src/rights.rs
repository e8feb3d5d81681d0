//! Whose files are taken: who can write a plugin decides what runs.
//!
//! A file or directory is taken that belongs to this user, to root or to an owner that the user trusts, and that not
//! everybody may write. A directory in which everybody may write is taken if it has the sticky bit, because then nobody
//! can put a file in another's place.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Deserialize;

use crate::config::ConfigError;

/// A user, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "give a user's name or number")]
pub enum User {
    /// By number.
    Number(u32),
    /// By name, or a number in digits; `*` is everybody.
    Name(String),
}

/// The name that stands for everybody.
const EVERYBODY: &str = "*";

/// A set of users: this one and root, and others by choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Users {
    numbers: Vec<u32>,
    everybody: bool,
}

impl Users {
    /// This user, root, and those named under `key`.
    pub(crate) fn with(others: &[User], key: &'static str) -> Result<Self, ConfigError> {
        let mut users = Self {
            numbers: vec![0, rustix::process::geteuid().as_raw()],
            everybody: false,
        };
        for other in others {
            match other {
                User::Number(number) => users.numbers.push(*number),
                User::Name(name) if name == EVERYBODY => users.everybody = true,
                // What an empty variable gives: nobody else.
                User::Name(name) if name.is_empty() => {}
                User::Name(name) => users.numbers.push(number(name, key)?),
            }
        }
        Ok(users)
    }

    /// Whoever there is.
    pub(crate) const fn everybody() -> Self {
        Self {
            numbers: Vec::new(),
            everybody: true,
        }
    }

    pub(crate) fn contain(&self, number: u32) -> bool {
        self.everybody || self.numbers.contains(&number)
    }

    /// Whether anybody but this user and root is among them.
    pub(crate) fn has_others(&self) -> bool {
        self.everybody || self.numbers.len() > 2
    }

    /// Why a file must not be taken, and what to do: its own owner and mode, and those of the directory it lies in.
    pub(crate) fn refuse_file(&self, path: &Path, found: &Metadata) -> Option<String> {
        self.refuse(found).or_else(|| {
            let dir = path.parent()?;
            let why = self.refuse(&fs::metadata(dir).ok()?)?;
            Some(format!("it lies in {}, and {why}", dir.display()))
        })
    }

    /// Why a file or directory must not be taken, and what to do.
    pub(crate) fn refuse(&self, found: &Metadata) -> Option<String> {
        if self.everybody {
            return None;
        }
        let (owner, mode) = (found.uid(), found.mode() & 0o7777);
        let (name, kind) = (name(owner), if found.is_dir() { "folder" } else { "file" });
        if !self.contain(owner) {
            return Some(format!(
                "the {kind} belongs to {name} (mode {mode:04o}), and this runs as {}; if that user may decide what \
                 runs here, say so with --trust-owner {name} or `trust_owner` in plugind.toml, else make it yours \
                 with `chown`",
                self::name(rustix::process::geteuid().as_raw())
            ));
        }
        let sticky = found.is_dir() && mode & 0o1000 != 0;
        (mode & 0o002 != 0 && !sticky).then(|| {
            format!(
                "everybody may write the {kind} (owner {name}, mode {mode:04o}); take that away with `chmod o-w`"
            )
        })
    }
}

/// The number of a user.
fn number(name: &str, key: &'static str) -> Result<u32, ConfigError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match nix::unistd::User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        _ => Err(ConfigError::NoUser {
            key,
            name: name.to_owned(),
        }),
    }
}

/// How people know a user.
pub(crate) fn name(number: u32) -> String {
    let found = nix::unistd::User::from_uid(number.into()).ok().flatten();
    found.map_or_else(|| number.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_everybody_may_write_is_refused_but_a_sticky_directory() {
        let users = Users::with(&[], "trust_owner").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            users.refuse(&fs::metadata(path).unwrap())
        };
        assert_eq!(refused(&file, 0o775), None);
        assert!(refused(&file, 0o666).unwrap().contains("chmod o-w"));
        assert!(refused(&file, 0o1666).unwrap().contains("chmod o-w"));
        assert_eq!(refused(dir.path(), 0o1777), None);
        assert!(refused(dir.path(), 0o777).unwrap().contains("mode 0777"));
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let found = fs::metadata(&file).unwrap();
        assert!(
            users
                .refuse_file(&file, &found)
                .unwrap()
                .contains("lies in")
        );
        let all = Users::with(&[User::Name("*".to_owned())], "trust_owner").unwrap();
        assert_eq!(all.refuse(&fs::metadata(dir.path()).unwrap()), None);
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let users = ["root", "4242"].map(|name| User::Name(name.to_owned()));
        let users = Users::with(&users, "trust_owner").unwrap();
        assert!(users.contain(0) && users.contain(4242) && !users.contain(4243));
        let nobody = User::Name("no such user".to_owned());
        let error = Users::with(&[nobody], "trust_owner").unwrap_err();
        assert!(error.to_string().contains("no such user"), "{error}");
    }
}
