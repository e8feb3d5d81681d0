//! Proves which lane a program follows that lies in none: the one that was built last, whatever the build changed.

use std::fs;

use plugind_tests::{Call, Daemon, Home, answers, cc_plugin, replace, until};
use plugind_wire::event::Kind;

#[test]
fn a_build_that_changes_nothing_is_the_last_one_of_its_lane() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let lane = |lane: &str, answer: i64| {
        let image = cc_plugin(&home.build().join(lane), "x", &answers(answer, 0));
        let to = folder.join(lane);
        fs::create_dir_all(&to).expect("a lane");
        replace(&image, &to.join("libx.so"));
    };
    let daemon = Daemon::watch(&home, &folder, &[]);
    lane("debug", 1);
    daemon.wait_version(Kind::Published, "x", 1);
    lane("release", 2);
    daemon.wait_version(Kind::Published, "x", 2);
    assert_eq!(Call::once(&home, "x", "answer").result, 2);
    lane("debug", 1);
    daemon.wait("unchanged", |event| event.event == Kind::Unchanged);
    assert_eq!(Call::once(&home, "x", "answer").result, 1);
    drop(daemon);
    // The files' times say so as well.
    let daemon = Daemon::watch(&home, &folder, &[]);
    until("both files are known", || {
        (daemon.numbers(Kind::Unchanged, "x") == [2, 1]).then_some(())
    });
    assert_eq!(Call::once(&home, "x", "answer").result, 1);
}
