//! Proves that where a key is named nothing of an artifact is read, let alone run, that is not signed with it: the old
//! version answers until the signature is there and right.

use std::fs;
use std::path::{Path, PathBuf};

use plugind_tests::{
    Call, Daemon, Home, Key, answers, cc, cc_plugin, holds, marks, replace, sdk_plugin,
    signature_of, victim,
};
use plugind_wire::Digest;
use plugind_wire::event::{Event, Kind, Stage};

/// A home with a configuration and an empty folder.
fn scene(config: &str) -> (Home, PathBuf) {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    fs::write(home.work().join("plugind.toml"), config).expect("the configuration");
    (home, folder)
}

fn image(home: &Home, name: &str, n: i64) -> PathBuf {
    cc_plugin(
        &home.build().join(format!("{name}{n}")),
        name,
        &answers(n, 0),
    )
}

/// The next rejection of a file, at the signature and nowhere else.
fn rejected(daemon: &Daemon, mark: usize, file: &Path, words: &[&str]) -> Event {
    let what = format!("{} is rejected: {words:?}", file.display());
    let event = daemon
        .wait_from(mark, &what, |event| {
            let same = event.artifact.as_deref() == file.to_str();
            assert!(!same || event.event != Kind::Published, "{event:?}");
            same && event.event == Kind::Rejected
        })
        .line;
    assert_eq!(event.stage, Some(Stage::Signature), "{event:?}");
    holds(event.reason.as_deref().expect("a reason"), words);
    event
}

fn right_wrong_and_missing(args: &[&str]) {
    let (key, other) = (Key::new(), Key::new());
    let (home, folder) = scene(&format!("signed_by = \"{}\"\n", key.public()));
    let path = folder.join("libvictim.so");
    let first = image(&home, "victim", 1);
    key.put(&first, &path);
    replace(&first, &path);
    let daemon = Daemon::watch(&home, &folder, args);
    let call = Call::watch(&home, "victim", "answer");
    call.wait_result(1);

    // The signature of the version before is none of this one's, whose constructor would say that it ran.
    let second = victim(&home, "second", "");
    let mark = daemon.mark();
    replace(&second, &path);
    let words = [
        "libvictim.so.minisig",
        "not of this content",
        "sign it anew",
    ];
    let event = rejected(&daemon, mark, &path, &words);
    assert_eq!((event.version, event.output), (None, None));
    // None at all.
    let mark = daemon.mark();
    fs::remove_file(signature_of(&path)).expect("it was there");
    replace(&second, &path);
    rejected(
        &daemon,
        mark,
        &path,
        &["not signed", "libvictim.so.minisig", "minisign -S"],
    );
    // Somebody else's, and something else.
    let mark = daemon.mark();
    other.put(&second, &path);
    rejected(&daemon, mark, &path, &["not by a key in `signed_by`"]);
    let mark = daemon.mark();
    fs::write(signature_of(&path), "signed, me").expect("no signature");
    rejected(&daemon, mark, &path, &["no signature of minisign"]);
    let mark = daemon.mark();
    fs::write(signature_of(&path), vec![b'x'; 1 << 20]).expect("no signature");
    rejected(&daemon, mark, &path, &["too large"]);

    // Meanwhile the old version answered, and of the new one nothing is in the store.
    assert_eq!(Call::once(&home, "victim", "answer").result, 1);
    assert_eq!(daemon.numbers(Kind::Published, "victim"), [1]);
    let images = || {
        let status = daemon.status();
        let found = status.plugins.into_iter().next().expect("the plugin");
        found.versions.into_iter().map(|version| version.digest)
    };
    let digest_of = |path: &Path| Digest::of(&fs::read(path).expect("an image"));
    assert_eq!(images().collect::<Vec<_>>(), [digest_of(&first)]);
    assert!(marks(&daemon.stderr()).is_empty());
    assert!(marks(&call.stderr()).is_empty());

    // The right one comes after the file, as it does when people sign.
    key.put(&second, &path);
    call.wait_result(2);
    assert_eq!(
        images().collect::<Vec<_>>(),
        [digest_of(&first), digest_of(&second)]
    );
    assert!(daemon.status().rejected_files.is_empty());
    assert_eq!(call.answers(), [(1, 1), (2, 2)]);
}

#[test]
fn a_signature_that_is_right_wrong_or_missing() {
    right_wrong_and_missing(&[]);
}

#[test]
fn a_signature_that_is_found_by_scanning() {
    right_wrong_and_missing(&["--poll"]);
}

#[test]
fn nothing_is_read_that_is_not_signed() {
    let key = Key::new();
    let (home, folder) = scene(&format!("signed_by = \"{}\"\n", key.public()));
    // A library whose note is cut off: whoever reads it rejects it at `inspect`.
    let image = home.build().join("libbroken.so");
    let note = "__attribute__((section(\".note.plugind\"), used, aligned(4)))\n\
        static const struct { unsigned n, d, t; char owner[8]; unsigned char desc[4]; } note =\n\
        { 8, 4, 1, \"plugind\", { 255, 255, 255, 255 } };\n";
    cc(&image, note, &[]);
    let path = folder.join("libbroken.so");
    replace(&image, &path);
    let daemon = Daemon::watch(&home, &folder, &[]);
    rejected(&daemon, 0, &path, &["not signed"]);
    // It is such a library.
    let mark = daemon.mark();
    key.put(&image, &path);
    let told = daemon.wait_from(mark, "a rejection", |event| event.event == Kind::Rejected);
    assert_eq!(told.line.stage, Some(Stage::Inspect), "{:?}", told.line);
}

#[test]
fn a_plugin_with_a_key_of_its_own() {
    let (general, own) = (Key::new(), Key::new());
    let (home, folder) = scene(&format!(
        "signed_by = \"{}\"\n[plugin.guarded]\nsigned_by = \"{}\"\n",
        general.public(),
        own.public()
    ));
    let file = |name: &str| folder.join(format!("lib{name}.so"));
    for (name, key) in [("usual", &general), ("guarded", &own)] {
        let image = image(&home, name, 1);
        key.put(&image, &file(name));
        replace(&image, &file(name));
    }
    let daemon = Daemon::watch(&home, &folder, &[]);
    for name in ["usual", "guarded"] {
        assert_eq!(Call::once(&home, name, "answer").result, 1);
    }
    // Each key is for its own.
    for (name, key) in [("usual", &own), ("guarded", &general)] {
        let mark = daemon.mark();
        let image = image(&home, name, 2);
        key.put(&image, &file(name));
        replace(&image, &file(name));
        let says = format!("it says that it is {name}");
        rejected_finally(&daemon, mark, &file(name), &[&says, "that plugin"]);
    }
}

/// Like [`rejected`], for a file that came after its signature: between the two the old file has a wrong one.
fn rejected_finally(daemon: &Daemon, mark: usize, file: &Path, words: &[&str]) {
    daemon.wait_from(mark, &format!("{words:?}"), |event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        event.artifact.as_deref() == file.to_str()
            && event.stage == Some(Stage::Signature)
            && words.iter().all(|word| reason.contains(word))
    });
    assert!(
        !daemon
            .events(Kind::Published, "usual")
            .iter()
            .any(|e| e.version == Some(2))
    );
    assert!(
        !daemon
            .events(Kind::Published, "guarded")
            .iter()
            .any(|e| e.version == Some(2))
    );
}

#[test]
fn a_name_inside_does_not_escape_the_key_of_that_plugin() {
    let own = Key::new();
    let (home, folder) = scene(&format!(
        "[plugin.guarded]\nsigned_by = \"{}\"\n",
        own.public()
    ));
    // Nobody else needs a signature.
    let path = folder.join("libusual.so");
    replace(&image(&home, "usual", 1), &path);
    let daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait_version(Kind::Published, "usual", 1);
    // A file of another name whose note says that it is the guarded one.
    let disguised = home.build().join("libdisguised.so");
    let source = "extern \"C\" fn answer() -> i64 { 9 }\nplugind_plugin::register! { answer }\n";
    sdk_plugin(&disguised, "guarded", source, &[]);
    let path = folder.join("libdisguised.so");
    replace(&disguised, &path);
    rejected(&daemon, 0, &path, &["not signed"]);
    own.put(&disguised, &path);
    daemon.wait_version(Kind::Published, "guarded", 1);
}

#[test]
fn a_library_that_is_opened_with_it() {
    let key = Key::new();
    let (home, folder) = scene(&format!("signed_by = \"{}\"\n", key.public()));
    let build = home.build().join("needing");
    let helper = build.join("libhelper.so");
    cc(&helper, "long long help(void) { return 7; }\n", &[]);
    let image = build.join("libx.so");
    let source = "long long help(void);\nlong long answer(void) { return help(); }\n";
    let beside = format!("-L{}", build.display());
    cc(&image, source, &[&beside, "-lhelper", "-Wl,-rpath,$ORIGIN"]);
    replace(&helper, &folder.join("libhelper.so"));
    let path = folder.join("libx.so");
    key.put(&image, &path);
    replace(&image, &path);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let event = daemon.wait("a rejection", |event| {
        event.event == Kind::Rejected && event.artifact.as_deref() == path.to_str()
    });
    assert_eq!(event.line.stage, Some(Stage::Signature));
    holds(
        &event.line.reason.expect("a reason"),
        &["libhelper.so, which is not taken", "not signed"],
    );
    key.put(&helper, &folder.join("libhelper.so"));
    replace(&image, &path);
    let call = Call::watch(&home, "x", "answer");
    call.wait_result(7);
}
