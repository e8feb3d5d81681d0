//! Whether what a plugin declares can work in this process's machine and generation, whatever the contract.

use plugind_abi::registration::ABI;

use super::cpu::missing_features;
use super::{Identity, Toolchain};

/// Why a plugin cannot work here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Built against another generation of the boundary.
    #[error(
        "it was built with generation {found} of plugind's boundary{} and this program has generation {ABI}; {}",
        release(sdk),
        if *found > ABI { "rebuild the host with the newer release" } else { "rebuild the plugin" }
    )]
    Generation {
        /// The plugin's.
        found: u32,
        /// The SDK's release, if the plugin tells.
        sdk: Option<String>,
    },
    /// For another target.
    #[error(
        "it was built for {found} and this program for {expected}; build the plugin with `--target {expected}`"
    )]
    Target {
        /// This program's.
        expected: String,
        /// The plugin's.
        found: String,
    },
    /// The processor lacks something.
    #[error(
        "its code may use {}, which this machine's processor lacks; rebuild the plugin without \
         `-C target-cpu` or `-C target-feature`, or for this processor",
        .lacking.join(", ")
    )]
    Processor {
        /// Which features.
        lacking: Vec<String>,
    },
}

fn release(sdk: &Option<String>) -> String {
    sdk.as_ref()
        .map_or_else(String::new, |sdk| format!(" (SDK {sdk})"))
}

/// Whether the machine, the target and the generation of the boundary are this process's.
///
/// # Errors
///
/// [`Unfit`] names what differs.
pub fn fits_here(identity: &Identity) -> Result<(), Unfit> {
    if let Some(found) = identity.generation.filter(|found| *found != ABI) {
        let sdk = identity.sdk.clone();
        return Err(Unfit::Generation { found, sdk });
    }
    let own = Toolchain::own().target;
    let found = &identity.toolchain.target;
    if !found.is_empty() && *found != own {
        return Err(Unfit::Target {
            expected: own,
            found: found.clone(),
        });
    }
    let lacking = missing_features(&identity.features);
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Unfit::Processor {
        lacking: lacking.into_iter().map(str::to_owned).collect(),
    })
}
