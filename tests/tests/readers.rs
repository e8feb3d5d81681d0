//! Proves that a frame is one version of every plugin: three plugins are replaced a thousand times while eight threads
//! look twice in each of their frames; both looks see the same, and no thread ever sees a version go back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::Receiver;
use plugind_client::{Client, ClientEvent, Frame, Plugin};
use plugind_tests::{DEADLINE, EndOnDrop, Home, answers, cc_plugin, embed, replace, say, until};

const NAMES: [&str; 3] = ["one", "two", "three"];
/// So many images of each plugin take turns; the newest is always followed by another.
const IMAGES: u64 = 10;
const ROUNDS: u64 = 1000;
const READERS: usize = 8;

type Answer = unsafe extern "C" fn() -> i64;

/// What the version `number` of the `nth` plugin answers.
fn answer_of(nth: usize, number: u64) -> i64 {
    nth as i64 * 100 + ((number - 1) % IMAGES) as i64
}

/// The three plugins' versions, each with what it answers.
fn look(frame: &Frame<'_>, plugins: &[Plugin; 3]) -> [(u64, i64); 3] {
    std::array::from_fn(|nth| {
        let table = frame.table(&plugins[nth]);
        // SAFETY: every plugin of this suite declares `answer` so (kept by `answers`).
        let answer = unsafe { table.lookup::<Answer>(c"answer") }.expect("it is exported");
        // SAFETY: it has no preconditions.
        (table.version().number, unsafe { answer() })
    })
}

#[test]
fn a_frame_is_one_version_of_every_plugin() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let images = NAMES.map(|name| built(&home, name));
    let put = |nth: usize, number: u64| {
        let image = &images[nth][((number - 1) % IMAGES) as usize];
        replace(image, &folder.join(format!("lib{}.so", NAMES[nth])));
    };
    (0..NAMES.len()).for_each(|nth| put(nth, 1));
    let client = embed(&home, &folder, DEADLINE);
    let plugins = NAMES.map(|name| client.plugin(name).expect("its first version"));
    let events = client.events();

    let over = AtomicBool::new(false);
    // The version that each reader has certainly come to, of all three.
    let seen: [AtomicU64; READERS] = Default::default();
    let frames: u64 = thread::scope(|scope| {
        // Ends the readers also when an assertion fails.
        let ending = EndOnDrop(&over);
        let readers = seen.each_ref().map(|seen| {
            let (client, plugins, over) = (&client, &plugins, &over);
            scope.spawn(move || read(client, plugins, seen, over))
        });
        for number in 2..=ROUNDS + 1 {
            (0..NAMES.len()).for_each(|nth| put(nth, number));
            swapped(&events, number);
            let ended = readers.iter().any(|reader| reader.is_finished());
            assert!(!ended, "a reader ended in round {number}");
        }
        for seen in &seen {
            until("every reader comes to the last versions", || {
                (seen.load(Ordering::SeqCst) == ROUNDS + 1).then_some(())
            });
        }
        drop(ending);
        readers
            .map(|reader| reader.join().expect("a reader"))
            .iter()
            .sum()
    });
    say(&format!(
        "{ROUNDS} rounds of three plugins under {READERS} readers: {frames} frames"
    ));
}

fn built(home: &Home, name: &str) -> Vec<PathBuf> {
    let nth = NAMES.iter().position(|other| *other == name);
    let nth = nth.expect("one of the three");
    let image = |number| {
        let n = answer_of(nth, number);
        let folder: &Path = &home.build().join(n.to_string());
        cc_plugin(folder, name, &answers(n, 0))
    };
    (1..=IMAGES).map(image).collect()
}

/// One reader's frames, until it is over; how many there were.
fn read(client: &Client, plugins: &[Plugin; 3], seen: &AtomicU64, over: &AtomicBool) -> u64 {
    let mut reader = client.reader();
    let mut last = [0; 3];
    let mut frames = 0;
    while !over.load(Ordering::SeqCst) {
        let frame = reader.enter();
        let first = look(&frame, plugins);
        thread::yield_now();
        let second = look(&frame, plugins);
        drop(frame);
        assert_eq!(first, second, "two looks in one frame");
        for (nth, (number, answer)) in first.into_iter().enumerate() {
            let name = NAMES[nth];
            assert_eq!(answer, answer_of(nth, number), "{name} v{number}");
            assert!(
                number >= last[nth],
                "{name} goes back from v{} to v{number}",
                last[nth]
            );
            last[nth] = number;
        }
        seen.store(*last.iter().min().expect("three"), Ordering::SeqCst);
        frames += 1;
    }
    frames
}

/// Waits until this version of all three is swapped in.
fn swapped(events: &Receiver<ClientEvent>, number: u64) {
    let mut missing = NAMES.to_vec();
    while !missing.is_empty() {
        let event = events
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|error| panic!("v{number} of {missing:?}: {error}"));
        match event {
            ClientEvent::Swapped { version } if version.number == number => {
                missing.retain(|name| *name != version.plugin);
            }
            ClientEvent::Refused { version, reason }
            | ClientEvent::Rejected {
                version, reason, ..
            } => panic!("{version}: {reason}"),
            _ => {}
        }
    }
}
