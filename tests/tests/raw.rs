//! Proves Go's own example: variables and functions by name, each version with its own; one file opened by 64 threads
//! is one version and one initialisation; names that are not there are told with those that are; a failed open is
//! forgotten.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;

use plugind_client::{Client, ClientError, LookupError, SymbolTable};
use plugind_tests::{
    CargoProject, DEADLINE, Daemon, Home, cc, connect, ended, replace, rustc, until,
};
use plugind_wire::event::Kind;

/// A daemon on an empty folder.
fn daemon(home: &Home) -> (Daemon<'_>, PathBuf) {
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    (Daemon::watch(home, &folder, &[]), folder)
}

fn variable(table: &SymbolTable) -> *mut i64 {
    // SAFETY: every plugin of this suite that has a `V` declares it as a 64-bit integer.
    *unsafe { table.lookup::<*mut i64>(c"V") }.expect("the plugin has V")
}

fn get(table: &SymbolTable) -> i64 {
    // SAFETY: it lives as long as the process, and no other thread touches it.
    unsafe { *variable(table) }
}

fn set(table: &SymbolTable, value: i64) {
    // SAFETY: as in `get`; it lies in writable memory.
    unsafe { *variable(table) = value }
}

fn f(table: &SymbolTable) -> i64 {
    type F = unsafe extern "C" fn() -> i64;
    // SAFETY: every plugin of this suite declares `F` so.
    let f = unsafe { table.lookup::<F>(c"F") }.expect("the plugin has F");
    // SAFETY: it has no preconditions.
    unsafe { f() }
}

/// The pair of two versions: the first starts with 100, the second with 200.
fn each_has_its_own(first: &SymbolTable, second: impl FnOnce() -> Arc<SymbolTable>) {
    assert_eq!((get(first), f(first)), (100, 100));
    set(first, 7);
    assert_eq!(f(first), 7, "the function sees what was written");
    let second = second();
    assert_eq!(second.version().number, first.version().number + 1);
    assert_ne!(second.digest(), first.digest());
    assert_eq!((get(&second), f(&second)), (200, 200), "its own variable");
    assert_eq!((get(first), f(first)), (7, 7), "the old pair stays");
    set(&second, 8);
    assert_eq!((f(first), f(&second)), (7, 8));
}

const C: &str = "long long V = VALUE;\nlong long F(void) { return V; }\n";

fn c_plugin(home: &Home, value: i64) -> PathBuf {
    let image = home.build().join(value.to_string()).join("libx.so");
    cc(&image, C, &[&format!("-DVALUE={value}")]);
    image
}

/// Opens the first, then the second over the same path.
fn opened_by_path(client: &Client, path: &Path, put: impl Fn(i64)) {
    put(100);
    let first = client.open(path).expect("the first version opens");
    each_has_its_own(&first, || {
        put(200);
        client.open(path).expect("the second version opens")
    });
}

#[test]
fn a_c_plugin_opened_by_path() {
    let home = Home::new();
    let (_daemon, folder) = daemon(&home);
    let path = home.work().join("libx.so");
    opened_by_path(&connect(&home, &folder), &path, |value| {
        // In place: what is open must not notice.
        fs::copy(c_plugin(&home, value), &path).expect("cp");
    });
}

#[test]
fn a_c_plugin_opened_by_path_embedded() {
    let home = Home::new();
    let client = Client::builder(home.work())
        .state_dir(home.state())
        .runtime_dir(home.runtime())
        .deadline(DEADLINE)
        .embed()
        .expect("the engine starts");
    let path = home.path().join("libx.so");
    opened_by_path(&client, &path, |value| {
        fs::copy(c_plugin(&home, value), &path).expect("cp");
    });
}

#[test]
fn a_rust_plugin_without_the_sdk_opened_by_path() {
    let home = Home::new();
    let (_daemon, folder) = daemon(&home);
    let path = home.work().join("libx.so");
    opened_by_path(&connect(&home, &folder), &path, |value| {
        rustc(
            &path,
            &format!(
                "use std::sync::atomic::{{AtomicI64, Ordering}};\n\
                 #[unsafe(no_mangle)]\npub static V: AtomicI64 = AtomicI64::new({value});\n\
                 #[unsafe(no_mangle)]\npub extern \"C\" fn F() -> i64 {{ V.load(Ordering::Relaxed) }}\n"
            ),
            &["--crate-type=cdylib"],
        );
    });
}

#[test]
fn a_c_plugin_that_is_followed() {
    let home = Home::new();
    let (daemon, folder) = daemon(&home);
    let client = connect(&home, &folder);
    replace(&c_plugin(&home, 100), &folder.join("libx.so"));
    let plugin = client.plugin("x").expect("the first version");
    let first = plugin.current();
    each_has_its_own(&first, || {
        replace(&c_plugin(&home, 200), &folder.join("libx.so"));
        daemon.wait_client(Kind::Live, "x", 2, std::process::id());
        plugin.current()
    });
    // By number it is the same image, not a fresh one.
    assert_eq!(get(&client.version("x", 1).expect("it is kept")), 7);
    // By path it is the content that counts.
    assert_eq!(
        f(&client.open(folder.join("libx.so")).expect("it opens")),
        8
    );
}

#[test]
fn a_rust_plugin_with_the_sdk_that_is_followed() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "go-like");
    let build = |value: i64| {
        project.set_source(&format!(
            "#![forbid(unsafe_code)]\n\
             use std::sync::atomic::{{AtomicI64, Ordering}};\n\n\
             static V: AtomicI64 = AtomicI64::new({value});\n\n\
             #[allow(non_snake_case)]\n\
             extern \"C\" fn F() -> i64 {{ V.load(Ordering::Relaxed) }}\n\n\
             plugind_plugin::register! {{ F, static V }}\n"
        ));
        project.build();
    };
    build(100);
    let daemon = Daemon::watch(&home, &project.target(), &[]);
    let client = connect(&home, &project.target());
    let plugin = client.plugin("go-like").expect("the first version");
    let first = plugin.current();
    assert_eq!(first.semver(), Some("0.1.0"));
    each_has_its_own(&first, || {
        build(200);
        daemon.wait_client(Kind::Live, "go-like", 2, std::process::id());
        plugin.current()
    });
}

/// A C plugin whose constructor appends its process id to `marks`.
fn marking(path: &Path, marks: &Path) {
    cc(
        path,
        &format!(
            "#include <fcntl.h>\n#include <stdio.h>\n#include <unistd.h>\n\
             __attribute__((constructor)) static void constructed(void) {{\n\
               int file = open(\"{}\", O_WRONLY | O_APPEND | O_CREAT, 0600);\n\
               if (file >= 0 && dprintf(file, \"%d\\n\", (int)getpid()) > 0) close(file);\n\
             }}\n\
             long long F(void) {{ return 1; }}\n",
            marks.display()
        ),
        &[],
    );
}

/// How often it ran in this process; the probe is another.
fn runs(marks: &Path) -> usize {
    let (marks, own) = (
        fs::read_to_string(marks).expect("the marks"),
        std::process::id().to_string(),
    );
    marks.lines().filter(|pid| *pid == own).count()
}

#[test]
fn sixty_four_threads_open_one_path_once() {
    const THREADS: usize = 64;
    let home = Home::new();
    let (daemon, folder) = daemon(&home);
    let client = connect(&home, &folder);
    let (path, marks) = (home.work().join("libx.so"), home.path().join("marks"));
    marking(&path, &marks);
    let together = Barrier::new(THREADS);
    let tables: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (client, together, path) = (client.clone(), &together, &path);
                scope.spawn(move || {
                    together.wait();
                    client.open(path).expect("it opens")
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|table| table.expect("a thread")).collect()
    });
    for table in &tables {
        assert_eq!(table.version(), tables[0].version());
        assert_eq!(f(table), 1);
        assert!(Arc::ptr_eq(table, &tables[0]), "the same table");
    }
    assert_eq!(runs(&marks), 1);

    // Another client of this process asks for it again.
    let again = connect(&home, &folder).open(&path).expect("it opens");
    assert_eq!(again.version(), tables[0].version());
    assert_eq!(again.path(), tables[0].path());
    assert_eq!(runs(&marks), 1);
    assert_eq!(versions(&daemon), 1);
}

/// How many versions of whatever plugin there are.
fn versions(daemon: &Daemon) -> usize {
    let plugins = daemon.status().plugins;
    plugins.iter().map(|found| found.versions.len()).sum()
}

/// Opens one file under the paths below the home, and checks that it is one version, initialised once.
fn one_content(paths: [&str; 2]) {
    let home = Home::new();
    let (daemon, folder) = daemon(&home);
    let client = connect(&home, &folder);
    let [first, second] = paths.map(|path| home.path().join(path));
    let marks = home.path().join("marks");
    marking(&first, &marks);
    fs::create_dir_all(second.parent().expect("a folder")).expect("a folder");
    fs::copy(&first, &second).expect("a copy");
    let [first, second] = [first, second].map(|path| client.open(path).expect("it opens"));
    assert_eq!(first.version(), second.version());
    assert!(Arc::ptr_eq(&first, &second), "the same table");
    assert_eq!(runs(&marks), 1);
    assert_eq!(versions(&daemon), 1);
}

#[test]
fn the_same_content_in_two_folders_is_one_version() {
    one_content(["one/libx.so", "two/libx.so"]);
}

#[test]
fn the_same_content_under_two_names_is_one_version() {
    one_content(["work/libx.so", "work/elsewhere.so"]);
}

#[test]
fn names_that_are_not_there() {
    let home = Home::new();
    let (daemon, folder) = daemon(&home);
    let client = connect(&home, &folder);
    let path = folder.join("libx.so");
    let image = home.build().join("libx.so");
    cc(
        &image,
        "#include <stdio.h>\nlong long lives = 3;\nlong long unrelated(void) { return printf(\"\"); }\n\
         long long answer(void) { return 42; }\n",
        &[],
    );
    replace(&image, &path);
    let table = client.plugin("x").expect("it is there").current();
    let unknown = |name| {
        // SAFETY: nothing is called or read.
        let found = unsafe { table.lookup::<*const ()>(name) };
        let LookupError::Unknown {
            name, near, count, ..
        } = found.expect_err("it is not there");
        (name, near, count)
    };
    assert_eq!(
        unknown(c"anwser"),
        ("anwser".into(), vec!["answer".into()], 3),
        "{:?}",
        table.names()
    );
    assert_eq!(unknown(c"live").1, ["lives"]);
    let nothing: [&str; 0] = [];
    assert_eq!(unknown(c"xyz").1, nothing);
    // It is in the C library, which the plugin needs and this process has.
    assert_eq!(unknown(c"printf"), ("printf".into(), vec![], 3));

    daemon.wait_version(Kind::Published, "x", 1);
    let call = |function| ended(home.plugind(["call", "x", function]));
    call("anwser").expect(4, &["x v1", "`anwser`", "`answer`", "3 symbols"]);
    call("printf").expect(4, &["x v1", "`printf`", "3 symbols"]);
}

#[test]
fn a_failed_open_succeeds_after_a_good_build() {
    let home = Home::new();
    let (_daemon, folder) = daemon(&home);
    let client = connect(&home, &folder);
    let path = home.work().join("libx.so");
    let good = c_plugin(&home, 100);
    let refused = |what: &str| match client.open(&path) {
        Err(error @ (ClientError::Rejected(_) | ClientError::Open(_))) => {
            let text = error.to_string();
            assert!(text.contains("libx.so"), "{what}: {text}");
        }
        Err(error) => panic!("{what}: another kind of error: {error}"),
        Ok(table) => panic!("{what} opens as {table:?}"),
    };
    let opens = |what: &str| {
        let table = client
            .open(&path)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(f(&table), 100);
    };
    refused("a missing file");
    replace(&good, &path);
    opens("after a missing file");

    // The same bytes are refused or opened by what they are now, not by what was under the path before.
    let bytes = fs::read(&good).expect("the image");
    for (what, bad) in [
        ("half a file", bytes[..bytes.len() / 2].to_vec()),
        ("an empty file", Vec::new()),
        ("garbage", vec![b'x'; 4096]),
    ] {
        fs::write(&path, bad).expect("a bad build");
        refused(what);
        replace(&good, &path);
        opens(what);
    }

    // Sound, but the system's loader turns it down.
    cc(
        &path,
        "long long missing(void);\nlong long F(void) { return missing(); }\n",
        &[],
    );
    refused("a missing symbol");
    cc(&path, "long long F(void) { return 101; }\n", &[]);
    assert_eq!(f(&client.open(&path).expect("it opens")), 101);
    opens_in_time(&client, &path);
}

/// Sixty-four failures and a success leave nothing behind that a later open waits for.
fn opens_in_time(client: &Client, path: &Path) {
    let missing = path.with_extension("none");
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| client.open(&missing).expect_err("it is not there"));
        }
    });
    until("it opens again", || {
        client
            .open(path)
            .ok()
            .map(|table| assert_eq!(f(&table), 101))
    });
}
