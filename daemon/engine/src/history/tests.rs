//! The bound, and what is known of what is gone.

use std::time::Duration;

use super::*;

/// A published version, as a record has it, staged so many seconds after the first.
fn version(number: u64) -> Version {
    let digest = plugind_wire::Digest::of(&number.to_le_bytes());
    let staged = Timestamp::UNIX_EPOCH + Duration::from_secs(number);
    let record = serde_json::json!({
        "plugin": "x", "raw": false, "progress": "accepted", "size": 1,
        "mapped": { "bytes": 1, "digest": digest },
        "shown": {
            "version": number, "digest": digest, "lane": ".", "artifact": "/w/libx.so", "image": "/s/libx.so",
            "staged": staged, "outcome": "published", "probe": "passed",
            "timings_us": plugind_wire::event::Timings::default(),
        },
    });
    serde_json::from_value(record).unwrap()
}

fn entry(history: &History, number: u64) -> Entry {
    let version = version(number);
    Entry {
        time: decided(&version),
        ..history.entry(Outcome::Published, &version)
    }
}

fn numbers(history: &History) -> Vec<u64> {
    let entries = history.hold().unwrap().entries(None, None).unwrap();
    entries.iter().map(|entry| entry.version.unwrap()).collect()
}

#[test]
fn the_oldest_go_and_do_not_come_back() {
    const ALL: u64 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let room = 10_000;
    let (mut history, problem) = History::with_room(dir.path(), "s", room);
    assert_eq!(problem, None);
    for number in 1..=ALL {
        let entry = entry(&history, number);
        assert!(history.add(&entry).unwrap());
        assert!(!history.add(&entry).unwrap(), "it is there");
    }
    let files = fs::read_dir(dir.path()).unwrap().flatten();
    let bytes: Vec<_> = files.map(|file| file.metadata().unwrap().len()).collect();
    assert_eq!(bytes.len(), 2);
    assert!(bytes.iter().all(|bytes| *bytes < room + 1000), "{bytes:?}");
    let kept = numbers(&history);
    assert!(kept.len() > 20, "{kept:?}");
    assert_eq!(
        kept,
        (ALL + 1 - kept.len() as u64..=ALL).collect::<Vec<_>>()
    );
    // And the plugin's name.
    let memory: usize = [&history.newer, &history.older]
        .map(|known| known.said.len() - 1)
        .iter()
        .sum();
    assert_eq!(memory, kept.len());

    // Their records are still there when the next engine looks for what is missing.
    let (mut history, _) = History::with_room(dir.path(), "s", room);
    let records: Vec<_> = (1..=ALL + 1).map(version).collect();
    let missing = history.missing(records.iter());
    let missing: Vec<_> = missing.iter().map(|entry| entry.version.unwrap()).collect();
    assert_eq!(missing, [ALL + 1]);
    let known = entry(&history, ALL);
    assert!(!history.add(&known).unwrap());
    // Under another id the same number is another version.
    let (mut other, _) = History::with_room(dir.path(), "t", room);
    let entry = entry(&other, ALL);
    assert!(other.add(&entry).unwrap());
}

#[test]
fn what_is_held_is_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let (mut history, _) = History::with_room(dir.path(), "s", 2000);
    for number in 1..=5 {
        let entry = entry(&history, number);
        history.add(&entry).unwrap();
    }
    let held = history.hold().unwrap();
    let before = numbers(&history);
    for number in 6..=60 {
        let entry = entry(&history, number);
        history.add(&entry).unwrap();
    }
    let entries = held.entries(Some("x"), Some(3)).unwrap();
    let seen: Vec<_> = entries.iter().map(|entry| entry.version.unwrap()).collect();
    assert_eq!(seen, before[before.len() - 3..]);
    assert!(
        history
            .hold()
            .unwrap()
            .entries(Some("y"), None)
            .unwrap()
            .is_empty()
    );
}
