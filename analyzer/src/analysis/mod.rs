//! Pure functions from a [`Profile`] to [`Finding`]s.
//!
//! What may not happen here: no I/O, no clock, no randomness: the same profile gives the same
//! findings in the same order.

pub mod compare;
mod finding;
mod footprint;
mod imbalance;
mod locks;
mod off_cpu;
mod recording;
#[cfg(test)]
mod samples;
mod syscalls;
mod tail;
mod words;

pub use finding::{Evidence, Finding, FindingKind, Grade, Place};
pub use footprint::{footprints, Footprint, Spread};
pub use recording::threads_lost_because;
pub use syscalls::{
    categories, lines_by_key, sort_lines, sum_all, sum_by, syscall_lines, target_lines, SyscallKey,
    SyscallLine, SyscallSort, SyscallsBy, TargetLine,
};

use crate::model::Profile;

/// All findings of a profile, most important first.
pub fn findings(profile: &Profile) -> Vec<Finding> {
    let mut findings = recording::find(profile);
    findings.extend(imbalance::find(profile));
    findings.extend(locks::find(profile));
    findings.extend(off_cpu::find(profile));
    findings.extend(tail::find(profile));
    // Stable: findings of equal weight stay in the order of the analyses.
    findings.sort_by(|a, b| a.grade.cmp(&b.grade).then(b.weight_ns.total_cmp(&a.weight_ns)));
    findings
}
