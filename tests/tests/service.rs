//! Services: functions without a state are called at a view of every plugin, from any thread; a version that does not
//! fit is refused and what serves goes on; versions are held back on request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use plugind_client::{Client, ClientEvent, VersionId};
use plugind_tests::contract::Prompter;
use plugind_tests::{DEADLINE, EndOnDrop, Home, Troupe, embed, until};
use plugind_wire::status::{self, Outcome};

fn prompter(word: &str) -> String {
    format!(
        "struct Whisper;\n#[plugin]\nimpl Prompter for Whisper {{\n\
         fn prompt(line: &str, times: u32) -> String {{ format!(\"{word} {{}}\", line.repeat(times as usize)) }}\n\
         fn forget() -> u32 {{ panic!(\"{word} forgot\") }}\n}}\n"
    )
}

fn client(home: &Home, troupe: &Troupe<'_>) -> Client {
    embed(home, &troupe.target(), DEADLINE)
}

fn version(number: u64) -> VersionId {
    VersionId {
        plugin: "whisper".to_owned(),
        number,
    }
}

#[test]
fn requests_see_one_version_each_and_a_version_that_does_not_fit_is_refused() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    troupe.plugin("whisper", &prompter("one"));
    troupe.build();
    let client = client(&home, &troupe);
    let events = client.events();
    let handle = client.bind::<dyn Prompter>("whisper").expect("it fits");

    let before = client.snapshot();
    assert_eq!(
        handle.at(&before).prompt("to be ", 2),
        Ok("one to be to be ".to_owned())
    );
    let fault = handle.at(&before).forget().expect_err("it panics");
    assert_eq!((fault.plugin.as_str(), fault.version), ("whisper", 1));
    assert_eq!(fault.message, "one forgot");

    troupe.plugin("whisper", &prompter("two"));
    troupe.build();
    until("the second version", || {
        (*handle.at(&client.snapshot()).version() == version(2)).then_some(())
    });
    assert_eq!(
        *handle.at(&before).version(),
        version(1),
        "the old view stays"
    );
    // While it does the version is not drained.
    let used = |client: &Client| client.status().expect("a status").clients[0].plugins[0].clone();
    until("live", || (used(&client).live == Some(2)).then_some(()));
    assert!(
        !used(&client).drained,
        "somebody is inside the first version"
    );
    drop(before);
    until("drained", || used(&client).drained.then_some(()));

    // Built with another contract.
    troupe.contract_with(&[("times: u32) -> String;", "times: u64) -> String;")]);
    troupe.plugin(
        "whisper",
        &prompter("three").replace("times: u32", "times: u64"),
    );
    troupe.build();
    let refused = until("the refusal", || match events.try_recv() {
        Ok(ClientEvent::Rejected {
            version, reason, ..
        }) => Some((version, reason)),
        _ => None,
    });
    assert_eq!(refused.0, version(3));
    assert!(refused.1.contains("`prompt`"), "{}", refused.1);
    assert_eq!(
        *handle.at(&client.snapshot()).version(),
        version(2),
        "it goes on"
    );
    // The engine knew before anybody opened it.
    let status = client.status().expect("a status");
    let third = status.plugins[0].versions.last().expect("a third version");
    assert_eq!((third.version, third.outcome), (3, Outcome::Rejected));
    assert_eq!(third.reason.as_ref(), Some(&refused.1));

    troupe.contract_with(&[]);
    troupe.plugin("whisper", &prompter("four"));
    troupe.build();
    until("the fourth version", || {
        let now = client.snapshot();
        (handle.at(&now).prompt("x", 1) == Ok("four x".to_owned())).then_some(())
    });
}

#[test]
fn requests_on_eight_threads_never_see_two_versions_at_once() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    troupe.plugin("whisper", &prompter("one"));
    troupe.build();
    let client = client(&home, &troupe);
    let handle = client.bind::<dyn Prompter>("whisper").expect("it fits");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = EndOnDrop(&done);
        let requests = || {
            let mut newest = 0;
            while !done.load(Ordering::Relaxed) {
                let now = client.snapshot();
                let first = handle.at(&now).prompt("", 0);
                let (number, second) = (
                    handle.at(&now).version().number,
                    handle.at(&now).prompt("", 0),
                );
                assert_eq!(first, second, "one version in one view");
                assert!(number >= newest, "no version goes back");
                newest = number;
            }
            newest
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(requests)).collect();
        for round in 2..=6 {
            troupe.plugin("whisper", &prompter(&format!("word{round}")));
            troupe.build();
            until("the next version", || {
                (handle.at(&client.snapshot()).version().number == round).then_some(())
            });
        }
        drop(end);
        for thread in threads {
            assert!(thread.join().expect("no assertion failed") >= 1);
        }
    });
}

#[test]
fn a_paused_client_swaps_the_newest_when_it_goes_on() {
    let home = Home::new();
    let troupe = Troupe::new(&home);
    troupe.plugin("whisper", &prompter("one"));
    troupe.build();
    let client = client(&home, &troupe);
    let handle = client.bind::<dyn Prompter>("whisper").expect("it fits");
    let names = || -> Vec<_> {
        let plugins = client.plugins().expect("the client lives");
        plugins
            .iter()
            .map(|plugin| plugin.name().to_owned())
            .collect()
    };
    assert_eq!(names(), ["whisper"]);

    client.pause();
    for (word, number) in [("two", 2), ("three", 3)] {
        troupe.plugin("whisper", &prompter(word));
        troupe.build();
        until("it is published", || {
            let status = client.status().expect("a status");
            let versions = &status.plugins[0].versions;
            let published =
                |v: &status::Version| v.version == number && v.outcome == Outcome::Published;
            versions.iter().any(published).then_some(())
        });
    }
    // What a status calls published was sent before that status.
    client.status().expect("a status");
    assert_eq!(client.plugins().expect("the client lives").len(), 1);
    assert_eq!(*handle.at(&client.snapshot()).version(), version(1));
    client.resume();
    until("the newest", || {
        (*handle.at(&client.snapshot()).version() == version(3)).then_some(())
    });
    let maps = std::fs::read_to_string("/proc/self/maps").expect("our own maps");
    let mut ours = maps
        .lines()
        .filter(|line| line.contains(home.path().to_str().expect("text")));
    assert!(
        !ours.any(|line| line.contains("/2-")),
        "what was held back was never opened"
    );
}
