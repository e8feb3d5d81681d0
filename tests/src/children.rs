//! What a process has started.

use std::fs;
use std::path::Path;

use rustix::process::Pid;

/// What a process has started and not reaped.
///
/// # Panics
///
/// If there is no such process.
pub fn children(pid: u32) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let list = |task: &Path| fs::read_to_string(task.join("children")).unwrap_or_default();
    tasks
        .flatten()
        .flat_map(|task| {
            let list = list(&task.path());
            let pids = list.split_whitespace().map(str::parse);
            let pids: Vec<_> = pids.map(|pid| pid.expect("a number")).collect();
            pids
        })
        .filter_map(Pid::from_raw)
        .collect()
}
