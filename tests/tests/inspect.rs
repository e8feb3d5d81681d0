//! Proves that `plugind inspect` reads what `readelf` reads, in 200 shared objects of the system, and that whatever
//! else it is given it says one thing and ends.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugind_tests::{CargoProject, Home, cc, ended, need, run, say};
use plugind_wire::Digest;
use plugind_wire::manifest::Inspection;

const FILES: usize = 200;

/// Runs `plugind inspect --json`; the exit code must fit the document.
fn inspect(home: &Home, file: &Path) -> Inspection {
    let mut command = home.plugind(["inspect", "--json"]);
    let output = command.arg(file).output().expect("plugind starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let inspection: Inspection = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{}: {error}\n{stderr}", file.display()));
    let expected = if inspection.rejected.is_some() { 5 } else { 0 };
    assert_eq!(output.status.code(), Some(expected), "{inspection:?}");
    inspection
}

/// What `readelf` says of a file.
#[derive(Debug, Default, PartialEq)]
struct Read {
    exports: BTreeSet<String>,
    needed: Vec<String>,
    build_id: Option<String>,
}

fn readelf(file: &Path) -> Read {
    let mut command = Command::new("readelf");
    command
        .args(["-W", "-d", "-n", "--dyn-syms"])
        .arg(file)
        .env("LC_ALL", "C");
    let output = command.output().expect("readelf starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut read = Read::default();
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("(NEEDED)") {
            read.needed.extend(bracketed(rest));
        } else if let Some((_, id)) = line.split_once("Build ID: ") {
            read.build_id.get_or_insert_with(|| id.trim().to_owned());
        } else {
            read.exports.extend(exported(line));
        }
    }
    read
}

fn bracketed(text: &str) -> Option<String> {
    let (_, name) = text.split_once('[')?;
    Some(name.rsplit_once(']')?.0.to_owned())
}

/// The name in a line of the dynamic symbol table, without its version, if other images can look it up.
///
/// `   Num: Value Size Type Bind Vis Ndx Name`, where columns that readelf has no word for hold spaces, and processors'
/// own flags of a symbol stand in brackets before `Ndx`.
fn exported(line: &str) -> Option<String> {
    let (number, rest) = line.trim_start().split_once(": ")?;
    number.parse::<u64>().ok()?;
    let rest = rest
        .replace("<OS specific>: ", "OS")
        .replace("<processor specific>: ", "PROC")
        .replace("bad section index[", "BAD[");
    let mut columns = rest.split_whitespace();
    let (_value, _size, _kind) = (columns.next()?, columns.next()?, columns.next()?);
    let (bind, visibility) = (columns.next()?, columns.next()?);
    let rest: Vec<_> = columns.collect();
    // `[<other>: 8] 12 name`, `[VARIANT_PCS] 12 name`, `BAD[ 70] name`, `12 name`
    let flags = rest
        .iter()
        .position(|part| !part.starts_with('[') && !part.ends_with(']'));
    let (section, name) = match rest.as_slice() {
        ["BAD[", _, name, ..] => ("BAD", name),
        [bad, name, ..] if bad.starts_with("BAD[") => ("BAD", name),
        rest => (*rest.get(flags?)?, rest.get(flags? + 1)?),
    };
    // 10 is the unique binding, whose name readelf gives only where the header names the GNU ABI.
    let looked_up = ["GLOBAL", "WEAK", "UNIQUE", "OS10"].contains(&bind);
    let visible = ["DEFAULT", "PROTECTED"].contains(&visibility);
    let name = name.split('@').next()?;
    (looked_up && visible && section != "UND" && !name.is_empty()).then(|| name.to_owned())
}

#[test]
fn lines_of_readelf() {
    let line = |columns: &str| exported(&format!("    12: 0000000000001130    15 {columns}"));
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(line("FUNC    GLOBAL DEFAULT   11 answer"), name("answer"));
    assert_eq!(line("FUNC    WEAK   PROTECTED 11 f@@VERS_2 "), name("f"));
    assert_eq!(
        line("OBJECT  GLOBAL DEFAULT  ABS GLIBC_2.2.5"),
        name("GLIBC_2.2.5")
    );
    assert_eq!(line("OBJECT  UNIQUE DEFAULT   11 u"), name("u"));
    assert_eq!(line("OBJECT  <OS specific>: 10 DEFAULT   11 u"), name("u"));
    assert_eq!(
        line("FUNC    GLOBAL DEFAULT bad section index[ 70] b"),
        name("b")
    );
    assert_eq!(
        line("FUNC    GLOBAL DEFAULT bad section index[700] b"),
        name("b")
    );
    assert_eq!(
        line("FUNC    GLOBAL DEFAULT [VARIANT_PCS]   11 v"),
        name("v")
    );
    assert_eq!(
        line("FUNC    GLOBAL DEFAULT [<other>: 8]   11 o"),
        name("o")
    );
    assert_eq!(
        line("FUNC    GLOBAL DEFAULT  UND printf@GLIBC_2.2.5 (3)"),
        None
    );
    assert_eq!(line("FUNC    GLOBAL HIDDEN    11 hidden"), None);
    assert_eq!(line("SECTION LOCAL  DEFAULT    9 "), None);
}

/// Regular files below `dir` that are named like shared objects.
fn shared_objects(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else {
            continue;
        };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() {
            shared_objects(&path, found);
        } else if kind.is_file() && (name.ends_with(".so") || name.contains(".so.")) {
            found.push(path);
        }
    }
}

/// As many of them as asked for, spread evenly, and all of the toolchain's.
fn sample() -> Vec<PathBuf> {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]));
    let mut files = Vec::new();
    shared_objects(&Path::new(sysroot.trim()).join("lib"), &mut files);
    let mut system = Vec::new();
    shared_objects(Path::new("/usr/lib"), &mut system);
    system.sort();
    let rest = FILES.saturating_sub(files.len());
    assert!(
        system.len() >= rest,
        "only {} shared objects here",
        system.len()
    );
    files.extend((0..rest).map(|nth| system[nth * system.len() / rest].clone()));
    files
}

#[test]
fn two_hundred_files_of_the_system() {
    if !need("readelf") {
        return;
    }
    let home = Home::new();
    let files = sample();
    let (mut sound, mut exports) = (0, 0);
    for file in &files {
        let inspection = inspect(&home, file);
        assert_eq!(&inspection.file, file);
        let bytes = fs::read(file).expect("a readable file");
        assert_eq!(inspection.size, bytes.len() as u64);
        assert_eq!(inspection.digest, Digest::of(&bytes));
        let Some(manifest) = inspection.manifest else {
            // A text for the linker, for instance. Whatever is an ELF file has a manifest.
            assert!(inspection.rejected.is_some(), "{}", file.display());
            assert!(!bytes.starts_with(b"\x7fELF"), "{}", file.display());
            continue;
        };
        let names: BTreeSet<_> = manifest.exports.iter().cloned().collect();
        assert_eq!(names.len(), manifest.exports.len(), "each name once");
        let ours = Read {
            exports: names,
            needed: manifest.needed,
            build_id: manifest.build_id,
        };
        let theirs = readelf(file);
        let missed: Vec<_> = theirs.exports.difference(&ours.exports).collect();
        let invented: Vec<_> = ours.exports.difference(&theirs.exports).collect();
        assert!(
            ours == theirs,
            "{}: missed {missed:?}, invented {invented:?}, {:?} against {:?}",
            file.display(),
            (&ours.needed, &ours.build_id),
            (&theirs.needed, &theirs.build_id),
        );
        sound += 1;
        exports += theirs.exports.len();
    }
    say(&format!(
        "inspect agrees with readelf on {sound} of {} files, {exports} exports",
        files.len()
    ));
    assert_eq!(files.len(), FILES);
    assert!(sound * 10 >= FILES * 9, "most files are ELF: {sound}");
    assert!(exports > FILES, "and export something: {exports}");
}

#[test]
fn a_plugin_and_a_library_without_a_note() {
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "with-note");
    let plugin = inspect(&home, &project.build().artifact)
        .manifest
        .expect("a manifest");
    assert_eq!((plugin.plugin.as_str(), plugin.raw), ("with-note", false));
    assert_eq!(plugin.semver.as_deref(), Some("0.1.0"));

    let raw = home.build().join("librawest.so.3");
    cc(
        &raw,
        "__attribute__((visibility(\"protected\"))) int shown(void) { return 1; }\n\
         __attribute__((visibility(\"hidden\"))) int hidden(void) { return 2; }\n\
         __attribute__((weak)) int weak(void) { return 3; }\n\
         static int local(void) { return 4; }\nint variable = 5;\nint use(void) { return local(); }\n",
        &[
            "-Wl,-soname,librawest.so.3",
            "-Wl,-rpath,$ORIGIN/lib:/opt/lib",
            "-Wl,--build-id=0xabcdef",
        ],
    );
    let mut raw = inspect(&home, &raw).manifest.expect("a manifest");
    raw.exports.sort();
    assert_eq!(
        (raw.plugin.as_str(), raw.raw, raw.semver),
        ("rawest", true, None)
    );
    assert_eq!(raw.exports, ["shown", "use", "variable", "weak"]);
    assert_eq!(raw.build_id.as_deref(), Some("abcdef"));
    assert_eq!(raw.soname.as_deref(), Some("librawest.so.3"));
    assert_eq!(raw.search_paths, ["$ORIGIN/lib", "/opt/lib"]);
}

#[test]
fn files_that_are_no_shared_objects() {
    let home = Home::new();
    let file = home.build().join("some.so");
    for (what, content) in [
        ("empty", &b""[..]),
        ("a text", b"not an image\n"),
        ("a magic number and nothing else", b"\x7fELF"),
        ("zeros", &[0; 4096]),
    ] {
        fs::write(&file, content).expect("a file");
        let inspection = inspect(&home, &file);
        assert!(inspection.manifest.is_none(), "{what}");
        let reason = inspection
            .rejected
            .unwrap_or_else(|| panic!("{what} is accepted"));
        assert!(reason.len() > 10, "{what}: {reason}");
        assert_eq!(inspection.size, content.len() as u64);
    }
    // Sound ELF, and still no plugin.
    let program = home.build().join("program");
    run(Command::new("cc")
        .args(["-xc", "-no-pie", "-o"])
        .arg(&program)
        .arg(written(&home)));
    assert!(
        inspect(&home, &program)
            .rejected
            .is_some_and(|reason| reason.contains("shared"))
    );
}

fn written(home: &Home) -> PathBuf {
    let source = home.build().join("program.c");
    fs::write(&source, "int main(void) { return 0; }\n").expect("a source");
    source
}

#[test]
fn a_file_cut_anywhere_gets_an_answer() {
    let home = Home::new();
    let image = home.build().join("libx.so");
    cc(&image, "int answer(void) { return 1; }\n", &[]);
    let bytes = fs::read(&image).expect("the image");
    let cut = home.build().join("libcut.so");
    for nth in 0..32 {
        fs::write(&cut, &bytes[..bytes.len() * nth / 32]).expect("a part");
        assert!(inspect(&home, &cut).rejected.is_some(), "{nth} of 32 parts");
    }
    assert_eq!(inspect(&home, &image).rejected, None);
}

/// One sentence that names the file, and an end.
fn is_told(home: &Home, path: &Path) {
    let name = path.file_name().and_then(OsStr::to_str).expect("a name");
    let mut command = home.plugind(["inspect"]);
    command.arg(path);
    let ended = ended(command);
    assert!(matches!(ended.code, Some(1 | 5)), "{name}: {ended:?}");
    assert!(ended.stderr.contains(name), "{name}: {ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{name}: {ended:?}");
}

#[test]
fn paths_that_are_no_files() {
    let home = Home::new();
    let dir = home.build().join("libdir.so");
    fs::create_dir(&dir).expect("a directory");
    let dangling = home.build().join("libdangling.so");
    std::os::unix::fs::symlink("nowhere", &dangling).expect("a link");
    for path in [dir, dangling, home.build().join("libmissing.so")] {
        is_told(&home, &path);
    }
}

#[test]
fn a_pipe_that_nobody_writes() {
    let home = Home::new();
    let fifo = home.build().join("libfifo.so");
    run(Command::new("mkfifo").arg(&fifo));
    is_told(&home, &fifo);
}
