//! Threads that share work and worked unequally long.
//!
//! The finding is worth the time the longest worker takes beyond the mean: were the work spread
//! evenly, the group would be done that much earlier. Which threads share work is the model's to
//! say ([`ThreadGroup::compared_threads`]). That sibling processes do is inferred from how they
//! lived, so a finding on them is never major.

use super::{off_cpu, words, Evidence, Finding, FindingKind, Grade, Place};
use crate::model::{GroupId, Profile, Thread, ThreadGroup, ThreadOrigin};

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
    if group.compared_threads < 2 || group.max_over_mean < LEAST_RATIO {
        return None;
    }
    let longest = &profile.threads[straggler.index()];
    let mean_ns = longest.exec_ns / group.max_over_mean;
    let excess_ns = longest.exec_ns - mean_ns;
    let share = excess_ns / (profile.run.wall_ns as f64).max(1.0);
    if share < MINOR_SHARE {
        return None;
    }
    let processes = longest.origin == ThreadOrigin::Main;
    let (like, units) = match processes {
        true => ("worker process", "worker processes forked by one parent"),
        false => ("thread", "threads"),
    };
    let who = words::thread(profile, straggler);
    let cpu = longest.cpu_ns().map_or_else(String::new, |cpu_ns| {
        format!(", {} of it on a CPU", words::time((cpu_ns as f64).min(longest.exec_ns)))
    });
    Some(Finding {
        grade: if share >= MAJOR_SHARE && !processes { Grade::Major } else { Grade::Minor },
        kind: FindingKind::Imbalance,
        title: format!(
            "{}: {who} worked {:.1} times as long as the mean of {} {units}",
            words::group(profile, id),
            group.max_over_mean,
            group.compared_threads,
        ),
        text: format!(
            "{who} executed for {}{cpu}; the mean of them is {} (coefficient of variation {:.2}). \
             {}Spread evenly, the longest {like} would end {} earlier: look at how work is handed \
             to them, and at what this one calls more often than the others.",
            words::time(longest.exec_ns),
            words::time(mean_ns),
            group.coefficient_of_variation,
            off_cpu::of_thread(longest),
            words::time(excess_ns)
        ),
        evidence: evidence(group, longest, mean_ns),
        place: Place {
            image: Some(longest.image),
            group: Some(id),
            thread: Some(straggler),
            ..Place::default()
        },
        weight_ns: excess_ns,
    })
}

fn evidence(group: &ThreadGroup, longest: &Thread, mean_ns: f64) -> Vec<Evidence> {
    let mut evidence = vec![
        Evidence::new("longest exec time", longest.exec_ns, "ns"),
        Evidence::new("mean exec time", mean_ns, "ns"),
        Evidence::new("max over mean", group.max_over_mean, "ratio"),
        Evidence::new("coefficient of variation", group.coefficient_of_variation, "ratio"),
        Evidence::new("threads compared", group.compared_threads as f64, "threads"),
    ];
    if let Some(cpu_ns) = longest.cpu_ns() {
        evidence.insert(1, Evidence::new("its CPU time", cpu_ns as f64, "ns"));
    }
    evidence
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

    #[test]
    fn threads_that_share_no_work_are_no_finding() {
        let mut profile = samples::four_workers([1.0, 1.0, 1.0, 3.0]);
        profile.groups[0].compared_threads = 0;
        assert!(find(&profile).is_empty());
    }

    #[test]
    fn cpu_time_stands_beside_exec_time() {
        let mut profile = samples::four_workers([1.0, 1.0, 1.0, 3.0]);
        let straggler = &mut profile.threads[3];
        (straggler.user_ns, straggler.system_ns) = (Some(1_400_000_000), Some(100_000_000));
        straggler.off_cpu_ns = Some(1.5e9);
        straggler.involuntary_switches = Some(77);
        let text = &find(&profile)[0].text;
        assert!(text.contains("executed for 3.00 s, 1.50 s of it on a CPU"), "{text}");
        assert!(text.contains("waited for a CPU (77 involuntary switches)"), "{text}");
    }

    #[test]
    fn sibling_processes_are_called_so_and_never_major() {
        let mut profile = samples::four_workers([1.0, 1.0, 1.0, 3.0]);
        profile.threads[3].origin = ThreadOrigin::Main;
        let findings = find(&profile);
        assert_eq!(findings[0].grade, Grade::Minor);
        assert!(findings[0].title.ends_with("4 worker processes forked by one parent"));
    }
}
