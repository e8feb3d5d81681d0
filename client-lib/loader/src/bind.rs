//! Binds a version's functions to a program's contract, once per version: all or nothing.

use plugind_abi::TOOLCHAIN;
use plugind_abi::contract::{Contract, Function, Signature, Table};

use crate::open::Image;

/// Why a version does not fit a contract. Nothing of it was called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// It implements something else.
    #[error(
        "it does not implement the contract `{contract}`{}",
        offered(contracts)
    )]
    NotImplemented {
        /// What was asked for.
        contract: String,
        /// What it implements.
        contracts: Vec<String>,
    },
    /// A function is missing.
    #[error(
        "it lacks `{expected}` of the contract `{contract}`; build the plugin with the contract that the program has"
    )]
    Missing {
        /// The contract.
        contract: String,
        /// The function's signature.
        expected: String,
    },
    /// A function, or a type in its signature, is another one.
    #[error(
        "its `{name}` of the contract `{contract}` does not fit: the program expects `{expected}` and the plugin has \
         `{found}`{}; build both with the same contract",
        if expected == found { ", whose types differ" } else { "" }
    )]
    Differs {
        /// The contract.
        contract: String,
        /// The function.
        name: String,
        /// The program's signature.
        expected: String,
        /// The plugin's.
        found: String,
    },
    /// A layout is decided by the compiler, and the compilers differ.
    #[error(
        "it was built by {found} and the program by {expected}, and `{name}` of the contract `{contract}` has types whose \
         layout the compiler decides; build both with one compiler, or give those types `#[repr(C)]`"
    )]
    Toolchain {
        /// The contract.
        contract: String,
        /// The function.
        name: String,
        /// The program's.
        expected: String,
        /// The plugin's.
        found: String,
    },
}

fn offered(contracts: &[String]) -> String {
    match contracts {
        [] => ", nor any other; write `#[plugin] impl ..`".to_owned(),
        contracts => format!(", but {}", contracts.join(", ")),
    }
}

impl Image {
    /// Binds the functions of contract `C`, as version `version` of `plugin`. The table lives as long as the image.
    ///
    /// # Errors
    ///
    /// [`BindError`] names what differs.
    pub fn bind<C: Contract + ?Sized>(
        &self,
        plugin: &str,
        version: u64,
    ) -> Result<&'static Table<C>, BindError> {
        let implementation = self
            .registrations()
            .and_then(|registrations| registrations.implementation(C::NAME))
            .ok_or_else(|| self.not_implemented(C::NAME))?;
        let toolchain = self
            .registrations()
            .map_or("", |registrations| registrations.toolchain());
        let found = implementation.functions();
        let functions = C::FUNCTIONS
            .iter()
            .map(|expected| resolve(C::NAME, expected, found, toolchain))
            .collect::<Result<Box<[Resolved]>, _>>()?;
        // SAFETY: every function has the fingerprint that the contract asks for, of this image, which is never
        // unmapped, and layouts that are a compiler's were made by the same one.
        let table = unsafe {
            Table::new(
                plugin.to_owned(),
                version,
                toolchain.to_owned(),
                functions,
                implementation.state(),
            )
        };
        // Leaked as the image is: what was handed out stays valid.
        Ok(Box::leak(Box::new(table)))
    }

    fn not_implemented(&self, contract: &str) -> BindError {
        let contracts = self.registrations().into_iter().flat_map(|r| r.contracts());
        BindError::NotImplemented {
            contract: contract.to_owned(),
            contracts: contracts.map(str::to_owned).collect(),
        }
    }
}

type Resolved = (*const (), *const ());

fn resolve(
    contract: &str,
    expected: &Signature,
    found: &[Function],
    toolchain: &str,
) -> Result<Resolved, BindError> {
    // SAFETY: the texts are static strings of the program or of an image that is never unmapped.
    let text = |text: plugind_abi::registration::Text| unsafe { text.lossy() };
    let name = text(expected.name);
    let same_name = found
        .iter()
        .find(|function| text(function.signature.name) == name);
    let Some(function) = same_name else {
        return Err(BindError::Missing {
            contract: contract.to_owned(),
            expected: text(expected.text),
        });
    };
    if function.signature.print != expected.print {
        return Err(BindError::Differs {
            contract: contract.to_owned(),
            name,
            expected: text(expected.text),
            found: text(function.signature.text),
        });
    }
    if expected.fixed == 0 && toolchain != TOOLCHAIN {
        return Err(BindError::Toolchain {
            contract: contract.to_owned(),
            name,
            expected: TOOLCHAIN.to_owned(),
            found: toolchain.to_owned(),
        });
    }
    Ok((function.call, function.drop_result))
}
