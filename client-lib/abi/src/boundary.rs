//! The panic boundary: a panic ends the call, not the process.
//!
//! Each image has its own standard library, and none can catch another's panic. So each side catches its own: a shim in
//! the plugin turns a panic into a [`Status`] and fills a [`Report`] that the program made; and the other way round where
//! a plugin calls a function that the program offers.

use std::any::Any;
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use crate::hook;
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
#[derive(Clone, PartialEq, Eq)]
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

/// The sentence, for a `main` that returns it.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Fault {}

/// Who hears of panics that end no call.
static LOST: OnceLock<fn(Fault)> = OnceLock::new();

/// Has this image's panics told that end no call, because a state or a result was being dropped. The first who asks
/// hears of them; before that they are written to stderr.
pub fn hear_lost(hear: fn(Fault)) {
    let _ = LOST.set(hear);
}

/// Tells of a panic that ends no call.
#[cold]
pub(crate) fn lost(fault: Fault) {
    match LOST.get() {
        Some(hear) => hear(fault),
        None => eprintln!("{fault}"),
    }
}

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

    /// What a panic said, and where it was.
    pub(crate) fn told(self) -> (String, Option<String>) {
        let nothing = || ("it is not known why".to_owned(), None);
        self.told.map_or_else(nothing, |told| *told)
    }

    /// What was told, as an error.
    pub fn into_fault(self, plugin: &str, version: u64, function: &'static str) -> Fault {
        let (message, location) = self.told();
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

/// How a call ended, and a result that fits into a register; a larger one lies where the calling side made room.
#[repr(C)]
pub struct Returned {
    status: Status,
    word: MaybeUninit<u64>,
}

/// Whether results of this type fit into [`Returned`]. Both sides know the type's layout, so both say the same.
const fn fits<T>() -> bool {
    size_of::<T>() <= size_of::<u64>() && align_of::<T>() <= align_of::<u64>()
}

impl Returned {
    /// How the call ended.
    #[inline]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The result of a call that had `room` for it. Written if the status is [`Status::OK`].
    #[inline]
    pub fn result<T>(mut self, room: MaybeUninit<T>) -> MaybeUninit<T> {
        if !fits::<T>() {
            return room;
        }
        // SAFETY: the word is as large and as aligned, and any bytes are a `MaybeUninit`.
        unsafe { self.place::<T>().cast::<MaybeUninit<T>>().read() }
    }

    #[inline]
    fn place<T>(&mut self) -> *mut T {
        (&raw mut self.word).cast()
    }
}

/// Runs the called side's code and writes its result. A panic is told to `report` and ends here.
///
/// The function that calls this lies in the section `plugind_shims` and is not inlined, and this is: by that function's
/// frame the panic hook knows that a panic will be told.
///
/// # Safety
///
/// `report` points to the report that the calling side made for this call, and `room` to room for a result that does not
/// fit into [`Returned`].
#[inline(always)]
pub unsafe fn guard<T>(report: *mut Report, room: *mut T, body: impl FnOnce() -> T) -> Returned {
    hook::install();
    let mut returned = Returned {
        status: Status::OK,
        word: MaybeUninit::uninit(),
    };
    let place = if fits::<T>() { returned.place() } else { room };
    // SAFETY: there is room (kept by `fits`, or by the caller).
    let result = catch_unwind(AssertUnwindSafe(|| unsafe { place.write(body()) }));
    if let Err(payload) = result {
        // SAFETY: kept by the caller.
        unsafe { tell(report, payload) };
        returned.status = Status::PANICKED;
    }
    returned
}

/// Tells what a panic said and where it was.
///
/// # Safety
///
/// As that of [`guard`].
#[cold]
#[inline(never)]
unsafe fn tell(report: *mut Report, payload: Box<dyn Any + Send>) {
    let in_program = payload.downcast_ref::<InProgram>();
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
    let place = hook::last_place().filter(|place| place.said(message));
    let (file, line, column) = match (in_program, &place) {
        (Some(InProgram { location, .. }), _) => (location.as_bytes(), 0, 0),
        (None, Some(place)) => (place.file(), place.line, place.column),
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
    // The value's own drop may panic; what it holds is lost then, and nothing else. Nobody else would say so.
    hook::print(|| {
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // Its drop may panic as well, and there is no end to that.
            std::mem::forget(second);
        }
    });
}
