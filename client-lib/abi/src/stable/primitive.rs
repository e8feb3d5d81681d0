//! What the language itself lays out: numbers, references, arrays, slices, tuples.

use std::cell::Cell;
use std::marker::PhantomData;
use std::num::NonZero;
use std::sync::atomic;

use super::StableType;
use crate::describe::{Field, Form, Name, Sort, Type};

macro_rules! numbers {
    ($($type:ty)*) => {$(
        // SAFETY: the language fixes the layout and the valid values of the type.
        unsafe impl StableType for $type {
            const NAME: &'static Name = &Name::of(stringify!($type), &[]);
            const TYPE: &'static Type = &Type::new::<Self>(Self::NAME, Sort::Library).folded();
        }
    )*};
}

numbers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool char }

macro_rules! like_numbers {
    ($($type:ty, $name:literal $(<$part:ty>)?;)*) => {$(
        // SAFETY: the library promises that the type has the layout of its number.
        unsafe impl StableType for $type {
            const NAME: &'static Name = &Name::of($name, &[$(<$part as StableType>::NAME)?]);
            const TYPE: &'static Type = &Type::new::<Self>(Self::NAME, Sort::Library)
                .with_fields(&[$(Field::part(<$part as StableType>::TYPE))?])
                .folded();
        }
    )*};
}

like_numbers! {
    NonZero<u8>, "NonZero"<u8>; NonZero<u16>, "NonZero"<u16>; NonZero<u32>, "NonZero"<u32>;
    NonZero<u64>, "NonZero"<u64>; NonZero<u128>, "NonZero"<u128>; NonZero<usize>, "NonZero"<usize>;
    NonZero<i8>, "NonZero"<i8>; NonZero<i16>, "NonZero"<i16>; NonZero<i32>, "NonZero"<i32>;
    NonZero<i64>, "NonZero"<i64>; NonZero<i128>, "NonZero"<i128>; NonZero<isize>, "NonZero"<isize>;
    atomic::AtomicBool, "AtomicBool"; atomic::AtomicU8, "AtomicU8"; atomic::AtomicU16, "AtomicU16";
    atomic::AtomicU32, "AtomicU32"; atomic::AtomicU64, "AtomicU64"; atomic::AtomicUsize, "AtomicUsize";
    atomic::AtomicI8, "AtomicI8"; atomic::AtomicI16, "AtomicI16"; atomic::AtomicI32, "AtomicI32";
    atomic::AtomicI64, "AtomicI64"; atomic::AtomicIsize, "AtomicIsize";
}

macro_rules! of_one {
    ($([$($bound:tt)*] $type:ty, $text:literal $form:ident, |$new:ident| $finish:expr;)*) => {$(
        // SAFETY: the language derives the layout from that of `T`, and promises it where `TYPE` is fixed.
        unsafe impl<T: StableType $($bound)*> StableType for $type {
            const NAME: &'static Name = &Name::in_form($text, Form::$form, const { &[T::NAME] });
            const TYPE: &'static Type = &{
                let $new = Type::new::<Self>(Self::NAME, Sort::Library)
                    .with_fields(const { &[Field::part(T::TYPE)] });
                $finish
            }
            .folded();
        }
    )*};
}

of_one! {
    // A pointer with a length has no promised layout.
    [+ ?Sized] &T, "&" Prefix, |new| new.with_repr("", size_of::<&T>() == size_of::<usize>()).a_reference(false);
    [+ ?Sized] &mut T, "&mut " Prefix, |new| new.with_repr("", size_of::<&T>() == size_of::<usize>()).a_reference(true);
    [+ ?Sized] PhantomData<T>, "PhantomData" Plain, |new| new;
    [] Cell<T>, "Cell" Plain, |new| new.a_cell();
}

// SAFETY: the elements follow each other.
unsafe impl<T: StableType> StableType for [T] {
    const NAME: &'static Name = &Name::in_form("[]", Form::Slice, const { &[T::NAME] });
    const TYPE: &'static Type = &Type::of_no_size(Self::NAME, align_of::<T>())
        .with_fields(const { &[Field::part(T::TYPE)] })
        .folded();
}

// SAFETY: bytes of UTF-8.
unsafe impl StableType for str {
    const NAME: &'static Name = &Name::of("str", &[]);
    const TYPE: &'static Type = &Type::of_no_size(Self::NAME, 1).folded();
}

// SAFETY: the elements follow each other.
unsafe impl<T: StableType, const N: usize> StableType for [T; N] {
    const NAME: &'static Name = &Name::in_form("[;]", Form::Array(N), const { &[T::NAME] });
    const TYPE: &'static Type = &Type::new::<Self>(Self::NAME, Sort::Library)
        .with_fields(const { &[Field::part(T::TYPE)] })
        .folded();
}

// SAFETY: nothing has one layout.
unsafe impl StableType for () {
    const NAME: &'static Name = &Name::in_form("()", Form::Tuple, &[]);
    const TYPE: &'static Type = &Type::new::<Self>(Self::NAME, Sort::Library).folded();
}

macro_rules! tuples {
    ($(($($part:ident $index:tt),*);)*) => {$(
        // SAFETY: sizes and offsets are folded, and the layout is the compiler's.
        unsafe impl<$($part: StableType),*> StableType for ($($part,)*) {
            const NAME: &'static Name = &Name::in_form("(,)", Form::Tuple, const { &[$($part::NAME),*] });
            const TYPE: &'static Type = &Type::new::<Self>(Self::NAME, Sort::Library)
                .with_fields(const {
                    &[$(Field::at(stringify!($index), std::mem::offset_of!(Self, $index), $part::TYPE)),*]
                })
                .by_compiler()
                .folded();
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
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
}
