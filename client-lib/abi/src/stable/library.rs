//! Types of the standard library: the layout is the compiler's and its library's.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::StableType;
use crate::describe::{Field, Name, Sort, Type};

macro_rules! library {
    ($($type:ty, $name:literal <$($part:ident $(($unsized:tt))?),*> $(.$how:ident())*;)*) => {$(
        // SAFETY: the layout follows from that of the arguments and from the library of the compiler, and the type is
        // not fixed.
        unsafe impl<$($part: StableType $(+ $unsized Sized)?),*> StableType for $type {
            const NAME: &'static Name = &Name::of($name, const { &[$($part::NAME),*] });
            const TYPE: &'static Type = &Type::new::<Self>(Self::NAME, Sort::Library)
                .with_fields(const { &[$(Field::part($part::TYPE)),*] })
                .by_compiler()
                $(.$how())*
                .folded();
        }
    )*};
}

library! {
    String, "String"<>.owning();
    PathBuf, "PathBuf"<>.owning();
    Duration, "Duration"<>;
    Instant, "Instant"<>;
    SystemTime, "SystemTime"<>;
    RangeFull, "RangeFull"<>;
    Option<T>, "Option"<T>;
    Result<T, E>, "Result"<T, E>;
    Box<T>, "Box"<T(?)>.owning();
    Vec<T>, "Vec"<T>.owning();
    VecDeque<T>, "VecDeque"<T>.owning();
    BinaryHeap<T>, "BinaryHeap"<T>.owning();
    HashSet<T>, "HashSet"<T>.owning();
    BTreeSet<T>, "BTreeSet"<T>.owning();
    HashMap<K, V>, "HashMap"<K, V>.owning();
    BTreeMap<K, V>, "BTreeMap"<K, V>.owning();
    Range<T>, "Range"<T>;
    RangeFrom<T>, "RangeFrom"<T>;
    RangeTo<T>, "RangeTo"<T>;
    RangeInclusive<T>, "RangeInclusive"<T>;
    RangeToInclusive<T>, "RangeToInclusive"<T>;
}

// SAFETY: as above.
unsafe impl<T: StableType + ToOwned<Owned: StableType> + ?Sized> StableType for Cow<'_, T> {
    const NAME: &'static Name = &Name::of("Cow", const { &[T::NAME] });
    const TYPE: &'static Type = &{
        let new = Type::new::<Self>(Self::NAME, Sort::Library);
        let new = new.with_fields(const { &[Field::part(<T::Owned as StableType>::TYPE)] });
        let mut new = new.by_compiler();
        new.borrows = true;
        new
    }
    .folded();
}
