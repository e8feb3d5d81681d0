//! Proves that a finished file is followed however it arrives: plugins in C without the SDK, overwritten in place,
//! installed, renamed or switched by a link; cargo's after its target directory was cleaned or removed; folders that
//! are not there yet, and a watched folder that is itself a link.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use plugind_tests::{
    Call, CargoProject, Daemon, Home, answers, cc_plugin, need, replace, report, since_change,
};
use plugind_wire::Digest;
use plugind_wire::event::Kind;

const PLUGIN: &str = "x";

/// One delivery at a time, so that the printed times are of one reload.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Eleven builds of one C plugin, outside every watched folder; the nth answers n.
fn eleven(home: &Home) -> Vec<PathBuf> {
    let build = |n: i64| cc_plugin(&home.build().join(n.to_string()), PLUGIN, &answers(n, 0));
    (1..=11).map(build).collect()
}

/// Delivers eleven builds of a C plugin into a watched folder, the first before anyone watches. `deliver` puts a build
/// there and says when it was complete.
fn eleven_deliveries(what: &str, deliver: impl Fn(&Path, &Path) -> Instant) {
    let _alone = alone();
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let images = eleven(&home);
    deliver(&images[0], &folder);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let call = Call::watch(&home, PLUGIN, "answer");
    call.wait_result(1);
    let mut latencies = Vec::new();
    for (image, n) in images.iter().zip(1..).skip(1) {
        let finished = deliver(image, &folder);
        let answer = call.wait_result(n);
        latencies.push(answer.at.saturating_duration_since(finished));
        let digest = Digest::of(&fs::read(image).expect("the image"));
        assert_eq!(answer.line.digest, digest, "the content that was delivered");
    }
    report(&format!("{what}: finished file to answer"), &latencies);
    let expected: Vec<_> = (1..=11).map(|n| (n as u64, n)).collect();
    assert_eq!(call.answers(), expected);
    daemon.wait_client(Kind::Live, PLUGIN, 11, call.pid());
    let numbers: Vec<_> = (1..=11).collect();
    assert_eq!(daemon.numbers(Kind::Published, PLUGIN), numbers);
    assert_eq!(daemon.numbers_by(Kind::Live, PLUGIN, call.pid()), numbers);
    // The oldest image, whose artifact was replaced ten times, still gives its own answer.
    assert_eq!(Call::once(&home, "x@1", "answer").result, 1);
}

fn run(tool: &str, from: &Path, to: &Path) -> Instant {
    let status = Command::new(tool).args([from, to]).status();
    assert!(status.expect("the tool starts").success(), "{tool}");
    since_change(&to.metadata().expect("the delivered file"))
}

#[test]
fn overwritten_in_place_by_cp() {
    eleven_deliveries("C, cp in place", |image, folder| {
        let to = folder.join("libx.so");
        let before = to.metadata().ok().map(|found| found.ino());
        let finished = run("cp", image, &to);
        let after = to.metadata().expect("the delivered file").ino();
        assert!(
            before.is_none_or(|before| before == after),
            "cp keeps the inode"
        );
        finished
    });
}

#[test]
fn delivered_by_install() {
    if !need("install") {
        return;
    }
    eleven_deliveries("C, install", |image, folder| {
        run("install", image, &folder.join("libx.so"))
    });
}

#[test]
fn delivered_by_rename() {
    eleven_deliveries("C, rename", |image, folder| {
        let copy = image.with_extension("complete");
        fs::copy(image, &copy).expect("a copy");
        let finished = Instant::now();
        fs::rename(copy, folder.join("libx.so")).expect("on one file system");
        finished
    });
}

#[test]
fn delivered_by_a_switched_directory_link() {
    eleven_deliveries("C, switched directory link", |image, folder| {
        let n = image
            .parent()
            .and_then(Path::file_name)
            .expect("the build's folder");
        let data = format!("..v{}", n.to_string_lossy());
        fs::create_dir(folder.join(&data)).expect("the data of this version");
        fs::copy(image, folder.join(&data).join("libx.so")).expect("the data of this version");
        let next = folder.join("..data_tmp");
        symlink(&data, &next).expect("a link");
        let finished = Instant::now();
        fs::rename(&next, folder.join("..data")).expect("the switch");
        let stable = folder.join("libx.so");
        if !stable.is_symlink() {
            symlink("..data/libx.so", stable).expect("a link");
        }
        finished
    });
}

/// Ten times: removes what cargo built, builds anew with another answer.
fn ten_fresh_builds(what: &str, remove: impl Fn(&CargoProject)) {
    let _alone = alone();
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), PLUGIN);
    project.build();
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    let call = Call::watch(&home, PLUGIN, "answer");
    call.wait_result(1);
    let mut latencies = Vec::new();
    for n in 2..=11 {
        let mark = daemon.mark();
        remove(&project);
        daemon.wait_from(mark, "absent", |event| event.event == Kind::Absent);
        // Gone from the disk, still served to those who come now.
        assert_eq!(Call::once(&home, PLUGIN, "answer").result, n - 1);
        project.set_answer(n);
        let built = project.build();
        let answer = call.wait_result(n);
        latencies.push(answer.at.saturating_duration_since(built.finished));
    }
    report(&format!("{what}: finished file to answer"), &latencies);
    let expected: Vec<_> = (1..=11).map(|n| (n as u64, n)).collect();
    assert_eq!(call.answers(), expected);
}

#[test]
fn after_cargo_clean() {
    ten_fresh_builds("cargo clean", CargoProject::clean);
}

#[test]
fn after_the_target_directory_was_removed() {
    ten_fresh_builds("rm -rf target", |project| {
        fs::remove_dir_all(project.target()).expect("the target directory goes");
    });
}

#[test]
fn a_folder_that_is_not_there_yet() {
    let home = Home::new();
    let image = cc_plugin(&home.build(), PLUGIN, &answers(1, 0));
    let folder = home.work().join("later");
    let daemon = Daemon::watch(&home, &folder, &[]);
    assert_eq!(daemon.status().plugins, []);
    fs::create_dir(&folder).expect("the folder comes");
    replace(&image, &folder.join("libx.so"));
    daemon.wait_version(Kind::Published, PLUGIN, 1);
    assert_eq!(Call::once(&home, PLUGIN, "answer").result, 1);
}

#[test]
fn a_folder_whose_parents_are_not_there_yet() {
    let home = Home::new();
    let image = cc_plugin(&home.build(), PLUGIN, &answers(1, 0));
    let parent = home.work().join("not/yet");
    let daemon = Daemon::watch(&home, &parent.join("there"), &[]);
    // All at once and full already: made elsewhere, renamed into place.
    let ready = home.build().join("ready/yet/there/debug");
    fs::create_dir_all(&ready).expect("a tree");
    replace(&image, &ready.join("libx.so"));
    fs::rename(home.build().join("ready"), home.work().join("not")).expect("the folder comes");
    let published = daemon.wait_version(Kind::Published, PLUGIN, 1);
    assert_eq!(published.line.lane.as_deref(), Some("debug"));
}

#[test]
fn a_client_that_waits_for_its_first_version() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    // Before the daemon, before the plugin.
    let call = Call::watch(&home, PLUGIN, "answer");
    let _daemon = Daemon::watch(&home, &folder, &[]);
    let image = cc_plugin(&home.build(), PLUGIN, &answers(1, 0));
    replace(&image, &folder.join("libx.so"));
    assert_eq!(call.wait_result(1).line.version, 1);
}

#[test]
fn a_watched_folder_that_is_a_link() {
    let home = Home::new();
    let build = |n: i64| cc_plugin(&home.build().join(n.to_string()), PLUGIN, &answers(n, 0));
    let (first, second) = (home.work().join("first"), home.work().join("second"));
    for (folder, n) in [(&first, 1), (&second, 3)] {
        fs::create_dir(folder).expect("a folder");
        replace(&build(n), &folder.join("libx.so"));
    }
    let root = home.work().join("root");
    symlink("first", &root).expect("the watched link");
    let daemon = Daemon::watch(&home, &root, &[]);
    let call = Call::watch(&home, PLUGIN, "answer");
    call.wait_result(1);

    // At the far end of the link.
    replace(&build(2), &first.join("libx.so"));
    call.wait_result(2);
    // The link itself.
    let next = home.work().join("next");
    symlink("second", &next).expect("a link");
    fs::rename(next, &root).expect("the switch");
    call.wait_result(3);
    // At the new far end.
    replace(&build(4), &second.join("libx.so"));
    call.wait_result(4);
    assert_eq!(call.answers(), [(1, 1), (2, 2), (3, 3), (4, 4)]);

    // Where it pointed before, nobody looks any more.
    replace(&build(9), &first.join("libx.so"));
    replace(&build(5), &second.join("libx.so"));
    daemon.wait_version(Kind::Published, PLUGIN, 5);
    assert_eq!(daemon.numbers(Kind::Published, PLUGIN), [1, 2, 3, 4, 5]);
}
