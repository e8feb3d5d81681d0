//! Proves that a probe which the system or somebody else ended is told as that: who did it is said, and bytes that are
//! not to blame are not held back.

use std::fs;
use std::process::Command;
use std::time::Duration;

use plugind_tests::{
    Daemon, Signal, VICTIM, VictimFolder, children, ended, holds, is_untried, need, rejected, run,
    within,
};
use plugind_wire::event::{Event, Kind};
use plugind_wire::probe::{Cause, Phase};
use rustix::process::{Pid, kill_process};

/// A constructor that never ends, and works.
const BUSY: &str = "for (volatile int n = 0;; n++);";

/// The probe in which a constructor is busy: of the daemon's children, the one that has used processor time.
fn busy(daemon: &Daemon<'_>) -> Pid {
    within(Duration::from_secs(60), || {
        let children = children(daemon.pid());
        // `proc_pid_stat(5)`: fields 14 and 15, in ticks of which there are a hundred in a second.
        let used = |pid: &&Pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
            let ticks = fields.split_whitespace().skip(11).take(2);
            ticks.flat_map(str::parse::<u64>).sum::<u64>() > 10
        };
        let busy = children.iter().find(used);
        busy.copied()
            .ok_or_else(|| format!("no busy probe among {children:?}"))
    })
}

/// A daemon whose next build is busy in its constructor, in the probe.
fn with_busy(victims: &VictimFolder, what: &str, end: impl FnOnce(Pid)) -> Event {
    with_busy_under(victims, &["--probe-timeout", "120"], what, end)
}

fn with_busy_under(
    victims: &VictimFolder,
    args: &[&str],
    what: &str,
    end: impl FnOnce(Pid),
) -> Event {
    let daemon = victims.watch(args);
    // Somebody asks for it, because raw plugins wait for that.
    let call = victims.follow();
    call.wait_result(1);
    let mark = daemon.mark();
    victims.deliver(&victims.build(2, BUSY, &[]));
    end(busy(&daemon));
    let event = rejected(&daemon, mark, what);
    assert_eq!(event.phase, Some(Phase::Constructors), "{what}");
    // The daemon and what answered go on, and so does the next build.
    assert_eq!(call.answers(), [(1, 1)]);
    victims.deliver(&victims.build_good(3));
    call.wait_result(3);
    event
}

/// Why it was rejected, which is nothing that its bytes are held back for.
fn blameless(event: Event) -> String {
    assert_eq!(
        (event.cause, event.quarantined),
        (Some(Cause::Surroundings), None)
    );
    event.reason.expect("a reason")
}

#[test]
fn somebody_kills_it() {
    let victims = VictimFolder::new();
    let event = with_busy(&victims, "killed", |pid| {
        kill_process(pid, Signal::KILL).expect("it runs");
    });
    let reason = blameless(event);
    holds(
        &reason,
        &[
            "its probe was killed (SIGKILL) while a constructor of it ran",
            "by the system, as when memory runs out, or by somebody else",
            "plugind retry",
        ],
    );
    assert!(!reason.contains("crashed"), "{reason}");
}

/// The kernel does, by the limit that the probe gave itself; here it is lowered, so that nobody waits long for it.
#[test]
fn its_processor_time_is_used_up() {
    if !need("prlimit") {
        return;
    }
    let victims = VictimFolder::new();
    let event = with_busy(&victims, "out of processor time", |pid| {
        let pid = pid.as_raw_nonzero().to_string();
        let limit = run(Command::new("prlimit").args(["--pid", &pid, "--cpu", "--noheadings"]));
        // A second more than the deadline.
        holds(&limit, &["121", "122"]);
        run(Command::new("prlimit").args(["--pid", &pid, "--cpu=1:122"]));
    });
    assert_eq!(event.cause, Some(Cause::Time));
    assert!(
        event.quarantined.is_some(),
        "the same bytes would do it again"
    );
    let reason = event.reason.expect("a reason");
    holds(
        &reason,
        &[
            "a constructor of it used more processor time than the probe has for it",
            "SIGXCPU after 121 s",
            "--probe-timeout",
        ],
    );
    assert!(!reason.contains("crashed"), "{reason}");
}

/// Where the probe has no limit of its own.
#[test]
fn somebody_elses_limit_on_processor_time() {
    if !need("prlimit") {
        return;
    }
    let victims = VictimFolder::new();
    let args = ["--probe", "unsandboxed", "--probe-timeout", "120"];
    let event = with_busy_under(&victims, &args, "somebody's limit", |pid| {
        let pid = pid.as_raw_nonzero().to_string();
        run(Command::new("prlimit").args(["--pid", &pid, "--cpu=1:2"]));
    });
    let reason = blameless(event);
    holds(
        &reason,
        &["SIGXCPU", "not a limit of the probe", "ulimit -t"],
    );
}

/// One that was killed is tried again when somebody says so, and by the next build of the same bytes.
#[test]
fn bytes_that_are_not_to_blame_are_tried_again() {
    let victims = VictimFolder::new();
    let daemon = victims.watch(&["--probe-timeout", "120"]);
    let call = victims.follow();
    call.wait_result(1);
    let image = victims.build(2, BUSY, &[]);
    for again in [false, true] {
        let mark = daemon.mark();
        if again {
            let retry = victims.home.plugind(["retry", VICTIM]);
            std::thread::scope(|scope| {
                let retried = scope.spawn(|| ended(retry));
                kill_process(busy(&daemon), Signal::KILL).expect("it runs");
                let retried = retried.join().expect("it ends");
                retried.expect(5, &["its probe was killed"]);
            });
        } else {
            victims.deliver(&image);
            kill_process(busy(&daemon), Signal::KILL).expect("it runs");
        }
        assert!(!is_untried(&rejected(&daemon, mark, "killed")));
    }
    assert_eq!(daemon.numbers(Kind::Published, VICTIM), [1]);
}
