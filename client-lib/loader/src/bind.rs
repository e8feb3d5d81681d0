//! Binds a version's functions to a program's contract, once per version: all or nothing.

use std::fmt;

use plugind_abi::TOOLCHAIN;
use plugind_abi::contract::{Contract, Function, Signature, Table};
use plugind_abi::host::Offered;
use plugind_abi::registration::Text;

use crate::open::Image;

/// Why a version does not fit a contract. Nothing of it was called.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// It implements something else.
    #[error(
        "it does not implement the contract `{contract}`{}",
        implemented(contracts)
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
        "its `{name}` of the contract `{contract}` differs: the program expects `{expected}` and the plugin has \
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
    /// It calls a function that the program does not offer.
    #[error(
        "its `{function}` of the contract `{contract}` calls `{expected}` of `{host}`, which this program {}; build both \
         with the same `{host}`",
        if *differs { "offers in another form" } else { "does not offer" }
    )]
    NotOffered {
        /// The contract.
        contract: String,
        /// The function.
        function: String,
        /// The trait of what the program offers.
        host: String,
        /// The signature that the plugin calls.
        expected: String,
        /// The program offers a function of that name, which looks otherwise.
        differs: bool,
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

/// The sentence, for a `main` that returns it.
impl fmt::Debug for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn implemented(contracts: &[String]) -> String {
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
    let name = text(expected.name);
    let same_name = found
        .iter()
        .find(|function| text(function.signature.name) == name);
    let Some(function) = same_name else {
        if expected.optional == 1 {
            return Ok((std::ptr::null(), std::ptr::null()));
        }
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
    compare_compilers(contract, expected, toolchain)?;
    // Equal fingerprints have equal arguments, in the same order.
    for (calls, offers) in function.signature.hosts().iter().zip(expected.hosts()) {
        find_offered(contract, &name, calls, offers, toolchain)?;
    }
    Ok((function.call, function.drop_result))
}

/// Whether the program offers what the plugin may call through one argument.
fn find_offered(
    contract: &str,
    function: &str,
    calls: &Offered,
    offers: &Offered,
    toolchain: &str,
) -> Result<(), BindError> {
    for called in calls.signatures() {
        let mut offered = offers.signatures().iter();
        if !offered.any(|offered| offered.print == called.print) {
            let name = text(called.name);
            let mut offered = offers.signatures().iter();
            return Err(BindError::NotOffered {
                contract: contract.to_owned(),
                function: function.to_owned(),
                host: text(calls.name()),
                expected: text(called.text),
                differs: offered.any(|offered| text(offered.name) == name),
            });
        }
        compare_compilers(contract, called, toolchain)?;
    }
    Ok(())
}

fn compare_compilers(
    contract: &str,
    expected: &Signature,
    toolchain: &str,
) -> Result<(), BindError> {
    if expected.fixed == 1 || toolchain == TOOLCHAIN {
        return Ok(());
    }
    Err(BindError::Toolchain {
        contract: contract.to_owned(),
        name: text(expected.name),
        expected: TOOLCHAIN.to_owned(),
        found: toolchain.to_owned(),
    })
}

fn text(text: Text) -> String {
    // SAFETY: the texts are static strings of the program or of an image that is never unmapped.
    unsafe { text.lossy() }
}
