//! `uuid`: sixteen bytes, as the crate promises by `repr(transparent)`.

use super::StableType;
use crate::describe::{Name, Sort, Type};

// SAFETY: the crate promises the layout of its bytes.
unsafe impl StableType for ::uuid::Uuid {
    const NAME: &'static Name = &Name::of("Uuid", &[]);
    const TYPE: &'static Type = &Type::new::<Self>(Self::NAME, Sort::Library).folded();
}
