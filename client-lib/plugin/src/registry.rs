//! The plugin's own list of registrations, and the one function that hands it out.
//!
//! Every image links its own copy of this crate, so every version has a list of its own.

use plugind_abi::registration::{Registration, Registry};

#[cfg(any(feature = "log", feature = "tracing"))]
static REGISTRY: Registry = Registry::new(Some(crate::logs::attach));
#[cfg(not(any(feature = "log", feature = "tracing")))]
static REGISTRY: Registry = Registry::new(None);

/// Records one `register!`; called by its constructor, under the loader's lock.
pub fn push(node: &'static Registration) {
    REGISTRY.push(node);
}

// SAFETY: the name belongs to plugind, and a plugin that defines it again fails to link (kept by the linker).
#[unsafe(no_mangle)]
extern "C" fn plugind_registry() -> *const Registry {
    &REGISTRY
}
