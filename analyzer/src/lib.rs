//! Perfvisor's analyzer: reads a trace and says where the time went.
//!
//! The tree is in the order of the data's way: [`read`] turns bytes into records, [`model`] builds
//! one [`model::Profile`], each analysis in [`analysis`] is a pure function from it to findings.
//! A module looks only at those before it.

pub mod analysis;
pub mod model;
pub mod read;
pub mod report;
