//! The immutable view that readers share.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use plugind_loader::{BindError, Contract, Image, Table};
use plugind_wire::message::Announcement;
use plugind_wire::{Digest, VersionId};

/// One version, open in this process: its identity and its resolved symbols.
///
/// It dereferences to its [`Image`], where names are looked up.
pub struct SymbolTable {
    announcement: Announcement,
    image: &'static Image,
    /// Tables of contracts, by the contract's type: each is resolved once per version. Most plugins have one.
    first: OnceLock<(TypeId, Resolved)>,
    others: Mutex<HashMap<TypeId, Resolved>>,
}

/// A `&'static Table<C>`, or why there is none.
type Resolved = Result<&'static (dyn Any + Send + Sync), BindError>;

impl SymbolTable {
    pub(crate) fn new(announcement: Announcement, image: &'static Image) -> Self {
        Self {
            announcement,
            image,
            first: OnceLock::new(),
            others: Mutex::default(),
        }
    }

    /// The version's functions of contract `C`, all or nothing.
    ///
    /// # Errors
    ///
    /// [`BindError`] names what differs.
    #[inline]
    pub fn bind<C: Contract + ?Sized>(&self) -> Result<&'static Table<C>, BindError> {
        let id = TypeId::of::<C>();
        let (first, resolved) = self.first.get_or_init(|| (id, self.resolve::<C>()));
        if *first == id {
            return of_type(resolved);
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        of_type(others.entry(id).or_insert_with(|| self.resolve::<C>()))
    }

    fn resolve<C: Contract + ?Sized>(&self) -> Resolved {
        let VersionId { plugin, number } = self.version();
        let table = self.image.bind::<C>(plugin, *number)?;
        Ok(table)
    }

    /// The same open image under the identity of another announcement of the same content.
    pub(crate) fn relabelled(&self, announcement: Announcement) -> Self {
        Self::new(announcement, self.image)
    }

    /// Which version this is.
    pub fn version(&self) -> &VersionId {
        &self.announcement.version
    }

    /// Its content.
    pub fn digest(&self) -> Digest {
        self.announcement.digest
    }

    /// The plugin's semantic version; a raw plugin has none.
    pub fn semver(&self) -> Option<&str> {
        self.announcement.semver.as_deref()
    }

    /// True for an image without a plugind note.
    pub fn is_raw(&self) -> bool {
        self.announcement.raw
    }
}

#[inline]
fn of_type<C: Contract + ?Sized>(resolved: &Resolved) -> Result<&'static Table<C>, BindError> {
    match resolved {
        Ok(table) => Ok(table
            .downcast_ref()
            .expect("the key is the type of the contract")),
        Err(error) => Err(error.clone()),
    }
}

impl Deref for SymbolTable {
    type Target = Image;

    fn deref(&self) -> &Image {
        self.image
    }
}

impl fmt::Debug for SymbolTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SymbolTable({} {})",
            self.version(),
            self.digest().short()
        )
    }
}

/// The current symbol table of every plugin that the client follows.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// Counts the swaps, from 1.
    pub(crate) epoch: u64,
    /// By the plugin's slot.
    pub(crate) tables: Vec<Option<Arc<SymbolTable>>>,
    /// By slot, a newer version than the one in `tables` that was not swapped in.
    pub(crate) refused: BTreeMap<usize, Arc<Refused>>,
    /// When another one took its place: since then nobody can enter it.
    pub(crate) ended: OnceLock<Timestamp>,
}

/// A version that this client does not use.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) version: VersionId,
    pub(crate) reason: String,
    /// It does not fit a contract.
    pub(crate) misfit: bool,
}

impl Snapshot {
    /// The newer version that was not swapped in, if there is one.
    pub(crate) fn refused(&self, slot: usize) -> Option<&Refused> {
        self.refused.get(&slot).map(|refused| &**refused)
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            epoch: 1,
            tables: Vec::new(),
            refused: BTreeMap::new(),
            ended: OnceLock::new(),
        }
    }
}
