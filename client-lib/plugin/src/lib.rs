//! What a plugin depends on.
//!
//! ```
//! extern "C" fn answer() -> i64 {
//!     42
//! }
//! static LIVES: i64 = 3;
//!
//! plugind_plugin::register! { answer, static LIVES }
//! # fn main() {}
//! ```
//!
//! That is a whole plugin. Its name and its semantic version are those of its own package. When a program opens it,
//! a constructor records the version and its functions by itself; the program prefers the newest.
//!
//! A contract's implementation is registered by `#[plugin]` of `plugind-macros` instead, whose expansion uses this crate.
//!
//! A crate that forbids `unsafe` may use both.
//!
//! With the features `log` and `tracing` what the plugin logs through these crates reaches the program's `tracing`
//! subscriber, under the target `plugind::plugin` with the plugin's name and version. Nothing is formatted that nobody
//! wants.
//!
//! All versions of a plugin allocate from the system, so that a state may be freed by another version than made it. A
//! plugin with a `#[global_allocator]` of its own asks for the feature `own_allocator` and says
//! `#[plugin(own_allocator)]`; no state of it is handed to another version. Cargo builds one `plugind-plugin` for all
//! plugins of one build: the others in that build lose theirs too.
//!
//! With the feature `static` the plugin is part of a program that is given to others: it declares no allocator, and the
//! program finds it by `plugind_client::link!`.

#[cfg(not(any(feature = "static", feature = "own_allocator")))]
use std::alloc::System;

mod features;
#[cfg(any(feature = "log", feature = "tracing"))]
mod logs;
mod macros;
mod registry;

/// A state that one version made is dropped by a later one, so all versions allocate from one place. A plugin that brings
/// an allocator of its own does not compile, unless it gives that up.
#[cfg(not(any(feature = "static", feature = "own_allocator")))]
#[global_allocator]
static ALLOCATOR: System = System;

#[doc(hidden)]
pub mod __private {
    pub use crate::registry::push;
    pub use plugind_abi::contract::{Contract, Implementation, ImplementedBy};
    pub use plugind_abi::describe::{Contract as Description, Type, contract_len};
    use plugind_abi::note;
    pub use plugind_abi::note::{Identity, Note};
    pub use plugind_abi::registration::{Kind, Registration, Symbol, Text};

    /// Where this crate declares no allocator, whatever the reason, the plugin may have one.
    const OWN_ALLOCATOR: bool = cfg!(any(feature = "static", feature = "own_allocator"));

    /// What its notes say of that.
    pub const ALLOCATOR: &str = if OWN_ALLOCATOR {
        note::OWN_ALLOCATOR
    } else {
        note::SYSTEM_ALLOCATOR
    };

    /// What a plugin registers for a contract.
    pub const fn implementation<C: ImplementedBy<P> + ?Sized, P>() -> Implementation {
        Implementation::of::<C, P>().allocating(OWN_ALLOCATOR)
    }
}
