//! Proves that a process which is started while a plugin is copied is the one that tries it, and that one which nobody
//! needs does not stay.

use std::fs;
use std::path::PathBuf;

use plugind_tests::{
    Call, Daemon, Home, VICTIM, answers, cc_plugin, children, marks, replace, until, victim,
};
use plugind_wire::event::Kind;
use plugind_wire::probe::Probe;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A daemon whose client runs version 1 of the victim, and that has no probe.
struct Scene<'h> {
    daemon: Daemon<'h>,
    _call: Call,
    artifact: PathBuf,
    built: PathBuf,
}

impl<'h> Scene<'h> {
    fn new(home: &'h Home) -> Self {
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let built = cc_plugin(&home.build().join("good"), VICTIM, &answers(1, 0));
        let artifact = folder.join("libvictim.so");
        replace(&built, &artifact);
        let daemon = Daemon::watch(home, &folder, &[]);
        let call = Call::watch(home, VICTIM, "answer");
        daemon.wait_version(Kind::Executing, VICTIM, 1);
        let scene = Self {
            daemon,
            _call: call,
            artifact,
            built,
        };
        scene.until_no_probe();
        scene
    }

    fn until_no_probe(&self) {
        until("no probe waits", || {
            children(self.daemon.pid()).is_empty().then_some(())
        });
    }

    /// One that was started for a copy of what is known already.
    fn spare(&self) -> Pid {
        let mark = self.daemon.mark();
        replace(&self.built, &self.artifact);
        self.daemon.wait_from(mark, "it is unchanged", |event| {
            event.event == Kind::Unchanged
        });
        until("one waits", || match children(self.daemon.pid())[..] {
            [] => None,
            [spare] => Some(spare),
            ref many => panic!("one is enough: {many:?}"),
        })
    }
}

#[test]
fn one_that_nobody_needs_ends() {
    let home = Home::new();
    let mut scene = Scene::new(&home);
    scene.spare();
    scene.until_no_probe();
    let waits = scene.spare();
    scene.daemon.kill9();
    until("it ends with its engine", || {
        test_kill_process(waits).is_err().then_some(())
    });
}

#[test]
fn it_is_what_tries_the_version() {
    let home = Home::new();
    let scene = Scene::new(&home);
    let next = victim(&home, "breaks", "abort();");
    let waits = scene.spare();
    replace(&next, &scene.artifact);
    let daemon = &scene.daemon;
    let event = daemon.wait("it is rejected", |event| event.event == Kind::Rejected);
    let output = event.line.output.expect("what it wrote");
    let who = waits.as_raw_pid().cast_unsigned();
    assert_eq!(marks(&output), [who], "{}", daemon.dump());
}

#[test]
fn one_that_somebody_ended_is_not_the_plugins_failure() {
    let home = Home::new();
    let scene = Scene::new(&home);
    let next = cc_plugin(&home.build().join("next"), VICTIM, &answers(2, 0));
    let waits = scene.spare();
    kill_process(waits, Signal::KILL).expect("it waits");
    replace(&next, &scene.artifact);
    let daemon = &scene.daemon;
    let event = daemon.wait("a verdict", |event| {
        event.version == Some(2) && matches!(event.event, Kind::Published | Kind::Rejected)
    });
    assert_eq!(event.line.event, Kind::Published, "{}", daemon.dump());
    assert_eq!(event.line.probe, Some(Probe::Passed));
}
