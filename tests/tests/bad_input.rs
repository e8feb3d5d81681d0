//! Proves that bad files are told in one sentence that names them and says what to do, and that nothing that runs is
//! harmed: a client follows an older version through all of them, and then the next good build.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugind_tests::{Call, Daemon, Home, answers, cc, cc_plugin, need, replace, run, until};
use plugind_wire::event::{Event, Kind};

/// A daemon on a folder with one plugin, `good`, and a client that counts on.
struct Scene<'h> {
    home: &'h Home,
    folder: PathBuf,
    daemon: Daemon<'h>,
    call: Call,
}

impl<'h> Scene<'h> {
    fn new(home: &'h Home) -> Self {
        Self::with(home, &[])
    }

    /// With arguments for the daemon.
    fn with(home: &'h Home, args: &[&str]) -> Self {
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        replace(&good(home, 1), &folder.join("libgood.so"));
        let daemon = Daemon::watch(home, &folder, args);
        let call = Call::watch(home, "good", "count");
        call.wait_version(1);
        Self {
            home,
            folder,
            daemon,
            call,
        }
    }

    /// Waits until the file is rejected, and checks the sentence.
    fn rejected(&self, mark: usize, name: &str, words: &[&str]) {
        let artifact = self.folder.join(name);
        let about = |event: &Event| {
            event.event == Kind::Rejected
                && event
                    .artifact
                    .as_deref()
                    .is_some_and(|path| Path::new(path) == artifact)
        };
        let event = self
            .daemon
            .wait_from(mark, &format!("{name} is rejected"), about)
            .line;
        let reason = event.reason.expect("a reason");
        for word in words {
            assert!(reason.contains(word), "no {word:?} in {reason:?}");
        }
        assert!(!reason.contains('\n'), "one line: {reason:?}");
        assert!(event.stage.is_some(), "the stage is named");

        let status = self.daemon.status();
        let as_file = status
            .rejected_files
            .iter()
            .any(|file| file.path == artifact && file.reason == reason);
        let versions = status.plugins.iter().flat_map(|plugin| &plugin.versions);
        let as_version = versions
            .filter(|version| version.artifact == artifact)
            .any(|version| version.reason.as_deref() == Some(&reason));
        assert!(as_file || as_version, "{name} is listed: {status:#?}");
    }

    /// A client that comes now gets the first version, and so does the one that is there.
    fn first_version_answers(&self) {
        assert_eq!(Call::once(self.home, "good", "answer").result, 1);
        let before = self.call.lines().len();
        until(
            &format!("the client calls on\n{}", self.call.dump()),
            || (self.call.lines().len() > before).then_some(()),
        );
    }

    /// Ends the scene: the client never noticed anything, and follows the next good build.
    fn next_good_build_goes_live(&self) {
        replace(&good(self.home, 2), &self.folder.join("libgood.so"));
        let next = self
            .call
            .wait_answer("the next version", |answer| answer.version > 1)
            .line;
        assert_eq!(next.result, 1, "its own count");
        self.daemon
            .wait_client(Kind::Live, "good", next.version, self.call.pid());
        let counted = self
            .call
            .answers()
            .into_iter()
            .filter(|(version, _)| *version == 1);
        let counted: Vec<_> = counted.map(|(_, result)| result).collect();
        let expected: Vec<_> = (1..=counted.len() as i64).collect();
        assert_eq!(counted, expected, "one initialisation, no call lost");
        assert_eq!(Call::once(self.home, "good", "answer").result, 2);
    }
}

fn good(home: &Home, n: i64) -> PathBuf {
    cc_plugin(&home.build().join(n.to_string()), "good", &answers(n, 0))
}

/// A file that says it is for another processor.
fn other_machine(home: &Home) -> Vec<u8> {
    const X86_64: u8 = 62;
    const AARCH64: u8 = 183;
    let mut bytes = fs::read(good(home, 3)).expect("an image");
    // `e_machine`
    bytes[18] = if bytes[18] == X86_64 { AARCH64 } else { X86_64 };
    bytes
}

const SCRIPT: &[u8] = b"/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( libgood.so.6 AS_NEEDED ( ld.so ) )\n";

#[test]
fn files_that_are_no_plugins() {
    let home = Home::new();
    let scene = Scene::new(&home);
    let bad: [(&str, Vec<u8>, &[&str]); 4] = [
        ("empty", Vec::new(), &["empty", "build"]),
        ("script", SCRIPT.to_vec(), &["ELF"]),
        (
            "machine",
            other_machine(&home),
            &["build it for this machine"],
        ),
        ("text", b"hello, world\n".repeat(400), &["ELF"]),
    ];
    for (what, bytes, words) in &bad {
        // A plugin of its own, and in the place of one that is in use.
        for name in [format!("lib{what}.so"), "libgood.so".to_owned()] {
            let mark = scene.daemon.mark();
            let image = home.build().join("bad");
            fs::write(&image, bytes).expect("a bad build");
            replace(&image, &scene.folder.join(&name));
            scene.rejected(mark, &name, words);
            scene.first_version_answers();
        }
    }
    scene.next_good_build_goes_live();
}

#[test]
fn a_file_for_a_32_bit_machine() {
    let home = Home::new();
    let image = home.build().join("lib32.so");
    let source = home.build().join("32.c");
    fs::write(&source, "int answer(void) { return 32; }\n").expect("a source");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-m32", "-shared", "-fPIC", "-nostdlib", "-o"])
        .args([&image, &source]);
    if !compiler.output().expect("cc starts").status.success() {
        need("cc -m32");
        return;
    }
    let scene = Scene::new(&home);
    for name in ["lib32.so", "libgood.so"] {
        let mark = scene.daemon.mark();
        replace(&image, &scene.folder.join(name));
        scene.rejected(mark, name, &["32-bit", "build it for this machine"]);
        scene.first_version_answers();
    }
    scene.next_good_build_goes_live();
}

#[test]
fn a_dangling_link() {
    let home = Home::new();
    let scene = Scene::new(&home);
    for name in ["libdangling.so", "libgood.so"] {
        let mark = scene.daemon.mark();
        let link = home.build().join("link");
        symlink("libnowhere.so", &link).expect("a link");
        fs::rename(&link, scene.folder.join(name)).expect("the link comes");
        scene.rejected(mark, name, &["link", "libnowhere.so"]);
        scene.first_version_answers();
    }
    // What it points to comes at last.
    replace(&good(&home, 3), &scene.folder.join("libnowhere.so"));
    scene.next_good_build_goes_live();
}

#[test]
fn nothing_waits_for_a_pipe_or_a_directory_or_a_socket() {
    let home = Home::new();
    let scene = Scene::new(&home);
    let pipe = scene.folder.join("libpipe.so");
    run(Command::new("mkfifo").arg(&pipe));
    fs::create_dir(scene.folder.join("libdir.so")).expect("a directory");
    let socket = scene.folder.join("libsocket.so");
    let _listener = std::os::unix::net::UnixListener::bind(socket).expect("a socket");
    symlink("/dev/null", scene.folder.join("libnull.so")).expect("a link");
    scene.first_version_answers();
    scene.next_good_build_goes_live();
    // Found by a start as well.
    drop(scene);
    let again = home.work().join("again");
    fs::create_dir(&again).expect("a folder");
    run(Command::new("mkfifo").arg(again.join("liba.so")));
    replace(&good(&home, 4), &again.join("libgood.so"));
    let daemon = Daemon::watch(&home, &again, &[]);
    daemon.wait_version(Kind::Published, "good", 1);
}

#[test]
fn a_pipe_is_told() {
    let home = Home::new();
    let scene = Scene::new(&home);
    let mark = scene.daemon.mark();
    run(Command::new("mkfifo").arg(scene.folder.join("libpipe.so")));
    scene.rejected(mark, "libpipe.so", &["file"]);
    scene.next_good_build_goes_live();
}

#[test]
fn a_directory_with_the_name_of_a_plugin_is_told() {
    let home = Home::new();
    let scene = Scene::new(&home);
    let mark = scene.daemon.mark();
    fs::create_dir(scene.folder.join("libdir.so")).expect("a directory");
    scene.rejected(mark, "libdir.so", &["directory"]);
    scene.next_good_build_goes_live();
}

/// Puts one into the folder.
fn deliver_unloadable(scene: &Scene<'_>) {
    let image = scene.home.build().join("libgood.so");
    let source = "long long missing(void);\nlong long count(void) { return missing(); }\n";
    cc(&image, source, &[]);
    replace(&image, &scene.folder.join("libgood.so"));
}

#[test]
fn a_version_that_the_loader_turns_down() {
    let home = Home::new();
    let scene = Scene::new(&home);
    let mark = scene.daemon.mark();
    deliver_unloadable(&scene);
    scene.rejected(mark, "libgood.so", &["undefined symbol: missing"]);
    scene.first_version_answers();
    scene.next_good_build_goes_live();
}

/// Where nobody tries it first, the client does.
#[test]
fn a_version_that_the_clients_loader_turns_down() {
    let home = Home::new();
    let scene = Scene::with(&home, &["--probe", "off"]);
    deliver_unloadable(&scene);
    let refused = scene
        .daemon
        .wait_client(Kind::Refused, "good", 2, scene.call.pid());
    let reason = refused.line.reason.expect("a reason");
    assert!(reason.contains("undefined symbol: missing"), "{reason}");
    let status = scene.daemon.status();
    let used = status
        .clients
        .iter()
        .find(|client| client.pid == scene.call.pid());
    let used = &used.expect("the client is listed").plugins[0];
    assert_eq!(used.live, Some(1), "{used:?}");
    assert!(
        used.refused
            .as_ref()
            .is_some_and(|refused| refused.version.number == 2)
    );
    scene.next_good_build_goes_live();
}
