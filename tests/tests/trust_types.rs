//! Proves that a plugin that means something else by a type of the contract is turned down before any of it runs, with a
//! sentence that names crate, type and field; that the older version goes on; and that another text for the same types
//! changes nothing.

use plugind_tests::{Home, Judged, Process, Said, Toolchain};
use plugind_wire::event::Kind;

type Changes = &'static [(&'static str, &'static str)];

/// Changes of the contract, and what is said of a plugin that was built with them.
const REFUSED: [(Changes, &[&str]); 14] = [
    (
        &[("pub lives: u8,", "pub lives: u8,\n    pub time: f64,")],
        &[
            "field `time: f64` was added to `Score` after `lives`",
            "rebuild the host",
        ],
    ),
    (
        &[(
            "    pub points: Amount,",
            "    pub first: u8,\n    pub points: Amount,",
        )],
        &[
            "field `first: u8` was added to `Score` at its start",
            "rebuild the host",
        ],
    ),
    (
        &[("    pub b: u32,\n", "")],
        &[
            "field `b: u32` was removed from `Inner`",
            "rebuild the plugin",
        ],
    ),
    (
        &[(
            "    pub a: u8,\n    pub b: u32,",
            "    pub b: u32,\n    pub a: u8,",
        )],
        &["the order of the fields of `Inner` is `a, b` in the program and `b, a` in the plugin"],
    ),
    (
        &[("pub b: u32", "pub c: u32")],
        &["field `b` of `Inner` is called `c` in the plugin"],
    ),
    (
        &[("pub b: u32", "pub b: i32")],
        &[
            "`b` of `Inner` is `u32` in the program and `i32` in the plugin",
            "rebuild the host and the plugin",
        ],
    ),
    // The same text, another layout.
    (
        &[("type Amount = u32", "type Amount = u64")],
        &["`points` of `Score` is `u32` in the program and `u64` in the plugin"],
    ),
    (
        &[(
            "#[repr(C)]\npub struct Inner",
            "#[repr(C, packed)]\npub struct Inner",
        )],
        &["`Inner` is `#[repr(C)]` in the program and `#[repr(C, packed)]` in the plugin"],
    ),
    // Enums.
    (
        &[("    Quit,", "    Pause,\n    Quit,")],
        &[
            "variant `Pause` was added to `Event` after `Key`",
            "rebuild the host",
        ],
    ),
    (
        &[("Key(u8)", "Key(u16)")],
        &["`0` of `Event::Key` is `u8` in the program and `u16` in the plugin"],
    ),
    (
        &[("    Key(u8),\n    Quit,", "    Quit,\n    Key(u8),")],
        &[
            "the order of the variants of `Event` is `Key, Quit` in the program and `Quit, Key` in the plugin",
        ],
    ),
    (
        &[("Quit,", "Quit = 7,")],
        &["`Event::Quit` is the next number in the program and 7 in the plugin"],
    ),
    // Functions.
    (
        &[("fn title(of: &str)", "fn title(of: String)")],
        &[
            "`title` is `fn title(of: &str) -> String` in the program and `fn title(of: String) -> String` in the plugin",
        ],
    ),
    (
        &[("fn rate(points: u32)", "fn rate(points: u64)")],
        &["`points` of `rate` is `u32` in the program and `u64` in the plugin"],
    ),
];

/// The older version answers, and the program knows why there is no newer one.
fn answers(host: &Process<Said>, which: u32, reason: &str) {
    host.wait(
        "the older version answers",
        0,
        |said| said.which == which && said.refused.as_deref() == Some(reason),
        String::new,
    );
}

#[test]
fn another_type_is_turned_down_by_name_before_any_of_it_runs() {
    let home = Home::new();
    let mut judged = Judged::new(&home, 0);
    judged.offer(&[], "", Toolchain::This);
    let daemon = judged.daemon();
    let host = judged.host(Toolchain::This);
    host.wait(
        "the first version answers",
        0,
        |said| said.which == 1,
        String::new,
    );

    let mut number = 1;
    let mut refuse =
        |judged: &mut Judged<'_>, plugin: &[(&str, &str)], features: &str, words: &[&str]| {
            judged.offer(plugin, features, Toolchain::This);
            number += 1;
            let reason = daemon.expect_rejected(number, words);
            answers(&host, 1, &reason);
        };
    for (contract, words) in REFUSED {
        judged.contract(contract);
        // What implements the changed functions.
        let changes: Vec<_> = contract
            .iter()
            .filter(|(from, _)| from.starts_with("fn "))
            .copied()
            .collect();
        let rate = [("        points\n", "        points as u32\n")];
        let more: &[_] = if words[0].contains("`rate`") {
            &rate
        } else {
            &[]
        };
        let title = [("of.to_owned()", "of")];
        let more = if words[0].contains("`title`") {
            &title
        } else {
            more
        };
        refuse(&mut judged, &[&changes, more].concat(), "", words);
    }
    judged.contract(&[("    fn rate(points: u32) -> u32;\n", "")]);
    let without = (
        "    fn rate(points: u32) -> u32 {\n        points\n    }\n",
        "",
    );
    refuse(
        &mut judged,
        &[without],
        "",
        &[
            "it lacks `fn rate(points: u32) -> u32`",
            "rebuild the plugin",
        ],
    );
    judged.contract(&[("fn rate", "fn grade")]);
    refuse(
        &mut judged,
        &[("fn rate", "fn grade")],
        "",
        &["`rate` seems to be called `grade` in the plugin"],
    );

    // The contract is the same; a dependency is not.
    judged.contract(&[]);
    refuse(
        &mut judged,
        &[],
        "\"more\"",
        &["field `hidden: u8` was added to `Body` (crate dep 1.0.0) after `mass`"],
    );
    judged.dependency(
        "1.1.0",
        &[
            ("    pub mass: f32,", "    pub mass: f32,\n    spin: u64,"),
            ("mass: 1.0", "mass: 1.0, spin: 0"),
        ],
    );
    refuse(
        &mut judged,
        &[],
        "",
        &["field `spin: u64` was added to `Body` (crate dep 1.0.0 / 1.1.0) after `mass`"],
    );
    judged.dependency("1.0.0", &[]);
    assert_eq!(
        judged.ran(),
        [1],
        "no constructor of what was turned down ran"
    );

    // Another text for the same types.
    for contract in [
        &[("/// Of a game.", "// In points.")][..],
        &[(
            "#[derive(Debug, Clone, Copy, StableType)]",
            "#[derive(StableType, Copy, Clone)]",
        )],
        &[
            ("judge(score: &Score,", "judge(of: &Score,"),
            ("u64;", "u64;\n    fn unasked() -> u8 { 0 }"),
        ],
    ] {
        judged.contract(contract);
        let renamed = [(
            "fn rate(points: u32) -> u32 {\n        points",
            "fn rate(count: u32) -> u32 {\n        count",
        )];
        let which = judged.offer(&renamed, "", Toolchain::This);
        number += 1;
        assert_eq!(
            daemon.decided(number).event,
            Kind::Published,
            "{contract:?}"
        );
        host.wait(
            "the newer one answers",
            0,
            |said| said.which == which && said.refused.is_none(),
            String::new,
        );
    }
    assert_eq!(judged.ran().len(), 4);
}
