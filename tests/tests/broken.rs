//! Proves that files which will never be finished are rejected with a reason, that the old version answers meanwhile,
//! and that the next good file is followed.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use plugind_tests::{Call, Daemon, Home, answers, cc_plugin, end_of_last_load, replace};
use plugind_wire::Digest;
use plugind_wire::event::{Event, Kind};

const TORN: &str = "torn";

/// A watched folder with one plugin, and the bytes of its next version.
struct Scene {
    home: Home,
    folder: PathBuf,
    torn: PathBuf,
    new: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let torn = folder.join("libtorn.so");
        let build = |n: i64| {
            cc_plugin(
                &home.build().join(n.to_string()),
                TORN,
                &answers(n, 64 << 10),
            )
        };
        replace(&build(1), &torn);
        let new = fs::read(build(2)).expect("the second version");
        Self {
            home,
            folder,
            torn,
            new,
        }
    }
}

fn about(event: &Event, kind: Kind, path: &Path) -> bool {
    let artifact = event.artifact.as_deref().map(Path::new);
    event.event == kind && artifact.and_then(Path::file_name) == path.file_name()
}

#[test]
fn files_that_will_never_be_finished_are_rejected() {
    let scene = Scene::new();
    let daemon = Daemon::watch(&scene.home, &scene.folder, &[]);
    let mut call = Call::watch(&scene.home, TORN, "answer");
    call.wait_result(1);

    let new = &scene.new;
    let noise: Vec<u8> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let header_of_nothing = [&new[..64], &noise[..8192]].concat();
    let broken: [(&str, &[u8]); 7] = [
        ("cut in the middle", &new[..new.len() * 6 / 10]),
        (
            "cut after the last loaded byte",
            &new[..end_of_last_load(new)],
        ),
        ("cut by one byte", &new[..new.len() - 1]),
        ("garbage", &noise),
        ("garbage under a good header", &header_of_nothing),
        ("a linker script", b"INPUT(-lc)\n"),
        ("empty", b""),
    ];
    for (what, bytes) in broken {
        let mark = daemon.mark();
        let file = scene.home.build().join("broken");
        fs::write(&file, bytes).expect("a broken file");
        replace(&file, &scene.torn);
        let rejected = daemon.wait_from(mark, what, |event| {
            about(event, Kind::Rejected, &scene.torn)
        });
        let reason = rejected.line.reason.unwrap_or_default();
        assert!(
            reason.len() > 10,
            "{what}: the reason is a sentence: {reason:?}"
        );
        assert!(rejected.line.stage.is_some(), "{what}: the stage is named");
        assert_eq!(Call::once(&scene.home, TORN, "answer").result, 1, "{what}");
        assert!(call.is_running(), "{what}");
    }
    // Once broken is told once: the file that stands there now was rejected, and still is listed.
    let listed = daemon.status().rejected_files;
    let versions = daemon.status().plugins;
    assert!(
        listed
            .iter()
            .any(|file| file.path.file_name() == scene.torn.file_name())
            || format!("{versions:?}").contains("Rejected"),
        "{listed:?} {versions:?}"
    );

    let good = scene.home.build().join("good");
    fs::write(&good, new).expect("a good file");
    replace(&good, &scene.torn);
    let answer = call.wait_result(2).line;
    assert_eq!(answer.digest, Digest::of(new));
    daemon.wait_client(Kind::Live, TORN, answer.version, call.pid());
    assert_eq!(
        daemon.events(Kind::Published, TORN).len(),
        2,
        "{}",
        daemon.dump()
    );
    assert_eq!(
        call.answers()
            .iter()
            .map(|(_, result)| *result)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(daemon.status().rejected_files, []);
}

/// A writer that gave up, not one that replaced: the file that is in use loses its end in place.
#[test]
fn a_file_cut_in_place_is_rejected_and_the_next_write_starts_over() {
    let scene = Scene::new();
    let daemon = Daemon::watch(&scene.home, &scene.folder, &[]);
    let call = Call::watch(&scene.home, TORN, "answer");
    call.wait_result(1);
    let half = scene.new.len() / 2;
    fs::write(&scene.torn, &scene.new[..half]).expect("half of it");
    daemon.wait("rejected", |event| {
        about(event, Kind::Rejected, &scene.torn)
    });
    assert_eq!(Call::once(&scene.home, TORN, "answer").result, 1);
    let file = OpenOptions::new()
        .write(true)
        .open(&scene.torn)
        .expect("the plugin's file");
    file.write_all_at(&scene.new[half..], half as u64)
        .expect("the rest");
    drop(file);
    let answer = call.wait_result(2).line;
    assert_eq!(answer.digest, Digest::of(&scene.new));
    daemon.wait_client(Kind::Live, TORN, answer.version, call.pid());
    assert_eq!(daemon.events(Kind::Published, TORN).len(), 2);
}
