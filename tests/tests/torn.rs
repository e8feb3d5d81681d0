//! Proves that a file is followed when it is finished and not before: slow writers of four kinds, over a plugin that
//! is in use, while another plugin in the same folder goes on being delivered.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use plugind_tests::{
    CHUNK, Call, Daemon, Home, Pace, answers, cc_plugin, end_of_last_load, replace, report,
    write_in_chunks,
};
use plugind_wire::Digest;
use plugind_wire::event::{Event, Kind};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const TORN: &str = "torn";
const MARKER: &str = "marker";

/// What the pausing writers pause.
const PAUSE: Duration = Duration::from_secs(3);

/// What a writer pauses that has closed an incomplete file, which is rejected after a second.
const PAUSE_OF_THE_CLOSED: Duration = Duration::from_millis(400);

/// The longest pause of a writer that reopens its file for which plugind promises to wait, less some room for the
/// clock.
const QUIET: Duration = Duration::from_millis(20);

/// A home with one plugin to be overwritten and one that shows that deliveries go on.
struct Scene {
    home: Home,
    folder: PathBuf,
    torn: PathBuf,
    /// The second version's bytes, as long as the first's.
    new: Vec<u8>,
}

impl Scene {
    fn new(padding: usize) -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let torn = folder.join("libtorn.so");
        let build = |n: i64| {
            cc_plugin(
                &home.build().join(n.to_string()),
                TORN,
                &answers(n, padding),
            )
        };
        replace(&build(1), &torn);
        let new = fs::read(build(2)).expect("the second version");
        assert_eq!(
            new.len() as u64,
            torn.metadata().expect("the first version").len()
        );
        let scene = Self {
            home,
            folder,
            torn,
            new,
        };
        scene.deliver_marker(1);
        scene
    }

    fn deliver_marker(&self, n: i64) {
        let build = self.home.build().join(format!("marker{n}"));
        let image = cc_plugin(&build, MARKER, &answers(n, 0));
        replace(&image, &self.folder.join("libmarker.so"));
    }
}

/// The writer's end of a slow delivery.
struct Writer {
    /// Says that part of the file is written, and that the rest takes its time.
    halfway: Sender<()>,
}

impl Writer {
    fn halfway(&self) {
        // The test may have failed meanwhile.
        let _ = self.halfway.send(());
    }
}

/// Runs `write` on a thread of its own over the plugin in use. `write` returns the time just before it let go of the
/// file: before that, nobody can know that the file is complete.
fn slow_delivery(
    what: &str,
    scene: &Scene,
    write: impl FnOnce(&Writer, &Path, &[u8]) -> SystemTime + Send,
) {
    let daemon = Daemon::watch(&scene.home, &scene.folder, &[]);
    let call = Call::watch(&scene.home, TORN, "answer");
    let marker = Call::watch(&scene.home, MARKER, "answer");
    call.wait_result(1);
    marker.wait_result(1);

    let (halfway, at_halfway): (_, Receiver<()>) = channel();
    let complete = thread::scope(|scope| {
        let writer = scope.spawn(|| write(&Writer { halfway }, &scene.torn, &scene.new));
        at_halfway.recv().expect("the writer gets halfway");
        // Another plugin goes through the whole line while this one is being written.
        scene.deliver_marker(2);
        marker.wait_result(2);
        daemon.wait_client(Kind::Live, MARKER, 2, marker.pid());
        assert_eq!(Call::once(&scene.home, TORN, "answer").result, 1);
        writer.join().expect("the writer ends")
    });

    let answer = call.wait_result(2).line;
    let published = daemon.wait_version(Kind::Published, TORN, 2).line;
    daemon.wait_client(Kind::Live, TORN, 2, call.pid());
    let late = SystemTime::from(published.time).duration_since(complete);
    let late = late.unwrap_or_else(|early| {
        panic!(
            "{what}: published {:?} before the file was complete\n{}",
            early.duration(),
            daemon.dump()
        )
    });
    report(&format!("{what}: complete file to `published`"), &[late]);
    assert_eq!(answer.digest, Digest::of(&scene.new));
    assert_eq!(
        daemon.numbers(Kind::Published, TORN),
        [1, 2],
        "{}",
        daemon.dump()
    );
    assert_eq!(call.answers(), [(1, 1), (2, 2)]);
    let rejected = |event: &Event| {
        let artifact = event.artifact.as_deref().map(Path::new);
        event.event == Kind::Rejected && artifact.is_some_and(|path| path.ends_with("libtorn.so"))
    };
    let lines = daemon.lines();
    assert!(
        !lines.iter().any(|seen| rejected(&seen.line)),
        "being written is no reason to be rejected\n{}",
        daemon.dump()
    );
}

fn overwrite(path: &Path) -> File {
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)
        .expect("the plugin's file")
}

#[test]
fn a_kilobyte_at_a_time_through_one_descriptor() {
    let scene = Scene::new(200 << 10);
    slow_delivery(
        "1 KB every 5 ms, one descriptor",
        &scene,
        |writer, path, new| {
            let file = overwrite(path);
            write_in_chunks(new, |at, chunk| {
                if at == CHUNK * 20 {
                    writer.halfway();
                }
                file.write_all_at(chunk, at as u64)
            });
            SystemTime::now()
        },
    );
}

#[test]
fn a_kilobyte_at_a_time_reopening_for_each() {
    let scene = Scene::new(200 << 10);
    slow_delivery("1 KB every 5 ms, reopening", &scene, |writer, path, new| {
        drop(overwrite(path));
        let mut before_the_last = SystemTime::now();
        write_in_chunks(new, |at, chunk| {
            if at == CHUNK * 20 {
                writer.halfway();
            }
            before_the_last = SystemTime::now();
            let file = OpenOptions::new().append(true).open(path)?;
            file.write_all_at(chunk, at as u64)
        });
        before_the_last
    });
}

/// Nobody can write the file in the pause, which is far longer than a quiet period: only what is missing tells.
#[test]
fn half_a_file_that_is_closed_and_goes_on_later() {
    let scene = Scene::new(64 << 10);
    slow_delivery(
        "0.4 s pause, closed, reopened",
        &scene,
        |writer, path, new| {
            let half = new.len() / 2;
            overwrite(path)
                .write_all_at(&new[..half], 0)
                .expect("the first half");
            writer.halfway();
            thread::sleep(PAUSE_OF_THE_CLOSED);
            let before_the_last = SystemTime::now();
            let file = OpenOptions::new()
                .append(true)
                .open(path)
                .expect("the plugin's file");
            file.write_all_at(&new[half..], half as u64)
                .expect("the rest");
            before_the_last
        },
    );
}

/// The old version's headers stand until they are overwritten, and the length never changes: between two chunks
/// nothing but the pause tells that somebody is writing.
#[test]
fn a_kilobyte_at_a_time_reopening_over_a_file_of_the_same_length() {
    for _ in 0..8 {
        let scene = Scene::new(24 << 10);
        let daemon = Daemon::watch(&scene.home, &scene.folder, &[]);
        daemon.wait_version(Kind::Published, TORN, 1);
        let Pace { longest_gap } = write_in_chunks(&scene.new, |at, chunk| {
            let file = OpenOptions::new().write(true).open(&scene.torn)?;
            file.write_all_at(chunk, at as u64)
        });
        if longest_gap > QUIET {
            // The machine held the writer up: what plugind published meanwhile proves nothing.
            continue;
        }
        let second = daemon.wait_version(Kind::Published, TORN, 2).line;
        assert_eq!(
            second.digest,
            Some(Digest::of(&scene.new)),
            "{}",
            daemon.dump()
        );
        assert_eq!(Call::once(&scene.home, TORN, "answer").result, 2);
        return;
    }
    panic!("this machine is too busy for a writer that keeps its pace");
}

#[test]
fn a_pause_after_the_last_loaded_byte_with_the_descriptor_open() {
    let scene = Scene::new(64 << 10);
    slow_delivery("3 s pause, descriptor open", &scene, |writer, path, new| {
        let loaded = end_of_last_load(new);
        assert!(
            loaded < new.len(),
            "the section table follows what is loaded"
        );
        let file = overwrite(path);
        file.write_all_at(&new[..loaded], 0)
            .expect("what is loaded");
        writer.halfway();
        thread::sleep(PAUSE);
        file.write_all_at(&new[loaded..], loaded as u64)
            .expect("the rest");
        SystemTime::now()
    });
}

/// Length, headers and tables look complete during the pause; the code is half the old version's.
#[test]
fn a_pause_in_the_middle_of_a_file_of_the_same_length_with_the_descriptor_open() {
    let scene = Scene::new(64 << 10);
    slow_delivery(
        "3 s pause, in place, descriptor open",
        &scene,
        |writer, path, new| {
            let half = new.len() / 2;
            let file = OpenOptions::new()
                .write(true)
                .open(path)
                .expect("the plugin's file");
            file.write_all_at(&new[..half], 0).expect("the first half");
            writer.halfway();
            thread::sleep(PAUSE);
            file.write_all_at(&new[half..], half as u64)
                .expect("the rest");
            SystemTime::now()
        },
    );
}

#[test]
fn a_pause_of_a_mapping_whose_descriptor_is_closed() {
    let scene = Scene::new(64 << 10);
    slow_delivery(
        "3 s pause, mapping, descriptor closed",
        &scene,
        |writer, path, new| {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .truncate(true)
                .open(path);
            let file = file.expect("the plugin's file");
            file.set_len(new.len() as u64).expect("the full size");
            // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
            let map = unsafe {
                mmap(
                    ptr::null_mut(),
                    new.len(),
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED,
                    file.as_fd(),
                    0,
                )
            };
            let map = map.expect("a shared mapping");
            drop(file);
            // The code in the middle comes last: size, headers and both tables look complete during the pause.
            let fill = |from: usize, to: usize| {
                // SAFETY: `from` lies within the mapping, which is `new.len()` long.
                let to_there = unsafe { map.cast::<u8>().add(from) };
                // SAFETY: source and mapping both reach to `to`, which is at most `new.len()`, and do not overlap.
                unsafe { ptr::copy_nonoverlapping(new[from..to].as_ptr(), to_there, to - from) };
            };
            let (hole, end) = (CHUNK * 4, new.len() - CHUNK * 8);
            fill(0, hole);
            fill(end, new.len());
            writer.halfway();
            thread::sleep(PAUSE);
            fill(hole, end);
            let complete = SystemTime::now();
            // SAFETY: the mapping is ours, this long, and not used any more.
            unsafe { munmap(map, new.len()) }.expect("munmap");
            complete
        },
    );
}
