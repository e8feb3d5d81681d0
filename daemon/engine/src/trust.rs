//! What an artifact must be before anything of it is taken: a file of the right owner, signed where the configuration
//! asks for it. What it needs through `$ORIGIN` is copied and opened with it, and must be the same.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::rights::Users;
use crate::signature::{SignatureError, Signers};
use crate::size_limit;

/// Who decides what runs.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Whose files are taken.
    pub(crate) owners: Users,
    /// Who must have signed them.
    pub(crate) signers: Signers,
}

/// Why a library that an artifact needs is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Distrust {
    #[error("{0}")]
    Owner(String),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("it cannot be read")]
    Read(#[from] io::Error),
}

impl Trust {
    /// For a file that the user named, who answers for it.
    pub(crate) fn everybody() -> Self {
        Self {
            owners: Users::everybody(),
            signers: Signers::default(),
        }
    }

    /// Reads a library that `plugin` needs.
    pub(crate) fn read_needed(&self, path: &Path, plugin: &str) -> Result<Vec<u8>, Distrust> {
        let file = File::open(path)?;
        if let Some(why) = self.owners.refuse_file(path, &file.metadata()?) {
            return Err(Distrust::Owner(why));
        }
        let mut content = Vec::new();
        size_limit::read(&file, &mut content)?;
        if !self.signers.are_none() {
            self.signers.check(path, &content)?.suffices_for(plugin)?;
        }
        Ok(content)
    }
}
