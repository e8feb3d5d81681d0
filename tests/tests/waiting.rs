//! Proves that nobody waits for a first version in silence: after a second it is said what there is instead, once, and an
//! error that ends a program is a sentence.

use std::fs;
use std::path::Path;
use std::process::Command;

use plugind_client::ClientEvent;
use plugind_tests::{
    Call, DEADLINE, Daemon, Home, answers, cc_plugin, embed, ended, holds, replace,
};
use plugind_wire::event::Kind;

const HOST: &str = env!("CARGO_BIN_EXE_embedded-host");

fn deliver(home: &Home, folder: &Path, name: &str) {
    fs::create_dir_all(folder).expect("the folder to watch");
    let image = cc_plugin(&home.build().join(name), name, &answers(1, 0));
    replace(&image, &folder.join(format!("lib{name}.so")));
}

#[test]
fn who_waits_for_a_first_version_is_told_once_what_there_is_instead() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    let client = embed(&home, &folder, DEADLINE);
    let events = client.events();
    std::thread::scope(|scope| {
        let plugin = scope.spawn(|| client.plugin("x"));
        let first = events.recv_timeout(DEADLINE).expect("an event");
        let said = first.to_string();
        let ClientEvent::Waiting { plugin: of, found } = first else {
            panic!("{said}");
        };
        assert_eq!(of, "x");
        let words = ["no plugin has been built", "plugins", "cdylib"];
        holds(&found, &words);
        assert_eq!(said, format!("waiting for a first version of x; {found}"));
        // Long enough for a second one: the plugin comes when the next has waited as long.
        deliver(&home, &folder, "other");
        let other = client.plugin_if_built("never").expect("it is asked");
        assert!(other.is_none());
        let waited = scope.spawn(|| {
            embed(&home, &folder, std::time::Duration::from_millis(2500)).plugin("nothing")
        });
        let error = waited
            .join()
            .expect("no panic")
            .expect_err("it never comes");
        holds(
            &format!("{error:?}"),
            &["no version of plugin nothing", "there are in", "other"],
        );
        deliver(&home, &folder, "x");
        let plugin = plugin.join().expect("no panic").expect("it came");
        assert_eq!(plugin.name(), "x");
    });
    let more: Vec<_> = events.try_iter().map(|event| event.to_string()).collect();
    assert!(
        !more.iter().any(|event| event.starts_with("waiting")),
        "{more:?}"
    );
    assert!(more.contains(&"x v1 is current".to_owned()), "{more:?}");
}

/// Starts the host where it lies and has it give up after two seconds.
fn gives_up(mut host: Command, folder: &Path) -> String {
    host.arg("connect")
        .arg(folder)
        .args(["x", "answer"])
        .env("DEADLINE", "2");
    let ended = ended(host);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.stderr
}

#[test]
fn a_program_that_gives_up_says_which_versions_there_are_and_why_none_is_its_own() {
    let home = Home::new();
    let folder = home.work().join("target");
    deliver(&home, &folder.join("debug"), "x");
    let daemon = Daemon::watch(&home, &folder, &[]);
    daemon.wait_version(Kind::Published, "x", 1);
    // It lies where release builds go, and follows those.
    fs::create_dir(folder.join("release")).expect("a folder");
    let host = folder.join("release/host");
    fs::copy(HOST, &host).expect("a copy");
    let stderr = gives_up(home.command(&host), &folder);
    assert_eq!(
        stderr,
        "Error: no version of plugin x after 2s: it has been built in debug, and this program follows release, where it \
         lies; build the plugin there as well\n"
    );
    // What ends a program is told by sentence and not by field, whatever the type.
    let daemon_less = gives_up(home.command(HOST), &home.work().join("elsewhere"));
    holds(
        &daemon_less,
        &["Error: nothing serves ", "start `plugind watch` there"],
    );
    assert!(!daemon_less.contains('{'), "{daemon_less}");
    // Read in full while it lies there.
    assert!(Call::output(&home, "x", "answer").status.success());
}
