//! The lock beside a daemon's socket: one process serves it, and a clean end leaves no file.
//!
//! Whoever gives the lock back removes its file first, while it is held. Others may have opened that file and get the lock
//! then, so whoever gets one looks whether it is still the file beside the socket, and tries again if it is not.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use plugind_wire::place;

use crate::pid_lock;
use crate::start::StartError;

/// Takes the lock; the kernel gives it back however the process ends.
pub(crate) fn take(socket: &Path, folder: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::Listen {
        socket: socket.to_owned(),
        source,
    };
    let path = place::lock_path(socket);
    loop {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match pid_lock::take(lock) {
            Ok(Ok(lock)) if is_at(&lock, &path).map_err(failed)? => return Ok(lock),
            Ok(Ok(_)) => {}
            Ok(Err(pid)) => {
                return Err(StartError::Served {
                    folder: folder.to_owned(),
                    pid,
                });
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Removes the file and gives the lock back.
pub(crate) fn give_back(lock: File, socket: &Path) {
    // One that stays is the next daemon's.
    let _ = fs::remove_file(place::lock_path(socket));
    drop(lock);
}

/// Whether an open file is the one that the path names.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn nobody_holds_a_removed_lock_beside_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("x.sock");
        let (serving, served) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let Ok(lock) = take(&socket, dir.path()) else {
                            continue;
                        };
                        assert_eq!(serving.fetch_add(1, Ordering::SeqCst), 0, "two serve");
                        thread::yield_now();
                        served.fetch_add(1, Ordering::SeqCst);
                        serving.fetch_sub(1, Ordering::SeqCst);
                        give_back(lock, &socket);
                    }
                });
            }
        });
        assert!(
            served.load(Ordering::SeqCst) >= 300,
            "it is taken again and again"
        );
        assert!(!place::lock_path(&socket).exists());
    }
}
