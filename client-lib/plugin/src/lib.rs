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
//! A crate that forbids `unsafe` may use the macro.

mod macros;
mod registry;

#[doc(hidden)]
pub mod __private {
    pub use crate::registry::push;
    pub use plugind_abi::note::{Identity, descriptor_len};
    pub use plugind_abi::registration::{Kind, Registration, Symbol, Text};
}
