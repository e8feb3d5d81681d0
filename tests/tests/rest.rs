//! What is behind an image's mapped part is added to it later, and nothing waits for that: neither other plugins nor the
//! engine's end. On a disk that is made slow for the purpose.

use std::fs;

use plugind_tests::{CargoProject, Daemon, Home, answers, cc_plugin, need, replace, until};
use plugind_wire::event::Kind;

/// A daemon on a disk that takes a second for each piece of a rest; only rests are written so.
fn slow_daemon<'h>(home: &'h Home, project: &CargoProject) -> Daemon<'h> {
    let mut command = home.command("strace");
    command
        // As a grandchild, so that the process that is started is the daemon itself.
        .args(["-D", "-f", "-qq", "-e", "trace=pwrite64"])
        .args(["-e", "inject=pwrite64:delay_enter=1000000", "-o"])
        .arg(home.path().join("trace"))
        .arg(plugind_tests::plugind())
        .arg("watch")
        .arg(project.target())
        .arg("--json");
    Daemon::spawn(home, command)
}

#[test]
fn nothing_waits_for_a_rest() {
    if !need("strace") {
        return;
    }
    let home = Home::new();
    let project = CargoProject::new(&home.work().join("project"), "large");
    let artifact = project.build().artifact;
    let size = artifact.metadata().expect("the plugin").len();
    let mut daemon = slow_daemon(&home, &project);
    daemon.wait_version(Kind::Published, "large", 1);
    let image = daemon.status().plugins[0].versions[0].image.clone();
    let is_whole = || fs::metadata(&image).is_ok_and(|image| image.len() == size);

    let small = cc_plugin(&home.build(), "small", &answers(1, 0));
    replace(&small, &artifact.with_file_name("libsmall.so"));
    daemon.wait_version(Kind::Published, "small", 1);
    assert!(
        !is_whole(),
        "the small one waited for the rest of the large one"
    );

    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!is_whole(), "the end waited for the rest");

    let daemon = Daemon::watch(&home, &project.target(), &[]);
    daemon.wait("unchanged", |event| {
        event.event == Kind::Unchanged && event.plugin.as_deref() == Some("large")
    });
    until("the whole image", || is_whole().then_some(()));
    let copy = fs::read(&image).expect("the image");
    assert!(copy == fs::read(&artifact).expect("the artifact"));
    until("no warning", || {
        let status = daemon.status();
        let large = status
            .plugins
            .iter()
            .find(|plugin| plugin.plugin == "large")?;
        large.versions[0].warnings.is_empty().then_some(())
    });
}
