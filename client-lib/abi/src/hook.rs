//! The panic hook: a panic that [`guard`](crate::boundary::guard) will tell to the calling side is not written to stderr,
//! and every other one is, such as that of a thread which the plugin spawned.
//!
//! The two are told apart when a panic begins, and not by a mark that every call sets and takes back: an image's
//! thread-local variables cost more than all the rest of a call. The shims, and nothing else, lie in a section of their
//! image, `plugind_shims`; a panic will be told if the stack holds a frame of a function in it. What another image guards
//! lies in another section, so each image speaks for its own panics.
//!
//! A panic after which the runtime ends the program, such as a second one while the first unwinds, is printed with the
//! one that was held back before it: nobody lives to tell them.
//!
//! macOS would need another form of the section's name and of the symbols at its ends, Windows the same and
//! `RtlVirtualUnwind`; neither is written.

use std::cell::Cell;
use std::ffi::c_void;
use std::hint::black_box;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

/// Where the last panic of this thread was. Without a destructor: one would take the loader's lock when it is
/// registered.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    file: [u8; 200],
    len: usize,
    pub(crate) line: u32,
    pub(crate) column: u32,
    message: [u8; 200],
    message_len: usize,
}

thread_local! {
    static LAST: Cell<Option<Place>> = const { Cell::new(None) };
    /// This thread has told a panic and cleans up after it.
    static PRINTS: Cell<bool> = const { Cell::new(false) };
}

impl Place {
    fn of(info: &PanicHookInfo<'_>) -> Option<Self> {
        let location = info.location()?;
        let name = location.file().as_bytes();
        let mut place = Self {
            file: [0; 200],
            len: name.len().min(200),
            line: location.line(),
            column: location.column(),
            message: [0; 200],
            message_len: 0,
        };
        let message = info.payload_as_str().unwrap_or_default().as_bytes();
        place.message_len = message.len().min(200);
        place.message[..place.message_len].copy_from_slice(&message[..place.message_len]);
        // A long path keeps its end, which tells more.
        let from = name.len() - place.len;
        place.file[..place.len].copy_from_slice(&name[from..]);
        Some(place)
    }

    pub(crate) fn file(&self) -> &[u8] {
        &self.file[..self.len]
    }

    /// Whether the panic there may have said this. One that was caught by the plugin leaves its place behind.
    pub(crate) fn said(&self, message: &str) -> bool {
        let known = &self.message[..self.message_len];
        known.is_empty() || message.as_bytes().starts_with(known)
    }

    /// As the hook of the standard library would, which is not asked any more.
    fn print(&self) {
        let [file, message] = [self.file(), &self.message[..self.message_len]]
            .map(|text| String::from_utf8_lossy(text));
        eprintln!(
            "panicked at {file}:{}:{}:\n{message}",
            self.line, self.column
        );
    }
}

/// Makes this image's panics inside a guarded call say where they are instead of writing to stderr.
#[inline]
pub(crate) fn install() {
    static HOOK: Once = Once::new();
    #[cold]
    #[inline(never)]
    fn first() {
        HOOK.call_once(|| {
            let before = take_hook();
            set_hook(Box::new(move |info| {
                // Where a panic aborts nobody lives to tell it.
                if cfg!(panic = "abort") || PRINTS.get() || !is_guarded() {
                    before(info);
                } else if ends_the_program(info) {
                    if let Some(held_back) = LAST.take() {
                        held_back.print();
                    }
                    before(info);
                } else {
                    LAST.set(Place::of(info));
                }
            }));
        });
    }
    if !HOOK.is_completed() {
        first();
    }
}

/// Whether this is the runtime's own panic, with which it ends the program. Its texts are those of
/// `library/core/src/panicking.rs`; one that changed is held back, as all were.
fn ends_the_program(info: &PanicHookInfo<'_>) -> bool {
    const TEXTS: [&str; 3] = [
        "panic in a destructor during cleanup",
        "panic in a function that cannot unwind",
        "unsafe precondition(s) violated",
    ];
    let text = info.payload_as_str().unwrap_or_default();
    TEXTS.iter().any(|start| text.starts_with(start))
}

/// Where the panic was that was caught just now.
pub(crate) fn last_place() -> Option<Place> {
    LAST.take()
}

/// Runs code whose panics nobody will tell, though a shim is on the stack.
pub(crate) fn print(body: impl FnOnce()) {
    let before = PRINTS.replace(true);
    body();
    PRINTS.set(before);
}

unsafe extern "C" {
    // The linker defines both for a section with such a name.
    #[link_name = "__start_plugind_shims"]
    static FIRST: u8;
    #[link_name = "__stop_plugind_shims"]
    static END: u8;

    // Of the library that unwinds, which the standard library needs as well.
    safe fn _Unwind_Backtrace(
        each: extern "C" fn(*mut c_void, *mut c_void) -> i32,
        found: *mut c_void,
    ) -> i32;
    fn _Unwind_GetRegionStart(frame: *mut c_void) -> usize;
}

/// Whether a shim of this image is on the stack.
fn is_guarded() -> bool {
    /// `_URC_NO_REASON`
    const GO_ON: i32 = 0;
    /// `_URC_END_OF_STACK`
    const STOP: i32 = 5;

    /// A section with nothing in it would have no ends.
    #[unsafe(link_section = "plugind_shims")]
    #[inline(never)]
    extern "C" fn any() {}

    extern "C" fn look(frame: *mut c_void, found: *mut c_void) -> i32 {
        let shims = (&raw const FIRST).addr()..(&raw const END).addr();
        // SAFETY: the unwinder hands out a frame that is valid for this call.
        let function = unsafe { _Unwind_GetRegionStart(frame) };
        if !shims.contains(&function) {
            return GO_ON;
        }
        // SAFETY: it is the flag below.
        unsafe { *found.cast::<bool>() = true };
        STOP
    }

    black_box(any as extern "C" fn());
    let mut found = false;
    _Unwind_Backtrace(look, (&raw mut found).cast());
    found
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any, resume_unwind};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;
    use crate::boundary::{Report, Status, guard};

    #[expect(improper_ctypes_definitions, reason = "both sides are this file")]
    #[unsafe(link_section = "plugind_shims")]
    #[inline(never)]
    unsafe extern "C" fn shim(body: fn(), report: *mut Report) -> Status {
        // SAFETY: kept by the caller.
        unsafe { guard(report, std::ptr::null_mut(), body) }.status()
    }

    /// What is told of a panic: its message, and the file that it was in.
    fn told(body: fn()) -> Option<(String, String)> {
        let mut report = Report::new();
        // SAFETY: the report is made for this call.
        let status = unsafe { shim(body, &raw mut report) };
        (status != Status::OK).then(|| {
            let fault = report.into_fault("", 0, "");
            let place = fault.location.unwrap_or_default();
            let file = place.split(':').next().unwrap_or_default();
            (fault.message, file.to_owned())
        })
    }

    fn fell(message: &str) -> Option<(String, String)> {
        Some((message.to_owned(), file!().to_owned()))
    }

    struct FallsAgain;

    impl Drop for FallsAgain {
        fn drop(&mut self) {
            panic!("again");
        }
    }

    #[test]
    fn a_panic_that_ends_the_program_is_printed_with_the_one_before() {
        const ENDS: &str = "PLUGIND_TEST_ENDS";
        if std::env::var_os(ENDS).is_some() {
            let twice = || {
                let _again = FallsAgain;
                panic!("once");
            };
            told(twice);
            return;
        }
        let own = std::env::current_exe().unwrap();
        let ended = std::process::Command::new(own)
            .args(["--nocapture", "the_program_is_printed"])
            .env(ENDS, "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{stderr}");
        for part in [file!(), "again", "destructor during cleanup"] {
            assert!(stderr.contains(part), "no {part:?} in {stderr}");
        }
    }

    #[test]
    fn a_panic_is_told_or_printed_and_never_both() {
        static PRINTED: AtomicU32 = AtomicU32::new(0);
        set_hook(Box::new(|_| {
            PRINTED.fetch_add(1, Ordering::SeqCst);
        }));
        let printed = || PRINTED.swap(0, Ordering::SeqCst);

        assert_eq!((told(|| ()), printed()), (None, 0));
        assert_eq!((told(|| panic!("one")), printed()), (fell("one"), 0));
        let in_thread = || {
            let _ = thread::spawn(|| panic!("nobody is told")).join();
        };
        assert_eq!((told(in_thread), printed()), (None, 1));
        let nested = || {
            assert_eq!(told(|| panic!("inner")), fell("inner"));
            panic!("outer");
        };
        assert_eq!((told(nested), printed()), (fell("outer"), 0));
        let caught = || {
            let _ = catch_unwind(|| panic!("caught"));
        };
        assert_eq!((told(caught), printed()), (None, 0));
        let value = || panic_any(FallsAgain);
        assert_eq!(
            (told(value), printed()),
            (fell("a value that is no text"), 1)
        );
        assert_eq!((told(|| panic!("two")), printed()), (fell("two"), 0));
        let resumed = || {
            let _ = catch_unwind(|| panic!("caught"));
            resume_unwind(Box::new("resumed"));
        };
        let nowhere = Some(("resumed".to_owned(), String::new()));
        assert_eq!((told(resumed), printed()), (nowhere, 0));
        let _ = catch_unwind(|| panic!("outside"));
        assert_eq!(printed(), 1);
        let _ = take_hook();
    }
}
