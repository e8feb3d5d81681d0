//! Proves that a client maps one image of the store per version, each with an inode of its own, runs its constructor
//! once, and never opens (embedded: never executes) a watched file; and that an image, which is opened as soon as its
//! mapped part is there, becomes a whole copy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugind_tests::{
    Call, CargoProject, Daemon, Home, Trace, answers, cc_plugin, end_of_last_load, need, replace,
    until,
};
use plugind_wire::event::Kind;

const HOST: &str = env!("CARGO_BIN_EXE_embedded-host");

/// The files below `home` that a process has mapped, with their inodes.
fn mapped(home: &Home, pid: u32) -> BTreeSet<(String, u64)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the client's maps");
    let below = home.path().to_str().expect("a readable path");
    maps.lines()
        .filter_map(|line| {
            // addresses, permissions, offset, device, inode, path
            let mut fields = line.split_ascii_whitespace().skip(4);
            Some((fields.next()?.parse().ok()?, fields.next()?))
        })
        .filter(|(_, path)| path.starts_with(below))
        .map(|(inode, path)| (path.to_owned(), inode))
        .collect()
}

fn follow_eleven_versions(home: &Home, folder: &Path, call: &Call) {
    call.wait_result(1);
    for n in 2..=11 {
        let image = cc_plugin(&home.build().join(n.to_string()), "x", &answers(n, 0));
        replace(&image, &folder.join("libx.so"));
        call.wait_result(n);
    }
    let mapped = mapped(home, call.pid());
    let paths: BTreeSet<_> = mapped.iter().map(|(path, _)| path).collect();
    let inodes: BTreeSet<_> = mapped.iter().map(|(_, inode)| inode).collect();
    assert_eq!((paths.len(), inodes.len()), (11, 11), "{mapped:#?}");
    let state = home.state();
    let in_the_store = |path: &&String| Path::new(path).starts_with(&state);
    assert!(paths.iter().all(in_the_store), "{mapped:#?}");
}

#[test]
fn eleven_versions_are_eleven_mapped_images() {
    let home = Home::new();
    let folder = folder_with_a_plugin(&home);
    let _daemon = Daemon::watch(&home, &folder, &[]);
    follow_eleven_versions(&home, &folder, &Call::watch(&home, "x", "answer"));
}

#[test]
fn eleven_versions_are_eleven_mapped_images_embedded() {
    let home = Home::new();
    let folder = folder_with_a_plugin(&home);
    let call = Call::host(&home, Path::new(HOST), "embed", &folder, "x", "answer");
    follow_eleven_versions(&home, &folder, &call);
}

/// A plugin in C whose constructor leaves the process id and the version's answer in the file `CONSTRUCTED`.
fn marking(n: i64) -> String {
    format!(
        "#include <fcntl.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n{}\
         __attribute__((constructor)) static void constructed(void) {{\n\
           char line[64];\n\
           int len = snprintf(line, sizeof line, \"%d {n}\\n\", (int)getpid());\n\
           int file = open(getenv(\"CONSTRUCTED\"), O_WRONLY | O_APPEND | O_CREAT, 0600);\n\
           if (file >= 0 && write(file, line, len) == len) close(file);\n\
         }}\n",
        answers(n, 0)
    )
}

#[test]
fn a_constructor_runs_once_per_version_and_client() {
    let mut home = Home::new();
    let marks = home.path().join("constructed");
    home.set_env("CONSTRUCTED", &marks);
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let artifact = folder.join("libx.so");
    let images = [1, 2, 3].map(|n| cc_plugin(&home.build().join(n.to_string()), "x", &marking(n)));
    replace(&images[0], &artifact);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let calls = [
        Call::watch(&home, "x", "answer"),
        Call::watch(&home, "x", "answer"),
    ];
    for (image, n) in images.iter().zip(1..) {
        if n > 1 {
            replace(image, &artifact);
        }
        for call in &calls {
            call.wait_result(n);
        }
        // The same content again, on a new inode.
        let mark = daemon.mark();
        replace(image, &artifact);
        daemon.wait_from(mark, "unchanged", |event| event.event == Kind::Unchanged);
    }

    let mut runs = BTreeMap::new();
    for line in fs::read_to_string(&marks).expect("the marks").lines() {
        let (pid, version) = line.split_once(' ').expect("a process id and a version");
        let key: (u32, u32) = (
            pid.parse().expect("a number"),
            version.parse().expect("a number"),
        );
        *runs.entry(key).or_insert(0) += 1;
    }
    for call in &calls {
        for version in 1..=3 {
            assert_eq!(runs.get(&(call.pid(), version)), Some(&1), "{runs:?}");
        }
    }
    assert!(
        !runs.keys().any(|(pid, _)| *pid == daemon.pid()),
        "the daemon opens nothing: {runs:?}"
    );
    assert_eq!(daemon.numbers(Kind::Published, "x"), [1, 2, 3]);
}

/// Follows three versions under `strace`; returns the folder and the trace.
fn three_versions_traced(home: &Home, folder: &Path, command: Command) -> Vec<String> {
    let build = |n: i64| cc_plugin(&home.build().join(n.to_string()), "x", &answers(n, 0));
    let (trace, command) = Trace::of(home, &command);
    let mut call = Call::spawn(command);
    for n in 1..=3 {
        if n > 1 {
            replace(&build(n), &folder.join("libx.so"));
        }
        call.wait_result(n);
    }
    call.stop();
    trace.finished(call.pid())
}

fn folder_with_a_plugin(home: &Home) -> PathBuf {
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    replace(
        &cc_plugin(&home.build(), "x", &answers(1, 0)),
        &folder.join("libx.so"),
    );
    folder
}

/// The traced calls of `call` that name something below `path`.
fn naming<'a>(trace: &'a [String], call: &str, path: &Path) -> Vec<&'a String> {
    let below = format!("{}/", path.display());
    trace
        .iter()
        .filter(|line| line.contains(call) && line.contains(&below))
        .collect()
}

#[test]
fn an_image_becomes_a_whole_copy_while_it_is_used() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "x");
    let built = project.build();
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    let call = Call::watch(&home, "x", "answer");
    call.wait_result(1);
    let image = daemon.status().plugins[0].versions[0].image.clone();
    let wanted = fs::read(&built.artifact).expect("cargo left the file");
    let mapped_end = end_of_last_load(&wanted);
    assert!(
        mapped_end * 2 < wanted.len(),
        "most of a debug build is not mapped"
    );
    until("the rest of the image", || {
        (fs::metadata(&image).ok()?.len() == wanted.len() as u64).then_some(())
    });
    assert!(fs::read(&image).expect("the image") == wanted);
    let inode = image.metadata().expect("the image").ino();
    let built = built.artifact.metadata().expect("the artifact").ino();
    assert_ne!(inode, built, "a copy");
    assert!(
        mapped(&home, call.pid())
            .iter()
            .all(|(_, mapped)| *mapped == inode)
    );
}

#[test]
fn a_connected_client_opens_no_watched_file() {
    if !need("strace") {
        return;
    }
    let home = Home::new();
    let folder = folder_with_a_plugin(&home);
    let _daemon = Daemon::watch(&home, &folder, &[]);
    let command = home.plugind(["call", "x", "answer", "--watch", "--json"]);
    let trace = three_versions_traced(&home, &folder, command);
    assert!(
        naming(&trace, "openat", &home.state()).len() >= 3,
        "the trace shows the images"
    );
    assert_eq!(naming(&trace, "openat", &folder), [""; 0]);
    assert_eq!(naming(&trace, "mmap(", &folder), [""; 0]);
}

#[test]
fn an_embedding_client_executes_no_watched_file() {
    if !need("strace") {
        return;
    }
    let home = Home::new();
    let folder = folder_with_a_plugin(&home);
    let mut command = home.command(HOST);
    command.arg("embed").arg(&folder).args(["x", "answer"]);
    let trace = three_versions_traced(&home, &folder, command);
    let executable = |path: &Path| -> Vec<_> {
        let mut lines = naming(&trace, "mmap(", path);
        lines.retain(|line| line.contains("PROT_EXEC"));
        lines
    };
    // A line begins with a thread: the host's loader opens every version, and each has a probe of its own.
    let mut by_thread = BTreeMap::new();
    for line in executable(&home.state()) {
        *by_thread.entry(line.split(' ').next()).or_insert(0) += 1;
    }
    let mut counts: Vec<_> = by_thread.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 1, 3], "one image per version");
    assert_eq!(executable(&folder), [""; 0]);
}
