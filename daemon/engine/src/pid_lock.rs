//! A lock file that says who holds it. The kernel gives the lock back however the process ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::thread;
use std::time::Duration;

/// How often a lock is tried, and the pause in between: somebody may look for a moment whether it is held, and who has
/// just taken it writes down its process a moment later.
const TRIES: (u32, Duration) = (20, Duration::from_millis(5));

/// Takes the lock and writes this process's id into the file, or tells whose it is.
pub(crate) fn take(mut file: File) -> io::Result<Result<File, String>> {
    let mut holder = String::new();
    for _ in 0..TRIES.0 {
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "{}", std::process::id())?;
                return Ok(Ok(file));
            }
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        thread::sleep(TRIES.1);
        holder.clear();
        file.rewind()?;
        file.read_to_string(&mut holder)?;
    }
    Ok(Err(holder))
}
