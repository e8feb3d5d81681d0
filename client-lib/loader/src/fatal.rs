//! Says which version was being called when a fatal signal ends the process.
//!
//! The handler uses only what POSIX calls async-signal-safe: loads, `write` and `_exit`. It runs on the alternate
//! stack that the standard library gives its threads, so a stack overflow is told like any other crash.

use std::ffi::{c_int, c_void};
use std::io;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// A sentence about a call, made beforehand because a signal handler cannot make one.
#[derive(Debug)]
pub struct Inscription {
    text: Box<str>,
}

static CURRENT: AtomicPtr<Inscription> = AtomicPtr::new(std::ptr::null_mut());
static EXIT_CODE: AtomicI32 = AtomicI32::new(0);

const SIGNALS: [(c_int, &str); 7] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGSYS, "SIGSYS"),
];

impl Inscription {
    /// Makes the sentence; it lives as long as the process, as the version does that it speaks of.
    pub fn new(text: String) -> &'static Self {
        Box::leak(Box::new(Self { text: text.into() }))
    }

    /// Runs `call`. If a fatal signal ends it, the process writes this sentence and the signal's name to descriptor 2
    /// and exits with the code given to [`report_fatal_signals`].
    pub fn during<T>(&'static self, call: impl FnOnce() -> T) -> T {
        CURRENT.store(std::ptr::from_ref(self).cast_mut(), Ordering::SeqCst);
        let result = call();
        CURRENT.store(std::ptr::null_mut(), Ordering::SeqCst);
        result
    }
}

/// From now on a fatal signal during [`Inscription::during`] ends the process with `exit_code` and a sentence. At any
/// other time the signal does what it did before.
///
/// # Errors
///
/// What `sigaction(2)` says.
pub fn report_fatal_signals(exit_code: i32) -> io::Result<()> {
    EXIT_CODE.store(exit_code, Ordering::SeqCst);
    for (signal, _) in SIGNALS {
        // SAFETY: all zeros is a valid `sigaction`.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(c_int) = handle;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_ONSTACK;
        // SAFETY: the handler is async-signal-safe and lives as long as the process; the old action is not asked for.
        let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn handle(signal: c_int) {
    // SAFETY: the pointer is null or came from a leaked inscription (kept by `Inscription::new`).
    let Some(inscription) = (unsafe { CURRENT.load(Ordering::SeqCst).as_ref() }) else {
        // Not in a call: the default action follows when the instruction, or `abort`, raises the signal again.
        // SAFETY: `signal` and `raise` are async-signal-safe.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: as above.
        unsafe { libc::raise(signal) };
        return;
    };
    let name = SIGNALS
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or("a fatal signal", |(_, name)| name);
    for part in [&inscription.text, " by ", name, "\n"] {
        // SAFETY: `write` is async-signal-safe and reads `len` bytes of a live string.
        unsafe { libc::write(2, part.as_ptr().cast::<c_void>(), part.len()) };
    }
    // SAFETY: `_exit` is async-signal-safe.
    unsafe { libc::_exit(EXIT_CODE.load(Ordering::SeqCst)) }
}
