//! Tells the crate which compiler builds it, for which target.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("the compiler runs");
    let version = String::from_utf8_lossy(&output.stdout);
    let target = env::var("TARGET").expect("cargo names the target");
    println!(
        "cargo::rustc-env=PLUGIND_TOOLCHAIN={} {target}",
        version.trim()
    );
    println!("cargo::rerun-if-changed=build.rs");
}
