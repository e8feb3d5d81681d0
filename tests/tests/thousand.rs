//! Proves that a thousand rejected plugins leave nothing behind but the memory of the newest, and of what is not mended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use plugind_tests::{Daemon, Home, ended, need, replace, run, say, sdk_plugin, until};
use plugind_wire::event::{Kind, Stage};
use plugind_wire::status::Status;

#[test]
fn a_thousand_rejected_plugins_leave_nothing() {
    if !need("strip") {
        return;
    }
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let image = home.build().join("libnumber.so");
    let source = "extern \"C\" fn run() { std::process::abort() }\n\
         #[used]\n#[unsafe(link_section = \".init_array\")]\nstatic RUN: extern \"C\" fn() = run;\n\
         extern \"C\" fn answer() -> i64 { 42 }\nplugind_plugin::register! { answer }\n";
    sdk_plugin(&image, "number0000", source, &[]);
    run(Command::new("strip").arg(&image));
    let bytes = fs::read(&image).expect("the image");
    let named: Vec<_> = bytes
        .windows(10)
        .enumerate()
        .filter(|(_, window)| window == b"number0000")
        .map(|(at, _)| at)
        .collect();
    assert!(
        named.len() > 1,
        "a name in the notes and one in the registrations"
    );
    let daemon = Daemon::watch(&home, &folder, &[]);
    // One file that nobody mends.
    replace(&image, &folder.join("libfirst.so"));
    daemon.wait_version(Kind::Rejected, "number0000", 1);
    let seen = |process: &Daemon<'_>| {
        let of = |what: &str| format!("/proc/{}/{what}", process.pid());
        let descriptors = fs::read_dir(of("fd")).expect("its descriptors").count();
        let status = fs::read_to_string(of("status")).expect("its status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        (
            descriptors,
            resident
                .expect("a size")
                .trim()
                .parse::<u64>()
                .expect("a number"),
        )
    };
    let mut measured = Vec::new();
    for number in 1..=1000 {
        let mut bytes = bytes.clone();
        for at in &named {
            bytes[*at..at + 10].copy_from_slice(format!("number{number:04}").as_bytes());
        }
        fs::write(&image, bytes).expect("an image");
        let mark = daemon.mark();
        replace(&image, &folder.join("libnumber.so"));
        let name = format!("number{number:04}");
        let event = daemon.wait_from(mark, &name, |event| {
            event.event == Kind::Rejected && event.plugin.as_deref() == Some(&name)
        });
        assert_eq!(event.line.stage, Some(Stage::Probe), "{event:?}");
        if [1, 500, 1000].contains(&number) {
            measured.push(seen(&daemon));
        }
    }
    let [first, half, all] = measured[..] else {
        panic!("three measurements")
    };
    say(&format!(
        "descriptors and resident kB after 1, 500 and 1000 rejected plugins: {first:?} {half:?} {all:?}"
    ));
    assert_eq!(first.0, all.0, "descriptors");
    assert!(all.1 < half.1 + 400, "resident kB: {measured:?}");

    // What is remembered of them is bounded: the newest, and the one that is not mended. After a restart, too.
    let remembered = |status: &Status| {
        let plugins = status.plugins.iter();
        let rejected = plugins.filter(|plugin| plugin.plugin.starts_with("number"));
        let versions = rejected.clone().map(|plugin| plugin.versions.len());
        assert_eq!(versions.sum::<usize>(), 256);
        let names: BTreeSet<_> = rejected.map(|plugin| plugin.plugin.clone()).collect();
        let newest = (746..=1000).map(|number| format!("number{number:04}"));
        assert_eq!(names, newest.chain(["number0000".to_owned()]).collect());
    };
    remembered(&daemon.status());
    let mut store = vec![home.state()];
    let mut files = BTreeMap::<_, u32>::new();
    while let Some(folder) = store.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let beside = path.parent().and_then(Path::file_name).unwrap_or_default();
            if path.is_dir() {
                store.push(path);
            } else if beside.to_string_lossy().starts_with("p-number") {
                let kind = path.extension().expect("a record").to_owned();
                *files
                    .entry(kind.to_string_lossy().into_owned())
                    .or_default() += 1;
            }
        }
    }
    let expected = [("json", 256), ("notes", 256)];
    assert_eq!(files, expected.map(|(kind, n)| (kind.to_owned(), n)).into());
    let forgotten = ended(home.plugind(["diff", "number0745", "1", "1"]));
    forgotten.expect(4, &["there is no plugin number0745"]);
    // That is told of the quarantine.
    let mut places = fs::read_dir(home.state()).expect("the state of the folder");
    let place = places.next().expect("one folder").expect("a folder").path();
    let records = fs::read_dir(place.join("quarantine/daemon")).expect("records");
    assert_eq!(records.count(), 256);
    let lines = daemon.lines();
    let told = lines.iter().filter(|seen| {
        let reason = seen.line.reason.as_deref().unwrap_or_default();
        seen.line.event == Kind::Warning && reason.contains("room for 256 builds")
    });
    assert_eq!(told.count(), 1);

    let mut daemon = daemon;
    run(&mut home.plugind(["stop"]));
    assert!(daemon.wait_exit().success());
    fs::remove_file(folder.join("libnumber.so")).expect("it is there");
    fs::remove_file(folder.join("libfirst.so")).expect("it is there");
    let daemon = Daemon::watch(&home, &folder, &[]);
    until("it has remembered", || {
        let status = daemon.status();
        (!status.plugins.is_empty()).then(|| remembered(&status))
    });
}
