//! Threads that were neither on a CPU nor in a wait that was seen.
//!
//! Such time is part of their exec time without being work. It has two causes that the recording
//! cannot tell apart but hints at: no CPU was free (involuntary switches), or the thread slept
//! in a system call that no hooked function made (voluntary ones).

use super::{words, Evidence, Finding, FindingKind, Grade, Place};
use crate::model::{GroupId, Profile, Thread, ThreadGroup};

/// Least part of the group's thread time, and of the run, that makes a finding.
const LEAST_SHARE: f64 = 0.10;
/// Below this the clocks of CPU time and of lifetime may simply disagree, ns.
const LEAST_NS: f64 = 10e6;
/// From this part of a thread's exec time on its CPU time is said to be far below.
const FAR: f64 = 0.25;

/// One finding per group with much of it.
pub fn find(profile: &Profile) -> Vec<Finding> {
    let ids = (0..profile.groups.len() as u32).map(GroupId);
    ids.filter_map(|id| of_group(profile, id, &profile.groups[id.index()])).collect()
}

fn of_group(profile: &Profile, id: GroupId, group: &ThreadGroup) -> Option<Finding> {
    let off_ns = group.off_cpu_ns;
    let least_ns = LEAST_SHARE * group.lifetime_ns.max(profile.run.wall_ns as f64);
    if off_ns < least_ns.max(LEAST_NS) {
        return None;
    }
    let cpu_ns = group.user_ns.saturating_add(group.system_ns) as f64;
    let unknown = match group.cpu_unknown {
        0 => String::new(),
        n => format!(" (that of {} unknown)", words::count(n, "thread")),
    };
    let (own, forced) = (group.voluntary_switches, group.involuntary_switches);
    let text = format!(
        "They executed for {} but had a CPU for {}{unknown} only: blocked where we do not see it, or waiting \
         for a CPU ({}, {}). Many involuntary switches speak for too few CPUs, voluntary ones for a \
         lock or a sleep behind a call that is not hooked{}.",
        words::time(group.exec_ns),
        words::time(cpu_ns),
        words::count(forced, "involuntary switch"),
        words::count(own, "voluntary one"),
        unhooked(profile)
    );
    Some(Finding {
        grade: Grade::Minor,
        kind: FindingKind::OffCpu,
        title: format!(
            "{}: {} off-CPU in no wait that was seen, {} of its thread time",
            words::group(profile, id),
            words::time(off_ns),
            words::percent(off_ns, group.lifetime_ns)
        ),
        text,
        evidence: vec![
            Evidence::new("off-CPU time", off_ns, "ns"),
            Evidence::new("exec time", group.exec_ns, "ns"),
            Evidence::new("CPU time", cpu_ns, "ns"),
            Evidence::new("involuntary switches", forced as f64, "switches"),
            Evidence::new("voluntary switches", own as f64, "switches"),
        ],
        place: Place { group: Some(id), ..Place::default() },
        weight_ns: off_ns,
    })
}

/// What to say of a thread whose exec time is far above its CPU time; else nothing.
pub fn of_thread(thread: &Thread) -> String {
    let off_ns = thread.off_cpu_ns.unwrap_or(0.0);
    if off_ns < FAR * thread.exec_ns {
        return String::new();
    }
    let switches = match thread.involuntary_switches {
        Some(n) => format!(" ({})", words::count(n, "involuntary switch")),
        None => String::new(),
    };
    format!(
        "For {} it was blocked where we do not see it, or waited for a CPU{switches}. ",
        words::time(off_ns)
    )
}

/// Functions that can wait and are not hooked, as a remark.
fn unhooked(profile: &Profile) -> String {
    let mut names: Vec<&str> =
        profile.coverage.skips.iter().flat_map(|s| &s.waiting).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    match names.is_empty() {
        true => String::new(),
        false => format!(" (able to wait and left alone: {})", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::samples;
    use crate::model::SkipRow;

    #[test]
    fn much_time_off_cpu_is_found_with_its_hints() {
        let mut profile = samples::four_workers([1.0; 4]);
        assert!(find(&profile).is_empty());
        profile.groups[0].off_cpu_ns = 2e9;
        profile.groups[0].user_ns = 2_000_000_000;
        profile.groups[0].involuntary_switches = 1;
        let waiting = vec!["syscall".to_owned()];
        profile.coverage.skips.push(SkipRow { waiting, ..SkipRow::default() });
        let found = find(&profile);
        assert_eq!(found.len(), 1);
        let text = &found[0].text;
        assert!(text.contains("executed for 4.00 s but had a CPU for 2.00 s"), "{text}");
        assert!(text.contains("1 involuntary switch, 0 voluntary ones"), "{text}");
        assert!(text.contains("left alone: syscall"), "{text}");
    }
}
