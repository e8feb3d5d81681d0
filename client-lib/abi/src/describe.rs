//! What types, functions and contracts look like: one description, from which the fingerprint is folded and which a
//! plugin writes into its file. So two builds that differ can be told apart by a number and explained field by field.
//!
//! Everything is made at compile time and holds nothing but `&'static` data. A recursive type names itself by a marker
//! ([`Sort::Named`]), which ends the tree.

mod function;
mod name;
mod types;
mod write;

pub use function::{Argument, Contract, Function};
pub use name::{Form, Name};
pub use write::{Writer, contract_len, write_contract};

use crate::TOOLCHAIN;
use crate::fingerprint::Fingerprint;

/// What kind of type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Sort {
    /// Of the language or its library; a field without name and offset stands for each argument.
    Library = 0,
    /// A struct, with every field.
    Struct = 1,
    /// An enum, with every variant.
    Enum = 2,
    /// A foreign type whose layout somebody vouches for.
    Opaque = 3,
    /// Described elsewhere in the same tree.
    Named = 4,
    /// A program's object, through which a plugin calls.
    Host = 5,
}

/// What a type looks like.
#[derive(Debug, Clone, Copy)]
pub struct Type {
    /// Its name.
    pub name: &'static Name,
    /// What kind of type.
    pub sort: Sort,
    /// Bytes of a value; 0 of a slice.
    pub size: usize,
    /// Bytes to which a value is aligned.
    pub align: usize,
    /// The layout is decided by the language and `repr`, and by no compiler.
    pub fixed: bool,
    /// A value may own memory of the allocator of the side that made it. Such a value is cloned, and never handed over
    /// to be changed.
    pub owns: bool,
    /// Owned memory may change sides through a shared reference: by a clone that shares it, or from inside a cell.
    pub shares: bool,
    /// Has a program's object inside.
    pub lends: bool,
    /// Holds a reference.
    pub borrows: bool,
    /// Dropping a value does something.
    pub drops: bool,
    /// What stands in `repr`; of an opaque type, why its layout holds.
    pub repr: &'static str,
    /// In the order of the declaration.
    pub fields: &'static [Field],
    /// In the order of the declaration.
    pub variants: &'static [Variant],
    /// What can be called through it.
    pub offers: &'static [Function],
    /// Folds everything that must be equal in two builds of one compiler.
    pub print: u128,
}

/// A field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name, or its place as a number; empty for an argument of a library's type.
    pub name: &'static str,
    /// Where it lies; unknown inside a variant.
    pub offset: Option<usize>,
    /// Its type.
    pub ty: &'static Type,
}

/// One variant of an enum.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// Its number, if it is written.
    pub discriminant: Option<i128>,
    /// In the order of the declaration.
    pub fields: &'static [Field],
}

impl Field {
    /// A field of a struct.
    pub const fn at(name: &'static str, offset: usize, ty: &'static Type) -> Self {
        let offset = Some(offset);
        Self { name, offset, ty }
    }

    /// A field of a variant.
    pub const fn inside(name: &'static str, ty: &'static Type) -> Self {
        let offset = None;
        Self { name, offset, ty }
    }

    /// An argument of a library's type.
    pub const fn part(ty: &'static Type) -> Self {
        Self::inside("", ty)
    }
}

impl Type {
    /// A type of this size, fixed until something says otherwise. [`Type::folded`] comes last.
    pub const fn new<T>(name: &'static Name, sort: Sort) -> Self {
        let mut new = Self::of_no_size(name, align_of::<T>());
        (new.size, new.sort) = (size_of::<T>(), sort);
        new.drops = std::mem::needs_drop::<T>();
        new
    }

    /// A slice or `str`.
    pub const fn of_no_size(name: &'static Name, align: usize) -> Self {
        Self {
            name,
            sort: Sort::Library,
            size: 0,
            align,
            fixed: true,
            owns: false,
            shares: false,
            lends: false,
            borrows: false,
            drops: false,
            repr: "",
            fields: &[],
            variants: &[],
            offers: &[],
            print: 0,
        }
    }

    /// A foreign type; `why` says what makes its layout hold. Equal only between builds of one compiler.
    pub const fn opaque<T>(name: &'static Name, why: &'static str) -> Self {
        let mut new = Self::new::<T>(name, Sort::Opaque).by_compiler().owning();
        (new.repr, new.shares) = (why, true);
        new.folded()
    }

    /// A type that is described elsewhere in the same tree, which writing it down checks by its name.
    pub const fn named<T>(name: &'static Name) -> Self {
        let new = Self::new::<T>(name, Sort::Named).by_compiler();
        new.owning().folded()
    }

    /// The marker of a type inside its own description.
    pub const fn own<T>(name: &'static Name) -> Self {
        Self::new::<T>(name, Sort::Named).folded()
    }

    /// A program's object.
    pub const fn host<T>(name: &'static Name, offers: &'static [Function]) -> Self {
        let mut new = Self::new::<T>(name, Sort::Host);
        new.offers = offers;
        new.folded()
    }

    /// With what stands in `repr`.
    #[must_use]
    pub const fn with_repr(mut self, repr: &'static str, fixed: bool) -> Self {
        self.repr = repr;
        self.fixed &= fixed;
        self
    }

    /// With these fields.
    #[must_use]
    pub const fn with_fields(mut self, fields: &'static [Field]) -> Self {
        self.fields = fields;
        self.take_in(fields);
        self
    }

    /// With these variants.
    #[must_use]
    pub const fn with_variants(mut self, variants: &'static [Variant]) -> Self {
        self.variants = variants;
        let mut i = 0;
        while i < variants.len() {
            self.take_in(variants[i].fields);
            i += 1;
        }
        self
    }

    const fn take_in(&mut self, fields: &'static [Field]) {
        let mut i = 0;
        while i < fields.len() {
            let ty = fields[i].ty;
            self.fixed &= ty.fixed;
            self.owns |= ty.owns;
            self.shares |= ty.shares;
            self.lends |= ty.lends || matches!(ty.sort, Sort::Host);
            self.borrows |= ty.borrows;
            i += 1;
        }
    }

    /// Laid out by the compiler.
    #[must_use]
    pub const fn by_compiler(mut self) -> Self {
        self.fixed = false;
        self
    }

    /// Owns memory.
    #[must_use]
    pub const fn owning(mut self) -> Self {
        self.owns = true;
        self
    }

    /// A clone shares what the original owns.
    #[must_use]
    pub const fn shared(mut self) -> Self {
        (self.owns, self.shares) = (true, true);
        self
    }

    /// What is inside can be changed through a shared reference.
    #[must_use]
    pub const fn a_cell(mut self) -> Self {
        self.shares |= self.owns;
        self
    }

    /// Borrows what it points to. A shared reference hands nothing over to be changed.
    #[must_use]
    pub const fn a_reference(mut self, exclusive: bool) -> Self {
        (self.borrows, self.owns) = (true, self.owns && exclusive);
        self
    }

    /// Closes the description with its fingerprint.
    #[must_use]
    pub const fn folded(mut self) -> Self {
        let mut hash = Fingerprint::new().number(self.sort as u128);
        hash = match self.sort {
            Sort::Named => self.name.fold(hash),
            Sort::Opaque => self.name.fold(hash).text(TOOLCHAIN),
            _ => hash.text(self.name.text),
        };
        if let Form::Array(count) = self.name.form {
            hash = hash.number(count as u128);
        }
        hash = hash.number(self.size as u128).number(self.align as u128);
        // A value that is dropped on one side only would be lost on the other.
        hash = hash.number(self.drops as u128).number(self.fixed as u128);
        hash = fold_fields(hash.text(self.repr), self.fields);
        let mut i = 0;
        while i < self.variants.len() {
            let variant = &self.variants[i];
            hash = hash.text(variant.name);
            if let Some(number) = variant.discriminant {
                hash = hash.text("=").number(number as u128);
            }
            hash = fold_fields(hash, variant.fields);
            i += 1;
        }
        self.print = hash.finish();
        self
    }
}

const fn fold_fields(mut hash: Fingerprint, fields: &[Field]) -> Fingerprint {
    let mut i = 0;
    while i < fields.len() {
        let field = &fields[i];
        hash = hash.text(field.name);
        if let Some(offset) = field.offset {
            hash = hash.number(offset as u128);
        }
        hash = hash.number(field.ty.print);
        i += 1;
    }
    hash.number(fields.len() as u128)
}
