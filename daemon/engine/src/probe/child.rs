//! One probe, seen from outside: started, given its order, listened to until it has said its last word or its time is up,
//! and then ended and reaped, whatever it did.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use super::message::{ARGUMENT, Order, Said};
use super::output::Output;

/// All that a probe may say.
const VERDICT: usize = 64 << 10;

/// A process that waits for its order.
pub(crate) struct Started {
    // First: whatever it did, it is gone before nobody listens.
    running: Running,
    child: OwnedFd,
    socket: UnixStream,
    written: PipeReader,
}

/// What is left of a probe.
#[derive(Debug)]
pub(crate) struct Ending {
    /// What it said, in order.
    pub(crate) said: Vec<Said>,
    /// Why it was not listened to any longer.
    pub(crate) last: Last,
    /// How it ended, if it did so by itself and anybody was told.
    pub(crate) status: Option<ExitStatus>,
    /// What it wrote on descriptors 1 and 2.
    pub(crate) output: Output,
}

impl Ending {
    /// Whether it ended before it touched the image.
    pub(crate) fn is_before_the_image(&self) -> bool {
        let confined = |said: &Said| matches!(said, Said::Confined { .. });
        self.last == Last::Ended && !self.said.iter().any(confined)
    }
}

/// The last that was heard of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// A verdict.
    Verdict,
    /// It ended.
    Ended,
    /// Its time was up.
    TimedOut,
    /// It said more than anybody listens to.
    SaidTooMuch,
    /// The engine ends.
    Stopped,
}

impl Started {
    /// Starts a program as a probe, whose loader looks for needed libraries in `library_path` if that is not where it
    /// usually does. Its death follows that of this thread, which must not end before it.
    pub(crate) fn start(program: &Path, library_path: Option<&OsStr>) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let (written, writes) = io::pipe()?;
        let mut command = Command::new(program);
        command
            .arg0(name(program))
            .arg(ARGUMENT)
            .stdin(OwnedFd::from(theirs))
            .stdout(writes.try_clone()?)
            .stderr(writes)
            // A signal that it sends to its group, or that a terminal sends to ours, ends at the border.
            .process_group(0);
        if let Some(path) = library_path {
            command.env("LD_LIBRARY_PATH", path);
        }
        let running = Running(command.spawn()?);
        let child = pidfd_open(Pid::from_child(&running.0), PidfdFlags::empty())?;
        Ok(Self {
            running,
            child,
            socket,
            written,
        })
    }

    /// Gives it its order, for which it has until `deadline` from now, and stays with it to its end. `stop` becomes
    /// readable when the engine ends, which it does not outlive.
    pub(crate) fn run(
        mut self,
        order: &Order,
        deadline: Duration,
        stop: Option<&PipeReader>,
    ) -> io::Result<Ending> {
        let ordered = Instant::now();
        // One that does not read does not get more than fits.
        self.socket
            .set_write_timeout(Some(deadline.max(Duration::from_millis(1))))?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        // One that ended already is heard of below.
        let _ = (&self.socket).write_all(&line);
        self.socket.set_nonblocking(true)?;
        rustix::io::ioctl_fionbio(&self.written, true)?;
        let mut hearing = Hearing {
            socket: Some(self.socket),
            written: Some(self.written),
            unread: Vec::new(),
            heard: 0,
            said: Vec::new(),
            output: Output::default(),
        };
        let deadline = ordered.checked_add(deadline);
        let deadline = deadline.unwrap_or_else(|| ordered + Duration::from_secs(u32::MAX.into()));
        let last = hearing.listen(&self.child, deadline, stop)?;
        let status = self.running.end(last == Last::Ended);
        hearing.read_written();
        Ok(Ending {
            said: hearing.said,
            last,
            status,
            output: hearing.output,
        })
    }
}

/// As lists of processes show it.
fn name(program: &Path) -> OsString {
    let own = std::fs::read_link(program).unwrap_or_else(|_| program.to_owned());
    own.into_os_string()
}

/// A child that does not outlive this value.
struct Running(Child);

impl Running {
    /// Ends and reaps it, with all that it started. How it ended is its own doing only if it `ended` before.
    fn end(&mut self, ended: bool) -> Option<ExitStatus> {
        let own = Pid::from_child(&self.0);
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // As long as it is to be reaped its number is its group's and nobody else's.
        if waitid(WaitId::Pid(own), look).is_ok() {
            let _ = kill_process_group(own, Signal::KILL);
        }
        if !ended {
            // It may have ended in between; then there is nothing to kill.
            let _ = self.0.kill();
        }
        // A program that reaps all its children itself has heard of this one instead.
        self.0.wait().ok().filter(|_| ended)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // On the usual way it is reaped already, and both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was heard of a probe until now.
struct Hearing {
    socket: Option<UnixStream>,
    written: Option<PipeReader>,
    unread: Vec<u8>,
    heard: usize,
    said: Vec<Said>,
    output: Output,
}

impl Hearing {
    fn listen(
        &mut self,
        child: &OwnedFd,
        deadline: Instant,
        stop: Option<&PipeReader>,
    ) -> io::Result<Last> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Last::TimedOut);
            }
            let ready = self.wait(child, stop, left)?;
            self.read_written();
            self.read_said();
            if self.heard > VERDICT {
                return Ok(Last::SaidTooMuch);
            }
            if let Some(Said::Passed | Said::Failed { .. } | Said::Forbidden { .. }) =
                self.said.last()
            {
                return Ok(Last::Verdict);
            }
            if ready.ended {
                return Ok(Last::Ended);
            }
            if ready.stopped {
                return Ok(Last::Stopped);
            }
        }
    }

    /// Waits until there is something to hear.
    fn wait(
        &self,
        child: &OwnedFd,
        stop: Option<&PipeReader>,
        at_most: Duration,
    ) -> io::Result<Ready> {
        let mut sources = vec![PollFd::new(child, PollFlags::IN)];
        sources.extend(stop.map(|stop| PollFd::new(stop, PollFlags::IN)));
        let socket = self.socket.as_ref().map(AsFd::as_fd);
        let written = self.written.as_ref().map(AsFd::as_fd);
        for source in [socket, written].into_iter().flatten() {
            sources.push(PollFd::from_borrowed_fd(source, PollFlags::IN));
        }
        // A deadline that no clock can hold is none.
        let at_most = Timespec::try_from(at_most).ok();
        match poll(&mut sources, at_most.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(Ready {
                ended: !sources[0].revents().is_empty(),
                stopped: stop.is_some() && !sources[1].revents().is_empty(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in what was said, and forgets the socket when nothing more can be.
    fn read_said(&mut self) {
        let mut buffer = [0; 4096];
        while let Some(socket) = &mut self.socket {
            match socket.read(&mut buffer) {
                Ok(0) => self.socket = None,
                Ok(n) => {
                    self.heard += n;
                    self.unread.extend_from_slice(&buffer[..n]);
                    if self.heard > VERDICT {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.socket = None,
            }
        }
        self.said.extend(understood(&mut self.unread));
    }

    /// Takes in what was written: at most a pipe's content at a time, so that one that never ends to write is one that
    /// does not end.
    fn read_written(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..16 {
            let Some(written) = &mut self.written else {
                return;
            };
            match written.read(&mut buffer) {
                Ok(0) => self.written = None,
                Ok(n) => self.output.add(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.written = None,
            }
        }
    }
}

/// Takes the lines out of what was heard, and leaves what has no end yet. What nobody understands was not said.
pub(super) fn understood(unread: &mut Vec<u8>) -> Vec<Said> {
    let end = unread.iter().rposition(|byte| *byte == b'\n');
    let lines: Vec<_> = unread.drain(..end.map_or(0, |end| end + 1)).collect();
    let lines = lines.split(|byte| *byte == b'\n');
    lines.flat_map(serde_json::from_slice::<Said>).collect()
}

/// What became of waiting.
struct Ready {
    ended: bool,
    stopped: bool,
}
