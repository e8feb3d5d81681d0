//! Waiting for a state, with a deadline.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long a suite waits before it gives up. Generous, because it only ends tests that fail.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Looks until `state` gives something: for what sends no event, such as `/proc`.
///
/// # Panics
///
/// After [`DEADLINE`], with `what`.
pub fn until<T>(what: &str, mut state: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, || state().ok_or_else(|| what.to_owned()))
}

/// The same with a deadline of its own; while `state` gives nothing it says what there is instead.
///
/// # Panics
///
/// After the deadline, with what was said last.
pub fn within<T>(deadline: Duration, mut state: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match state() {
            Ok(found) => return found,
            Err(instead) => assert!(
                started.elapsed() < deadline,
                "not within {deadline:?}: {instead}"
            ),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Tells threads that loop to end, also when the test fails: a scope waits for them.
pub struct EndOnDrop<'a>(pub &'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// When a file last changed, as an [`Instant`] of this process.
///
/// The change time is the kernel's own record, and making or removing a link counts as a change: for a file that cargo
/// links into place it is the moment of the link, for a written one the moment of the last write. It can be a clock
/// tick (up to 4 ms) early, never late, so a latency measured from it is never too small.
pub fn since_change(file: &Metadata) -> Instant {
    let changed =
        SystemTime::UNIX_EPOCH + Duration::new(file.ctime() as u64, file.ctime_nsec() as u32);
    let age = SystemTime::now()
        .duration_since(changed)
        .unwrap_or_default();
    Instant::now() - age
}
