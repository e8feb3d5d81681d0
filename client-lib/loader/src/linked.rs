//! Plugins that are linked into the program: they register themselves from the same constructors, before `main`, and
//! nothing is opened.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use plugind_abi::registration::{ABI, Registry};

use crate::open::Image;
use crate::register::{RegistrationError, Registrations, add, nodes, text};

/// The program's own list, which `plugind-plugin` keeps.
#[doc(hidden)]
#[macro_export]
macro_rules! __registry {
    () => {{
        // SAFETY: `plugind-plugin` defines it with this type, and what it returns lives as long as the program.
        unsafe extern "C" {
            safe fn plugind_registry() -> &'static $crate::Registry;
        }
        plugind_registry()
    }};
}

/// The plugins on the program's own list, in the order of their names.
///
/// # Errors
///
/// [`RegistrationError`] if what they registered cannot be used, or was built with another generation of the boundary.
pub fn linked(registry: &'static Registry) -> Result<Vec<&'static Image>, RegistrationError> {
    if registry.abi != ABI {
        return Err(RegistrationError::Generation {
            found: registry.abi,
        });
    }
    let mut plugins: BTreeMap<&str, Option<Registrations>> = BTreeMap::new();
    for node in nodes(registry) {
        let node = node?;
        let plugin = plugins.entry(text(node.plugin())?).or_default();
        add(plugin, node)?;
    }
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("this program"));
    let images = plugins.into_values().map(|registrations| {
        // As those that are opened: what is looked up in one never dangles.
        &*Box::leak(Box::new(Image {
            path: path.clone(),
            library: None,
            registrations,
            exports: OnceLock::new(),
            // Program and plugins share one copy of what they log with.
            attach: None,
            logs: OnceLock::new(),
            opened: None,
        }))
    });
    Ok(images.collect())
}
