//! Proves what is told of an image beside its contract: symbols and storage that versions would share; and that a program
//! opens nothing that is not, by content, owner and mode, what was staged.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use plugind_client::ClientError;
use plugind_tests::{Daemon, Home, cc, connect, ended, holds, replace, run, say, sdk_plugin};
use plugind_wire::event::Kind;

/// Has a symbol that all versions share, and storage of which a process has little.
const SHARES: &str = "asm(\".globl counted\\n.type counted, @gnu_unique_object\\n.size counted, 8\\n\"\n\
    \".data\\ncounted: .quad 0\\n.text\\n\");\n\
    __thread __attribute__((tls_model(\"initial-exec\"))) int scratch;\n\
    long long answer(void) { return scratch; }\n";

#[test]
fn what_versions_would_share_is_told_by_name() {
    let home = Home::new();
    let image = home.build().join("libshares.so");
    cc(&image, SHARES, &[]);
    let told = [
        "GNU_UNIQUE symbols counted",
        "-fno-gnu-unique",
        "initial-exec thread-local storage",
    ];
    holds(&run(home.plugind(["inspect"]).arg(&image)), &told);
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("a folder");
    let daemon = Daemon::watch(&home, &folder, &[]);
    replace(&image, &folder.join("libshares.so"));
    let published = daemon.wait_version(Kind::Published, "shares", 1).line;
    holds(&published.reason.expect("a warning"), &told);
    let status = daemon.status();
    holds(&status.plugins[0].versions[0].warnings.join("; "), &told);
    // A warning is no refusal.
    ended(home.plugind(["call", "shares", "answer"])).expect(0, &[]);
}

/// What somebody does to an image, and what is said then.
type Change<'a> = (&'a dyn Fn(&Path), &'a [&'a str]);

#[test]
fn only_what_was_staged_is_opened() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("a folder");
    let daemon = Daemon::watch(&home, &folder, &["--probe", "unsandboxed"]);
    let client = connect(&home, &folder);
    let ran = home.path().join("ran");
    // Of an image that passed the probe and was changed then; the version that serves has number 1.
    let mut number = 0;
    let mut offer = |change: &dyn Fn(&Path)| {
        number += 1;
        let image = home.build().join("libstaged.so");
        let source = format!(
            "extern \"C\" fn answer() -> i64 {{ {number} }}\nplugind_plugin::register! {{ answer }}\n\
             extern \"C\" fn mark() {{ use std::io::Write; let file = std::fs::File::options().append(true).create(true)\
             .open({ran:?}); let _ = writeln!(file.expect(\"a file\"), \"{number} {{}}\", std::process::id()); }}\n\
             #[used] #[unsafe(link_section = \".init_array\")] static MARK: extern \"C\" fn() = mark;\n"
        );
        sdk_plugin(&image, "staged", &source, &[]);
        replace(&image, &folder.join("libstaged.so"));
        daemon.wait_version(Kind::Published, "staged", number);
        let status = daemon.status();
        let mut versions = status.plugins[0].versions.iter();
        let version = versions.find(|version| version.version == number);
        change(&version.expect("it is listed").image);
        client.version("staged", number)
    };
    offer(&|_| {}).expect("it is as it was staged");

    let swapped = |image: &Path| {
        let mut bytes = fs::read(image).expect("the image");
        // In the part that a loader maps.
        bytes[0x1000] ^= 1;
        let other = image.with_extension("other");
        fs::write(&other, bytes).expect("a file");
        fs::set_permissions(&other, Permissions::from_mode(0o400)).expect("its mode");
        fs::rename(&other, image).expect("it takes the image's place");
    };
    let writable = |image: &Path| {
        fs::set_permissions(image, Permissions::from_mode(0o600)).expect("its mode");
    };
    let linked = |image: &Path| {
        let other = image.with_extension("other");
        fs::rename(image, &other).expect("it moves");
        std::os::unix::fs::symlink(&other, image).expect("a link");
    };
    let given_away = |image: &Path| chown(image, Some(65534), None).expect("we are root");
    let mut changes: Vec<Change<'_>> = vec![
        (&swapped, &["content changed after it was staged"]),
        (&writable, &["mode 0600", "must be read-only"]),
        (&linked, &["the image cannot be read"]),
    ];
    match fs::metadata(home.path()).expect("a folder").uid() {
        0 => changes.push((&given_away, &["belongs to user 65534"])),
        _ => say("only_what_was_staged_is_opened: only root can give an image away"),
    }
    for (nth, (change, words)) in (2..).zip(changes) {
        let error = offer(change).expect_err("it is refused");
        assert!(matches!(error, ClientError::Open(_)), "{error:?}");
        holds(&plugind_wire::sentence(&error), words);
        let refused = daemon.wait_client(Kind::Refused, "staged", nth, std::process::id());
        holds(&refused.line.reason.expect("a reason"), words);
        let status = daemon.status();
        let version = status.plugins[0].versions.last().expect("a version");
        holds(version.reason.as_deref().expect("a reason"), words);
    }
    let here = std::process::id().to_string();
    let marks = fs::read_to_string(ran).expect("marks");
    let marks: Vec<_> = marks.lines().filter(|mark| mark.ends_with(&here)).collect();
    assert_eq!(marks, [format!("1 {here}")], "nothing else of it ran here");
}
