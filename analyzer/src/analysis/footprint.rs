//! What each API asks of the kernel: its footprint, by which implementations of one job differ.
//!
//! All system calls made in an API or in anything it called are its. A call is part of the footprint
//! of each API of its path, so footprints of nested APIs contain each other.

use super::syscalls::sum_all;
use crate::model::{syscall_category, ApiId, GroupId, Profile, SyscallRow, SyscallSums};
use perfvisor_format::SyscallCategory;
use std::collections::{BTreeMap, BTreeSet};

/// How the times of single calls of an API are spread, ns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Mean.
    pub mean_ns: f64,
    /// Standard deviation ÷ mean.
    pub variation: f64,
    /// Median.
    pub p50_ns: f64,
    /// 99th percentile.
    pub p99_ns: f64,
    /// Longest (within its bucket).
    pub max_ns: f64,
}

/// The footprint of one API.
#[derive(Clone, Debug, PartialEq)]
pub struct Footprint {
    /// The API.
    pub api: ApiId,
    /// Exact number of its calls.
    pub calls: u64,
    /// Of these, timed.
    pub timed: u64,
    /// Its time with all it called, estimated; `None` when no call was timed.
    pub total_ns: Option<f64>,
    /// Of that, outside of system calls that were seen and timed.
    pub user_ns: Option<f64>,
    /// The times are estimates, not measured of every call.
    pub estimated: bool,
    /// How its calls' times are spread; `None` when none was timed.
    pub spread: Option<Spread>,
    /// All its system calls.
    pub all: SyscallSums,
    /// They by number, most time first.
    pub syscalls: Vec<(u32, SyscallSums)>,
    /// They by category, most time first.
    pub categories: Vec<(SyscallCategory, SyscallSums)>,
}

impl Footprint {
    /// `value` of all calls for each one; 0 where the API was not called.
    pub fn per_call(&self, value: f64) -> f64 {
        if self.calls == 0 {
            0.0
        } else {
            value / self.calls as f64
        }
    }
}

/// The footprints of APIs that were called and are wanted, in the groups that are; those with most
/// time in the kernel first. With `idle` also of APIs without a system call.
pub fn footprints(
    profile: &Profile,
    idle: bool,
    api: impl Fn(ApiId) -> bool,
    group: impl Fn(GroupId) -> bool,
) -> Vec<Footprint> {
    let mut rows: BTreeMap<ApiId, Vec<&SyscallRow>> = BTreeMap::new();
    for row in profile.syscalls.rows.iter().filter(|row| group(row.group)) {
        let node = |id: crate::model::NodeId| profile.call_nodes.get(id.index());
        // An API that calls itself has its system calls once.
        let apis: BTreeSet<ApiId> =
            profile.path_above(row.node).filter_map(|id| node(id)?.api).collect();
        apis.into_iter().filter(|id| api(*id)).for_each(|id| rows.entry(id).or_default().push(row));
    }
    if idle {
        let called = profile.api_rows.iter().filter(|row| group(row.group) && api(row.api));
        called.for_each(|row| {
            rows.entry(row.api).or_default();
        });
    }
    let mut found: Vec<Footprint> =
        rows.into_iter().map(|(api, rows)| footprint(profile, api, &rows, &group)).collect();
    let weight = |f: &Footprint| f.all.exec_ns().max(f.all.waited_ns());
    found.sort_by(|a, b| {
        weight(b).total_cmp(&weight(a)).then(b.all.count.cmp(&a.all.count)).then(a.api.cmp(&b.api))
    });
    found
}

fn footprint(
    profile: &Profile,
    api: ApiId,
    rows: &[&SyscallRow],
    group: &impl Fn(GroupId) -> bool,
) -> Footprint {
    let (mut calls, mut timed, mut total_ns, mut estimated) = (0u64, 0u64, 0.0, false);
    let mut times: Vec<(f64, u64)> = Vec::new();
    for row in profile.api_rows.iter().filter(|row| row.api == api && group(row.group)) {
        calls = calls.saturating_add(row.count);
        timed = timed.saturating_add(row.timed);
        total_ns += row.total.value_ns;
        estimated |= !row.total.exact;
        times.extend(&row.times.buckets);
    }
    let all = sum_all(rows.iter().copied());
    estimated |= all.time().is_some_and(|time| !time.exact);
    let total_ns = (timed != 0).then_some(total_ns);
    Footprint {
        api,
        calls,
        timed,
        total_ns,
        user_ns: total_ns.map(|total| (total - all.total_ns()).max(0.0)),
        estimated,
        spread: spread(times),
        syscalls: sorted(rows, |row| row.number),
        categories: sorted(rows, |row| syscall_category(row.number)),
        all,
    }
}

/// The rows by a key, most time first.
fn sorted<K: Ord + Copy>(
    rows: &[&SyscallRow],
    key: impl Fn(&SyscallRow) -> K,
) -> Vec<(K, SyscallSums)> {
    let sums = super::syscalls::sum_by(rows.iter().copied(), |row| Some(key(row)));
    let mut sums: Vec<(K, SyscallSums)> = sums.into_iter().collect();
    let weight = |sums: &SyscallSums| sums.exec_ns().max(sums.waited_ns());
    sums.sort_by(|a, b| {
        weight(&b.1).total_cmp(&weight(&a.1)).then(b.1.count.cmp(&a.1.count)).then(a.0.cmp(&b.0))
    });
    sums
}

/// The spread of calls of so many ns each.
fn spread(mut times: Vec<(f64, u64)>) -> Option<Spread> {
    times.retain(|(_, calls)| *calls != 0);
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let calls: f64 = times.iter().map(|(_, n)| *n as f64).sum();
    let mean_ns = times.iter().map(|(ns, n)| ns * *n as f64).sum::<f64>() / calls;
    let squares: f64 = times.iter().map(|(ns, n)| (ns - mean_ns).powi(2) * *n as f64).sum();
    let deviation = if calls > 1.0 { (squares / (calls - 1.0)).sqrt() } else { 0.0 };
    let at = |q: f64| {
        let mut seen = 0.0;
        let rank = (q * calls).ceil().max(1.0);
        let found = times.iter().find(|(_, n)| {
            seen += *n as f64;
            seen >= rank
        });
        found.or(times.last()).map_or(0.0, |(ns, _)| *ns)
    };
    let max_ns = times.last()?.0;
    Some(Spread {
        mean_ns,
        variation: if mean_ns > 0.0 { deviation / mean_ns } else { 0.0 },
        p50_ns: at(0.5),
        p99_ns: at(0.99),
        max_ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_the_calls() {
        let found = spread(vec![(300.0, 1), (100.0, 99)]).expect("calls");
        assert_eq!((found.p50_ns, found.p99_ns, found.max_ns), (100.0, 100.0, 300.0));
        assert!((found.mean_ns - 102.0).abs() < 1e-9);
        // Deviation 20: 99·2² + 198² = 39 600 over 99.
        assert!((found.variation - 20.0 / 102.0).abs() < 1e-9, "{found:?}");
        assert_eq!(spread(vec![]), None);
        assert_eq!(spread(vec![(5.0, 1)]).map(|s| s.variation), Some(0.0));
    }
}
