//! Keys, and signatures as `minisign -S` makes them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use minisign::KeyPair;

/// A pair of keys without a password.
pub struct Key(KeyPair);

impl Key {
    /// Makes one.
    #[expect(clippy::new_without_default, reason = "it is another one each time")]
    pub fn new() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().expect("a pair of keys"))
    }

    /// What `signed_by` takes.
    pub fn public(&self) -> String {
        self.0.pk.to_base64()
    }

    /// The signature of a file's content.
    pub fn sign(&self, file: &Path) -> String {
        let content = File::open(file).expect("the file to sign");
        let signed = minisign::sign(Some(&self.0.pk), &self.0.sk, content, None, None);
        signed.expect("a signature").into_string()
    }

    /// Puts the signature of `content` beside `file`, by one rename.
    pub fn put(&self, content: &Path, file: &Path) {
        let made = content.with_extension("minisig");
        fs::write(&made, self.sign(content)).expect("the signature");
        fs::rename(made, signature_of(file)).expect("content and file on one file system");
    }
}

/// Where the signature of a file is.
pub fn signature_of(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}
