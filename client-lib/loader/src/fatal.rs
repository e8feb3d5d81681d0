//! Says which version was being called when a fatal signal ends the process.
//!
//! The handler uses only what POSIX calls async-signal-safe: loads, `write` and `_exit`. It runs on the alternate
//! stack that the standard library gives its threads, so a stack overflow is told like any other crash.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering, compiler_fence};

/// A sentence about a call, made beforehand because a signal handler cannot make one.
#[derive(Debug)]
pub struct Inscription {
    text: Box<str>,
}

thread_local! {
    /// What this thread is calling. Without a destructor, so that the handler may look at it.
    static CURRENT: Cell<Option<&'static Inscription>> = const { Cell::new(None) };
}
/// What the signals did before, in the order of [`SIGNALS`].
static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();
static REPORTING: AtomicBool = AtomicBool::new(false);
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
        let _restore = Restore(CURRENT.replace(Some(self)));
        // The handler runs on this thread: what the compiler keeps in order it sees in order.
        compiler_fence(Ordering::SeqCst);
        let result = call();
        compiler_fence(Ordering::SeqCst);
        result
    }
}

/// Puts back what was being called before, also when the call unwinds.
struct Restore(Option<&'static Inscription>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs `call` under a sentence that is made only if somebody asked for reports.
pub(crate) fn during<T>(text: impl FnOnce() -> String, call: impl FnOnce() -> T) -> T {
    if REPORTING.load(Ordering::Relaxed) {
        Inscription::new(text()).during(call)
    } else {
        call()
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
    // SAFETY: all zeros is a valid `sigaction`.
    let mut before: [libc::sigaction; SIGNALS.len()] = unsafe { std::mem::zeroed() };
    for ((signal, _), before) in SIGNALS.iter().zip(&mut before) {
        // SAFETY: a null action only asks for the present one.
        check(unsafe { libc::sigaction(*signal, std::ptr::null(), before) })?;
    }
    if BEFORE.set(before).is_err() {
        // The handlers are in place already.
        return Ok(());
    }
    for (signal, _) in SIGNALS {
        // SAFETY: all zeros is a valid `sigaction`.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(c_int) = handle;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_ONSTACK;
        // SAFETY: the handler is async-signal-safe and lives as long as the process.
        check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    }
    REPORTING.store(true, Ordering::Relaxed);
    Ok(())
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

extern "C" fn handle(signal: c_int) {
    let Some(index) = SIGNALS.iter().position(|(number, _)| *number == signal) else {
        return;
    };
    let Some(inscription) = CURRENT.get() else {
        // Not in a call: what was there before comes back, and the instruction that raised the signal raises it again.
        if let Some(before) = BEFORE.get() {
            // SAFETY: `sigaction` is async-signal-safe, and the action is the one that was there.
            unsafe { libc::sigaction(signal, &raw const before[index], std::ptr::null_mut()) };
        }
        return;
    };
    for part in [&inscription.text, " by ", SIGNALS[index].1, "\n"] {
        // SAFETY: `write` is async-signal-safe and reads `len` bytes of a live string.
        unsafe { libc::write(2, part.as_ptr().cast::<c_void>(), part.len()) };
    }
    // SAFETY: `_exit` is async-signal-safe.
    unsafe { libc::_exit(EXIT_CODE.load(Ordering::SeqCst)) }
}
