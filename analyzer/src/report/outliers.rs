//! Which slow calls to show: calls alike are told once, by the longest of them.

use super::filter::Filter;
use super::options::TextOptions;
use crate::model::{GroupId, Profile, SiteId, SlowCall, WaitObject};
use std::collections::HashMap;

/// Slow calls of one call path in one thread group.
#[derive(Clone, Debug)]
pub struct Outlier<'a> {
    /// The longest of them.
    pub exemplar: &'a SlowCall,
    /// Position of the exemplar in the profile.
    pub index: usize,
    /// How many were kept.
    pub kept: u64,
    /// Their summed time, ns.
    pub sum_ns: f64,
    /// Their summed time beyond the median (beyond the threshold, where no median is known), ns.
    pub excess_ns: f64,
    /// They wait for something to happen (a sleep, a poll, a thread's end), which is often meant.
    pub idle: bool,
}

/// Kinds that one thread holds while others wait. A bare futex may be a condition, too; most are locks.
const LOCK_KINDS: [&str; 8] = [
    "mutex",
    "rwlock (read)",
    "rwlock (write)",
    "spin lock",
    "semaphore",
    "once",
    "barrier",
    "futex",
];

/// Whether that kind of object is a lock.
pub fn is_lock(object: &WaitObject) -> bool {
    LOCK_KINDS.contains(&object.kind.as_str())
}

/// Kinds of waits that are how a program says it has nothing to do.
const IDLE_KINDS: [&str; 6] = ["sleep", "poll", "join", "condition", "process", "signal"];

/// Whether waits of that kind are often meant.
pub fn is_idle_kind(kind: &str) -> bool {
    IDLE_KINDS.contains(&kind)
}

/// How long a call took beyond its like, ns.
pub fn excess_ns(call: &SlowCall) -> f64 {
    (call.duration_ns - call.median_ns.unwrap_or(call.threshold_ns)).max(0.0)
}

/// Whether most of a call was a wait that is often meant.
pub fn is_idle(call: &SlowCall) -> bool {
    call.wait_kind.as_deref().is_some_and(is_idle_kind) && call.wait_ns > 0.5 * call.duration_ns
}

/// The profile's slow calls, alike ones together, most time beyond the usual first.
pub fn outliers<'a>(profile: &'a Profile, options: &TextOptions) -> Vec<Outlier<'a>> {
    let filter = Filter::new(profile, options);
    let mut found: HashMap<(GroupId, &[SiteId], bool), Outlier<'a>> = HashMap::new();
    for (index, call) in profile.slow_calls.iter().enumerate() {
        if !(filter.group(call.group) && filter.site(call.site)) {
            continue;
        }
        let idle = is_idle(call);
        let entry = found.entry((call.group, call.path.as_slice(), idle)).or_insert(Outlier {
            exemplar: call,
            index,
            kept: 0,
            sum_ns: 0.0,
            excess_ns: 0.0,
            idle,
        });
        entry.kept += 1;
        entry.sum_ns += call.duration_ns;
        entry.excess_ns += excess_ns(call);
        if call.duration_ns > entry.exemplar.duration_ns {
            entry.exemplar = call;
            entry.index = index;
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    // The index makes the order total, so that the same profile is always drawn the same.
    found.sort_by(|a, b| b.excess_ns.total_cmp(&a.excess_ns).then(a.index.cmp(&b.index)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn calls_alike_are_told_once_by_the_longest() {
        let profile = sample::profile();
        let all = outliers(&profile, &TextOptions::default());
        let kept: u64 = all.iter().map(|outlier| outlier.kept).sum();
        assert_eq!(kept as usize, profile.slow_calls.len());
        assert!(all.len() < profile.slow_calls.len());
        for pair in all.windows(2) {
            assert!(pair[0].excess_ns >= pair[1].excess_ns);
        }
        let locks = TextOptions { api_filter: vec!["*_lock".into()], ..TextOptions::default() };
        let locked = outliers(&profile, &locks);
        assert!(!locked.is_empty() && locked.iter().all(|outlier| !outlier.idle));
    }
}
