//! The registration: what a plugin's constructors record inside the plugin while it is being opened.
//!
//! A constructor runs under the loader's lock. It only links a static [`Registration`] into the plugin's own
//! [`Registry`]; it allocates nothing, takes no lock and cannot panic. After the open has returned, the program calls
//! the exported entry [`ENTRY`] and walks the list.
//!
//! The dynamic linker runs constructors in an order that nobody promises; a reader sorts.

use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::contract::Implementation;
use crate::log::Attach;

/// The version of these types. A reader looks at [`Registry::abi`] before it looks at anything else.
pub const ABI: u32 = 6;

/// The name of the one function that a plugin exports for plugind.
pub const ENTRY: &CStr = c"plugind_registry";

/// The type of [`ENTRY`]. What it returns lives as long as the image is mapped.
pub type Entry = extern "C" fn() -> *const Registry;

/// A UTF-8 string in the plugin's own read-only data.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// First byte.
    pub bytes: *const u8,
    /// Length in bytes.
    pub len: usize,
}

impl Text {
    /// Borrows a string that lives for ever.
    pub const fn new(text: &'static str) -> Self {
        Self {
            bytes: text.as_ptr(),
            len: text.len(),
        }
    }

    /// A copy; what is not UTF-8 is replaced.
    ///
    /// # Safety
    ///
    /// `len` bytes can be read at `bytes`.
    pub unsafe fn lossy(self) -> String {
        // SAFETY: kept by the caller.
        let bytes = unsafe { core::slice::from_raw_parts(self.bytes, self.len) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// What a [`Symbol`] names.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u32);

impl Kind {
    /// An `extern "C"` function.
    pub const FUNCTION: Self = Self(1);
    /// A static.
    pub const VARIABLE: Self = Self(2);
}

/// One registered name and its address.
#[repr(C)]
pub struct Symbol {
    /// The name that a program looks up.
    pub name: Text,
    /// Function or variable.
    pub kind: Kind,
    /// Where it is.
    pub address: *const (),
}

// SAFETY: the fields are written at compile time and only read afterwards; the strings and addresses they name belong
// to the image, which is never unmapped (kept by the loader, which never closes).
unsafe impl Sync for Symbol {}

/// One `register!` of a plugin.
#[repr(C)]
pub struct Registration {
    next: AtomicPtr<Registration>,
    /// The plugin's name.
    plugin: Text,
    /// The plugin's semantic version.
    semver: Text,
    /// The first of `count` symbols.
    symbols: *const Symbol,
    /// How many symbols there are.
    count: usize,
    /// A contract that the plugin implements, or null.
    implementation: *const Implementation,
    /// The compiler and target that built the plugin.
    toolchain: Text,
}

// SAFETY: `next` is atomic and everything else is written at compile time and only read afterwards; `symbols` points
// to a static of the same image (kept by `Registration::new`, which borrows it for 'static).
unsafe impl Sync for Registration {}

impl Registration {
    /// A node that is in no list yet.
    pub const fn new(
        plugin: &'static str,
        semver: &'static str,
        symbols: &'static [Symbol],
    ) -> Self {
        Self {
            next: AtomicPtr::new(core::ptr::null_mut()),
            plugin: Text::new(plugin),
            semver: Text::new(semver),
            symbols: symbols.as_ptr(),
            count: symbols.len(),
            implementation: core::ptr::null(),
            toolchain: Text::new(crate::TOOLCHAIN),
        }
    }

    /// The same node with a contract that the plugin implements.
    #[must_use]
    pub const fn implementing(mut self, implementation: &'static Implementation) -> Self {
        self.implementation = implementation;
        self
    }

    /// The plugin's name.
    pub fn plugin(&self) -> Text {
        self.plugin
    }

    /// The plugin's semantic version.
    pub fn semver(&self) -> Text {
        self.semver
    }

    /// The compiler and target that built the plugin.
    pub fn toolchain(&self) -> Text {
        self.toolchain
    }

    /// What it registers by name.
    pub fn symbols(&'static self) -> &'static [Symbol] {
        // SAFETY: pointer and length come from one static slice (kept by `new`, which alone makes nodes).
        unsafe { core::slice::from_raw_parts(self.symbols, self.count) }
    }

    /// A contract that the plugin implements.
    pub fn implementation(&self) -> Option<&'static Implementation> {
        // SAFETY: null, or a static of the image (kept by `implementing`).
        unsafe { self.implementation.as_ref() }
    }

    /// The node that was pushed before this one, or null.
    pub fn next(&self) -> *const Registration {
        self.next.load(Ordering::Acquire)
    }
}

/// The list of an image's registrations.
#[repr(C)]
pub struct Registry {
    /// [`ABI`] of the plugin's build; first, so that every later layout can still be told apart.
    pub abi: u32,
    head: AtomicPtr<Registration>,
    /// Takes in a sink for the plugin's log records, if it forwards them.
    pub attach_logs: Option<Attach>,
}

impl Registry {
    /// An empty list.
    pub const fn new(attach_logs: Option<Attach>) -> Self {
        Self {
            abi: ABI,
            head: AtomicPtr::new(core::ptr::null_mut()),
            attach_logs,
        }
    }

    /// Links `node` in front. Called once per node, from the node's own constructor; a node that is already in the
    /// list would close it to a ring, which a reader must bound.
    pub fn push(&self, node: &'static Registration) {
        let node_ptr = core::ptr::from_ref(node).cast_mut();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            node.next.store(head, Ordering::Relaxed);
            match self.head.compare_exchange_weak(
                head,
                node_ptr,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// The node pushed last, or null.
    pub fn first(&self) -> *const Registration {
        self.head.load(Ordering::Acquire)
    }
}
