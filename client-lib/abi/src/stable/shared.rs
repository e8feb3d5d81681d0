//! Types through which memory is shared: counted pointers, cells and locks. They live in states, where all versions
//! have one allocator; a function may take or give none that owns memory, because either side could be the one that
//! frees or grows it.

use std::cell::RefCell;
use std::rc::{self, Rc};
use std::sync::{self, Arc, Mutex, RwLock};

use super::StableType;
use crate::describe::{Field, Name, Sort, Type};

macro_rules! shared {
    ($([$($bound:tt)*] $type:ty, $name:literal .$how:ident();)*) => {$(
        // SAFETY: the layout follows from that of `T` and from the library of the compiler, and the type is not fixed.
        unsafe impl<T: StableType $($bound)*> StableType for $type {
            const NAME: &'static Name = &Name::of($name, const { &[T::NAME] });
            const TYPE: &'static Type = &Type::new::<Self>(Self::NAME, Sort::Library)
                .with_fields(const { &[Field::part(T::TYPE)] })
                .by_compiler()
                .$how()
                .folded();
        }
    )*};
}

shared! {
    [+ ?Sized] Rc<T>, "Rc".shared();
    [+ ?Sized] Arc<T>, "Arc".shared();
    [] rc::Weak<T>, "rc::Weak".shared();
    [] sync::Weak<T>, "sync::Weak".shared();
    [] RefCell<T>, "RefCell".a_cell();
    [] Mutex<T>, "Mutex".a_cell();
    [] RwLock<T>, "RwLock".a_cell();
}
