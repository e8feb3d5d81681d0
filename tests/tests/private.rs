//! Proves that what plugind keeps is its user's alone: directories that nobody else can enter, images that nobody can
//! write, and descriptors that no program inherits, not even one that a plugin starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use plugind_tests::{
    Call, Daemon, Home, answers, cc_plugin, ended, holds, need_root, replace, victim,
};
use plugind_wire::event::Kind;

const HOST: &str = env!("CARGO_BIN_EXE_embedded-host");

fn folder(home: &Home) -> PathBuf {
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let image = cc_plugin(&home.build(), "x", &answers(1, 0));
    replace(&image, &folder.join("libx.so"));
    folder
}

/// Everything below a directory.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory");
    entries
        .flat_map(|entry| {
            let path = entry.expect("an entry").path();
            let inside = match path.is_dir() && !path.is_symlink() {
                true => below(&path),
                false => Vec::new(),
            };
            [path].into_iter().chain(inside)
        })
        .collect()
}

/// A daemon, a client of it, and a program with an engine of its own, all at work.
fn running<'h>(home: &'h Home, folder: &Path) -> (Daemon<'h>, Call, Call) {
    let daemon = Daemon::watch(home, folder, &[]);
    let call = Call::watch(home, "x", "answer");
    call.wait_result(1);
    let embedded = Call::host(home, Path::new(HOST), "embed", folder, "x", "answer");
    embedded.wait_result(1);
    (daemon, call, embedded)
}

#[test]
fn directories_that_nobody_else_can_enter() {
    let home = Home::new();
    let folder = folder(&home);
    let (daemon, _call, _embedded) = running(&home, &folder);
    let me = rustix::process::geteuid().as_raw();
    for top in [home.runtime(), home.state()] {
        let found = fs::metadata(&top).expect("a directory of plugind");
        assert_eq!((found.mode() & 0o7777, found.uid()), (0o700, me), "{top:?}");
        let all = below(&top);
        assert!(!all.is_empty(), "{top:?} is in use");
        for path in all {
            let Ok(found) = fs::symlink_metadata(&path) else {
                // A file in the making has its own name by now.
                let name = path.file_name().unwrap_or_default();
                assert!(name.to_string_lossy().starts_with("tmp"), "{path:?}");
                continue;
            };
            assert_eq!(found.uid(), me, "{path:?}");
            // Whatever the mode of a link is, and sockets have 0600.
            let others = found.mode() & 0o022;
            assert!(found.is_symlink() || others == 0, "{path:?} {found:?}");
            if path.extension().is_some_and(|end| end == "so") {
                assert_eq!(found.mode() & 0o222, 0, "{path:?}");
            }
        }
    }
    let status = daemon.status();
    let socket = fs::metadata(&status.socket).expect("the socket");
    assert_eq!(socket.mode() & 0o777, 0o600);
}

/// Spoils the directories of sockets and of state in turn; `plugind watch` refuses each with these words and its name.
fn refused(spoil: impl Fn(&Path), mend: impl Fn(&Path), words: &[&str]) {
    let home = Home::new();
    let folder = folder(&home);
    for (place, variable) in [
        (home.runtime(), "XDG_RUNTIME_DIR"),
        (home.state(), "XDG_STATE_HOME"),
    ] {
        fs::create_dir_all(&place).expect("a directory");
        spoil(&place);
        let mut command = home.plugind(["watch"]);
        command.arg(&folder);
        let told = ended(command);
        told.expect(1, words);
        let named = place.to_str().expect("a readable path");
        told.expect(1, &[named, "not private", "mode 0700", variable]);
        mend(&place);
    }
    drop(Daemon::watch(&home, &folder, &[]));
}

#[test]
fn a_directory_that_somebody_else_can_enter() {
    let mode = |mode| {
        move |place: &Path| {
            fs::set_permissions(place, Permissions::from_mode(mode)).expect("chmod");
        }
    };
    refused(mode(0o750), mode(0o700), &["mode 0750"]);
}

#[test]
fn a_directory_that_somebody_else_owns() {
    if !need_root() {
        return;
    }
    let owner = |owner| {
        move |place: &Path| {
            fs::set_permissions(place, Permissions::from_mode(0o700)).expect("chmod");
            chown(place, Some(owner), None).expect("chown");
        }
    };
    refused(owner(4242), owner(0), &["owner 4242"]);
}

/// A descriptor and what it is of.
type Open = (String, PathBuf);

/// What a process holds beyond its standard streams that a program it starts would inherit.
fn inheritable(process: &str) -> BTreeSet<Open> {
    let root = PathBuf::from("/proc").join(process);
    let open = fs::read_dir(root.join("fdinfo")).expect("a process");
    let mut inheritable = BTreeSet::new();
    for entry in open.flatten() {
        let name = entry.file_name().into_string().expect("a number");
        // One that was closed meanwhile.
        let Ok(info) = fs::read_to_string(entry.path()) else {
            continue;
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = i64::from_str_radix(flags.expect("flags").trim(), 8).expect("octal");
        // `O_CLOEXEC`, which has another number on few processors.
        if name.parse::<u32>().expect("a number") > 2 && flags & 0o2_000_000 == 0 {
            let what = fs::read_link(root.join("fd").join(&name)).unwrap_or_default();
            inheritable.insert((name, what));
        }
    }
    inheritable
}

#[test]
fn descriptors_that_nobody_inherits() {
    let home = Home::new();
    let folder = folder(&home);
    let (daemon, call, embedded) = running(&home, &folder);
    // Whoever runs the tests may have left something open, which all have from there.
    let from_outside = inheritable("self");
    for pid in [daemon.pid(), call.pid(), embedded.pid()] {
        let mut open = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
        let is_socket = |link: PathBuf| link.to_string_lossy().starts_with("socket:");
        assert!(
            open.any(|fd| fs::read_link(fd.expect("an entry").path()).is_ok_and(is_socket)),
            "the process has nothing open"
        );
        let own: BTreeSet<_> = inheritable(&pid.to_string());
        assert_eq!(own.difference(&from_outside).count(), 0, "{own:?}");
    }
}

#[test]
fn a_probe_holds_nothing_of_its_engine() {
    let home = Home::new();
    let folder = folder(&home);
    let daemon = Daemon::watch(&home, &folder, &[]);
    let _other = Call::watch(&home, "x", "answer");
    // What is open in the probe while the constructor runs, which then ends it.
    let list = "for (int fd = 0; fd < 1024; fd++) { char path[40], to[200] = \"\";\n\
        if (fcntl(fd, F_GETFD) < 0) continue;\n\
        sprintf(path, \"/proc/self/fd/%d\", fd); readlink(path, to, 199);\n\
        dprintf(2, \"open %d %s\\n\", fd, to); }\nabort();";
    replace(&victim(&home, "lists", list), &folder.join("libvictim.so"));
    Call::output(&home, "victim", "answer");
    let event = daemon.wait("a rejection", |event| event.event == Kind::Rejected);
    let output = event.line.output.expect("what it wrote");
    let open: BTreeMap<u32, &str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("open ")?.split_once(' '))
        .map(|(fd, what)| (fd.parse().expect("a number"), what))
        .collect();
    for (fd, kind) in [(0, "/dev/null"), (1, "pipe:"), (2, "pipe:")] {
        holds(open[&fd], &[kind]);
    }
    // Beside those only the socket on which it says what came of it.
    let others: BTreeSet<_> = open.range(3..).map(|(_, what)| *what).collect();
    assert_eq!(others.len(), 1, "{output}");
    assert!(others.iter().all(|what| what.starts_with("socket:")));
}

#[test]
fn a_program_that_a_plugin_starts_holds_nothing() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let list = home.work().join("list");
    let source = format!(
        "#include <stdlib.h>\n\
         long long answer(void) {{ return system(\"ls -l /proc/self/fd > {0}.new && mv {0}.new {0}\"); }}\n",
        list.display()
    );
    let image = cc_plugin(&home.build(), "starts", &source);
    replace(&image, &folder.join("libstarts.so"));
    // The engine and its client are both in the process that calls.
    let host = Call::host(&home, Path::new(HOST), "embed", &folder, "starts", "answer");
    host.wait_result(0);
    let list = fs::read_to_string(list).expect("the list");
    let open: BTreeSet<Open> = list
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .map(|(before, what)| {
            let fd = before.rsplit(' ').next().expect("a number");
            (fd.to_owned(), PathBuf::from(what))
        })
        .collect();
    let from_outside = inheritable("self");
    let own = open.difference(&from_outside);
    let own: Vec<_> = own
        .filter(|(fd, _)| !["0", "1", "2"].contains(&fd.as_str()))
        .collect();
    // The directory that is being listed.
    assert!(own.len() == 1 && own[0].1.ends_with("fd"), "{list}");
}
