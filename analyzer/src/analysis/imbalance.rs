//! Threads of one group that worked unequally long.
//!
//! The finding is worth the time the longest worker takes beyond the mean: were the work spread
//! evenly, the group would be done that much earlier.

use super::words;
use super::{Evidence, Finding, FindingKind, Grade, Place};
use crate::model::{GroupId, Profile};

/// Below this (longest ÷ mean) threads count as even.
const LEAST_RATIO: f64 = 1.25;
/// Below this share of the run's time the excess is a note at most.
const MINOR_SHARE: f64 = 0.01;
/// From this share on it is major.
const MAJOR_SHARE: f64 = 0.10;

/// One finding per uneven group.
pub fn find(profile: &Profile) -> Vec<Finding> {
    (0..profile.groups.len() as u32).filter_map(|id| of_group(profile, GroupId(id))).collect()
}

fn of_group(profile: &Profile, id: GroupId) -> Option<Finding> {
    let group = &profile.groups[id.index()];
    let straggler = group.straggler?;
    let threads = group.threads.len() as f64;
    if group.max_over_mean < LEAST_RATIO {
        return None;
    }
    let mean_ns = group.exec_ns / threads;
    let longest = &profile.threads[straggler.index()];
    let excess_ns = longest.exec_ns - mean_ns;
    let share = excess_ns / (profile.run.wall_ns as f64).max(1.0);
    if share < MINOR_SHARE {
        return None;
    }
    let name = words::group(profile, id);
    let who = words::thread(profile, straggler);
    Some(Finding {
        grade: if share >= MAJOR_SHARE { Grade::Major } else { Grade::Minor },
        kind: FindingKind::Imbalance,
        title: format!(
            "{name}: {who} worked {:.1} times as long as the mean of {}",
            group.max_over_mean,
            words::count(group.threads.len() as u64, "thread")
        ),
        text: format!(
            "{who} executed for {}, the mean of its group is {} (coefficient of variation {:.2}). \
             Spread evenly, the longest thread would end {} earlier: look at how work is handed to \
             these threads, and at what this one calls more often than the others.",
            words::time(longest.exec_ns),
            words::time(mean_ns),
            group.coefficient_of_variation,
            words::time(excess_ns)
        ),
        evidence: vec![
            Evidence::new("longest exec time", longest.exec_ns, "ns"),
            Evidence::new("mean exec time", mean_ns, "ns"),
            Evidence::new("max over mean", group.max_over_mean, "ratio"),
            Evidence::new("coefficient of variation", group.coefficient_of_variation, "ratio"),
            Evidence::new("threads", threads, "threads"),
        ],
        place: Place {
            image: Some(longest.image),
            group: Some(id),
            thread: Some(straggler),
            ..Place::default()
        },
        weight_ns: excess_ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::samples;

    #[test]
    fn the_straggler_is_named() {
        let profile = samples::four_workers([1.0, 1.0, 1.0, 3.0]);
        let findings = find(&profile);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].grade, Grade::Major);
        assert!(findings[0].title.contains("tid 103"), "{}", findings[0].title);
        assert!((findings[0].weight_ns - 1.5e9).abs() < 1.0);
    }

    #[test]
    fn even_threads_are_no_finding() {
        assert!(find(&samples::four_workers([1.0, 1.1, 0.9, 1.0])).is_empty());
    }
}
