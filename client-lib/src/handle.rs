//! A plugin's functions of a contract without a state, for calls from any thread.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use plugind_loader::{Contract, Table, stateless};
use plugind_wire::VersionId;

use crate::plugin::Plugin;
use crate::snapshot::SymbolTable;
use crate::view::Stays;

/// A plugin that implements contract `C`, which has no state. Clone it, share it, and call it
/// [`at`](Handle::at) a frame or view.
pub struct Handle<C: Contract + ?Sized> {
    plugin: Plugin,
    /// The version that fitted when the handle was made, and its functions.
    first: (Arc<SymbolTable>, &'static Table<C>),
}

impl<C: Contract + ?Sized> Handle<C> {
    pub(crate) fn new(plugin: Plugin, first: (Arc<SymbolTable>, &'static Table<C>)) -> Self {
        Self { plugin, first }
    }

    /// The functions of the version in a frame or view.
    ///
    /// Every version that takes the place of one before was found to fit first; one that does not is refused by the
    /// client. A frame that is older than the handle may be on a version that does not fit, and is then given the one
    /// that did when the handle was made.
    ///
    /// # Panics
    ///
    /// If the plugin is another client's.
    #[inline]
    pub fn at<'view>(&'view self, now: &'view impl Stays) -> At<'view, C> {
        let table = now.table(&self.plugin);
        let (table, functions) = match table.bind::<C>() {
            Ok(functions) => (table, functions),
            Err(_) => (&self.first.0, self.first.1),
        };
        At {
            table,
            functions: stateless(functions),
            view: PhantomData,
        }
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }
}

impl<C: Contract + ?Sized> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self {
            plugin: self.plugin.clone(),
            first: (Arc::clone(&self.first.0), self.first.1),
        }
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Handle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({} of {})", C::NAME, self.plugin.name())
    }
}

/// The contract's methods, in one version, as long as the frame or view.
pub struct At<'view, C: Contract + ?Sized> {
    table: &'view Arc<SymbolTable>,
    functions: C::Functions,
    view: PhantomData<&'view ()>,
}

impl<C: Contract + ?Sized> At<'_, C> {
    /// Which version.
    pub fn version(&self) -> &VersionId {
        self.table.version()
    }
}

impl<C: Contract + ?Sized> Deref for At<'_, C> {
    type Target = C::Functions;

    #[inline]
    fn deref(&self) -> &C::Functions {
        &self.functions
    }
}

impl<C: Contract + ?Sized> fmt::Debug for At<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At({} of {})", C::NAME, self.version())
    }
}
