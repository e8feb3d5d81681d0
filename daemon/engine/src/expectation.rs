//! What connected programs require of a plugin, compared with what a version declares.

use std::sync::Arc;

use plugind_loader::manifest::{Contract, Manifest, ReadError, Toolchain};
use plugind_wire::message::Required;

use crate::inspect::InspectError;

/// A contract that a program has, and the compiler that built the program.
#[derive(Debug)]
pub(crate) struct Requirement {
    pub(crate) contract: Contract,
    toolchain: Toolchain,
}

/// What one program requires of one plugin.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    /// As people know it.
    pub(crate) program: String,
    /// Its process id.
    pub(crate) pid: u32,
    /// What every version must fit.
    pub(crate) always: Vec<Arc<Requirement>>,
    /// What a version must fit that says it implements a contract of that name.
    pub(crate) if_implemented: Vec<Arc<Requirement>>,
}

impl Requirement {
    /// Reads what a client says. It is as little trusted as a plugin.
    pub(crate) fn read(required: &Required) -> Result<Arc<Self>, ReadError> {
        let little_endian = cfg!(target_endian = "little");
        Ok(Arc::new(Self {
            contract: Contract::read(&required.description.0, little_endian)?,
            toolchain: Toolchain {
                rustc: required.rustc.clone(),
                target: required.target.clone(),
            },
        }))
    }
}

impl Expectation {
    fn applying<'a>(&'a self, declared: &'a Manifest) -> impl Iterator<Item = &'a Requirement> {
        let named = |requirement: &&Arc<Requirement>| {
            declared.contract(&requirement.contract.name).is_some()
        };
        let implemented = self.if_implemented.iter().filter(named);
        self.always.iter().chain(implemented).map(|one| &**one)
    }
}

/// Whether a version fits at least one of the programs that require something of it, if there are any: the others
/// refuse it by themselves. Says what is worth knowing about a fit.
///
/// # Errors
///
/// [`InspectError::Misfit`], of the program that was there first.
pub(crate) fn check(
    declared: &Manifest,
    expected: &[Expectation],
) -> Result<Vec<String>, InspectError> {
    let mut first = None;
    let mut fitting = false;
    let mut across = Vec::new();
    for program in expected {
        let mut requires = program.applying(declared).peekable();
        if requires.peek().is_none() {
            continue;
        }
        let misfit = requires.find_map(|requirement| {
            let misfit = declared.fits(&requirement.contract, &requirement.toolchain);
            misfit.err()
        });
        match misfit {
            Some(misfit) => {
                first.get_or_insert(InspectError::Misfit {
                    misfit,
                    program: program.program.clone(),
                    pid: program.pid,
                });
            }
            None => {
                fitting = true;
                across.extend(other_compilers(declared, program));
            }
        }
    }
    match first {
        Some(misfit) if !fitting => Err(misfit),
        _ => {
            across.dedup();
            Ok(across)
        }
    }
}

/// A sentence about a program that another compiler built.
fn other_compilers(declared: &Manifest, program: &Expectation) -> Option<String> {
    let found = &declared.identity.toolchain;
    let mut requires = program.applying(declared);
    let other = requires.find(|requirement| !requirement.toolchain.agrees_with(found))?;
    Some(format!(
        "it was built by {found} and {} by {}; no compiler decides the layout of what crosses, so it fits",
        program.program, other.toolchain
    ))
}
