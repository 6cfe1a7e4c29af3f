//! One run of a side, cut down to what is compared: per API and per system call one [`Footprint`].

use crate::model::{category_text, syscall_category, syscall_name, ApiRow, Profile, SyscallSums};
use std::collections::{BTreeMap, BTreeSet};

/// A call timed once more often than this tells how its times spread.
const LEAST_TIMED: u64 = 2;

/// What one run did in one place: all calls of an API, of a system call below it, of a category.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Footprint {
    /// Exact number of calls.
    pub calls: u64,
    /// Of these, timed; 0 = nothing is known of the times.
    pub timed: u64,
    /// Calls that `total_ns` is of; calls whose like was never timed are not.
    pub known: f64,
    /// Time of all calls, estimated from those timed, ns.
    pub total_ns: f64,
    /// Of this, time waited, ns.
    pub wait_ns: f64,
    /// Half width of the 95 % interval of `total_ns`, ns; 0 where every call was timed exactly.
    pub unsure_ns: f64,
    /// Longest timed call, ns.
    pub max_ns: f64,
    /// Calls by time, shortest first: (ns, calls).
    pub times: Vec<(f64, u64)>,
    /// System calls below it (of a system call: itself); `None` where the run recorded none.
    pub syscalls: Option<u64>,
    /// Of these, failed.
    pub errors: Option<u64>,
    /// Bytes that they moved.
    pub bytes: Option<u64>,
}

impl Footprint {
    /// Adds another place's calls.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.timed = self.timed.saturating_add(other.timed);
        self.known += other.known;
        self.total_ns += other.total_ns;
        self.wait_ns += other.wait_ns;
        // Half widths of independent estimates add up in square.
        self.unsure_ns = self.unsure_ns.hypot(other.unsure_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.times = merged(&self.times, &other.times);
        self.add_counts(other);
    }

    /// Adds another place's system calls, not its calls and times.
    fn add_counts(&mut self, other: &Self) {
        let sum = |a: &mut Option<u64>, b: Option<u64>| {
            *a = match (*a, b) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
            };
        };
        sum(&mut self.syscalls, other.syscalls);
        sum(&mut self.errors, other.errors);
        sum(&mut self.bytes, other.bytes);
    }

    /// Time of a call at the quantile `q`, ns; `None` where none was timed.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let all: u64 = self.times.iter().map(|(_, calls)| calls).sum();
        let rank = ((q * all as f64).ceil() as u64).clamp(1, all.max(1));
        let mut seen = 0u64;
        self.times.iter().find_map(|&(ns, calls)| {
            seen = seen.saturating_add(calls);
            (seen >= rank).then_some(ns)
        })
    }

    /// Mean time of a call, ns; `None` where none was timed.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.timed > 0 && self.known > 0.0).then(|| self.total_ns / self.known)
    }

    /// Standard deviation ÷ mean of single calls; `None` where too few were timed.
    pub fn variation(&self) -> Option<f64> {
        if self.timed < LEAST_TIMED {
            return None;
        }
        let sum = |of: &dyn Fn(f64) -> f64| {
            self.times.iter().map(|&(ns, calls)| of(ns) * calls as f64).sum::<f64>()
        };
        let all = sum(&|_| 1.0);
        let mean = sum(&|ns| ns) / all;
        let variance = sum(&|ns| (ns - mean).powi(2)) / (all - 1.0).max(1.0);
        (mean > 0.0).then(|| variance.sqrt() / mean)
    }
}

fn merged(a: &[(f64, u64)], b: &[(f64, u64)]) -> Vec<(f64, u64)> {
    let mut all: Vec<(f64, u64)> = a.iter().chain(b).copied().collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    all
}

/// An API and the system calls below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiFootprint {
    /// All its calls.
    pub whole: Footprint,
    /// By system call.
    pub syscalls: BTreeMap<String, Footprint>,
}

impl ApiFootprint {
    /// Adds another API's calls.
    pub fn add(&mut self, other: &Self) {
        self.whole.add(&other.whole);
        for (name, part) in &other.syscalls {
            self.syscalls.entry(name.clone()).or_default().add(part);
        }
    }
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The trace directory as it was given.
    pub directory: String,
    /// Command and arguments.
    pub command: Vec<String>,
    /// When it began, ns since 1970; 0 = unknown.
    pub start_realtime_ns: u64,
    /// From start to end, ns.
    pub wall_ns: u64,
    /// User CPU time, ns, where known.
    pub user_ns: Option<u64>,
    /// System CPU time, ns, where known.
    pub system_ns: Option<u64>,
    /// Threads of all its processes.
    pub threads: u64,
    /// Calls or records were lost: its counts are too low.
    pub incomplete: bool,
    /// All calls between components, and all system calls.
    pub program: Footprint,
    /// By API name, over all thread groups and components that define one of that name.
    pub apis: BTreeMap<String, ApiFootprint>,
    /// By category of system calls (`file`, `lock`, …).
    pub categories: BTreeMap<String, Footprint>,
    /// Component names by API name, for the reader.
    pub components: BTreeMap<String, String>,
}

impl Run {
    /// What is compared of `profile`.
    pub fn new(profile: &Profile) -> Self {
        let losses = &profile.losses;
        let mut run = Self {
            directory: profile.run.directory.clone(),
            command: profile.run.command.clone(),
            start_realtime_ns: profile.run.start_realtime_ns,
            wall_ns: profile.run.wall_ns,
            user_ns: profile.run.user_ns,
            system_ns: profile.run.system_ns,
            threads: profile.threads.len() as u64,
            incomplete: losses.lost_calls + losses.lost_threads + losses.lost_records > 0
                || !losses.damages.is_empty()
                || !losses.unreadable_images.is_empty(),
            ..Self::default()
        };
        for row in &profile.api_rows {
            let Some(api) = profile.apis.get(row.api.index()) else { continue };
            let name = if api.name.is_empty() { &api.symbol } else { &api.name };
            run.apis.entry(name.clone()).or_default().whole.add(&footprint(row));
            let component = api.component.and_then(|id| profile.components.get(id.index()));
            if let Some(component) = component {
                run.components.entry(name.clone()).or_insert_with(|| component.name.clone());
            }
        }
        run.program.calls = profile.coverage.calls;
        run.program.wait_ns = profile.groups.iter().map(|group| group.wait_ns).sum();
        if !profile.syscalls.is_empty() {
            run.add_syscalls(profile);
        }
        run
    }

    /// Each system call counts for every API that was open above it, once.
    fn add_syscalls(&mut self, profile: &Profile) {
        let mut below: BTreeMap<(String, u32), SyscallSums> = BTreeMap::new();
        let mut by_number: BTreeMap<u32, SyscallSums> = BTreeMap::new();
        for row in &profile.syscalls.rows {
            by_number.entry(row.number).or_default().merge(&row.sums);
            let above: BTreeSet<&str> = profile
                .path_above(row.node)
                .filter_map(|id| profile.call_nodes.get(id.index())?.api)
                .filter_map(|id| profile.apis.get(id.index()))
                .map(|api| if api.name.is_empty() { &*api.symbol } else { &*api.name })
                .collect();
            for name in above {
                below.entry((name.to_owned(), row.number)).or_default().merge(&row.sums);
            }
        }
        for outside in &profile.syscalls.outside {
            by_number.entry(outside.number).or_default().add_unplaced(outside.unplaced);
        }
        let none = || Footprint {
            syscalls: Some(0),
            errors: Some(0),
            bytes: Some(0),
            ..Footprint::default()
        };
        self.program.add_counts(&none());
        for api in self.apis.values_mut() {
            api.whole.add_counts(&none());
        }
        for (number, sums) in by_number.iter().filter(|(_, sums)| sums.count > 0) {
            let part = syscall_footprint(sums);
            self.program.add_counts(&part);
            let category = category_text(syscall_category(*number));
            self.categories.entry(category.to_owned()).or_default().add(&part);
        }
        for ((api, number), sums) in below.iter().filter(|(_, sums)| sums.count > 0) {
            let part = syscall_footprint(sums);
            let api = self.apis.entry(api.clone()).or_default();
            api.whole.add_counts(&part);
            api.syscalls.entry(syscall_name(*number).into_owned()).or_default().add(&part);
        }
    }

    /// User and system CPU time, ns, where known.
    pub fn cpu_ns(&self) -> Option<u64> {
        Some(self.user_ns?.saturating_add(self.system_ns?))
    }
}

fn syscall_footprint(sums: &SyscallSums) -> Footprint {
    let time = sums.time().unwrap_or_default();
    Footprint {
        calls: sums.count,
        timed: sums.timed,
        known: sums.count.saturating_sub(sums.unknown) as f64,
        total_ns: time.value_ns,
        wait_ns: sums.waited_ns(),
        unsure_ns: (time.high_ns - time.low_ns).max(0.0) / 2.0,
        max_ns: sums.distribution().map_or(0.0, |known| known.max_ns),
        times: sums.durations().collect(),
        syscalls: Some(sums.count),
        errors: Some(sums.errors),
        bytes: Some(sums.bytes),
    }
}

fn footprint(row: &ApiRow) -> Footprint {
    let total = &row.total;
    let times = if row.counted_only { Vec::new() } else { row.times.buckets.clone() };
    Footprint {
        calls: row.count,
        timed: if row.counted_only { 0 } else { row.timed },
        // The mean is of the calls whose time is known.
        known: if row.mean_ns > 0.0 { total.value_ns / row.mean_ns } else { row.count as f64 },
        total_ns: total.value_ns,
        wait_ns: row.wait_ns,
        unsure_ns: (total.high_ns - total.low_ns).max(0.0) / 2.0,
        max_ns: times.last().map_or(0.0, |_| row.distribution.map_or(0.0, |d| d.max_ns)),
        times,
        ..Footprint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_mean_and_variation_are_those_of_the_calls() {
        let part = Footprint {
            calls: 10,
            timed: 10,
            known: 10.0,
            total_ns: 190.0,
            times: vec![(10.0, 9), (100.0, 1)],
            ..Footprint::default()
        };
        assert_eq!(part.quantile(0.9), Some(10.0));
        assert_eq!(part.quantile(0.91), Some(100.0));
        assert_eq!(part.mean_ns(), Some(19.0));
        // Variance Σ(x−19)² ÷ 9 = 810.
        let variation = part.variation().expect("ten calls spread");
        assert!((variation - 810f64.sqrt() / 19.0).abs() < 1e-12, "{variation}");
        assert_eq!(Footprint::default().quantile(0.5), None);
        assert_eq!(Footprint::default().mean_ns(), None);
    }

    #[test]
    fn adding_keeps_the_calls_in_order_and_unknown_apart_from_none() {
        let one = |ns: f64, errors: Option<u64>| Footprint {
            calls: 1,
            timed: 1,
            known: 1.0,
            total_ns: ns,
            unsure_ns: ns,
            max_ns: ns,
            times: vec![(ns, 1)],
            errors,
            ..Footprint::default()
        };
        let mut sum = one(4.0, None);
        sum.add(&one(3.0, Some(2)));
        assert_eq!(sum.times, [(3.0, 1), (4.0, 1)]);
        assert_eq!((sum.errors, sum.bytes, sum.max_ns, sum.unsure_ns), (Some(2), None, 4.0, 5.0));
    }
}
