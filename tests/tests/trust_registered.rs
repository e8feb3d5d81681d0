//! Proves that what a plugin's constructors register is compared with the whole manifest that its notes declare, and that
//! the notes tell whether it may have an allocator of its own.

use std::fs;
use std::path::{Path, PathBuf};

use plugind_tests::{Home, ended, holds, run, sdk_plugin};
use plugind_wire::manifest::Inspection;
use plugind_wire::probe::{Phase, Trial};

const SOURCE: &str = "use plugind_macros::{StableType, contract, plugin};\n\
    #[derive(StableType)] pub struct World { pub lines: Vec<String> }\n\
    #[contract] pub trait Lines {\n    type State;\n    fn start() -> Self::State;\n    fn count(state: &Self::State) -> u32;\n}\n\
    struct Reader;\n\
    #[plugin] impl Lines for Reader {\n    type State = World;\n    fn start() -> World { World { lines: Vec::new() } }\n\
        fn count(state: &World) -> u32 { state.lines.len() as u32 }\n}\n";

fn built(home: &Home, package: &str, args: &[&str]) -> PathBuf {
    let image = home.build().join(format!("lib{package}.so"));
    sdk_plugin(&image, package, SOURCE, args);
    image
}

fn inspected(home: &Home, image: &Path) -> Inspection {
    let text = run(home.plugind(["inspect", "--json"]).arg(image));
    serde_json::from_str(&text).expect("an inspection")
}

/// Where `bytes` stand behind `from`.
fn find(image: &[u8], bytes: &[u8], from: usize) -> usize {
    let mut places = image[from..].windows(bytes.len());
    from + places
        .position(|found| found == bytes)
        .expect("they are there")
}

/// A text as a record of the notes has it.
fn record(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a short text");
    [&length.to_ne_bytes(), text.as_bytes()].concat()
}

#[test]
fn what_is_registered_is_what_was_declared() {
    let home = Home::new();
    let image = built(&home, "registers", &[]);
    let probe = || {
        let mut command = home.plugind(["probe", "--json"]);
        let output = command.arg(&image).output().expect("plugind starts");
        serde_json::from_slice::<Trial>(&output.stdout).expect("a trial")
    };
    let trial = probe();
    assert_eq!(trial.reason, None, "{trial:?}");

    let good = fs::read(&image).expect("the image");
    let notes = find(&good, b"plugind\0", 0);
    let lines = find(&good, &record("Lines"), notes);
    let count = "fn count(state: &Self::State) -> u32";
    let signature = find(&good, &record(count), lines);
    // A function's record: fingerprint, flags, name; its length and tag stand before.
    let name = find(&good, &record("count"), lines);
    let world = find(&good, &record("World"), lines);
    let compiler = find(&good, b" commit ", notes);
    let system = find(&good, b"system", notes);
    let compiled = "its notes declare rustc ";
    for (at, byte, words) in [
        (
            lines + 4,
            b'l',
            &["declare lines and", "register Lines;"][..],
        ),
        (compiler + 8, b'x', &[compiled, "register rustc "]),
        (
            signature + 7,
            b'm',
            &["declare `fn mount(state", "register `fn count(state"],
        ),
        (
            // The lowest byte of the fingerprint.
            name - 12,
            !good[name - 12],
            &["declare `fn count(", "` of `Lines` with other types"],
        ),
        (
            // Every type in it is fixed, it says.
            name - 4,
            good[name - 4] ^ 1,
            &["declare `fn count(", "` of `Lines` with other types"],
        ),
        (
            // A type's record: fingerprint, size, alignment, sort, flags, name.
            world - 32,
            !good[world - 32],
            &["the state of `Lines`, `World` with other types"],
        ),
        (
            system,
            b'S',
            &[
                "declare the allocator `System`",
                "register the allocator `system`",
            ],
        ),
    ] {
        let mut bytes = good.clone();
        bytes[at] = byte;
        fs::write(&image, bytes).expect("an image");
        let trial = probe();
        assert_eq!(trial.phase, Some(Phase::Registrations), "{trial:?}");
        holds(&trial.reason.expect("a reason"), words);
    }
}

#[test]
fn the_notes_tell_of_an_allocator() {
    let home = Home::new();
    for (package, args, allocator) in [
        ("allocates-system", &[][..], "system"),
        (
            "allocates-own",
            &["--features", "plugind-plugin/own_allocator"],
            "own",
        ),
        (
            "allocates-linked",
            &["--features", "plugind-plugin/static"],
            "own",
        ),
    ] {
        let image = built(&home, package, args);
        let build = inspected(&home, &image).manifest.expect("a manifest").build;
        let build = build.expect("it tells how it was built");
        assert_eq!(build.allocator.as_deref(), Some(allocator), "{package}");
        let mut probe = home.plugind(["probe"]);
        probe.arg(&image);
        ended(probe).expect(0, &[]);
    }
}
