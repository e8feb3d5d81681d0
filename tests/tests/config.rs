//! Proves that choices are made where the user makes them: flags before the environment before `plugind.toml`, one
//! plugin unlike the others, and what nobody understands is an error that says where and what was perhaps meant.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use plugind_client::Client;
use plugind_tests::{Call, Daemon, Home, ended, holds, victim, workspace};
use plugind_wire::event::Kind;
use plugind_wire::probe::Probe;
use plugind_wire::status::Version;

/// What the sandbox forbids, and nothing else does.
const SOCKET: &str = "close(socket(AF_INET, SOCK_STREAM, 0));";

/// A watched folder with plugins of this constructor, and what the configuration beside it says.
fn scene(home: &Home, constructor: &str, names: &[&str], config: &str) -> PathBuf {
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let image = victim(home, "a victim", constructor);
    for name in names {
        fs::copy(&image, folder.join(format!("lib{name}.so"))).expect("a copy");
    }
    fs::write(home.work().join("plugind.toml"), config).expect("the configuration");
    folder
}

fn serve<'h>(home: &'h Home, args: &[&str], variables: &[(&str, &str)]) -> Daemon<'h> {
    let mut command = home.plugind(["watch", "--json"]);
    command.args(args).arg("plugins");
    command.envs(variables.iter().copied());
    Daemon::spawn(home, command)
}

/// What became of the first version of a plugin that somebody asked for; it is probed then.
fn asked_for(home: &Home, daemon: &Daemon, plugin: &str) -> Version {
    // It may be rejected.
    Call::output(home, plugin, "answer");
    let status = daemon.status();
    let found = status.plugins.into_iter().find(|p| p.plugin == plugin);
    found.expect("the plugin").versions.remove(0)
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let sandboxed = ("PLUGIND_PROBE", "sandboxed");
    let elsewhere = ("PLUGIND_CONFIG", "elsewhere.toml");
    for (args, variables, expected) in [
        (&[][..], &[][..], Probe::NotProbed),
        (&[], &[sandboxed], Probe::Failed),
        (&["--probe", "unsandboxed"], &[sandboxed], Probe::Passed),
        (&["--probe", "unsandboxed"], &[], Probe::Passed),
        (&[], &[elsewhere], Probe::Failed),
        (
            &["--config", "plugind.toml"],
            &[elsewhere],
            Probe::NotProbed,
        ),
    ] {
        let home = Home::new();
        scene(&home, SOCKET, &["x"], "probe = \"off\"\n");
        fs::write(home.work().join("elsewhere.toml"), "").expect("a configuration");
        let daemon = serve(&home, args, variables);
        let found = asked_for(&home, &daemon, "x");
        assert_eq!(found.probe, expected, "{args:?} {variables:?} {found:#?}");
        if expected == Probe::NotProbed {
            let why = found.not_probed.expect("why it was not probed");
            holds(&why, &["switched off"]);
        }
    }
}

#[test]
fn a_plugin_unlike_the_others() {
    let home = Home::new();
    let config = "\
        [plugin.free]\nprobe = \"unsandboxed\"\n\
        [plugin.untried]\nprobe = \"off\"\n";
    scene(&home, SOCKET, &["usual", "free", "untried"], config);
    let daemon = serve(&home, &[], &[]);
    let usual = asked_for(&home, &daemon, "usual");
    assert_eq!(usual.probe, Probe::Failed, "{usual:#?}");
    let reason = usual.reason.expect("a reason");
    holds(
        &reason,
        &["`socket`", "plugind.toml", "--probe unsandboxed"],
    );
    let free = asked_for(&home, &daemon, "free");
    assert_eq!(free.probe, Probe::Passed, "{free:#?}");
    let level = free.level.expect("a level");
    assert!(!level.seccomp && !level.landlock, "{level}");
    let untried = asked_for(&home, &daemon, "untried");
    assert_eq!(untried.probe, Probe::NotProbed, "{untried:#?}");
    let status = home.plugind(["status"]).output().expect("plugind runs");
    holds(&String::from_utf8_lossy(&status.stdout), &["NOT PROBED"]);
}

#[test]
fn the_time_that_a_probe_may_take() {
    for (args, variables, expected) in [
        (&[][..], &[][..], "within 300ms"),
        (&[], &[("PLUGIND_PROBE_TIMEOUT", "0.2")], "within 200ms"),
        (
            &["--probe-timeout", "0.1"],
            &[("PLUGIND_PROBE_TIMEOUT", "0.2")],
            "within 100ms",
        ),
    ] {
        let home = Home::new();
        let config = "probe_timeout = 60\n[plugin.x]\nprobe_timeout = 0.3\n";
        scene(&home, "for (;;);", &["x"], config);
        let daemon = serve(&home, args, variables);
        let found = asked_for(&home, &daemon, "x");
        holds(&found.reason.expect("a reason"), &[expected]);
    }
}

/// Whether a process has asked for file events.
fn listens(daemon: &Daemon) -> bool {
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("a process");
    open.flatten().any(|entry| {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        target.to_string_lossy().contains("inotify")
    })
}

#[test]
fn a_choice_that_is_yes_or_no() {
    for (args, variables, polls) in [
        (&[][..], &[][..], true),
        (&[], &[("PLUGIND_POLL", "0")], false),
        (&["--poll"], &[("PLUGIND_POLL", "no")], true),
        (&["--poll=false"], &[("PLUGIND_POLL", "1")], false),
    ] {
        let home = Home::new();
        scene(&home, "", &[], "poll = true\n");
        let daemon = serve(&home, args, variables);
        assert_eq!(!listens(&daemon), polls, "{args:?} {variables:?}");
    }
}

/// What a daemon and a program that embeds the engine say of a configuration.
fn refused(config: &str, words: &[&str]) {
    let home = Home::new();
    let folder = scene(&home, "", &["x"], config);
    let file = home.work().join("plugind.toml");
    both_refuse(&home, &folder, &file, words);
}

fn both_refuse(home: &Home, folder: &Path, file: &Path, words: &[&str]) {
    let mut command = home.plugind(["watch"]);
    command.arg(folder);
    let told = ended(command);
    told.expect(2, words);
    told.expect(2, &[file.to_str().expect("a readable path")]);
    let builder = Client::builder(folder)
        .state_dir(home.state())
        .runtime_dir(home.runtime());
    let told = builder.embed().expect_err("it is refused").to_string();
    holds(&told, words);
}

#[test]
fn what_nobody_understands() {
    refused(
        "# ours\n\ntrust_owners = \"me\"\n",
        &[
            "plugind.toml:3: ",
            "`trust_owners`",
            "did you mean `trust_owner`?",
        ],
    );
    refused(
        "[plugin.x]\nprobed = \"off\"\n",
        &["plugind.toml:2: ", "`probed`", "did you mean `probe`?"],
    );
    refused(
        "probe = \"sandbox\"\n",
        &["plugind.toml:1: ", "`sandbox`", "did you mean `sandboxed`?"],
    );
    refused(
        "\nsigned_by = \"no key\"\n",
        &[
            "plugind.toml:2: ",
            "no public key of minisign",
            "minisign.pub",
        ],
    );
    refused("probe_timeout = -1\n", &["plugind.toml:1: ", "seconds"]);
    refused("poll = \n", &["plugind.toml:1: "]);
}

#[test]
fn a_configuration_that_others_may_write_or_that_is_not_there() {
    let home = Home::new();
    let folder = scene(&home, "", &["x"], "");
    let file = home.work().join("plugind.toml");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("chmod");
    both_refuse(
        &home,
        &folder,
        &file,
        &[
            "is not used",
            "everybody may write",
            "mode 0666",
            "`chmod o-w`",
        ],
    );
    // Another one is as good.
    drop(serve(&home, &[], &[("PLUGIND_CONFIG", "/dev/null")]));
    let missing = home.work().join("missing.toml");
    let mut command = home.plugind(["watch", "plugins", "--config"]);
    command.arg(&missing);
    ended(command).expect(2, &["cannot read", "missing.toml"]);
    let builder = Client::builder(&folder)
        .state_dir(home.state())
        .runtime_dir(home.runtime())
        .config(&missing);
    let told = builder.embed().expect_err("it is not there").to_string();
    holds(&told, &["cannot read", "missing.toml"]);
}

#[test]
fn the_example_in_the_readme() {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("the README");
    let (_, example) = readme.split_once("```toml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let home = Home::new();
    // Users who need not exist here.
    let config = example.replace("\"deploy\"", "0").replace("\"ops\"", "0");
    assert_ne!(config, example);
    scene(&home, SOCKET, &["audio"], &config);
    let daemon = serve(&home, &[], &[]);
    let told = daemon.wait("a rejection", |event| event.event == Kind::Rejected);
    holds(&told.line.reason.expect("a reason"), &["not signed"]);
}
