//! Proves that what a plugin declares or registers wrongly is told with what and where, while the version before goes
//! on; and that many functions and unusual names are no matter.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use plugind_client::{ClientError, ClientEvent, LookupError, SymbolTable};
use plugind_tests::{
    Call, DEADLINE, Daemon, Home, answers, cc_plugin, connect, embed, replace, sdk_plugin,
};
use plugind_wire::event::{Event, Kind};

fn folder(home: &Home) -> PathBuf {
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    folder
}

fn call(table: &SymbolTable, name: &str) -> i64 {
    type F = unsafe extern "C" fn() -> i64;
    let name = std::ffi::CString::new(name).expect("a symbol's name");
    // SAFETY: every function of this suite's plugins is of this type.
    let function = unsafe { table.lookup::<F>(&name) }.expect("the plugin has it");
    // SAFETY: it has no preconditions.
    unsafe { function() }
}

const GOOD: &str = "extern \"C\" fn answer() -> i64 { 42 }\nplugind_plugin::register! { answer }\n";

/// Puts a bad build in the place of a good one, and a good one again; what is said of the bad one must hold `words`.
fn refused(package: &str, bad: &str, words: &[&str]) -> String {
    let home = Home::new();
    let folder = folder(&home);
    let artifact = folder.join(format!("lib{package}.so"));
    let put = |name: &str, source: &str| {
        let image = home.build().join(name);
        sdk_plugin(&image, package, source, &[]);
        replace(&image, &artifact);
    };
    put("good", GOOD);
    let client = embed(&home, &folder, DEADLINE);
    let plugin = client.plugin(package).expect("the good version");
    let events = client.events();
    put("bad", bad);
    let reason = loop {
        match events.recv_timeout(DEADLINE).expect("it is refused") {
            // By the program, or by inspect, which reads the notes.
            ClientEvent::Refused { version, reason }
            | ClientEvent::Rejected {
                version, reason, ..
            } => {
                assert_eq!(version.to_string(), format!("{package} v2"));
                break reason;
            }
            ClientEvent::Swapped { version } => panic!("{version} is swapped in"),
            _ => {}
        }
    };
    for word in words {
        assert!(reason.contains(word), "no {word:?} in {reason:?}");
    }
    assert_eq!(plugin.current().version().number, 1);
    assert_eq!(call(&plugin.current(), "answer"), 42);
    put("next", &GOOD.replace("42", "43"));
    match events.recv_timeout(DEADLINE) {
        Ok(ClientEvent::Swapped { version }) => assert_eq!(version.number, 3),
        other => panic!("{other:?}"),
    }
    assert_eq!(call(&plugin.current(), "answer"), 43);

    // Opened by path it is refused for the same reason.
    let error = client
        .open(home.build().join("bad"))
        .expect_err("it cannot be used");
    let what = reason.split_once(" registered: ");
    assert_eq!(
        matches!(error, ClientError::Open(_)),
        what.is_some(),
        "{error:?}"
    );
    let text = plugind_wire::sentence(&error);
    assert!(
        text.ends_with(what.map_or(&*reason, |(_, what)| what)),
        "{text:?}"
    );
    reason
}

#[test]
fn one_contract_implemented_twice() {
    let bad = r"
        use plugind_macros::{contract, plugin};
        #[contract]
        pub trait Answers { fn answer() -> i64; }
        struct One;
        #[plugin]
        impl Answers for One { fn answer() -> i64 { 1 } }
        struct Two;
        #[plugin]
        impl Answers for Two { fn answer() -> i64 { 2 } }
    ";
    // Its notes say so, and nothing of it runs.
    let reason = refused("two-impls", bad, &["`Answers` twice"]);
    assert!(reason.starts_with("the plugin implements"), "{reason}");
}

#[test]
fn one_name_registered_twice() {
    let bad = r#"
        mod one {
            extern "C" fn answer() -> i64 { 1 }
            plugind_plugin::register! { answer }
        }
        mod two {
            extern "C" fn answer() -> i64 { 2 }
            plugind_plugin::register! { answer }
        }
    "#;
    refused("two-names", bad, &["libtwo-names.so", "`answer` twice"]);
}

const MANY: usize = 10_000;

/// Ten thousand functions that return their own number are there.
fn has_many(table: &SymbolTable) {
    assert_eq!(table.names().len(), MANY);
    for n in [0, 1, MANY / 2, MANY - 1] {
        assert_eq!(call(table, &format!("f{n}")), n as i64);
    }
    // SAFETY: nothing is called.
    let missing = unsafe { table.lookup::<*const ()>(c"f10000") };
    let LookupError::Unknown {
        count, near, names, ..
    } = missing.expect_err("there is none");
    assert_eq!((count, near.len(), names.len()), (MANY, 3, 0), "{near:?}");
}

#[test]
fn ten_thousand_registered_functions() {
    let home = Home::new();
    let names: Vec<_> = (0..MANY).map(|n| format!("f{n}")).collect();
    let mut source = String::new();
    for (n, name) in names.iter().enumerate() {
        writeln!(source, "extern \"C\" fn {name}() -> i64 {{ {n} }}").expect("text");
    }
    let names = names.join(", ");
    writeln!(source, "plugind_plugin::register! {{ {names} }}").expect("text");
    let folder = folder(&home);
    sdk_plugin(&folder.join("libmany.so"), "many", &source, &[]);
    let client = embed(&home, &folder, DEADLINE);
    let table = client.plugin("many").expect("it is good").current();
    assert!(table.registrations().is_some());
    has_many(&table);
}

#[test]
fn ten_thousand_exported_functions() {
    let home = Home::new();
    let source = (0..MANY).fold(String::new(), |source, n| {
        source + &format!("long long f{n}(void) {{ return {n}; }}\n")
    });
    let folder = folder(&home);
    replace(
        &cc_plugin(&home.build(), "many", &source),
        &folder.join("libmany.so"),
    );
    let client = embed(&home, &folder, DEADLINE);
    let table = client.plugin("many").expect("it is good").current();
    assert!(table.is_raw());
    has_many(&table);
}

/// A C plugin with the note of `plugind_abi::note`, written by hand.
fn declaring(home: &Home, name: &str, semver: &str) -> PathBuf {
    let mut note = Vec::new();
    let word = |note: &mut Vec<u8>, word: usize| {
        note.extend(u32::try_from(word).expect("few bytes").to_ne_bytes());
    };
    let mut descriptor = Vec::new();
    word(&mut descriptor, 2);
    for (tag, value) in [(1, name), (2, semver)] {
        word(&mut descriptor, tag);
        word(&mut descriptor, value.len());
        descriptor.extend(value.bytes());
        descriptor.resize(descriptor.len().next_multiple_of(4), 0);
    }
    word(&mut note, 8);
    word(&mut note, descriptor.len());
    word(&mut note, 1);
    note.extend(b"plugind\0");
    note.extend(descriptor);
    let source = format!(
        "__attribute__((section(\".note.plugind\"), aligned(4), used))\n\
         static const unsigned char note[] = {{ {} }};\n{}",
        note.iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        answers(7, 0)
    );
    cc_plugin(&home.build(), "noted", &source)
}

#[test]
fn names_that_are_declared() {
    let home = Home::new();
    let folder = folder(&home);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let client = connect(&home, &folder);
    let long = "x".repeat(129);
    for name in [
        "",
        "a/b",
        "/",
        "a\\b",
        "a@1",
        "a\nb",
        "\u{1b}[31mred",
        &long,
    ] {
        let image = declaring(&home, name, "1.0.0");
        let error = client.open(&image).expect_err(name);
        let said = plugind_wire::sentence(&error);
        let shown = format!("{name:?}");
        assert!(
            said.contains("names it") && said.contains(&shown),
            "{shown}: {said:?}"
        );
        assert!(!said.contains(char::is_control), "{said:?}");
        // In the watched folder it is told with its file.
        let (mark, artifact) = (daemon.mark(), folder.join("libnoted.so"));
        replace(&image, &artifact);
        let about = |event: &Event| {
            event.event == Kind::Rejected && event.artifact.as_deref() == artifact.to_str()
        };
        let event = daemon.wait_from(mark, &format!("{shown} is rejected"), about);
        let reason = event.line.reason.expect("a reason");
        assert!(reason.contains(&shown), "{shown}: {reason:?}");
    }
    for (number, name) in ["my game", " ", "..", ".", "größe", "a:b"]
        .into_iter()
        .enumerate()
    {
        let image = declaring(&home, name, "1.0.0");
        replace(&image, &folder.join(format!("lib{number}.so")));
        daemon.wait_version(Kind::Published, name, 1);
        let plugin = client
            .plugin(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(call(&plugin.current(), "answer"), 7);
        assert_eq!(Call::once(&home, name, "answer").plugin, name);
    }
}

#[test]
fn names_of_files() {
    let home = Home::new();
    let folder = folder(&home);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let image = cc_plugin(&home.build(), "plain", &answers(7, 0));
    for name in ["my game", "größe", "%s%n", "$(touch oops)"] {
        replace(&image, &folder.join(format!("lib{name}.so")));
        daemon.wait_version(Kind::Published, name, 1);
        let answer = Call::once(&home, name, "answer");
        assert_eq!((answer.plugin.as_str(), answer.result), (name, 7));
    }
}

#[test]
fn versions_that_are_declared() {
    let home = Home::new();
    let folder = folder(&home);
    let _daemon = Daemon::watch(&home, &folder, &[]);
    let client = connect(&home, &folder);
    for semver in ["", "not a version", "1.0\n\u{1b}[31mx", "v1"] {
        let image = declaring(&home, "noted", semver);
        let error = client.open(&image).expect_err(semver);
        let said = plugind_wire::sentence(&error);
        assert!(said.contains(&format!("version {semver:?}")), "{said:?}");
        assert!(!said.contains(char::is_control), "{said:?}");
    }
    for semver in ["1.2.3", "0.1.0-alpha.1+build-7"] {
        let image = declaring(&home, "noted", semver);
        assert!(client.open(&image).is_ok(), "{semver}");
    }
}

#[test]
fn file_names_that_can_be_no_plugins() {
    let home = Home::new();
    let folder = folder(&home);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let image = cc_plugin(&home.build(), "x", &answers(1, 0));
    for stem in ["a@1", "a\\b", "a\nb", "\u{1b}[31mred"] {
        let (mark, artifact) = (daemon.mark(), folder.join(format!("lib{stem}.so")));
        replace(&image, &artifact);
        let event = daemon.wait_from(mark, stem, |event| event.event == Kind::Rejected);
        let reason = event.line.reason.expect("a reason");
        assert!(
            reason.contains(&format!("{stem:?}")) && reason.contains("rename"),
            "{reason:?}"
        );
        let status = home.plugind(["status"]).current_dir(&folder).output();
        let status = String::from_utf8(status.expect("plugind starts").stdout).expect("text");
        assert!(!status.contains('\u{1b}'), "{status:?}");
        std::fs::remove_file(artifact).expect("our own file");
    }
}
