//! Collects what a version's constructors recorded while it was being opened.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;

use libloading::os::unix::Library;
use plugind_abi::contract::Implementation;
use plugind_abi::log::Attach;
use plugind_abi::registration::{ABI, ENTRY, Entry, Kind, Registration, Registry, Text};

/// What one version registered: its own name and number, and its functions and statics.
#[derive(Debug)]
pub struct Registrations {
    plugin: String,
    semver: String,
    symbols: BTreeMap<String, (Kind, Address)>,
    toolchain: String,
    implementations: BTreeMap<String, &'static Implementation>,
}

impl Registrations {
    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// The plugin's semantic version, as written.
    pub fn semver(&self) -> &str {
        &self.semver
    }

    /// The registered names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.symbols.keys().map(String::as_str)
    }

    /// The compiler and target that built the plugin.
    pub fn toolchain(&self) -> &str {
        &self.toolchain
    }

    /// The contracts that the plugin implements, sorted.
    pub fn contracts(&self) -> impl Iterator<Item = &str> {
        self.implementations.keys().map(String::as_str)
    }

    /// What it implements, by the contracts' names, sorted.
    pub(crate) fn implementations(&self) -> impl Iterator<Item = (&str, &'static Implementation)> {
        let implementations = self.implementations.iter();
        implementations.map(|(contract, implementation)| (contract.as_str(), *implementation))
    }

    pub(crate) fn implementation(&self, contract: &str) -> Option<&'static Implementation> {
        self.implementations.get(contract).copied()
    }

    pub(crate) fn address(&self, name: &str) -> Option<Address> {
        self.symbols.get(name).map(|(_, address)| *address)
    }

    /// Whether a name stands for a static.
    pub(crate) fn is_variable(&self, name: &str) -> Option<bool> {
        self.symbols
            .get(name)
            .map(|(kind, _)| *kind == Kind::VARIABLE)
    }
}

/// Where a symbol is, in an image that is never unmapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address(pub(crate) *const ());

// SAFETY: an address is only a number here; what may be done with it is the obligation of `Image::lookup`'s caller.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

/// Why what a plugin registered cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Built against another generation of the boundary.
    #[error(
        "the plugin was built with generation {found} of plugind's boundary and this program has generation {ABI}; \
         build both with the same plugind release"
    )]
    Generation {
        /// The plugin's.
        found: u32,
    },
    /// Two crates of one image registered under different names or versions.
    #[error(
        "the plugin registers itself twice: as {first} and as {second}; only one crate of a plugin may use register!"
    )]
    TwoPlugins {
        /// Name and version.
        first: String,
        /// Name and version.
        second: String,
    },
    /// One contract is implemented by two types.
    #[error(
        "the plugin implements the contract `{contract}` twice; one `#[plugin] impl {contract} for ..` must go"
    )]
    TwoImplementations {
        /// Which.
        contract: String,
    },
    /// One name stands for two addresses.
    #[error("the plugin registers `{name}` twice; register it once")]
    Twice {
        /// Which.
        name: String,
    },
    /// A constructor ran twice or the list is damaged.
    #[error("the plugin's list of registrations has no end")]
    Endless,
    /// A name is not UTF-8.
    #[error("the plugin registers a name that is not UTF-8")]
    NotText,
    /// The exported entry does not hand out a list.
    #[error("the plugin exports plugind_registry, but it returns nothing")]
    NoRegistry,
}

/// More `register!` than a plugin has modules; a longer list is a ring.
const MAX_REGISTRATIONS: usize = 100_000;

/// What was registered, and how the plugin takes in a sink for its log records.
type Collected = (Registrations, Option<Attach>);

/// Reads the list of an image that is open; `None` if the image exports no entry of its own.
pub(crate) fn collect(library: &Library) -> Result<Option<Collected>, RegistrationError> {
    // SAFETY: the type is the one that plugind's own SDK gives the symbol (kept by `plugind-plugin`, which alone
    // defines it).
    let Ok(entry) = (unsafe { library.get::<Entry>(ENTRY) }) else {
        return Ok(None);
    };
    if !is_own(library, (*entry as *const ()).cast()) {
        // The symbol search went on into a library that this one needs.
        return Ok(None);
    }
    // SAFETY: the entry returns null or the address of the image's own static registry, which is never unmapped
    // (kept by `plugind-plugin`, and by `open`, which never closes).
    let registry = unsafe { entry().as_ref::<'static>() }.ok_or(RegistrationError::NoRegistry)?;
    Ok(walk(registry)?.map(|registrations| (registrations, registry.attach_logs)))
}

fn walk(registry: &'static Registry) -> Result<Option<Registrations>, RegistrationError> {
    if registry.abi != ABI {
        return Err(RegistrationError::Generation {
            found: registry.abi,
        });
    }
    let mut found: Option<Registrations> = None;
    for node in nodes(registry) {
        add(&mut found, node?)?;
    }
    Ok(found)
}

/// The nodes of a list, which may be damaged.
pub(crate) fn nodes(
    registry: &'static Registry,
) -> impl Iterator<Item = Result<&'static Registration, RegistrationError>> {
    let mut next = registry.first();
    let mut count = 0;
    std::iter::from_fn(move || {
        // SAFETY: a node is a static of the image (kept by `Registry::push`, which takes `&'static`).
        let node = unsafe { next.as_ref::<'static>() }?;
        count += 1;
        next = if count > MAX_REGISTRATIONS {
            std::ptr::null()
        } else {
            node.next()
        };
        Some(if count > MAX_REGISTRATIONS {
            Err(RegistrationError::Endless)
        } else {
            Ok(node)
        })
    })
}

pub(crate) fn add(
    found: &mut Option<Registrations>,
    node: &'static Registration,
) -> Result<(), RegistrationError> {
    let (plugin, semver) = (text(node.plugin())?, text(node.semver())?);
    let toolchain = text(node.toolchain())?;
    let into = found.get_or_insert_with(|| Registrations {
        plugin: plugin.to_owned(),
        semver: semver.to_owned(),
        symbols: BTreeMap::new(),
        toolchain: toolchain.to_owned(),
        implementations: BTreeMap::new(),
    });
    if into.plugin != plugin || into.semver != semver {
        return Err(RegistrationError::TwoPlugins {
            first: format!("{} {}", into.plugin, into.semver),
            second: format!("{plugin} {semver}"),
        });
    }
    if let Some(implementation) = node.implementation() {
        let contract = text(implementation.contract())?.to_owned();
        if into.implementations.contains_key(&contract) {
            return Err(RegistrationError::TwoImplementations { contract });
        }
        into.implementations.insert(contract, implementation);
    }
    for symbol in node.symbols() {
        let name = text(symbol.name)?.to_owned();
        if into.symbols.contains_key(&name) {
            return Err(RegistrationError::Twice { name });
        }
        into.symbols
            .insert(name, (symbol.kind, Address(symbol.address)));
    }
    Ok(())
}

pub(crate) fn text(text: Text) -> Result<&'static str, RegistrationError> {
    // SAFETY: pointer and length were taken from one `&'static str` of the image (kept by `Text::new`).
    let bytes = unsafe { std::slice::from_raw_parts(text.bytes, text.len) };
    std::str::from_utf8(bytes).map_err(|_| RegistrationError::NotText)
}

/// Whether an address lies in the image that a handle stands for: a symbol search goes on into needed libraries, and
/// what is found there is not the plugin's.
pub(crate) fn is_own(library: &Library, address: *const c_void) -> bool {
    let Some(base) = image_of(address) else {
        return false;
    };
    own_base(library).is_some_and(|own| own == base)
}

/// The load address of the image that holds `address`.
fn image_of(address: *const c_void) -> Option<usize> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` accepts any address and writes the whole structure when it returns non-zero.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) };
    // SAFETY: zeroed above, and every field of `Dl_info` may be zero.
    let info = unsafe { info.assume_init() };
    (found != 0).then(|| info.dli_fbase.addr())
}

/// The load address of the image that a handle stands for. `RTLD_DI_LINKMAP` gives the image's dynamic section, which
/// lies inside it.
fn own_base(library: &Library) -> Option<usize> {
    /// The public head of `struct link_map` in `<link.h>`.
    #[repr(C)]
    struct LinkMap {
        addr: usize,
        name: *const libc::c_char,
        dynamic: *const c_void,
    }
    let handle = raw_handle(library);
    let mut map: *const LinkMap = std::ptr::null();
    // SAFETY: the handle is open for ever, and for this request `dlinfo` writes one pointer.
    let result = unsafe {
        libc::dlinfo(
            handle,
            libc::RTLD_DI_LINKMAP,
            (&raw mut map).cast::<c_void>(),
        )
    };
    if result != 0 {
        return None;
    }
    // SAFETY: `dlinfo` succeeded, so it points to the link map of an image that is never closed.
    let map = unsafe { map.as_ref() }?;
    image_of(map.dynamic)
}

/// The handle inside a library, which stays owned by it.
fn raw_handle(library: &Library) -> *mut c_void {
    // SAFETY: the copy is turned back into its handle at once and never dropped, so nothing is closed twice; the
    // library has no other content than its handle (kept by `Library::into_raw`, which is all of it).
    let copy = unsafe { std::ptr::read(library) };
    copy.into_raw()
}

/// Looks a name up in the image's own exported symbols.
pub(crate) fn exported(library: &Library, name: &CStr) -> Option<Address> {
    // SAFETY: the symbol is read as a bare address; what may be done with it is the obligation of the caller of
    // `Image::lookup`.
    let symbol = unsafe { library.get::<*const ()>(name) }.ok()?;
    is_own(library, symbol.cast()).then_some(Address(*symbol))
}
