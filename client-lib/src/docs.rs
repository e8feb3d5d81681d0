//! How plugind works and where it ends: pages that are compiled with the code they speak of.

pub mod architecture;
pub mod contracts;
pub mod limits;
pub mod manifest;
pub mod performance;
