//! Proves that a plugin finds the libraries it needs through `$ORIGIN` although its image lies elsewhere, in C and in
//! Rust, and that a client maps copies of them: overwriting one in the watched folder disturbs nobody.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugind_tests::{Call, Daemon, Home, cc, connect, replace, run, rustc, until};
use plugind_wire::event::Kind;

const HOST: &str = env!("CARGO_BIN_EXE_embedded-host");

/// The files below `path` that a process has mapped.
fn mapped(pid: u32, path: &Path) -> BTreeSet<PathBuf> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the client's maps");
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]));
    paths
        .map(PathBuf::from)
        .filter(|mapped| mapped.starts_with(path))
        .collect()
}

/// What the image and its needed libraries are called, as they are mapped out of the store and nowhere else.
fn only_the_store(home: &Home, pid: u32) -> BTreeSet<String> {
    let mapped = mapped(pid, home.path());
    assert!(
        mapped.iter().all(|path| path.starts_with(home.state())),
        "{mapped:#?}"
    );
    let names = mapped.iter().map(|path| path.file_name().expect("a file"));
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Starts a program that follows `x` in a folder, without the search path for libraries that cargo gives to tests: it
/// would win over `$ORIGIN`.
fn follow(home: &Home, folder: &Path, embed: bool) -> Call {
    let mut command = if embed {
        let mut host = home.command(HOST);
        host.arg("embed").arg(folder).args(["x", "answer"]);
        host
    } else {
        home.plugind(["call", "x", "answer", "--watch", "--json"])
    };
    command.env_remove("LD_LIBRARY_PATH");
    Call::spawn(command)
}

/// Where a plugin and its library lie in the watched folder, and how the one finds the other.
struct Layout {
    lane: &'static str,
    beside: &'static str,
    search: &'static str,
    soname: bool,
}

const BESIDE: Layout = Layout {
    lane: "debug",
    beside: "debug",
    search: "$ORIGIN",
    soname: false,
};

impl Layout {
    /// A library whose `dep` counts its calls from `start`.
    fn library(&self, output: &Path, start: i64) {
        let source = format!(
            "static long long calls = {start};\nlong long dep(void) {{ return ++calls; }}\n"
        );
        let soname = if self.soname {
            "-Wl,-soname,libdep.so"
        } else {
            "-O0"
        };
        cc(output, &source, &[soname]);
    }

    /// A plugin whose `answer` is the library's next count plus `base`.
    fn plugin(&self, output: &Path, library: &Path, base: i64) {
        let source =
            format!("long long dep(void);\nlong long answer(void) {{ return {base} + dep(); }}\n");
        let dir = library
            .parent()
            .and_then(Path::to_str)
            .expect("a readable path");
        let search = format!("-Wl,-rpath,{}", self.search);
        cc(output, &source, &[&search, "-L", dir, "-ldep"]);
    }
}

/// Waits for a call that begins after now.
fn goes_on(call: &Call) {
    let before = call.lines().len();
    until(&format!("more answers\n{}", call.dump()), || {
        (call.lines().len() >= before + 2).then_some(())
    });
}

/// Overwrites and removes the library under the feet of a program that uses it.
fn undisturbed(layout: &Layout, embed: bool) {
    let home = Home::new();
    let folder = home.work().join("target");
    let (lane, beside) = (folder.join(layout.lane), folder.join(layout.beside));
    for dir in [&lane, &beside] {
        fs::create_dir_all(dir).expect("a folder");
    }
    let (library, artifact) = (beside.join("libdep.so"), lane.join("libx.so"));
    let (dep, other) = (
        home.build().join("1/libdep.so"),
        home.build().join("2/libdep.so"),
    );
    layout.library(&dep, 0);
    layout.library(&other, 500);
    let image = home.build().join("libx.so");
    layout.plugin(&image, &dep, 1000);
    fs::copy(&dep, &library).expect("the library");
    replace(&image, &artifact);
    let daemon = (!embed).then(|| Daemon::watch(&home, &folder, &[]));
    let call = follow(&home, &folder, embed);
    call.wait_result(1001);
    let both = BTreeSet::from(["libdep.so".to_owned(), "libx.so".to_owned()]);
    assert_eq!(only_the_store(&home, call.pid()), both);

    // The same inode each time: whoever had mapped it would read this, or crash.
    run(Command::new("cp").args([&other, &library]));
    goes_on(&call);
    fs::write(&library, vec![0xcc; 1 << 16]).expect("garbage");
    goes_on(&call);
    fs::write(&library, b"").expect("an empty file");
    goes_on(&call);
    fs::remove_file(&library).expect("the library goes");
    goes_on(&call);
    let counted: Vec<_> = call
        .answers()
        .into_iter()
        .map(|(_, result)| result - 1000)
        .collect();
    let expected: Vec<_> = (1..=counted.len() as i64).collect();
    assert_eq!(counted, expected, "its own library, as it was");
    assert_eq!(only_the_store(&home, call.pid()), both);

    // The next version finds it as well.
    fs::copy(&dep, &library).expect("the library");
    layout.plugin(&image, &dep, 100_000);
    replace(&image, &artifact);
    let second = call.wait_answer("the second version", |answer| answer.result > 100_000);
    assert_eq!(second.line.version, 2);
    assert_eq!(only_the_store(&home, call.pid()), both);
    drop(daemon);
}

#[test]
fn a_library_beside_the_plugin() {
    undisturbed(&BESIDE, false);
}

#[test]
fn a_library_beside_the_plugin_embedded() {
    undisturbed(&BESIDE, true);
}

#[test]
fn a_library_that_carries_its_name() {
    undisturbed(
        &Layout {
            soname: true,
            ..BESIDE
        },
        false,
    );
}

#[test]
fn a_library_in_a_folder_beside_the_plugins() {
    let layout = Layout {
        beside: "lib",
        search: "$ORIGIN/../lib",
        ..BESIDE
    };
    undisturbed(&layout, false);
}

#[test]
fn a_library_that_needs_another() {
    let home = Home::new();
    let folder = home.work().join("target");
    let lib = folder.join("lib");
    fs::create_dir_all(&lib).expect("a folder");
    let at = |path: &Path| path.to_str().expect("a readable path").to_owned();
    let (deep, dep) = (lib.join("libdeep.so"), lib.join("libdep.so"));
    cc(&deep, "long long deep(void) { return 42; }\n", &[]);
    let source = "long long deep(void);\nlong long dep(void) { return deep(); }\n";
    cc(
        &dep,
        source,
        &["-Wl,-rpath,$ORIGIN", "-L", &at(&lib), "-ldeep"],
    );
    let image = folder.join("libx.so");
    let source = "long long dep(void);\nlong long answer(void) { return dep(); }\n";
    // As cmake does it: the plugin's own search path says nothing of the library's library.
    let unresolved = "-Wl,--allow-shlib-undefined";
    cc(
        &image,
        source,
        &[
            "-Wl,-rpath,$ORIGIN/lib",
            unresolved,
            "-L",
            &at(&lib),
            "-ldep",
        ],
    );
    let _daemon = Daemon::watch(&home, &folder, &[]);
    let call = follow(&home, &folder, false);
    call.wait_result(42);
    let names = ["libdeep.so", "libdep.so", "libx.so"].map(str::to_owned);
    assert_eq!(only_the_store(&home, call.pid()), BTreeSet::from(names));
}

#[test]
fn a_library_that_comes_after_the_plugin() {
    let home = Home::new();
    let folder = home.work().join("target");
    fs::create_dir_all(&folder).expect("a folder");
    let dep = home.build().join("libdep.so");
    BESIDE.library(&dep, 0);
    let path = home.work().join("libx.so");
    BESIDE.plugin(&path, &dep, 1000);
    let _daemon = Daemon::watch(&home, &folder, &[]);
    let client = connect(&home, &folder);
    let error = client.open(&path).expect_err("its library is not there");
    let text = error.to_string();
    assert!(text.contains("beside the plugin"), "{text}");
    // Nothing else needs to be built.
    fs::copy(&dep, home.work().join("libdep.so")).expect("the library");
    client.open(&path).expect("its library is there now");
}

/// Copies the standard library beside a plugin, and returns its file's name.
fn standard_library(lane: &Path) -> String {
    let dir = run(Command::new("rustc").args(["--print", "target-libdir"]));
    let entries = fs::read_dir(dir.trim()).expect("the toolchain's libraries");
    let mut names = entries.map(|entry| entry.expect("an entry").file_name());
    let name = names.find(|name| {
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".so")
    });
    let name = name.expect("the toolchain has a dynamic standard library");
    fs::copy(Path::new(dir.trim()).join(&name), lane.join(&name)).expect("a copy");
    name.to_string_lossy().into_owned()
}

/// What a Rust plugin with dynamic libraries is compiled with.
const DYNAMIC: [&str; 3] = [
    "-Cprefer-dynamic",
    "-Clink-arg=-Wl,-rpath,$ORIGIN",
    "--crate-type=cdylib",
];

#[test]
fn a_rust_plugin_with_the_standard_library_beside_it() {
    let home = Home::new();
    let lane = home.work().join("debug");
    fs::create_dir(&lane).expect("a folder");
    let standard = standard_library(&lane);
    let plugin = |n: i64| {
        let image = home.build().join("libx.so");
        // Calls into the standard library, or the linker would leave it out.
        let source = format!(
            "#[unsafe(no_mangle)]\npub extern \"C\" fn answer() -> i64 {{\n\
                 std::env::args().count() as i64 * 0 + {n}\n}}\n"
        );
        rustc(&image, &source, &DYNAMIC);
        replace(&image, &lane.join("libx.so"));
    };
    plugin(1);
    let _daemon = Daemon::watch(&home, &home.work(), &[]);
    let call = follow(&home, &home.work(), false);
    call.wait_result(1);
    let both = BTreeSet::from([standard.clone(), "libx.so".to_owned()]);
    assert_eq!(only_the_store(&home, call.pid()), both);

    // A new toolchain writes over the old one's.
    fs::write(lane.join(&standard), vec![0xcc; 1 << 16]).expect("garbage");
    standard_library(&lane);
    plugin(2);
    call.wait_result(2);
    assert_eq!(call.answers(), [(1, 1), (2, 2)]);
    assert_eq!(only_the_store(&home, call.pid()), both);
}

#[test]
fn a_rust_plugin_with_a_rust_library_beside_it() {
    let home = Home::new();
    let lane = home.work().join("debug");
    fs::create_dir(&lane).expect("a folder");
    let standard = standard_library(&lane);
    let dep = lane.join("libdep.so");
    rustc(
        &dep,
        "use std::sync::atomic::{AtomicI64, Ordering};\n\
         static CALLS: AtomicI64 = AtomicI64::new(0);\n\
         pub fn next() -> i64 { CALLS.fetch_add(1, Ordering::Relaxed) + 1 }\n",
        &["-Cprefer-dynamic", "--crate-type=dylib", "--crate-name=dep"],
    );
    let dep = dep.to_str().expect("a readable path");
    let external = format!("--extern=dep={dep}");
    let source = "#[unsafe(no_mangle)]\npub extern \"C\" fn answer() -> i64 { dep::next() }\n";
    rustc(
        &lane.join("libx.so"),
        source,
        &[&DYNAMIC[..], &[&external]].concat(),
    );
    let _daemon = Daemon::watch(&home, &home.work(), &[]);
    let call = follow(&home, &home.work(), false);
    call.wait_result(1);
    let all = BTreeSet::from([standard, "libdep.so".to_owned(), "libx.so".to_owned()]);
    assert_eq!(only_the_store(&home, call.pid()), all);
    fs::write(dep, vec![0xcc; 1 << 16]).expect("garbage");
    goes_on(&call);
    let counted: Vec<_> = call
        .answers()
        .into_iter()
        .map(|(_, result)| result)
        .collect();
    assert_eq!(counted, (1..=counted.len() as i64).collect::<Vec<_>>());
}

#[test]
fn a_library_that_changed_is_warned_of() {
    let home = Home::new();
    let folder = home.work().join("target");
    let lane = folder.join(BESIDE.lane);
    fs::create_dir_all(&lane).expect("a folder");
    let (library, artifact) = (lane.join("libdep.so"), lane.join("libx.so"));
    let built = home.build().join("libx.so");
    let daemon = Daemon::watch(&home, &folder, &[]);
    for (version, start, base, warned) in
        [(1, 0, 0, false), (2, 0, 1000, false), (3, 500, 2000, true)]
    {
        BESIDE.library(&library, start);
        BESIDE.plugin(&built, &library, base);
        replace(&built, &artifact);
        let published = daemon.wait_version(Kind::Published, "x", version).line;
        let reason = published.reason.unwrap_or_default();
        assert_eq!(
            reason.contains("libdep.so"),
            warned,
            "v{version}: {reason:?}"
        );
    }
    let status = daemon.status();
    let newest = status.plugins.iter().find(|plugin| plugin.plugin == "x");
    let newest = newest
        .and_then(|plugin| plugin.versions.last())
        .expect("v3");
    assert!(
        newest
            .warnings
            .iter()
            .any(|warning| warning.contains("libdep.so"))
    );
}
