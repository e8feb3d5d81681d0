//! A child process that prints JSON Lines, each kept with the instant of its arrival.

use std::fmt::{Debug, Write as _};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use serde::de::DeserializeOwned;

use crate::{DEADLINE, until};

pub use rustix::process::Signal;

/// A line and when it arrived.
#[derive(Debug, Clone)]
pub struct Seen<T> {
    /// When the test read it, which is never before it was written.
    pub at: Instant,
    /// The line.
    pub line: T,
}

#[derive(Default)]
struct Output<T> {
    lines: Vec<Seen<T>>,
    unreadable: Option<String>,
    stderr: String,
    ended: bool,
}

struct Shared<T> {
    output: Mutex<Output<T>>,
    more: Condvar,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Output<T>> {
        // A failed assertion elsewhere must not hide this process's output.
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running child; ended, alone, and reaped on drop.
pub struct Process<T> {
    child: Child,
    shared: Arc<Shared<T>>,
    readers: Vec<JoinHandle<()>>,
    name: String,
    started: Instant,
}

impl<T: DeserializeOwned + Debug + Clone + Send + 'static> Process<T> {
    /// Starts it.
    pub fn spawn(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let shared = Arc::new(Shared {
            output: Mutex::new(Output {
                lines: Vec::new(),
                unreadable: None,
                stderr: String::new(),
                ended: false,
            }),
            more: Condvar::new(),
        });
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        let readers = vec![
            thread::spawn({
                let shared = Arc::clone(&shared);
                move || read_lines(stdout, &shared)
            }),
            thread::spawn({
                let shared = Arc::clone(&shared);
                move || read_stderr(stderr, &shared)
            }),
        ];
        Self {
            child,
            shared,
            readers,
            name,
            started,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every line until now.
    pub fn lines(&self) -> Vec<Seen<T>> {
        self.shared.lock().lines.clone()
    }

    /// What it wrote to stderr until now.
    pub fn stderr(&self) -> String {
        self.shared.lock().stderr.clone()
    }

    /// The first line, from the `from`th on, that `wanted` accepts.
    ///
    /// # Panics
    ///
    /// After [`DEADLINE`], at the end of the output, and at a line that cannot be read: with `what`, everything that was
    /// read, and what `more` adds.
    pub fn wait(
        &self,
        what: &str,
        from: usize,
        wanted: impl Fn(&T) -> bool,
        more: impl FnOnce() -> String,
    ) -> Seen<T> {
        let deadline = Instant::now() + DEADLINE;
        let mut next = from;
        let mut output = self.shared.lock();
        let problem = loop {
            while let Some(seen) = output.lines.get(next) {
                if wanted(&seen.line) {
                    return seen.clone();
                }
                next += 1;
            }
            if let Some(line) = &output.unreadable {
                break format!("cannot read the line {line:?}");
            }
            if output.ended {
                break "it ended".to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break format!("not within {DEADLINE:?}");
            }
            output = self
                .shared
                .more
                .wait_timeout(output, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        drop(output);
        panic!("{what}: {problem}\n{}{}", self.dump(), more());
    }

    /// Everything that was seen of it, for the message of a failure.
    pub fn dump(&self) -> String {
        let output = self.shared.lock();
        let mut dump = format!("--- {} (pid {})\n", self.name, self.pid());
        for seen in &output.lines {
            let ms = seen.at.duration_since(self.started).as_millis();
            let _ = writeln!(dump, "{ms:>7} ms {:?}", seen.line);
        }
        let _ = writeln!(dump, "--- its stderr\n{}", output.stderr);
        dump
    }
}

impl<T> Process<T> {
    /// Sends a signal to this process alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is ours");
    }

    /// SIGSTOP, and returns once the kernel says that every thread has stopped.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        until("every thread stops", || {
            let all_stopped = std::fs::read_dir(&tasks).ok()?.flatten().all(|task| {
                // pid (name) STATE ..; the name may hold anything but ends at the last parenthesis.
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.rsplit(") ")
                    .next()
                    .is_some_and(|rest| rest.starts_with('T'))
            });
            all_stopped.then_some(())
        });
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGKILL, and waits for the end.
    pub fn kill9(&mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.reap(DEADLINE)
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
        }
        self.reap(DEADLINE)
    }

    /// Waits for it to end by itself.
    pub fn wait_exit(&mut self) -> ExitStatus {
        self.reap(DEADLINE)
    }

    /// True until it has ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn reap(&mut self, deadline: Duration) -> ExitStatus {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                break status;
            }
            if started.elapsed() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("{}: did not end within {deadline:?}", self.name);
            }
            thread::sleep(Duration::from_millis(2));
        };
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        status
    }
}

impl<T> Drop for Process<T> {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        // A frozen process would keep SIGTERM until it is thawed.
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
        let asked = Instant::now();
        while self.is_running() && asked.elapsed() < Duration::from_secs(3) {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines<T: DeserializeOwned>(from: impl Read, shared: &Shared<T>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let at = Instant::now();
        let mut output = shared.lock();
        match serde_json::from_str(&line) {
            Ok(line) => output.lines.push(Seen { at, line }),
            Err(error) => output.unreadable = Some(format!("{line}: {error}")),
        }
        shared.more.notify_all();
    }
    shared.lock().ended = true;
    shared.more.notify_all();
}

fn read_stderr<T>(from: impl Read, shared: &Shared<T>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let mut output = shared.lock();
        output.stderr.push_str(&line);
        output.stderr.push('\n');
    }
}
