//! Plugins in C, which know nothing of plugind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `dir/lib{name}.so`.
///
/// # Panics
///
/// If the compiler fails, with what it said.
pub fn cc_plugin(dir: &Path, name: &str, source: &str) -> PathBuf {
    let input = dir.join(format!("{name}.c"));
    let output = dir.join(format!("lib{name}.so"));
    fs::create_dir_all(dir).expect("the folder of the plugin");
    fs::write(&input, source).expect("the plugin's source");
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&output, &input])
        .output()
        .expect("cc starts");
    assert!(
        done.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    output
}

/// The source of a plugin whose `answer` returns `n`, and whose `count` counts its own calls from 1. `padding` bytes
/// that differ with `n` make the file as long as a test wants it.
pub fn answers(n: i64, padding: usize) -> String {
    let last = padding.max(1) - 1;
    let byte = n.rem_euclid(251) + 1;
    format!(
        "static long long calls;\n\
         const unsigned char padding[] = {{ [0 ... {last}] = {byte} }};\n\
         long long answer(void) {{ return {n}; }}\n\
         long long count(void) {{ return ++calls; }}\n"
    )
}

/// Puts a copy of `image` at `path` by one rename: complete from the first moment, on an inode of its own.
pub fn replace(image: &Path, path: &Path) {
    // Beside the image, where nobody watches.
    let copy = image.with_extension("copy");
    fs::copy(image, &copy).expect("a copy of the image");
    fs::rename(&copy, path).expect("image and path on one file system");
}
