//! Proves what inspect decides beside the types: compilers, processor, manifests that are cut short, newer or impossible;
//! who is asked when several programs use one plugin; and that the manifest is there after every optimisation.

use std::fs;
use std::path::Path;
use std::process::Command;

use plugind_tests::{Home, Judged, Process, Said, Toolchain, need, replace, run};
use plugind_wire::event::Kind;
use plugind_wire::manifest::Inspection;

fn until_says(host: &Process<Said>, which: u32) -> Said {
    let what = format!("build {which} answers");
    host.wait(&what, 0, |said| said.which == which, String::new)
        .line
}

/// The program's first word that the newest version is not used.
fn refusal(host: &Process<Said>) -> Said {
    let refused = |said: &Said| said.refused.is_some();
    host.wait("it is refused", 0, refused, String::new).line
}

const FIXED: (&str, &str) = ("    fn title(of: &str) -> String;\n", "");
const WITHOUT_TITLE: (&str, &str) = (
    "    fn title(of: &str) -> String {\n        of.to_owned()\n    }\n",
    "",
);

fn nightly() -> bool {
    need("rustup")
        && Command::new("rustup")
            .args(["run", "nightly", "rustc", "-V"])
            .output()
            .is_ok_and(|o| o.status.success())
}

#[test]
fn fixed_types_cross_between_compilers_and_others_do_not() {
    if !nightly() {
        return;
    }
    let home = Home::new();
    let mut judged = Judged::new(&home, 0);
    judged.contract(&[FIXED]);
    let daemon = judged.daemon();
    judged.offer(&[WITHOUT_TITLE], "", Toolchain::This);
    let host = judged.host(Toolchain::This);
    until_says(&host, 1);
    let which = judged.offer(&[WITHOUT_TITLE], "", Toolchain::Nightly);
    let event = daemon.decided(2);
    let said = event.reason.expect("it says so");
    assert_eq!(event.event, Kind::Published);
    for word in ["-nightly", "judge-host", "no compiler decides the layout"] {
        assert!(said.contains(word), "no {word:?} in {said:?}");
    }
    until_says(&host, which);
    // A struct that the compiler lays out.
    judged.contract(&[FIXED, ("#[repr(C)]\npub struct Score", "pub struct Score")]);
    drop(host);
    let host = judged.host(Toolchain::This);
    let refused = refusal(&host);
    assert!(refused.refused.is_some_and(
        |said| said.contains("`Score` is `#[repr(C)]`") || said.contains("without `repr`")
    ));
    judged.offer(&[WITHOUT_TITLE], "", Toolchain::This);
    daemon.decided(3);
    let host = judged.host(Toolchain::This);
    until_says(&host, 3);
    judged.offer(&[WITHOUT_TITLE], "", Toolchain::Nightly);
    daemon.expect_rejected(
        4,
        &[
            "rustc 1.",
            "-nightly",
            "`judge` has types whose layout the compiler decides",
            "build both with one compiler",
        ],
    );
    assert_eq!(judged.ran(), [1, 2, 3]);

    // The same, when the program asks for text.
    judged.contract(&[]);
    judged.offer(&[], "", Toolchain::Nightly);
    drop(host);
    daemon.decided(5);
    let host = judged.host(Toolchain::This);
    let refused = refusal(&host);
    let said = refused.refused.expect("as waited for");
    assert!(
        said.contains("-nightly") && said.contains("`title` has types"),
        "{said}"
    );
    // No program was there to say so before the probe.
    assert_eq!(judged.ran(), [1, 2, 3, 5]);
    assert!(
        judged.ran_in(host.pid()).is_empty(),
        "it ran in the program"
    );
}

#[test]
fn each_program_refuses_by_itself_what_fits_another() {
    let home = Home::new();
    let mut judged = Judged::new(&home, 1);
    judged.offer(&[], "", Toolchain::This);
    let daemon = judged.daemon();
    let old = judged.host(Toolchain::This);
    until_says(&old, 1);
    let more = [("pub lives: u8,", "pub lives: u8,\n    pub time: f64,")];
    judged.contract(&more);
    judged.offer(&[], "", Toolchain::This);
    let field = "field `time: f64` was added to `Score` after `lives`";
    daemon.expect_rejected(2, &[field, "judge-host", &old.pid().to_string()]);

    // A program comes that it fits: it is looked at again.
    let new = judged.host(Toolchain::This);
    until_says(&new, 2);
    let refused = daemon
        .wait_client(Kind::Refused, "judged", 3, old.pid())
        .line;
    assert!(refused.reason.is_some_and(|said| said.contains(field)));
    let said = old.wait(
        "the old program knows why",
        0,
        |said| said.which == 1 && said.refused.as_ref().is_some_and(|why| why.contains(field)),
        String::new,
    );
    assert_eq!(said.line.version, 1);
    let ran = (judged.ran_in(old.pid()), judged.ran_in(new.pid()));
    assert_eq!(
        ran,
        (vec![1], vec![2]),
        "it ran in no program that it does not fit"
    );

    // Back to what runs in the old program, which says so no more.
    drop(new);
    judged.contract(&[]);
    judged.offer(&[], "", Toolchain::This);
    until_says(&old, 3);
}

#[test]
fn what_cannot_be_decided_by_types() {
    let home = Home::new();
    let mut judged = Judged::new(&home, 2);
    let daemon = judged.daemon();
    judged.offer(&[], "", Toolchain::This);
    daemon.decided(1);
    let host = judged.host(Toolchain::This);
    until_says(&host, 1);
    let mut number = 1;
    let mut offer = |image: &Path| {
        replace(image, &judged_file(&home));
        number += 1;
        number
    };

    // The manifest.
    let good = fs::read(judged.built(&[], "", Toolchain::This)).expect("the image");
    let note = good
        .windows(8)
        .position(|bytes| bytes == b"plugind\0")
        .expect("a note")
        - 12;
    let contract = notes(&good)
        .into_iter()
        .find(|at| good[at + 8] == 2)
        .expect("a contract's");
    let broken = home.build().join("broken.so");
    let mut try_bytes = |at: usize, bytes: &[u8], words: &[&str]| {
        let mut image = good.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&broken, image).expect("an image");
        daemon.expect_rejected(offer(&broken), words);
    };
    try_bytes(
        note + 20,
        &7_u32.to_ne_bytes(),
        &["layout version 7", "reads version 2"],
    );
    try_bytes(
        contract + 20,
        &7_u32.to_ne_bytes(),
        &["layout version 7", "reads version 2"],
    );
    try_bytes(contract + 28, &u32::MAX.to_ne_bytes(), &["cut short"]);
    let score = find(&good, b"Score\0\0\0", contract);
    try_bytes(
        score - 4,
        &u32::MAX.to_ne_bytes(),
        &["a record is cut short"],
    );
    try_bytes(score, &[0xff], &["not UTF-8"]);
    let generation = find(&good, &[15, 0, 0, 0, 4, 0, 0, 0], note);
    try_bytes(
        generation + 8,
        &99_u32.to_ne_bytes(),
        &["generation 99", "rebuild the host"],
    );
    try_bytes(
        generation + 8,
        &1_u32.to_ne_bytes(),
        &["generation 1 ", "rebuild the plugin"],
    );
    let target = find(&good, b"-linux-gnu", note);
    try_bytes(target + 7, b"mus", &["linux-mus", "--target"]);

    // The processor, and a panic that cannot be caught.
    if cfg!(target_arch = "x86_64") && !std::arch::is_x86_feature_detected!("avx512f") {
        judged.flags = vec!["-Ctarget-feature=+avx512f".to_owned()];
        let image = judged.built(&[], "", Toolchain::This);
        daemon.expect_rejected(
            offer(&image),
            &["avx512f", "processor lacks", "target-feature"],
        );
        judged.flags.clear();
    }
    assert_eq!(judged.ran(), [1], "nothing of them ran");
    judged.args = vec![
        "--config".to_owned(),
        "profile.dev.panic=\"abort\"".to_owned(),
    ];
    let image = judged.built(&[], "", Toolchain::This);
    let event = daemon.decided(offer(&image));
    assert_eq!(event.event, Kind::Published);
    assert!(
        event
            .reason
            .is_some_and(|said| said.contains("panic = \"abort\""))
    );
}

fn judged_file(home: &Home) -> std::path::PathBuf {
    home.work().join("plugins/libjudged.so")
}

fn find(image: &[u8], bytes: &[u8], from: usize) -> usize {
    let at = image[from..]
        .windows(bytes.len())
        .position(|window| window == bytes);
    from + at.expect("it is there")
}

/// Where the notes of plugind start.
fn notes(image: &[u8]) -> Vec<usize> {
    let owner = b"plugind\0";
    let places = image.windows(owner.len()).enumerate();
    places
        .filter(|(at, bytes)| *bytes == owner && *at > 12 && image[at - 12] == 8)
        .map(|(at, _)| at - 12)
        .collect()
}

#[test]
fn the_manifest_survives_every_optimisation() {
    let home = Home::new();
    let mut judged = Judged::new(&home, 3);
    let inspect = |image: &Path| -> Inspection {
        let mut command = home.plugind(["inspect", "--json"]);
        let text = run(command.arg(image));
        serde_json::from_str(&text).expect("an inspection")
    };
    let debug = inspect(&judged.built(&[], "", Toolchain::This))
        .manifest
        .expect("a manifest");
    judged.args = [
        "--release",
        "--config",
        "profile.release.lto=\"fat\"",
        "--config",
        "profile.release.strip=true",
        "--config",
        "profile.release.opt-level=3",
    ]
    .map(str::to_owned)
    .to_vec();
    let image = judged.built(&[], "", Toolchain::This);
    let release = inspect(&image).manifest.expect("a manifest");
    assert_eq!(debug.implements, release.implements);
    let build = release.build.expect("it tells");
    assert_eq!(
        (
            build.profile.as_deref(),
            build.panic.as_deref(),
            build.allocator.as_deref()
        ),
        (Some("release"), Some("unwind"), Some("system"))
    );
    assert_eq!(
        debug.build.expect("it tells").profile.as_deref(),
        Some("debug")
    );
    assert!(
        build
            .rustc
            .is_some_and(|rustc| rustc.starts_with("rustc ") && rustc.contains(" commit "))
    );
    let [contract] = &*release.implements else {
        panic!("{:?}", release.implements)
    };
    let names: Vec<_> = contract
        .functions
        .iter()
        .map(|function| function.function.as_str())
        .collect();
    assert_eq!(names, ["which", "judge", "rate", "body", "title"]);
    let score = contract
        .types
        .iter()
        .find(|ty| ty.name == "Score")
        .expect("it is mentioned");
    let fields: Vec<_> = score
        .fields
        .iter()
        .map(|f| (f.field.as_str(), f.name.as_str(), f.offset))
        .collect();
    assert_eq!(
        fields,
        [
            ("points", "u32", Some(0)),
            ("lives", "u8", Some(4)),
            ("inner", "Inner", Some(8))
        ]
    );
    assert!(score.fixed && score.krate.starts_with("judge "));

    let page = run(home.plugind(["inspect"]).arg(&image));
    for line in [
        "judged 0.",
        "fn judge(score: &Score, events: &[Event]) -> u64",
        "lives: u8",
        "Key(u8)",
        "release",
    ] {
        assert!(page.contains(line), "no {line:?} in\n{page}");
    }
    if need("readelf") {
        let listed = run(Command::new("readelf")
            .arg("-nW")
            .arg(&image)
            .env("LC_ALL", "C"));
        let ours = listed
            .lines()
            .filter(|line| line.trim_start().starts_with("plugind"));
        assert_eq!(ours.count(), 2, "{listed}");
    }
}
