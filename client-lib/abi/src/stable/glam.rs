//! `glam`: vectors, quaternions and matrices of the one release that this crate depends on. Some are a register of the
//! processor, so sizes and alignments are folded and the compilers must be equal.

use super::StableType;
use crate::describe::{Name, Sort, Type};

macro_rules! glam {
    ($($type:ident)*) => {$(
        // SAFETY: plain numbers in the order of the crate's documentation, in one release; the type is not fixed.
        unsafe impl StableType for ::glam::$type {
            const NAME: &'static Name = &Name::of(concat!("glam::", stringify!($type)), &[]);
            const TYPE: &'static Type =
                &Type::new::<Self>(Self::NAME, Sort::Library).by_compiler().folded();
        }
    )*};
}

glam! {
    Vec2 Vec3 Vec3A Vec4 Quat Mat2 Mat3 Mat3A Mat4 Affine2 Affine3A
    DVec2 DVec3 DVec4 DQuat DMat2 DMat3 DMat4 DAffine2 DAffine3
    IVec2 IVec3 IVec4 UVec2 UVec3 UVec4 BVec2 BVec3 BVec4
}
