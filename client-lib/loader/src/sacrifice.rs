//! What a process needs that is started to try one image and may die of it: nothing that it inherited, a word about the
//! system call that it was killed for, and an end that runs nothing more of the plugin.

use std::ffi::{c_int, c_uint, c_void};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;

/// Closes every descriptor but 0, 1 and 2.
///
/// To be called before this process has opened any: what it closes are those that the program which started it left
/// open over `exec`.
pub fn close_inherited() {
    // SAFETY: no value of this process owns a descriptor above 2 yet (kept by the caller, which is the first line of a
    // program's main). Where the kernel lacks the call they stay open, which harms nobody.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}

/// Ends the process: no destructor runs, neither this program's nor the plugin's.
pub fn end(code: i32) -> ! {
    // SAFETY: `_exit` may be called at any time.
    unsafe { libc::_exit(code) }
}

/// Where to write, and what before and after the call's number.
struct Report {
    to: OwnedFd,
    before: &'static str,
    after: &'static str,
}

static REPORT: OnceLock<Report> = OnceLock::new();

/// `SYS_SECCOMP` of `<asm-generic/siginfo.h>`: the signal comes from a filter.
const FROM_FILTER: c_int = 1;

/// `siginfo_t` of such a signal, as the kernel lays it out.
#[repr(C)]
struct Forbidden {
    signo: c_int,
    errno: c_int,
    code: c_int,
    detail: Detail,
}

#[repr(C)]
struct Detail {
    instruction: *mut c_void,
    call: c_int,
    arch: c_uint,
}

/// From now on a system call that a seccomp filter traps (`SECCOMP_RET_TRAP`) writes its number between two texts to a
/// descriptor and ends the process. A filter that kills could not tell which call it was.
///
/// # Errors
///
/// What `sigaction(2)` says.
pub fn tell_of_forbidden_calls(
    to: OwnedFd,
    before: &'static str,
    after: &'static str,
) -> io::Result<()> {
    // Only the first counts; the handler reads it without a lock.
    let _ = REPORT.set(Report { to, before, after });
    // SAFETY: all zeros is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int, *const Forbidden, *mut c_void) = handle;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler is async-signal-safe and lives as long as the process.
    let result = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

extern "C" fn handle(signal: c_int, info: *const Forbidden, _: *mut c_void) {
    // SAFETY: with `SA_SIGINFO` the kernel passes the address of a `siginfo_t` that is live while the handler runs, and
    // every signal's begins with the first three fields.
    let code = unsafe { (*info).code };
    let Some(report) = REPORT.get().filter(|_| code == FROM_FILTER) else {
        // Somebody raised it: it does what it would do without a handler, as soon as this one returns.
        // SAFETY: `signal` is async-signal-safe.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: so is `raise`.
        unsafe { libc::raise(signal) };
        return;
    };
    // SAFETY: a signal from a filter has all the fields (kept by the kernel, which wrote the code).
    let call = unsafe { (*info).detail.call };
    let mut digits = [0; 20];
    let number = decimal(call.unsigned_abs(), &mut digits);
    for part in [report.before.as_bytes(), number, report.after.as_bytes()] {
        // SAFETY: `write` is async-signal-safe and reads `len` bytes of a live slice.
        unsafe { libc::write(report.to.as_raw_fd(), part.as_ptr().cast(), part.len()) };
    }
    end(1)
}

/// A number in digits, without what a signal handler may not use.
fn decimal(mut number: u32, digits: &mut [u8; 20]) -> &[u8] {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[first..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_are_written_in_digits() {
        for number in [0, 7, 41, 435, u32::MAX] {
            let mut digits = [0; 20];
            assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
        }
    }
}
