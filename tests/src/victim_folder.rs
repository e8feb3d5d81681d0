//! A watched folder with a plugin whose builds break, which tells how often they were tried.

use std::fs;
use std::path::{Path, PathBuf};

use plugind_wire::event::{Event, Kind, Stage};
use plugind_wire::probe::Probe;

use crate::{Call, Daemon, Home, answers, cc, cc_plugin, replace, run};

/// The plugin.
pub const VICTIM: &str = "victim";

/// A folder with a first version, and a place where constructors write the process they run in.
pub struct VictimFolder {
    /// Its home.
    pub home: Home,
    /// The folder to watch.
    pub folder: PathBuf,
    marks: PathBuf,
}

impl VictimFolder {
    /// Makes one, with a version that answers 1.
    #[expect(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let home = Home::new();
        let folder = home.work().join("plugins");
        fs::create_dir(&folder).expect("the folder to watch");
        let marks = home.path().join("marks");
        fs::write(&marks, "").expect("an empty file");
        let victims = Self {
            home,
            folder,
            marks,
        };
        victims.deliver(&victims.build_good(1));
        victims
    }

    /// A version that answers `answer`, and whose constructor first leaves a mark, where it may.
    pub fn build(&self, answer: i64, constructor: &str, args: &[&str]) -> PathBuf {
        let image = self
            .home
            .build()
            .join(answer.to_string())
            .join("libvictim.so");
        let source = format!(
            "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <stdio.h>\n#include <stdlib.h>\n\
             #include <sys/wait.h>\n#include <unistd.h>\n{}\
             __attribute__((constructor)) static void constructed(void) {{\n\
               int file = open(\"{}\", O_WRONLY | O_APPEND);\n\
               if (file >= 0) {{ dprintf(file, \"%d\\n\", (int)getpid()); close(file); }}\n{constructor}\n}}\n",
            answers(answer, 0),
            self.marks.display()
        );
        cc(&image, &source, args);
        image
    }

    /// A version that answers `answer` and does nothing else.
    pub fn build_good(&self, answer: i64) -> PathBuf {
        let dir = self.home.build().join(format!("good-{answer}"));
        cc_plugin(&dir, VICTIM, &answers(answer, 0))
    }

    /// Puts it where it is watched.
    pub fn deliver(&self, image: &Path) {
        replace(image, &self.folder.join("libvictim.so"));
    }

    /// Puts it beside that, as another file of the plugin.
    pub fn deliver_beside(&self, image: &Path) {
        replace(image, &self.folder.join("libvictim.so.1"));
    }

    /// A daemon for it.
    pub fn watch(&self, args: &[&str]) -> Daemon<'_> {
        Daemon::watch(&self.home, &self.folder, args)
    }

    /// Ends a daemon and starts another.
    pub fn restart<'h>(&'h self, mut daemon: Daemon<'h>, args: &[&str]) -> Daemon<'h> {
        run(&mut self.home.plugind(["stop"]));
        assert!(daemon.wait_exit().success());
        self.watch(args)
    }

    /// Follows it, without the search path for libraries that cargo gives to tests.
    pub fn follow(&self) -> Call {
        let mut command = self
            .home
            .plugind(["call", VICTIM, "answer", "--watch", "--json"]);
        command.env_remove("LD_LIBRARY_PATH");
        Call::spawn(command)
    }

    /// The processes in which a constructor ran, but for `call`'s.
    pub fn probes(&self, call: &Call) -> usize {
        let marks = fs::read_to_string(&self.marks).expect("the marks");
        let own = call.pid().to_string();
        marks.lines().filter(|pid| *pid != own).count()
    }

    /// `plugind status`.
    pub fn page(&self) -> String {
        run(&mut self.home.plugind(["status"]))
    }
}

/// The probe's rejection of the victim after `mark`.
///
/// # Panics
///
/// If a version of it passes before.
pub fn rejected(daemon: &Daemon<'_>, mark: usize, what: &str) -> Event {
    let event = daemon.wait_from(mark, what, |event| {
        let ours = event.plugin.as_deref() == Some(VICTIM);
        let passed = event.event == Kind::Published && event.probe != Some(Probe::Deferred);
        assert!(!(ours && passed), "{what} is let through");
        ours && event.event == Kind::Rejected
    });
    assert_eq!(event.line.stage, Some(Stage::Probe), "{what}");
    event.line
}

/// Whether a rejection came without a probe.
pub fn is_untried(event: &Event) -> bool {
    assert_eq!(event.probe, Some(Probe::Failed));
    event.timings_us.expect("timings").probe == 0
}
