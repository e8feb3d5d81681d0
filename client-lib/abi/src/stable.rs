//! Which types may cross the boundary, and how two builds find out that they mean the same by them.

use std::num::NonZero;
use std::time::Duration;

use crate::fingerprint::Fingerprint;
use crate::host::Offered;

/// A type whose layout two builds can compare.
///
/// Derive it. Two builds may exchange values of a type only if their [`FINGERPRINT`](Self::FINGERPRINT)s are equal,
/// and, unless the layout is [`FIXED`](Self::FIXED), if the same compiler made both.
///
/// # Safety
///
/// Two types with equal fingerprints, compiled by the same compiler for the same target, must have the same layout and
/// accept the same bytes; if `FIXED` is true, also when different compilers made them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross a plugin's boundary",
    label = "no `StableType`",
    note = "derive it: `#[derive(StableType)]` from `plugind_macros`, on the type and on the types of its fields"
)]
pub unsafe trait StableType {
    /// Folds names, offsets, sizes and the fingerprints of what is inside.
    const FINGERPRINT: u128;
    /// True if a value may own memory of the allocator of the side that made it. Such a value is cloned or shared, and
    /// never handed over to be changed.
    const OWNS: bool;
    /// The type's name, for people.
    const NAME: &'static str = "a state";
    /// What can be called through a value; nothing, but for the programs' objects that `#[host]` makes.
    const OFFERED: Offered = Offered::none();
    /// True if the layout is fixed by `repr(C)` and primitives, false if by the compiler.
    const FIXED: bool;
}

/// The fingerprint of a type by its name, size and alignment, for types whose name says everything.
const fn named<T>(name: &str) -> u128 {
    Fingerprint::new()
        .text(name)
        .number(size_of::<T>() as u128)
        .number(align_of::<T>() as u128)
        .finish()
}

macro_rules! primitives {
    ($($type:ty)*) => {$(
        // SAFETY: the language fixes the layout and the valid values of the type.
        unsafe impl StableType for $type {
            const FINGERPRINT: u128 = named::<$type>(stringify!($type));
            const NAME: &'static str = stringify!($type);
            const FIXED: bool = true;
            const OWNS: bool = false;
        }
    )*};
}

primitives! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool char }

// SAFETY: nothing has one layout.
unsafe impl StableType for () {
    const FINGERPRINT: u128 = named::<()>("()");
    const FIXED: bool = true;
    const OWNS: bool = false;
}

macro_rules! of_one {
    ($($name:literal $type:ty, $fixed:expr, $owns:expr;)*) => {$(
        // SAFETY: the layout follows from that of `T` and from the library of the compiler, unless it is fixed by the
        // language.
        unsafe impl<T: StableType> StableType for $type {
            const FINGERPRINT: u128 = Fingerprint::new()
                .text($name)
                .number(size_of::<$type>() as u128)
                .number(T::FINGERPRINT)
                .finish();
            const NAME: &'static str = stringify!($type);
            const FIXED: bool = $fixed && T::FIXED;
            const OWNS: bool = $owns;
        }
    )*};
}

of_one! {
    "Option" Option<T>, false, T::OWNS;
    "Vec" Vec<T>, false, true;
    "Box" Box<T>, false, true;
    "VecDeque" std::collections::VecDeque<T>, false, true;
    "HashSet" std::collections::HashSet<T>, false, true;
    "BTreeSet" std::collections::BTreeSet<T>, false, true;
    "&" &T, true, false;
    "&mut" &mut T, true, T::OWNS;
    "&[]" &[T], false, false;
    "&mut []" &mut [T], false, T::OWNS;
}

// SAFETY: an array's layout follows from that of its element.
unsafe impl<T: StableType, const N: usize> StableType for [T; N] {
    const FINGERPRINT: u128 = Fingerprint::new()
        .text("array")
        .number(N as u128)
        .number(T::FINGERPRINT)
        .finish();
    const FIXED: bool = T::FIXED;
    const OWNS: bool = T::OWNS;
}

macro_rules! by_compiler {
    ($($name:literal $type:ty, $owns:expr;)*) => {$(
        // SAFETY: the layout is the compiler's and its library's.
        unsafe impl StableType for $type {
            const FINGERPRINT: u128 = named::<$type>($name);
            const NAME: &'static str = $name;
            const FIXED: bool = false;
            const OWNS: bool = $owns;
        }
    )*};
}

by_compiler! {
    "String" String, true;
    "&str" &str, false;
    "Duration" Duration, false;
    "PathBuf" std::path::PathBuf, true;
}

macro_rules! of_two {
    ($($name:literal $type:ty, $owns:expr;)*) => {$(
        // SAFETY: the layout follows from that of both and from the library of the compiler.
        unsafe impl<A: StableType, B: StableType> StableType for $type {
            const FINGERPRINT: u128 = Fingerprint::new()
                .text($name)
                .number(size_of::<$type>() as u128)
                .number(A::FINGERPRINT)
                .number(B::FINGERPRINT)
                .finish();
            const NAME: &'static str = stringify!($type);
            const FIXED: bool = false;
            const OWNS: bool = $owns;
        }
    )*};
}

of_two! {
    "Result" Result<A, B>, A::OWNS || B::OWNS;
    "HashMap" std::collections::HashMap<A, B>, true;
    "BTreeMap" std::collections::BTreeMap<A, B>, true;
}

macro_rules! non_zero {
    ($($type:ty)*) => {$(
        // SAFETY: `NonZero` has the layout of its number, and zero is no value of it.
        unsafe impl StableType for NonZero<$type> {
            const FINGERPRINT: u128 = named::<$type>(concat!("NonZero<", stringify!($type), ">"));
            const FIXED: bool = true;
            const OWNS: bool = false;
        }
    )*};
}

non_zero! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

macro_rules! tuples {
    ($(($($part:ident $index:tt),*);)*) => {$(
        // SAFETY: sizes and offsets are folded, and the layout is the compiler's.
        unsafe impl<$($part: StableType),*> StableType for ($($part,)*) {
            const FINGERPRINT: u128 = Fingerprint::new()
                .text("tuple")
                .number(size_of::<Self>() as u128)
                $(.number(std::mem::offset_of!(Self, $index) as u128).number($part::FINGERPRINT))*
                .finish();
            const FIXED: bool = false;
            const OWNS: bool = false $(|| $part::OWNS)*;
        }
    )*};
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
}
