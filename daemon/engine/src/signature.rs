//! Whether artifacts were signed by whom the configuration names: a minisign signature in a file beside each, whose name
//! ends with `.minisig`. It is checked against the bytes that were copied, before anything in them is read.
//!
//! A plugin may have a key of its own, and only the file's note tells for certain which plugin it is. So the signature is
//! checked first, with every key there is: a file that is to be signed as its name suggests is turned down there. What
//! it then says it is must be signed by the key of that plugin.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};
use serde::Deserialize;

use crate::lanes;

/// What the name of a signature ends with.
const SUFFIX: &str = ".minisig";
/// A larger file is no signature; real ones have some 300 bytes.
const MAX: u64 = 64 << 10;

/// The keys with which artifacts must be signed; none means that they need not be.
#[derive(Debug, Default)]
pub(crate) struct Signers {
    /// Every plugin that has no key of its own.
    pub(crate) general: Option<Signer>,
    /// By the plugin's name.
    pub(crate) by_plugin: BTreeMap<String, Signer>,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Signer(PublicKey);

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("this is no public key of minisign; give the second line of a `minisign.pub`")]
pub(crate) struct NoKey;

/// What came of checking the signature of some bytes.
pub(crate) struct Checked<'s> {
    signers: &'s Signers,
    by: Result<&'s Signer, SignatureError>,
    signature: PathBuf,
}

/// Why an artifact is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("it is not signed: there is no {}; sign it with `minisign -S`", path.display())]
    Missing { path: PathBuf },
    #[error("its signature {} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is no signature of minisign; sign it anew with `minisign -S`", path.display())]
    Malformed {
        path: PathBuf,
        source: minisign_verify::Error,
    },
    #[error("its signature {} is not by a key in `signed_by`, or not of this content; sign it anew", path.display())]
    Wrong {
        path: PathBuf,
        source: minisign_verify::Error,
    },
    #[error(
        "it says that it is {plugin}, and its signature {} is not by the key in `signed_by` of that plugin; sign it with \
         that key", path.display()
    )]
    OfAnother { path: PathBuf, plugin: String },
}

impl Signers {
    /// Whether nothing needs to be signed.
    pub(crate) fn are_none(&self) -> bool {
        self.general.is_none() && self.by_plugin.is_empty()
    }

    /// Checks the signature beside `file` against what was read of it. An error if it must be signed whatever it says it
    /// is, or if its name suggests a plugin that must.
    pub(crate) fn check(&self, file: &Path, content: &[u8]) -> Result<Checked<'_>, SignatureError> {
        let suggested = file.file_name().and_then(lanes::stem).unwrap_or_default();
        let by = self.find(file, content);
        match by {
            Err(error) if self.required(suggested).is_some() => Err(error),
            by => Ok(Checked {
                signers: self,
                by,
                signature: beside(file),
            }),
        }
    }

    fn required(&self, plugin: &str) -> Option<&Signer> {
        self.by_plugin.get(plugin).or(self.general.as_ref())
    }

    /// The key that signed the content.
    fn find(&self, file: &Path, content: &[u8]) -> Result<&Signer, SignatureError> {
        let path = beside(file);
        let text = read(&path)?;
        let signature = Signature::decode(&text).map_err(|source| SignatureError::Malformed {
            path: path.clone(),
            source,
        })?;
        let mut wrong = minisign_verify::Error::UnexpectedKeyId;
        for signer in self.general.iter().chain(self.by_plugin.values()) {
            // The older format, in which minisign signs the whole content and not its hash, is taken too.
            match signer.0.verify(content, &signature, true) {
                Ok(()) => return Ok(signer),
                // Another key's, which says nothing.
                Err(minisign_verify::Error::UnexpectedKeyId) => {}
                Err(error) => wrong = error,
            }
        }
        Err(SignatureError::Wrong {
            path,
            source: wrong,
        })
    }
}

impl Checked<'_> {
    /// Whether that is enough for a file that says it is this plugin.
    pub(crate) fn suffices_for(self, plugin: &str) -> Result<(), SignatureError> {
        match (self.signers.required(plugin), self.by) {
            (None, _) => Ok(()),
            (Some(_), Err(error)) => Err(error),
            (Some(required), Ok(found)) if required == found => Ok(()),
            (Some(_), Ok(_)) => Err(SignatureError::OfAnother {
                path: self.signature,
                plugin: plugin.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for Signer {
    type Error = NoKey;

    fn try_from(key: String) -> Result<Self, NoKey> {
        PublicKey::from_base64(key.trim())
            .map(Self)
            .map_err(|_| NoKey)
    }
}

fn read(path: &Path) -> Result<String, SignatureError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SignatureError::Missing {
            path: path.to_owned(),
        },
        _ => SignatureError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() || found.len() > MAX {
        return Err(unreadable(io::Error::other("it is too large or no file")));
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// Where the signature of a file is.
pub(crate) fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(SUFFIX);
    path.into()
}

/// The name of the file that a signature is of.
pub(crate) fn signed(name: &OsStr) -> Option<&OsStr> {
    name.to_str()?.strip_suffix(SUFFIX).map(OsStr::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_signed_is_turned_down_before_anybody_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let key = Signer::try_from(key.to_owned()).unwrap();
        let own = Signers {
            general: None,
            by_plugin: BTreeMap::from([("guarded".to_owned(), key.clone())]),
        };
        let all = Signers {
            general: Some(key),
            ..Signers::default()
        };
        let file = |name: &str| dir.path().join(name);
        let is_missing =
            |checked: Result<_, _>| matches!(checked.err(), Some(SignatureError::Missing { .. }));
        assert!(is_missing(all.check(&file("libany.so"), b"").map(drop)));
        assert!(is_missing(own.check(&file("libguarded.so"), b"").map(drop)));
        let other = || own.check(&file("libother.so"), b"").unwrap();
        assert!(other().suffices_for("other").is_ok());
        assert!(is_missing(other().suffices_for("guarded")));
    }
}
