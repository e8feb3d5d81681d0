//! A state, and the functions of the version that works on it.

use std::fmt;

use plugind_abi::boundary::Fault;
use plugind_abi::contract::{Binding, Bound, Contract, Table};

use crate::manifest::{self, Difference, Sides, compare_states};
use crate::open::Image;

/// A plugin's state with the functions of one version. Carried from version to version while their states are of the
/// same type; dropped by the version that has it last.
pub struct Carried<C: Contract + ?Sized> {
    functions: C::Functions,
}

/// Why a state was not carried to another version. The old version and its state go on, untouched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// One of the versions cannot free what the other allocated.
    #[error(
        "{which} is built for an allocator of its own (feature `own_allocator` or `static` of `plugind-plugin`), and no \
         version can free what another allocated, so the state cannot be handed over; start the program again, or build \
         the plugin without that feature"
    )]
    OwnAllocator {
        /// One version or both, in words.
        which: &'static str,
    },
    /// The state's type is another one.
    #[error(
        "the state changed from `{from}` to `{to}` and cannot be carried{}; start the program again, or undo the change",
        told(differences)
    )]
    StateDiffers {
        /// The type's name in the version that has it.
        from: String,
        /// The type's name in the other one.
        to: String,
        /// In what they differ, as far as the plugin's files tell.
        differences: Vec<Difference>,
    },
    /// The state's layout is decided by the compiler, and the compilers differ.
    #[error(
        "the state's layout is the compiler's, and the versions were built by {from} and by {to}"
    )]
    Toolchain {
        /// Of the version that has it.
        from: String,
        /// Of the other one.
        to: String,
    },
}

fn told(differences: &[Difference]) -> String {
    let whats: Vec<_> = differences.iter().map(|one| one.what.as_str()).collect();
    match &*whats {
        [] => String::new(),
        whats => format!(": {}", whats.join(", ")),
    }
}

impl Kept {
    /// With what differs between the states of two versions, which their files tell.
    #[must_use]
    pub fn explained(mut self, contract: &str, old: (&Image, u64), new: (&Image, u64)) -> Self {
        if let Self::StateDiffers { differences, .. } = &mut self
            && let (Some(from), Some(to)) = (declared(old.0, contract), declared(new.0, contract))
        {
            let (expected, found) = (format!("v{}", old.1), format!("v{}", new.1));
            let sides = Sides {
                expected: &expected,
                found: &found,
            };
            *differences = compare_states(&from, &to, sides);
        }
        self
    }
}

fn declared(image: &Image, contract: &str) -> Option<manifest::Contract> {
    image.manifest().ok()??.contract(contract).cloned()
}

/// The methods of a contract without a state, in one version.
///
/// A contract with a state does not compile here.
#[inline]
pub fn stateless<C: Contract + ?Sized>(table: &'static Table<C>) -> C::Functions {
    const { assert!(!C::STATEFUL, "the contract has a state") };
    // SAFETY: without a state there is nothing that anybody else could use or drop.
    C::Functions::bind(unsafe { Bound::new(table, std::ptr::null_mut()) })
}

impl<C: Contract + ?Sized> Carried<C> {
    /// Has a version make a state.
    ///
    /// # Errors
    ///
    /// When it panicked.
    pub fn start(table: &'static Table<C>) -> Result<Self, Fault> {
        let state = C::start(table)?;
        // SAFETY: the state is fresh and of this table.
        let bound = unsafe { Bound::new(table, state) };
        let functions = C::Functions::bind(bound);
        Ok(Self { functions })
    }

    /// Hands the state to another version, if both mean the same by it. Nothing is copied.
    ///
    /// # Errors
    ///
    /// [`Kept`] says why it stays where it is.
    pub fn carry(&mut self, to: &'static Table<C>) -> Result<(), Kept> {
        let from = self.functions.bound().table();
        // SAFETY: the names are static strings of images that are never unmapped.
        let name = |table: &Table<C>| unsafe { table.state().name.lossy() };
        let which = match (from.state().own_allocator, to.state().own_allocator) {
            (0, 0) => None,
            (_, 0) => Some("the version that made the state"),
            (0, _) => Some("the new version"),
            _ => Some("the plugin"),
        };
        if let Some(which) = which {
            return Err(Kept::OwnAllocator { which });
        }
        if from.state().print != to.state().print {
            return Err(Kept::StateDiffers {
                from: name(from),
                to: name(to),
                differences: Vec::new(),
            });
        }
        if to.state().fixed == 0 && from.toolchain() != to.toolchain() {
            return Err(Kept::Toolchain {
                from: from.toolchain().to_owned(),
                to: to.toolchain().to_owned(),
            });
        }
        // SAFETY: fingerprint and, where it matters, compiler are equal, and neither has an allocator of its own, as
        // compared above.
        unsafe { self.functions.bound_mut().hand_to(to) };
        Ok(())
    }

    /// The version's functions.
    pub fn table(&self) -> &'static Table<C> {
        self.functions.bound().table()
    }

    /// The contract's methods.
    pub fn functions(&self) -> &C::Functions {
        &self.functions
    }

    /// The contract's methods, on the state.
    pub fn functions_mut(&mut self) -> &mut C::Functions {
        &mut self.functions
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Carried<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Carried({})", C::NAME)
    }
}
