//! Names to addresses, with a type that the caller vouches for.

use std::ffi::CStr;
use std::fmt;
use std::mem;
use std::ops::Deref;

use plugind_abi::registration::ENTRY;

use crate::elf;
use crate::near;
use crate::open::Image;
use crate::register::{Address, exported};

/// The address of a function or variable of an image, with the type that its looker-up vouched for. It is valid as
/// long as the process lives and may be copied freely.
#[derive(Clone, Copy)]
pub struct Symbol<T> {
    value: T,
}

impl<T> Deref for Symbol<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> fmt::Debug for Symbol<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbol({})", std::any::type_name::<T>())
    }
}

/// Why a name was not found.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The image neither registered nor exports the name.
    #[error(
        "no symbol `{name}`{}; the plugin has {count} symbol{}{}",
        suggestion(near),
        if *count == 1 { "" } else { "s" },
        list(names)
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names like it, the nearest first.
        near: Vec<String>,
        /// How many names there are.
        count: usize,
        /// All of them, if they are few.
        names: Vec<String>,
    },
}

/// The sentence, for a `main` that returns it.
impl fmt::Debug for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => String::new(),
        names => format!(", did you mean `{}`", names.join("`, `")),
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(": {}", names.join(", ")),
    }
}

/// So many names are listed in an error.
const FEW: usize = 12;

impl Image {
    /// Looks up a function or variable: a registered one by its registered name, else an exported one. Names of
    /// libraries that the image needs are not found.
    ///
    /// `T` is a function pointer, or a raw pointer to the variable.
    ///
    /// # Safety
    ///
    /// `T` must be the type that the plugin gave the symbol: the function's own signature and calling convention, or a
    /// pointer to the variable's own type. Nothing checks it.
    ///
    /// # Errors
    ///
    /// [`LookupError::Unknown`] lists names like the one asked for.
    pub unsafe fn lookup<T: Copy>(&self, name: &CStr) -> Result<Symbol<T>, LookupError> {
        const { assert!(mem::size_of::<T>() == mem::size_of::<*const ()>()) };
        let text = name.to_string_lossy();
        let address = self
            .registrations()
            .and_then(|registrations| registrations.address(&text))
            .or_else(|| exported(self.library.as_ref()?, name))
            .ok_or_else(|| self.unknown(&text))?;
        let Address(pointer) = address;
        // SAFETY: `T` has the size of a pointer (checked above) and is the symbol's type (kept by the caller).
        let value = unsafe { mem::transmute_copy::<*const (), T>(&pointer) };
        Ok(Symbol { value })
    }

    /// Whether a name stands for a variable, as it was registered, or else as the image exports it.
    pub fn is_variable(&self, name: &str) -> bool {
        let registered = self.registrations().and_then(|r| r.is_variable(name));
        registered.unwrap_or_else(|| {
            self.exported()
                .any(|export| export.name == name && export.kind == elf::ExportKind::Variable)
        })
    }

    /// The names that [`Image::lookup`] finds, sorted.
    pub fn names(&self) -> &[String] {
        self.exports.get_or_init(|| {
            let registered = self
                .registrations()
                .into_iter()
                .flat_map(|r| r.names().map(str::to_owned));
            let exported = self.exported().filter(|export| !export.is_linkers());
            let mut names: Vec<_> = registered
                .chain(exported.map(|export| export.name))
                .collect();
            names.retain(|name| name.as_bytes() != ENTRY.to_bytes());
            names.sort_unstable();
            names.dedup();
            names
        })
    }

    fn exported(&self) -> impl Iterator<Item = elf::Export> + use<> {
        let bytes = std::fs::read(self.path()).unwrap_or_default();
        // What lies behind the mapped part may still be on its way into the file.
        elf::read_mapped(&bytes)
            .map(|elf| elf.exports)
            .unwrap_or_default()
            .into_iter()
    }

    fn unknown(&self, name: &str) -> LookupError {
        let names = self.names();
        let near = near(name, names.iter().map(String::as_str));
        LookupError::Unknown {
            name: name.to_owned(),
            near: near.into_iter().take(3).map(str::to_owned).collect(),
            count: names.len(),
            names: if names.len() <= FEW {
                names.to_vec()
            } else {
                Vec::new()
            },
        }
    }
}
