//! Where a plugin's log records go. Each image has copies of `log` and `tracing` of its own, which nobody listens to; a
//! plugin that wants to be heard says so in its [`Registry`](crate::registration::Registry), and the program hands it a
//! sink when it has opened it.

use crate::registration::Text;

/// How important a record is; smaller is more so.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u32);

impl Level {
    /// Something failed.
    pub const ERROR: Self = Self(1);
    /// Something is odd.
    pub const WARN: Self = Self(2);
    /// Something of interest happened.
    pub const INFO: Self = Self(3);
    /// For developers.
    pub const DEBUG: Self = Self(4);
    /// For developers who look closely.
    pub const TRACE: Self = Self(5);
}

/// One record. The texts live through the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// How important.
    pub level: Level,
    /// Who says so: a module path, usually.
    pub target: Text,
    /// What, with its fields.
    pub message: Text,
    /// The source file; empty if it is not known.
    pub file: Text,
    /// The line in it; 0 if it is not known.
    pub line: u32,
}

/// The program's sink for one plugin's records; from any thread, for ever.
#[repr(C)]
#[derive(Debug)]
pub struct Sink {
    context: *const (),
    is_enabled: unsafe extern "C" fn(*const (), Level) -> u32,
    write: unsafe extern "C" fn(*const (), *const Record),
}

// SAFETY: what the functions do with the context may be done on any thread (kept by the caller of `Sink::new`).
unsafe impl Sync for Sink {}
// SAFETY: as above.
unsafe impl Send for Sink {}

impl Sink {
    /// Puts one together.
    ///
    /// # Safety
    ///
    /// Both functions may be called with `context` on any thread for ever, and do not unwind.
    pub const unsafe fn new(
        context: *const (),
        is_enabled: unsafe extern "C" fn(*const (), Level) -> u32,
        write: unsafe extern "C" fn(*const (), *const Record),
    ) -> Self {
        Self {
            context,
            is_enabled,
            write,
        }
    }

    /// Whether somebody wants records of this level: asked before one is formatted.
    pub fn is_enabled(&self, level: Level) -> bool {
        // SAFETY: kept by the caller of `new`.
        unsafe { (self.is_enabled)(self.context, level) != 0 }
    }

    /// Writes a record.
    pub fn write(&self, level: Level, target: &str, message: &str, place: Option<(&str, u32)>) {
        let text = |text: &str| Text {
            bytes: text.as_ptr(),
            len: text.len(),
        };
        let (file, line) = place.unwrap_or(("", 0));
        let record = Record {
            level,
            target: text(target),
            message: text(message),
            file: text(file),
            line,
        };
        // SAFETY: kept by the caller of `new`, and the record lives through the call.
        unsafe { (self.write)(self.context, &raw const record) };
    }
}

/// Takes the sink in; called once, when no constructor runs any more.
pub type Attach = extern "C" fn(&'static Sink);
