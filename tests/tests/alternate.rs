//! Host and plugin are built in turn, each alone: cargo compiles the crate that was touched and nothing else, and the
//! host, which runs in between, takes every version.

use plugind_tests::{CountedFrame, DEADLINE, Home, Process, Seen, ThreeCrates, within};

/// The first frame of this build of the host on this version.
fn wait(host: &Process<CountedFrame>, build: u32, version: u64) -> Seen<CountedFrame> {
    let what = format!("build {build} on v{version}");
    host.wait(
        &what,
        0,
        |frame| (frame.0, frame.1) == (build, version),
        || host.stderr(),
    )
}

/// Counts go on by the step of the version that counted.
fn check_counts(frames: &[Seen<CountedFrame>], steps: [u32; 2]) {
    let mut count = 0;
    for Seen { line, .. } in frames {
        count += steps[line.1 as usize - 1];
        assert_eq!(line.2, count, "{line:?} of {frames:?}");
    }
}

#[test]
fn building_host_and_plugin_in_turn_compiles_what_was_touched_and_refuses_nothing() {
    let home = Home::new();
    let crates = ThreeCrates::new(&home);
    crates.build(&[]);
    let mut step = 1;
    for build in 1..=5 {
        crates.set_build(build);
        let (compiled, fresh) = crates.build(&["-p", "host"]);
        assert_eq!(compiled, ["host"], "round {build}");
        assert!(
            fresh > 20,
            "only {fresh} of its dependencies were looked at"
        );
        let mut host = crates.start_host();
        wait(&host, build, 1);

        let before = step;
        step = build * 10;
        crates.set_step(step);
        let (compiled, fresh) = crates.build(&["-p", "counter"]);
        assert_eq!(compiled, ["counter"], "round {build}");
        assert!(fresh > 4, "only {fresh} of its dependencies were looked at");
        wait(&host, build, 2);
        check_counts(&host.lines(), [before, step]);
        let told = "counter v2 took over from v1\n";
        within(DEADLINE, || {
            let stderr = host.stderr();
            (stderr == told).then_some(()).ok_or(stderr)
        });
        host.stop();
    }
    let (compiled, _) = crates.build(&[]);
    assert_eq!(compiled, [""; 0], "all of it is built");
}
