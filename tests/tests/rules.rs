//! Proves that the workspace is as it was designed: which crate depends on which, where unsafe code stands, what lies
//! at the root, and that no file is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugind_tests::{Home, modules, run, rust_files, tokens};
use serde_json::Value;

/// Who may depend on whom inside the workspace. Suites may use what users use.
const ARROWS: [(&str, &[&str]); 13] = [
    ("plugind-abi", &[]),
    ("plugind-wire", &[]),
    ("plugind-macros", &[]),
    ("plugind-plugin", &["plugind-abi"]),
    ("plugind-loader", &["plugind-abi"]),
    (
        "plugind-engine",
        &["plugind-abi", "plugind-loader", "plugind-wire"],
    ),
    (
        "plugind-client",
        &[
            "plugind-abi",
            "plugind-engine",
            "plugind-loader",
            "plugind-wire",
        ],
    ),
    // The wire's types are what the command prints.
    (
        "plugind",
        &["plugind-client", "plugind-engine", "plugind-wire"],
    ),
    // A contract knows nothing of either side, and a plugin nothing of the program.
    ("demo-api", &["plugind-abi", "plugind-macros"]),
    (
        "breakout",
        &[
            "demo-api",
            "plugind-abi",
            "plugind-macros",
            "plugind-plugin",
        ],
    ),
    (
        "sparks",
        &[
            "demo-api",
            "plugind-abi",
            "plugind-macros",
            "plugind-plugin",
        ],
    ),
    // The plugins are parts of a game that is given to others.
    (
        "demo-game",
        &["breakout", "demo-api", "plugind-client", "sparks"],
    ),
    (
        "plugind-tests",
        &[
            "plugind-abi",
            "plugind-client",
            "plugind-macros",
            "plugind-wire",
        ],
    ),
];

/// What no plugin drags along: the host's side, and what only that needs.
const HOST_SIDE: [&str; 6] = [
    "plugind-client",
    "plugind-engine",
    "plugind-loader",
    "plugind-wire",
    "libloading",
    "notify",
];

/// The only files with unsafe code, apart from the suites.
const UNSAFE: [&str; 30] = [
    "client-lib/abi/src/boundary.rs",
    "client-lib/abi/src/contract.rs",
    "client-lib/abi/src/hook.rs",
    "client-lib/abi/src/host.rs",
    "client-lib/abi/src/log.rs",
    "client-lib/abi/src/registration.rs",
    "client-lib/abi/src/stable.rs",
    "client-lib/abi/src/stable/glam.rs",
    "client-lib/abi/src/stable/library.rs",
    "client-lib/abi/src/stable/primitive.rs",
    "client-lib/abi/src/stable/shared.rs",
    "client-lib/abi/src/stable/uuid.rs",
    "client-lib/loader/src/bind.rs",
    "client-lib/loader/src/fatal.rs",
    "client-lib/loader/src/instance.rs",
    "client-lib/loader/src/linked.rs",
    "client-lib/loader/src/log.rs",
    "client-lib/loader/src/open.rs",
    "client-lib/loader/src/register.rs",
    "client-lib/loader/src/sacrifice.rs",
    "client-lib/loader/src/symbol.rs",
    // What these write into other crates.
    "client-lib/macros/src/contract.rs",
    "client-lib/macros/src/host.rs",
    "client-lib/macros/src/shim.rs",
    "client-lib/macros/src/stable_type.rs",
    "client-lib/plugin/src/macros.rs",
    "client-lib/plugin/src/registry.rs",
    "daemon/engine/src/lease.rs",
    "daemon/engine/src/truncation.rs",
    "daemon/src/command/call.rs",
];

/// The crates that may hold unsafe code anywhere; what they really hold is in [`UNSAFE`].
const UNSAFE_CRATES: [&str; 3] = ["plugind-abi", "plugind-loader", "plugind-plugin"];

/// The folders of the workspace.
const FOLDERS: [&str; 5] = ["client-lib", "daemon", "demo-game", "scripts", "tests"];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").to_owned()
}

fn cargo(root: &Path, args: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    run(Command::new(cargo)
        .current_dir(root)
        .arg("--offline")
        .args(args))
}

/// The packages of the workspace, as `cargo metadata` tells of them.
fn packages(root: &Path) -> Vec<Value> {
    let text = cargo(root, &["metadata", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key]
        .as_array()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// Who depends on whom inside the workspace, for building and running; tests may depend on more.
fn arrows(packages: &[Value]) -> Vec<(String, String)> {
    let names: BTreeSet<_> = packages
        .iter()
        .map(|package| text(package, "name"))
        .collect();
    let mut arrows = Vec::new();
    for package in packages {
        for dependency in list(package, "dependencies") {
            let to = text(dependency, "name");
            if names.contains(to) && dependency["kind"] != "dev" {
                arrows.push((text(package, "name").to_owned(), to.to_owned()));
            }
        }
    }
    arrows
}

/// The arrows that the design does not have.
fn broken(arrows: &[(String, String)]) -> Vec<String> {
    let allowed = BTreeMap::from(ARROWS);
    let is_broken = |(from, to): &&(String, String)| {
        !allowed
            .get(from.as_str())
            .is_some_and(|targets| targets.contains(&to.as_str()))
    };
    let broken = arrows.iter().filter(is_broken);
    broken.map(|(from, to)| format!("{from} -> {to}")).collect()
}

#[test]
fn arrows_point_one_way() {
    let packages = packages(&root());
    assert_eq!(broken(&arrows(&packages)), [""; 0]);
    let names: BTreeSet<_> = packages
        .iter()
        .map(|package| text(package, "name"))
        .collect();
    assert_eq!(
        names,
        ARROWS.map(|(name, _)| name).into(),
        "every package has its line"
    );
    // The contract between two builds depends on nothing by itself, and only some clients carry the engine.
    for package in &packages {
        let dependencies = list(package, "dependencies");
        match text(package, "name") {
            // Some who know other people's types ask for these.
            "plugind-abi" => {
                for dependency in dependencies {
                    assert!(["glam", "uuid"].contains(&text(dependency, "name")));
                    assert_eq!(dependency["optional"], true);
                }
            }
            "plugind-client" => {
                let engine = |dependency: &&Value| dependency["name"] == "plugind-engine";
                let engine = dependencies
                    .iter()
                    .find(engine)
                    .expect("the embedded engine");
                assert_eq!(engine["optional"], true);
            }
            _ => {}
        }
    }
}

#[test]
fn a_broken_arrow_is_seen() {
    let good = arrows(&packages(&root()));
    for (from, to) in [
        ("plugind-client", "plugind"),
        ("plugind-abi", "plugind-wire"),
        ("plugind-plugin", "plugind-loader"),
        ("plugind-loader", "plugind-client"),
        ("plugind-wire", "plugind-abi"),
        ("plugind-engine", "plugind-client"),
        ("breakout", "plugind-client"),
        ("somebody-new", "plugind-abi"),
    ] {
        let mut arrows = good.clone();
        arrows.push((from.to_owned(), to.to_owned()));
        assert_eq!(broken(&arrows), [format!("{from} -> {to}")]);
    }
}

/// Copies what cargo reads of the workspace.
fn copy_sources(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        let is_read = name == "Cargo.toml" || path.extension().is_some_and(|end| end == "rs");
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            copy_sources(&path, &to.join(name));
        } else if path.is_file() && is_read {
            fs::copy(&path, to.join(name)).expect("a copy");
        }
    }
}

#[test]
fn an_arrow_broken_in_a_manifest_is_seen() {
    let home = Home::new();
    let copy = home.work().join("workspace");
    copy_sources(&root(), &copy);
    assert_eq!(broken(&arrows(&packages(&copy))), [""; 0]);
    let manifest = copy.join("client-lib/Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let arrow = "[dependencies]\nplugind = { path = \"../daemon\" }\n";
    let broken_text = text.replacen("[dependencies]\n", arrow, 1);
    assert_ne!(text, broken_text, "the arrow is in");
    fs::write(&manifest, broken_text).expect("a manifest");
    assert_eq!(
        broken(&arrows(&packages(&copy))),
        ["plugind-client -> plugind"]
    );
}

#[test]
fn a_plugin_drags_nothing_of_the_host_along() {
    for plugin in ["plugind-plugin", "breakout", "sparks", "demo-api"] {
        let args = [
            "tree",
            "--locked",
            "--prefix=none",
            "--format={lib}|{p}",
            "-enormal,build",
        ];
        let tree = cargo(&root(), &[&args[..], &["-p", plugin]].concat());
        let names: BTreeSet<_> = tree
            .lines()
            .filter_map(|line| line.split_once('|')?.1.split_whitespace().next())
            .collect();
        assert!(
            names.contains("plugind-abi") && names.contains(plugin),
            "{names:?}"
        );
        let dragged: Vec<_> = HOST_SIDE
            .iter()
            .filter(|name| names.contains(*name))
            .collect();
        assert!(dragged.is_empty(), "{plugin} depends on {dragged:?}");
    }
}

/// The Rust files of the workspace, relative to its root.
fn sources() -> BTreeSet<PathBuf> {
    let root = root();
    let files = FOLDERS
        .iter()
        .flat_map(|folder| rust_files(&root.join(folder)));
    files
        .map(|path| path.strip_prefix(&root).expect("below").to_owned())
        .collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).expect("a source")
}

#[test]
fn unsafe_code_stands_where_it_is_listed() {
    let product = sources()
        .into_iter()
        .filter(|file| !file.starts_with("tests"));
    let mut found = BTreeSet::new();
    for file in product {
        let tokens = tokens(&read(&file));
        let lint = |level: &str| tokens.windows(3).any(|t| t == [level, "(", "unsafe_code"]);
        let listed = UNSAFE.iter().any(|listed| file == Path::new(listed));
        assert!(
            listed || !(lint("allow") || lint("expect")),
            "{}",
            file.display()
        );
        if tokens.iter().any(|token| token == "unsafe") {
            found.insert(file);
        }
    }
    assert_eq!(found, UNSAFE.map(PathBuf::from).into());
}

/// The roots of all crates: package, kinds, file.
fn crates() -> Vec<(String, Vec<String>, PathBuf)> {
    let mut crates = Vec::new();
    for package in packages(&root()) {
        for target in list(&package, "targets") {
            let kinds = list(target, "kind").iter().filter_map(Value::as_str);
            let kinds = kinds.map(str::to_owned).collect();
            let file = PathBuf::from(text(target, "src_path"));
            crates.push((text(&package, "name").to_owned(), kinds, file));
        }
    }
    crates
}

#[test]
fn crates_without_unsafe_code_say_so() {
    for (package, _, file) in crates() {
        let listed = UNSAFE.iter().any(|listed| root().join(listed) == file);
        if listed || UNSAFE_CRATES.contains(&package.as_str()) || package == "plugind-tests" {
            continue;
        }
        // Where one file is listed the crate can only deny.
        let folder = file.parent().expect("a folder");
        // The macros' own code has none; they only write it.
        let excepted = UNSAFE
            .iter()
            .filter(|listed| !listed.starts_with("client-lib/macros"))
            .any(|listed| root().join(listed).starts_with(folder));
        let level = if excepted { "deny" } else { "forbid" };
        let tokens = tokens(&read(&file));
        let says = tokens
            .windows(5)
            .any(|t| t == ["!", "[", level, "(", "unsafe_code"]);
        assert!(says, "{} lacks #![{level}(unsafe_code)]", file.display());
    }
}

#[test]
fn the_root_holds_what_belongs_there() {
    let mut missing: BTreeSet<&str> = FOLDERS.into();
    missing.extend(["Cargo.toml", "README.md"]);
    for entry in fs::read_dir(root()).expect("the workspace") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        // What tools and convention put there; `target` is cargo's, and no part of the project.
        let usual = name.starts_with('.')
            || name.starts_with("LICENSE-")
            || ["Cargo.lock", "CHANGELOG.md", "target"].contains(&&*name);
        assert!(
            missing.remove(&*name) || usual,
            "{name} does not belong to the root"
        );
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_suite_is_run() {
    let suites: BTreeSet<_> = crates()
        .into_iter()
        .filter(|(_, kinds, _)| kinds.iter().any(|kind| kind == "test"))
        .map(|(_, _, file)| file)
        .collect();
    let in_tests = |file: &PathBuf| file.parent().is_some_and(|dir| dir.ends_with("tests"));
    let files: Vec<_> = sources().into_iter().filter(in_tests).collect();
    assert!(files.contains(&PathBuf::from("tests/tests/rules.rs")));
    for file in files {
        assert!(
            suites.contains(&root().join(&file)),
            "{} is not run",
            file.display()
        );
        let tokens = tokens(&read(&file));
        let tests = tokens
            .windows(4)
            .filter(|t| *t == ["#", "[", "test", "]"])
            .count();
        assert!(tests > 0, "{} tests nothing", file.display());
        assert!(
            !tokens.iter().any(|token| token == "ignore"),
            "{} ignores",
            file.display()
        );
    }
}

#[test]
fn every_file_is_a_module_of_a_crate() {
    let reached: BTreeSet<_> = crates()
        .iter()
        .flat_map(|(_, _, file)| modules(file))
        .collect();
    let files: BTreeSet<_> = sources()
        .into_iter()
        .map(|file| root().join(file))
        .collect();
    let forgotten: Vec<_> = files.difference(&reached).collect();
    assert!(forgotten.is_empty(), "{forgotten:#?}");
    assert!(
        reached.is_subset(&files),
        "every file is looked at by these rules"
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in sources() {
        let said = read(&file)
            .lines()
            .next()
            .is_some_and(|line| line.starts_with("//! "));
        assert!(said, "{} does not open with //!", file.display());
    }
}
