//! Which types may cross the boundary, and how two builds find out that they mean the same by them.

#[cfg(feature = "glam")]
mod glam;
mod library;
mod primitive;
mod shared;
#[cfg(feature = "uuid")]
mod uuid;

use crate::describe::{Name, Type};
use crate::host::Offered;

/// A type whose layout two builds can compare.
///
/// Derive it. Two builds may exchange values of a type only if their [`FINGERPRINT`](Self::FINGERPRINT)s are equal,
/// and, unless the layout is [`FIXED`](Self::FIXED), if the same compiler made both.
///
/// # Safety
///
/// Two types with equal fingerprints, compiled by the same compiler for the same target, must have the same layout and
/// accept the same bytes; if `FIXED` is true, also when different compilers made them. What `TYPE` says of owned and
/// shared memory must be true.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross a plugin's boundary",
    label = "no `StableType`",
    note = "derive it: `#[derive(StableType)]` from `plugind_macros`, on the type and on the types of its fields",
    note = "for a field of a foreign type: `#[stable_type(unsafe_opaque = \"why its layout is the same in two builds\")]`",
    note = "trait objects and function pointers never can: they point into one version's code"
)]
pub unsafe trait StableType {
    /// The type's name.
    const NAME: &'static Name;
    /// What it looks like.
    const TYPE: &'static Type;
    /// What can be called through a value; nothing, but for the programs' objects that `#[host]` makes.
    const OFFERED: Offered = Offered::none();
    /// Folds everything that must be equal.
    const FINGERPRINT: u128 = Self::TYPE.print;
    /// True if a value may own memory of the allocator of the side that made it. Such a value is cloned or shared, and
    /// never handed over to be changed.
    const OWNS: bool = Self::TYPE.owns;
    /// True if the layout is fixed by `repr(C)` and primitives, false if by the compiler.
    const FIXED: bool = Self::TYPE.fixed;
}
