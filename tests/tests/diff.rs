//! Proves that what changed between two versions is told by function and field: of versions that nobody uses, of
//! rejected ones, after a restart, and of a refused build for as long as it is not mended.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use plugind_client::ClientError;
use plugind_tests::{
    Daemon, Home, Judged, Toolchain, answers, cc_plugin, connect, ended, holds, replace, run,
};
use plugind_wire::difference::{Change, Diff, Difference, Part};
use plugind_wire::event::{Kind, Stage};
use plugind_wire::status::Version;

fn page(home: &Home, plugin: &str, numbers: [u64; 2]) -> String {
    let numbers = numbers.map(|number| number.to_string());
    run(home.plugind(["diff", plugin]).args(numbers))
}

fn json(home: &Home, plugin: &str, numbers: [u64; 2]) -> Diff {
    let numbers = numbers.map(|number| number.to_string());
    let text = run(home.plugind(["diff", "--json", plugin]).args(numbers));
    serde_json::from_str(&text).expect("one document")
}

/// The difference of this name.
fn find<'d>(differences: &'d [Difference], part: Part, name: &str) -> &'d Difference {
    let mut differences_of = differences.iter();
    let found = differences_of.find(|one| one.part == part && one.name == name);
    found.unwrap_or_else(|| panic!("nothing of {part:?} {name} in {differences:#?}"))
}

/// As text and place.
fn forms(one: &Difference) -> [Option<(&str, Option<u64>)>; 2] {
    [&one.expected, &one.found].map(|form| {
        let form = form.as_ref()?;
        Some((form.text.as_str(), form.offset))
    })
}

type Changes = &'static [(&'static str, &'static str)];

/// A contract that has become another.
const CONTRACT: Changes = &[
    ("pub lives: u8,", "pub lives: u8,\n    pub time: f64,"),
    ("pub b: u32", "pub b: i32"),
    ("    Quit,", "    Pause,\n    Quit,"),
    ("fn rate(points: u32)", "fn rate(points: u64)"),
    (
        "    fn title(of: &str) -> String;\n",
        "    fn pause() -> bool;\n",
    ),
];
/// And a plugin of it.
const PLUGIN: Changes = &[
    ("fn rate(points: u32)", "fn rate(points: u64)"),
    ("        points\n", "        points as u32\n"),
    (
        "    fn title(of: &str) -> String {\n        of.to_owned()\n    }\n",
        "    fn pause() -> bool {\n        true\n    }\n",
    ),
];

#[test]
fn functions_and_fields_are_told_of_versions_that_nobody_uses() {
    let home = Home::new();
    let mut judged = Judged::new(&home, 0);
    let daemon = judged.daemon();
    judged.offer(&[], "", Toolchain::This);
    daemon.decided(1);
    judged.contract(CONTRACT);
    judged.offer(PLUGIN, "", Toolchain::This);
    assert_eq!(daemon.decided(2).event, Kind::Published);

    let diff = json(&home, "judged", [1, 2]);
    let told = &diff.differences;
    assert!(
        told.iter()
            .all(|one| one.contract == "Judge" && one.next.is_none())
    );
    let time = find(told, Part::Field, "time");
    assert_eq!((time.change, &*time.of), (Change::Added, "Score"));
    assert_eq!(forms(time), [None, Some(("time: f64", Some(8)))]);
    let ty = time.ty.as_ref().expect("its type");
    assert_eq!((ty.expected.bytes, ty.found.bytes), (16, 24));
    holds(
        &time.what,
        &["field `time: f64` was added to `Score` after `lives`"],
    );
    let b = find(told, Part::Field, "b");
    assert_eq!((b.change, &*b.of), (Change::Changed, "Inner"));
    assert_eq!(forms(b), [Some(("u32", Some(4))), Some(("i32", Some(4)))]);
    let pause = find(told, Part::Variant, "Pause");
    assert_eq!((pause.change, &*pause.of), (Change::Added, "Event"));
    let rate = find(told, Part::Function, "rate");
    assert_eq!(
        forms(rate),
        [
            Some(("fn rate(points: u32) -> u32", None)),
            Some(("fn rate(points: u64) -> u32", None))
        ]
    );
    let title = find(told, Part::Function, "title");
    assert_eq!(title.change, Change::Removed);
    assert_eq!(find(told, Part::Function, "pause").change, Change::Added);
    assert_eq!(told.len(), 6, "and nothing else: {told:#?}");

    let forth = page(&home, "judged", [1, 2]);
    for line in [
        "--- judged v1 0.",
        "+++ judged v2 0.",
        "contract Judge",
        "  - fn rate(points: u32) -> u32",
        "  + fn rate(points: u64) -> u32",
        "  - fn title(of: &str) -> String",
        "  + fn pause() -> bool",
        "  Score, 16 -> 24 bytes (crate judge 0.",
        "  + time: f64  at byte 8, after lives",
        "  - b: u32  at byte 4",
        "  + b: i32  at byte 4",
        "  + Pause  after Key",
    ] {
        holds(&forth, &[line]);
    }
    // The other way round everything is the other way round.
    let back = json(&home, "judged", [2, 1]).differences;
    assert_eq!(find(&back, Part::Field, "time").change, Change::Removed);
    assert_eq!(find(&back, Part::Function, "title").change, Change::Added);
    assert_eq!(back.len(), told.len());

    // Another text for the same.
    judged.contract(&[("/// Of a game.", "/// Of another game.")]);
    judged.offer(&[], "", Toolchain::This);
    daemon.decided(3);
    assert_eq!(json(&home, "judged", [1, 3]).differences, []);
    holds(
        &page(&home, "judged", [1, 3]),
        &[
            "no difference",
            "v3 fits every program that v1 fits (Judge)",
        ],
    );
    // A program asks the same, by one method.
    let client = connect(&home, &judged.folder());
    assert_eq!(client.diff("judged", 1, 2).expect("both are there"), diff);

    // Somebody else's type.
    judged.dependency(
        "1.1.0",
        &[
            ("    #[cfg(feature = \"more\")]\n    hidden", "    hidden"),
            ("#[cfg(feature = \"more\")] hidden", "hidden"),
        ],
    );
    judged.offer(&[], "", Toolchain::This);
    daemon.decided(4);
    let dependency = page(&home, "judged", [1, 4]);
    holds(
        &dependency,
        &[
            "  Body, 4 -> 8 bytes (crate dep 1.0.0 -> dep 1.1.0)",
            "  + hidden: u8  at byte 4, after mass",
        ],
    );
    let told = json(&home, "judged", [1, 4]).differences;
    holds(
        &find(&told, Part::Field, "hidden").what,
        &["(crate dep 1.0.0 / 1.1.0)"],
    );
    // How it was built stands beside that.
    judged.args = vec!["--release".to_owned()];
    judged.offer(&[], "", Toolchain::This);
    daemon.decided(5);
    holds(
        &page(&home, "judged", [4, 5]),
        &["profile: debug -> release", "no difference"],
    );
    assert!(!page(&home, "judged", [1, 4]).contains("profile:"));
}

/// The newest version of a file.
fn newest(daemon: &Daemon<'_>, file: &Path) -> Version {
    let plugin = daemon.status().plugins.pop().expect("the plugin");
    let mut versions = plugin.versions.into_iter().rev();
    let newest = versions.find(|version| version.artifact == file);
    newest.expect("a version of the file")
}

#[test]
fn a_refused_build_is_told_until_it_is_mended() {
    let home = Home::new();
    let mut judged = Judged::new(&home, 1);
    let daemon = judged.daemon();
    judged.offer(&[], "", Toolchain::This);
    daemon.decided(1);
    let good = home.build().join("1.so");
    let host = judged.host(Toolchain::This);
    host.wait("it answers", 0, |said| said.which == 1, String::new);
    judged.contract(CONTRACT);
    let bad = judged.built(PLUGIN, "", Toolchain::This);
    let beside = judged.folder().join("libjudged.so.1");
    replace(&bad, &beside);
    let event = daemon.decided(2);
    assert_eq!(
        (event.event, event.stage),
        (Kind::Rejected, Some(Stage::Inspect))
    );

    // The event has them in parts, and each stands in the sentence.
    let told = event.differences;
    let time = find(&told, Part::Field, "time");
    assert_eq!((&*time.contract, &*time.of), ("Judge", "Score"));
    assert_eq!(forms(time), [None, Some(("time: f64", Some(8)))]);
    holds(
        time.next.as_deref().expect("what helps"),
        &["rebuild the host"],
    );
    let reason = event.reason.expect("a reason");
    for one in &told {
        holds(&reason, &[&one.what]);
    }
    assert_eq!(find(&told, Part::Function, "title").change, Change::Removed);
    let version = newest(&daemon, &beside);
    assert_eq!(version.differences, told);
    assert_eq!(version.reason.as_deref(), Some(&*reason));
    // It was rejected before it was opened anywhere, and can be compared.
    let diff = json(&home, "judged", [1, 2]);
    assert_eq!(diff.found.stage, Some(Stage::Inspect));
    assert_eq!(
        find(&diff.differences, Part::Function, "pause").change,
        Change::Added
    );
    holds(
        &page(&home, "judged", [1, 2]),
        &["v2", "rejected at inspect", "+ time: f64"],
    );
    drop(host);

    // Other builds come and go, and so does the daemon.
    let mut number = 2;
    let mut other = |daemon: &Daemon<'_>| {
        number += 1;
        let image = home.build().join("other.so");
        fs::copy(&good, &image).expect("a copy");
        let mut file = OpenOptions::new()
            .append(true)
            .open(&image)
            .expect("the copy");
        file.write_all(format!("build {number}").as_bytes())
            .expect("more bytes");
        replace(&image, &judged.folder().join("libjudged.so"));
        daemon.decided(number);
    };
    (0..6).for_each(|_| other(&daemon));
    let unmended = |daemon: &Daemon<'_>| {
        let listed = run(&mut home.plugind(["status"]));
        holds(
            &listed,
            &[
                "v2 ",
                "field `time: f64` was added to `Score` after `lives`",
            ],
        );
        assert_eq!(newest(daemon, &beside).differences, told);
        assert_eq!(json(&home, "judged", [1, 2]).differences, diff.differences);
    };
    unmended(&daemon);
    let mut daemon = daemon;
    // No program is there any more, so that it is not looked at again as if it had changed.
    run(&mut home.plugind(["stop"]));
    assert!(daemon.wait_exit().success());
    // What its file holds is found again, and still refused by nobody else than who was there.
    fs::remove_file(&beside).expect("it was there");
    let daemon = judged.daemon();
    unmended(&daemon);
    replace(&good, &beside);
    daemon.wait("the file is mended", |event| {
        event.artifact.as_deref() == beside.to_str() && event.event == Kind::Published
    });
    let listed = run(&mut home.plugind(["status"]));
    assert!(!listed.contains("was added to `Score`"), "{listed}");
    assert_eq!(newest(&daemon, &beside).differences, []);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("a folder");
    let diff = |args: [&str; 3]| ended(home.plugind(["diff"].iter().chain(&args)));
    diff(["raw", "1", "2"]).expect(3, &["nothing serves"]);
    let daemon = Daemon::watch(&home, &folder, &[]);
    diff(["raw", "1", "2"]).expect(4, &["no plugin has been built"]);
    for number in 1..=2 {
        let image = cc_plugin(
            &home.build().join(number.to_string()),
            "raw",
            &answers(number, 0),
        );
        replace(&image, &folder.join("libraw.so"));
        daemon.wait_version(Kind::Published, "raw", number.try_into().expect("a number"));
    }
    holds(
        &page(&home, "raw", [1, 2]),
        &["both are raw", "nothing that could be compared"],
    );
    assert!(json(&home, "raw", [1, 2]).found.raw);
    diff(["raw", "1", "3"]).expect(4, &["there is no raw v3", "plugind status"]);
    diff(["war", "1", "2"]).expect(4, &["there is no plugin war", "raw"]);
    // One that was no plugin at all.
    fs::write(folder.join("libraw.so"), "no plugin").expect("a file");
    let rejected = |event: &plugind_wire::event::Event| event.event == Kind::Rejected;
    daemon.wait("it is rejected", rejected);
    diff(["raw", "1", "3"]).expect(4, &["there is no raw v3"]);
    let cut = home.build().join("libraw.so");
    let note = "__attribute__((section(\".note.plugind\"), used, aligned(4)))\n\
        static const struct { unsigned n, d, t; char owner[8]; unsigned char desc[4]; } note =\n\
        { 8, 4, 1, \"plugind\", { 255, 255, 255, 255 } };\n";
    plugind_tests::cc(&cut, note, &[]);
    let mark = daemon.mark();
    replace(&cut, &folder.join("libraw.so"));
    let number = daemon
        .wait_from(mark, "it is rejected", rejected)
        .line
        .version;
    let number = number.expect("it has a number").to_string();
    diff(["raw", "1", &number]).expect(5, &["what raw v", "declares cannot be read"]);
    let client = connect(&home, &folder);
    assert!(matches!(
        client.diff("raw", 1, 9),
        Err(ClientError::Unknown(_))
    ));
    // It goes on.
    holds(&page(&home, "raw", [2, 1]), &["both are raw"]);
}
