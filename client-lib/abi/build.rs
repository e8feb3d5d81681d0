//! Tells the crate which compiler builds it, for which target.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .expect("the compiler runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().next().unwrap_or("rustc of unknown version");
    let mut lines = text.lines();
    let commit = lines.find_map(|line| line.strip_prefix("commit-hash: "));
    let target = env::var("TARGET").expect("cargo names the target");
    // The version holds no more than the first digits of the commit, and none in some distributions.
    let commit = commit.unwrap_or("unknown");
    println!("cargo::rustc-env=PLUGIND_RUSTC={version} commit {commit}");
    println!("cargo::rustc-env=PLUGIND_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
}
