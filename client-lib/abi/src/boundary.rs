//! The panic boundary: a panic ends the call, not the process.
//!
//! Each image has its own standard library, and none can catch another's panic. So each side catches its own: a shim in
//! the plugin turns a panic into a [`Status`] and fills a [`Report`] that the program made; and the other way round where
//! a plugin calls a function that the program offers.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::registration::Text;

/// How a call ended.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(u32);

impl Status {
    /// With a result.
    pub const OK: Self = Self(0);
    /// With a panic.
    pub const PANICKED: Self = Self(1);
}

/// A call that ended with a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The plugin's name.
    pub plugin: String,
    /// The version's number.
    pub version: u64,
    /// The function that was called.
    pub function: &'static str,
    /// What the panic said.
    pub message: String,
    /// Where it was, as `file:line:column`.
    pub location: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            plugin,
            version,
            function,
            message,
            location,
        } = self;
        write!(f, "{plugin} v{version} panicked in `{function}`: {message}")?;
        match location {
            Some(location) => write!(f, " ({location})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// Where the called side says what happened; made and read by the calling side.
#[repr(C)]
pub struct Report {
    tell: unsafe extern "C" fn(*mut Report, Text, Text, u32, u32),
    // Only the calling side looks below.
    told: Option<Box<(String, Option<String>)>>,
}

impl Report {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it is made for one call")]
    #[inline]
    pub const fn new() -> Self {
        Self {
            tell: Self::take,
            told: None,
        }
    }

    /// Runs in the calling side's image, so that the strings are made where they are dropped.
    unsafe extern "C" fn take(
        report: *mut Report,
        message: Text,
        file: Text,
        line: u32,
        column: u32,
    ) {
        // SAFETY: the texts live through the call (kept by `guard`).
        let text = |text: Text| unsafe { text.lossy() };
        let location = (file.len > 0).then(|| match line {
            // It was told from one side to the other before.
            0 => text(file),
            line => format!("{}:{line}:{column}", text(file)),
        });
        // SAFETY: the report is the one that was made for this call (kept by `guard`).
        unsafe { (*report).told = Some(Box::new((text(message), location))) };
    }

    /// Ends this plugin's call, because a function of the program, which it called, panicked. Unwinds, up to [`guard`],
    /// as the plugin's own panic would.
    pub(crate) fn end_call(self, function: &'static str) -> ! {
        let (message, location) = self.told.map_or_else(
            || ("the program did not say why".to_owned(), None),
            |told| *told,
        );
        resume_unwind(Box::new(InProgram {
            message: format!("the program's `{function}` panicked: {message}"),
            location: location.unwrap_or_default(),
        }))
    }

    /// What was told, as an error.
    pub fn into_fault(self, plugin: &str, version: u64, function: &'static str) -> Fault {
        let (message, location) = self.told.map_or_else(
            || ("the plugin did not say why".to_owned(), None),
            |told| *told,
        );
        Fault {
            plugin: plugin.to_owned(),
            version,
            function,
            message,
            location,
        }
    }
}

/// What unwinds through a plugin when a function of the program, which it called, panicked.
struct InProgram {
    message: String,
    location: String,
}

/// Where the last panic of this thread was. Without a destructor: one would take the loader's lock when it is
/// registered.
#[derive(Clone, Copy)]
struct Place {
    file: [u8; 200],
    len: usize,
    line: u32,
    column: u32,
}

thread_local! {
    static INSIDE: Cell<u32> = const { Cell::new(0) };
    static LAST: Cell<Option<Place>> = const { Cell::new(None) };
}

/// Runs the called side's code. A panic is told to `report` and ends here.
///
/// # Safety
///
/// `report` points to the report that the calling side made for this call.
pub unsafe fn guard(report: *mut Report, body: impl FnOnce()) -> Status {
    install();
    INSIDE.set(INSIDE.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(body));
    INSIDE.set(INSIDE.get() - 1);
    let Err(payload) = result else {
        return Status::OK;
    };
    let (place, in_program) = (LAST.take(), payload.downcast_ref::<InProgram>());
    let message: &str = match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
        in_program,
    ) {
        (Some(message), _, _) => message,
        (_, Some(message), _) => message,
        (_, _, Some(InProgram { message, .. })) => message,
        (None, None, None) => "a value that is no text",
    };
    let (file, line, column) = match (in_program, &place) {
        (Some(InProgram { location, .. }), _) => (location.as_bytes(), 0, 0),
        (None, Some(place)) => (&place.file[..place.len], place.line, place.column),
        (None, None) => (&[][..], 0, 0),
    };
    let file = Text {
        bytes: file.as_ptr(),
        len: file.len(),
    };
    let message = Text {
        bytes: message.as_ptr(),
        len: message.len(),
    };
    // SAFETY: the report is valid (kept by the caller).
    let tell = unsafe { (*report).tell };
    // SAFETY: as above, and both texts live until the call returns.
    unsafe { tell(report, message, file, line, column) };
    // The value's own drop may panic; what it holds is lost then, and nothing else.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its drop may panic as well, and there is no end to that.
        std::mem::forget(second);
    }
    Status::PANICKED
}

/// Makes this image's panics inside a guarded call say where they are instead of writing to stderr.
fn install() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if INSIDE.get() == 0 {
                before(info);
                return;
            }
            let place = info.location().map(|location| {
                let name = location.file().as_bytes();
                let mut place = Place {
                    file: [0; 200],
                    len: name.len().min(200),
                    line: location.line(),
                    column: location.column(),
                };
                // A long path keeps its end, which tells more.
                let from = name.len() - place.len;
                place.file[..place.len].copy_from_slice(&name[from..]);
                place
            });
            LAST.set(place);
        }));
    });
}
