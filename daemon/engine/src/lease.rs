//! The one question that tells a finished file from one in the making: can anybody still write this inode?
//!
//! The kernel grants a read lease exactly when no descriptor and no shared writable mapping can write the inode, also
//! through another hard link (`fcntl(2)`, "Leases"). The lease is given back at once; it is asked for, not held.
//!
//! In the instant between, a writer that opens the file would break the lease and the kernel would signal this
//! process. The default signal kills, so it is moved to SIGURG, addressed to the asking thread and blocked there:
//! the process's own handler for SIGURG never sees it.
//!
//! Linux only. macOS has no leases (a quiet period takes their place, untested); on Windows opening without sharing
//! for writing answers the same question (unwritten).
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// What the kernel said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lease {
    /// Nobody can write the inode now.
    Free,
    /// Somebody can.
    Writable,
    /// This file system, or the file's owner, does not let us ask.
    Unknown,
}

/// Asks whether anybody can write the file's inode.
pub(crate) fn ask(file: &File) -> Lease {
    if block_signal().is_err() {
        return Lease::Unknown;
    }
    let fd = file.as_raw_fd();
    if address_signal(fd).is_err() {
        return Lease::Unknown;
    }
    match set_lease(fd, libc::F_RDLCK) {
        Ok(()) => {
            // The lease also ends when the descriptor is closed, so a failure here delays nobody for long.
            let _ = set_lease(fd, libc::F_UNLCK);
            Lease::Free
        }
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Lease::Writable,
        Err(_) => Lease::Unknown,
    }
}

fn set_lease(fd: RawFd, kind: i32) -> io::Result<()> {
    // SAFETY: F_SETLEASE takes an integer, and `fd` is open (kept by `ask`, which borrows the file).
    check(unsafe { libc::fcntl(fd, libc::F_SETLEASE, kind) })
}

/// Moves the lease's signal to SIGURG for this thread.
fn address_signal(fd: RawFd) -> io::Result<()> {
    /// `struct f_owner_ex` of `<fcntl.h>`, which the `libc` crate does not declare.
    #[repr(C)]
    struct Owner {
        kind: libc::c_int,
        pid: libc::pid_t,
    }
    const F_SETSIG: libc::c_int = 10;
    const F_SETOWN_EX: libc::c_int = 15;
    const F_OWNER_TID: libc::c_int = 0;

    let owner = Owner {
        kind: F_OWNER_TID,
        pid: rustix::thread::gettid().as_raw_nonzero().get(),
    };
    // SAFETY: F_SETSIG takes an integer, and `fd` is open (kept by `ask`).
    check(unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) })?;
    // SAFETY: F_SETOWN_EX reads one `struct f_owner_ex`, which lives through the call.
    check(unsafe { libc::fcntl(fd, F_SETOWN_EX, &raw const owner) })
}

/// Blocks SIGURG in this thread, once.
fn block_signal() -> io::Result<()> {
    thread_local!(static BLOCKED: Cell<bool> = const { Cell::new(false) });
    if BLOCKED.get() {
        return Ok(());
    }
    // SAFETY: all zeros is a valid `sigset_t`, and `sigemptyset` sets it up in any case.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid set.
    check(unsafe { libc::sigemptyset(&raw mut set) })?;
    // SAFETY: as above, and SIGURG is a signal.
    check(unsafe { libc::sigaddset(&raw mut set, libc::SIGURG) })?;
    // SAFETY: the set is initialised, and the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => {
            BLOCKED.set(true);
            Ok(())
        }
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_seen_as_long_as_its_descriptor_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert_eq!(ask(&reader), Lease::Writable);
        drop(writer);
        assert_eq!(ask(&reader), Lease::Free);
    }
}
