//! A file that would become longer than this process may write (`ulimit -f`) is an error of that write, which the stage
//! tells, and not the end of the program: the signal that comes with it ends a process by default.

use nix::sys::signal::{SigSet, Signal};

/// Makes it so for this thread.
pub(crate) fn is_an_error_here() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    // It fails for no signal that exists.
    let _ = signals.thread_block();
}
