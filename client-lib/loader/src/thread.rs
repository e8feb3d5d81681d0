//! Threads by the numbers that the system's tools show. Linux; macOS would say `pthread_threadid_np`, Windows
//! `GetCurrentThreadId`.

thread_local! {
    static NUMBER: u32 = rustix::thread::gettid().as_raw_pid().cast_unsigned();
}

/// The number of this thread. Asked of the system once per thread.
pub fn this_thread() -> u32 {
    NUMBER.try_with(|number| *number).unwrap_or_default()
}

/// The name of a thread of this process, if it still runs.
pub fn thread_name(number: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/self/task/{number}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_a_number_of_its_own_and_its_name() {
        let other = std::thread::Builder::new().name("another".to_owned());
        let other = other.spawn(|| (this_thread(), thread_name(this_thread())));
        let (number, name) = other.unwrap().join().unwrap();
        assert_ne!(number, this_thread());
        assert_eq!(name.as_deref(), Some("another"));
    }
}
