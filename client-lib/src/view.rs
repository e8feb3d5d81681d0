//! What stays on one snapshot: a frame of a reader, or a view of its own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::plugin::Plugin;
use crate::reader::{Frame, Reader};
use crate::snapshot::SymbolTable;

/// Readers that no view uses now. Making one costs more than a request may.
pub(crate) type Idle = Arc<Mutex<Vec<Reader>>>;

/// One version of every plugin, from the moment it was made until it is dropped: for one request of a service. While it
/// lives it counts as a reader that is inside.
pub struct View {
    /// There until the drop.
    reader: Option<Reader>,
    idle: Idle,
}

impl View {
    pub(crate) fn new(idle: &Idle, make: impl FnOnce() -> Reader) -> Self {
        let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = known.unwrap_or_else(make);
        reader.is_here();
        reader.stay();
        Self {
            reader: Some(reader),
            idle: Arc::clone(idle),
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            reader.leave();
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(reader);
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

/// Stays on one snapshot: a [`Frame`] or a [`View`].
pub trait Stays: sealed::Sealed {
    /// The plugin's version there.
    ///
    /// A plugin that was first asked for later is given in its first version.
    ///
    /// # Panics
    ///
    /// If the plugin is another client's.
    fn table<'a>(&'a self, plugin: &'a Plugin) -> &'a Arc<SymbolTable>;
}

impl Stays for Frame<'_> {
    #[inline]
    fn table<'a>(&'a self, plugin: &'a Plugin) -> &'a Arc<SymbolTable> {
        Frame::table(self, plugin)
    }
}

impl Stays for View {
    #[inline]
    fn table<'a>(&'a self, plugin: &'a Plugin) -> &'a Arc<SymbolTable> {
        let reader = self.reader.as_ref().expect("it is there until the drop");
        reader.table(plugin)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::reader::Frame<'_> {}
    impl Sealed for super::View {}
}
