//! What a plugin declares in its notes, as plain data; nothing of the plugin runs.
//!
//! Guarantees, whatever the bytes are: an answer and never a panic, memory within a small multiple of the input, and
//! types that mention only types before them, so that nothing read here goes round in circles. What the notes say is the
//! plugin's word; what its constructors register is compared again when it is open.

mod compare;
mod cpu;
mod differ;
mod difference;
mod machine;
mod members;
mod read;
mod toolchain;
mod versions;

use plugind_abi::note::{self, NoteError};

pub use compare::{Misfit, compare, compare_states};
pub use cpu::missing_features;
pub use difference::{Change, Difference, Form, Next, Outline, Part, Sides, Subject};
pub use machine::{Unfit, fits_here};
pub use read::ReadError;
pub use toolchain::Toolchain;
pub use versions::{Changed, compare_versions};

use crate::elf::Note;

/// Everything that a plugin declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Who it is and how it was built.
    pub identity: Identity,
    /// In the order of its notes.
    pub contracts: Vec<Contract>,
}

/// Who a plugin is, and how it was built. A plugin of another language may leave out all but name and version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub plugin: String,
    /// Its semantic version, as written.
    pub semver: String,
    /// Compiler and target.
    pub toolchain: Toolchain,
    /// `debug` or `release`.
    pub profile: Option<String>,
    /// `unwind` or `abort`.
    pub panic: Option<String>,
    /// Processor features that its code may use.
    pub features: Vec<String>,
    /// Where owned values come from.
    pub allocator: Option<String>,
    /// The release of plugind's SDK.
    pub sdk: Option<String>,
    /// The generation of plugind's boundary ([`plugind_abi::registration::ABI`]).
    pub generation: Option<u32>,
}

/// One contract, as one build knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contract {
    /// The trait's name.
    pub name: String,
    /// The crate that declares it, as `name version`.
    pub krate: String,
    /// Each distinct type once, after those that it mentions.
    pub types: Vec<Type>,
    /// In the order of the trait.
    pub functions: Vec<Function>,
    /// The state of the plugin that implements it, as a place in `types`.
    pub state: Option<usize>,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Its fingerprint.
    pub print: u128,
    /// Its name with its arguments.
    pub name: String,
    /// The crate that declares it, as `name version`; empty for the language and its library.
    pub krate: String,
    /// What kind of type.
    pub sort: Sort,
    /// Bytes of a value.
    pub size: u64,
    /// Bytes to which it is aligned.
    pub align: u64,
    /// No compiler decides the layout.
    pub fixed: bool,
    /// A value may own memory.
    pub owns: bool,
    /// Dropping a value does something.
    pub drops: bool,
    /// What stands in `repr`; of an opaque type, why its layout holds.
    pub repr: String,
    /// In the order of the declaration.
    pub fields: Vec<Field>,
    /// In the order of the declaration.
    pub variants: Vec<Variant>,
    /// What a plugin may call through it.
    pub offers: Vec<Function>,
}

/// What kind of type; see [`plugind_abi::describe::Sort`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are described there")]
pub enum Sort {
    Library,
    Struct,
    Enum,
    Opaque,
    Named,
    Host,
    /// Of an SDK that knows more.
    Unknown,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name, or its place as a number; empty for an argument of a library's type.
    pub name: String,
    /// Where it lies; unknown inside a variant.
    pub offset: Option<u64>,
    /// A place in the contract's types.
    pub ty: usize,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its number, if it is written.
    pub discriminant: Option<i128>,
    /// In the order of the declaration.
    pub fields: Vec<Field>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its fingerprint.
    pub print: u128,
    /// Its name.
    pub name: String,
    /// As it is written.
    pub text: String,
    /// Every type in it is fixed.
    pub fixed: bool,
    /// A plugin may lack it.
    pub optional: bool,
    /// How it takes the state: empty, `&State` or `&mut State`.
    pub state: String,
    /// Without the state.
    pub arguments: Vec<Argument>,
    /// A place in the contract's types; nothing for the function that makes the state.
    pub result: Option<usize>,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// How it crosses.
    pub how: String,
    /// A place in the contract's types.
    pub ty: usize,
}

impl Manifest {
    /// Reads the notes of an image; nothing for one that has none of an identity.
    ///
    /// # Errors
    ///
    /// [`ReadError`] for a note that cannot be read, that is of another version, or that contradicts another.
    pub fn read(notes: &[Note], little_endian: bool) -> Result<Option<Self>, ReadError> {
        let mut identity: Option<Identity> = None;
        let mut contracts: Vec<Contract> = Vec::new();
        for Note { kind, desc } in notes {
            match *kind {
                note::IDENTITY => {
                    let found = read::identity(desc, little_endian)?;
                    if identity.as_ref().is_some_and(|first| *first != found) {
                        return Err(ReadError::Contradiction("identity"));
                    }
                    identity = Some(found);
                }
                note::IMPLEMENTS => {
                    let found = Contract::read(desc, little_endian)?;
                    if contracts.iter().any(|other| other.name == found.name) {
                        return Err(ReadError::Implemented(found.name));
                    }
                    contracts.push(found);
                }
                _ => {}
            }
        }
        let manifest = |identity| Self {
            identity,
            contracts,
        };
        Ok(identity.map(manifest))
    }

    /// The contract of this name.
    pub fn contract(&self, name: &str) -> Option<&Contract> {
        self.contracts.iter().find(|contract| contract.name == name)
    }
}

impl Contract {
    /// Reads the descriptor of a contract's note, or what a program says of its own contract.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn read(descriptor: &[u8], little_endian: bool) -> Result<Self, ReadError> {
        read::contract(descriptor, little_endian)
    }

    /// This program's own contract.
    ///
    /// # Panics
    ///
    /// If what this build wrote cannot be read, which the tests of this crate exclude.
    pub fn of<C: plugind_abi::contract::Contract + ?Sized>() -> Self {
        Self::read(C::MANIFEST, cfg!(target_endian = "little"))
            .expect("this build wrote it by the same rules")
    }

    /// Whether no compiler decides anything in it, the state included.
    pub fn is_fixed(&self) -> bool {
        let state = self.state.and_then(|state| self.types.get(state));
        self.functions.iter().all(|function| function.fixed)
            && state.is_none_or(|state| state.fixed)
    }
}

impl From<NoteError> for ReadError {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}
