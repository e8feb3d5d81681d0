//! What a stage says of a version that it turns down.

use plugind_wire::VersionId;
use plugind_wire::difference::Difference;
use plugind_wire::event::Stage;

use crate::diff::KeptNotes;

/// A version that was turned down.
pub(crate) struct Rejected {
    /// Which.
    pub(crate) version: VersionId,
    /// Where.
    pub(crate) stage: Stage,
    /// Why.
    pub(crate) reason: String,
    /// It fits none of the programs that require something of it.
    pub(crate) misfit: bool,
    /// In what, if it does not.
    pub(crate) differences: Vec<Difference>,
    /// The contracts that it says it implements.
    pub(crate) contracts: Vec<String>,
    /// What it declares, if that can be read.
    pub(crate) notes: Option<KeptNotes>,
}

impl Rejected {
    /// One of which nothing else is known.
    pub(crate) fn new(version: VersionId, stage: Stage, reason: String) -> Self {
        Self {
            version,
            stage,
            reason,
            misfit: false,
            differences: Vec::new(),
            contracts: Vec::new(),
            notes: None,
        }
    }
}
