//! Hands a plugin the program's sink for its log records.

use std::panic::{AssertUnwindSafe, catch_unwind};

use plugind_abi::log::{Level, Record, Sink};
use plugind_abi::registration::Text;

use crate::open::Image;

/// Takes in a plugin's log records, on any thread.
pub trait LogSink: Send + Sync {
    /// Whether somebody wants records of this level.
    fn is_enabled(&self, level: Level) -> bool;
    /// Takes a record in.
    fn write(&self, record: &LogRecord);
}

/// One record of a plugin.
#[derive(Debug)]
pub struct LogRecord {
    /// How important.
    pub level: Level,
    /// Who says so.
    pub target: String,
    /// What, with its fields.
    pub message: String,
    /// Where in the source.
    pub place: Option<(String, u32)>,
}

type Context = Box<dyn LogSink>;

impl Image {
    /// Has the plugin's records go to `sink`, if it forwards them. What is attached first stays.
    pub fn attach_logs(&self, sink: impl LogSink + 'static) {
        let Some(attach) = self.attach else { return };
        self.logs.get_or_init(|| {
            let context: Context = Box::new(sink);
            let context: &'static Context = Box::leak(Box::new(context));
            // SAFETY: the context is of the functions' type, lives for ever and may be used on any thread; neither
            // function unwinds.
            let sink = unsafe { Sink::new(std::ptr::from_ref(context).cast(), is_enabled, write) };
            attach(Box::leak(Box::new(sink)));
        });
    }
}

unsafe extern "C" fn is_enabled(context: *const (), level: Level) -> u32 {
    // SAFETY: the context is the one that was handed out (kept by `attach_logs`).
    let sink = unsafe { &*context.cast::<Context>() };
    // A panic of the program's subscriber must not unwind into the plugin.
    let enabled = catch_unwind(AssertUnwindSafe(|| sink.is_enabled(level)));
    u32::from(enabled.unwrap_or(false))
}

unsafe extern "C" fn write(context: *const (), record: *const Record) {
    // SAFETY: as above.
    let sink = unsafe { &*context.cast::<Context>() };
    // SAFETY: the record lives through the call (kept by `Sink::write`, which alone calls this).
    let record = unsafe { &*record };
    // SAFETY: as above, and so do its texts.
    let text = |text: Text| unsafe { text.lossy() };
    let record = LogRecord {
        level: record.level,
        target: text(record.target),
        message: text(record.message),
        place: (record.file.len > 0).then(|| (text(record.file), record.line)),
    };
    let _ = catch_unwind(AssertUnwindSafe(|| sink.write(&record)));
}
