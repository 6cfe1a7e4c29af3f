//! From sums to the profile's rows.

use super::calls::{ApiRow, CallNode, CallTimes, CallerShare, Distribution, FlowEdge, TimeBars};
use super::clock::Clock;
use super::ids::{ApiId, ComponentId, GroupId, NodeId, SiteId, ThreadId};
use super::imbalance;
use super::profile::{Image, Profile};
use super::program::{Thread, ThreadEnd, ThreadGroup};
use super::sums::{GroupSums, SiteSums, Sums};
use std::collections::{BTreeMap, HashMap};

/// Completes threads by what their segments said. `end_ns` is each image's end.
pub fn finish_threads(threads: &mut [Thread], sums: &Sums, clocks: &[Clock], ends_ns: &[u64]) {
    for (at, thread) in threads.iter_mut().enumerate() {
        let image = thread.image.index();
        let end_of_image = ends_ns[image];
        if thread.end == ThreadEnd::WithProcess || thread.end_ns <= thread.start_ns {
            thread.end_ns = end_of_image.max(thread.start_ns);
        }
        thread.lifetime_ns = thread.end_ns.saturating_sub(thread.start_ns);
        let lifetime = thread.lifetime_ns as f64;
        if let Some(own) = sums.threads.get(&ThreadId(at as u32)) {
            thread.calls = own.calls;
            thread.timed = own.timed;
            thread.api_ns = own.api_ns.min(lifetime);
            thread.top_sites.clone_from(&own.top_sites);
            for (&kind, &wait_ns) in &own.waits {
                thread.wait_by_kind_ns.insert(kind.to_owned(), wait_ns);
            }
            let last_ns = clocks[image].moment_ns(own.last_tsc).max(thread.start_ns);
            if let (ThreadEnd::WithProcess, Some(kind)) = (thread.end, own.open_wait) {
                let tail = thread.end_ns.saturating_sub(last_ns) as f64;
                *thread.wait_by_kind_ns.entry(kind.to_owned()).or_default() += tail;
            }
            thread.wait_ns = thread.wait_by_kind_ns.values().sum();
        }
        thread.wait_ns = thread.wait_ns.min(lifetime);
        thread.exec_ns = lifetime - thread.wait_ns;
        // A wait may use a CPU too (a read that copies), so this is the least it can be.
        thread.off_cpu_ns = thread.cpu_ns().map(|cpu| (thread.exec_ns - cpu as f64).max(0.0));
    }
}

/// Completes groups by their members and sums.
pub fn finish_groups(
    groups: &mut [ThreadGroup],
    threads: &[Thread],
    images: &[Image],
    sums: &Sums,
) {
    for (at, group) in groups.iter_mut().enumerate() {
        for &id in &group.threads {
            let thread = &threads[id.index()];
            group.folded_threads += u64::from(thread.folded);
            group.lifetime_ns += thread.lifetime_ns as f64;
            group.exec_ns += thread.exec_ns;
            group.off_cpu_ns += thread.off_cpu_ns.unwrap_or(0.0);
            group.wait_ns += thread.wait_ns;
            for (kind, wait_ns) in &thread.wait_by_kind_ns {
                *group.wait_by_kind_ns.entry(kind.clone()).or_default() += wait_ns;
            }
            match (thread.user_ns, thread.system_ns) {
                (Some(user), Some(system)) => {
                    group.user_ns = group.user_ns.saturating_add(user);
                    group.system_ns = group.system_ns.saturating_add(system);
                }
                _ => group.cpu_unknown += 1,
            }
            let switches = |sum: &mut u64, value: Option<u64>| {
                *sum = sum.saturating_add(value.unwrap_or(0));
            };
            switches(&mut group.voluntary_switches, thread.voluntary_switches);
            switches(&mut group.involuntary_switches, thread.involuntary_switches);
        }
        imbalance::measure(group, threads, images);
        let Some(sums) = sums.groups.get(&GroupId(at as u32)) else { continue };
        for (&kind, &wait_ns) in &sums.folded_waits {
            *group.wait_by_kind_ns.entry(kind.to_owned()).or_default() += wait_ns;
        }
        for site in sums.sites.values() {
            group.calls = group.calls.saturating_add(site.count);
            group.timed = group.timed.saturating_add(site.timed);
        }
        let api_ns: f64 = sums.tree.outermost().map(|node| node.total.total_ns).sum();
        // A timed call below an untimed one is a root, and the untimed one's estimate holds it too.
        group.api_ns = api_ns.min(group.lifetime_ns);
    }
}

/// Rows, call trees, flow and site totals.
pub fn finish_calls(profile: &mut Profile, sums: &Sums, clock: &Clock) {
    let mut flow: HashMap<(Option<ComponentId>, Option<ComponentId>), FlowEdge> = HashMap::new();
    for at in 0..profile.groups.len() {
        let group = GroupId(at as u32);
        let Some(own) = sums.groups.get(&group) else { continue };
        add_rows(profile, group, own, clock);
        add_nodes(profile, group, own);
        for (&id, site) in &own.sites {
            let known = &mut profile.sites[id.index()];
            known.count = known.count.saturating_add(site.count);
            known.timed = known.timed.saturating_add(site.timed);
            let caller = known.caller;
            let api = known.api.map(|api| &profile.apis[api.index()]);
            let callee = api.and_then(|api| api.component);
            let blocking = api.is_some_and(|api| api.blocking);
            let edge =
                flow.entry((caller, callee)).or_insert_with(|| FlowEdge::between(caller, callee));
            edge.count = edge.count.saturating_add(site.count);
            edge.total_ns += site.total.estimate().value_ns;
            edge.self_ns += site.self_ns.max(0.0);
            edge.wait_ns += if blocking { site.wait_ns } else { 0.0 };
        }
    }
    profile.flow = flow.into_values().filter(|edge| edge.count != 0).collect();
    profile.flow.sort_by(|a, b| {
        b.total_ns.total_cmp(&a.total_ns).then((a.caller, a.callee).cmp(&(b.caller, b.callee)))
    });
}

fn add_rows(profile: &mut Profile, group: GroupId, own: &GroupSums, clock: &Clock) {
    let mut by_api: BTreeMap<ApiId, Vec<(SiteId, &SiteSums)>> = BTreeMap::new();
    for (&id, site) in own.sites.iter().filter(|(_, site)| site.count != 0) {
        if let Some(api) = profile.sites[id.index()].api {
            by_api.entry(api).or_default().push((id, site));
        }
    }
    let mut rows: Vec<ApiRow> = by_api
        .into_iter()
        .map(|(api, mut sites)| {
            sites.sort_by(|a, b| (b.1.count, a.0).cmp(&(a.1.count, b.0)));
            row(profile, group, api, &sites, clock)
        })
        .collect();
    rows.sort_by(|a, b| b.self_ns.total_cmp(&a.self_ns).then(a.api.cmp(&b.api)));
    profile.api_rows.append(&mut rows);
}

fn row(
    profile: &Profile,
    group: GroupId,
    api: ApiId,
    sites: &[(SiteId, &SiteSums)],
    clock: &Clock,
) -> ApiRow {
    let mut all = SiteSums::default();
    let mut callers = Vec::with_capacity(sites.len());
    for &(id, site) in sites {
        all.merge(site);
        callers.push(CallerShare {
            component: profile.sites[id.index()].caller,
            site: id,
            count: site.count,
            total_ns: site.total.estimate().value_ns,
            self_ns: site.self_ns.max(0.0),
        });
    }
    let mut total = all.total.estimate();
    // Whatever hides in untimed calls, it is part of the threads' lives.
    let lifetime_ns = match profile.groups[group.index()].lifetime_ns {
        known if known > 0.0 => known,
        _ => f64::INFINITY,
    };
    total.high_ns = total.high_ns.min(lifetime_ns.max(total.value_ns));
    let counted = all.count.saturating_sub(all.unknown);
    ApiRow {
        group,
        api,
        count: all.count,
        timed: all.timed,
        timed_share: ratio(all.timed, all.count),
        total,
        self_ns: all.self_ns.clamp(0.0, total.value_ns),
        wait_ns: all.wait_ns.clamp(0.0, total.value_ns),
        mean_ns: if counted == 0 { 0.0 } else { total.value_ns / counted as f64 },
        distribution: distribution(&all, clock),
        histogram: time_bars(&all, clock),
        times: call_times(&all, clock),
        unseen_max_ns: all.total.unseen_ns.min(lifetime_ns),
        abandoned: all.abandoned,
        blocking: profile.apis[api.index()].blocking,
        counted_only: sites.iter().all(|(id, _)| profile.sites[id.index()].counted_only),
        callers,
    }
}

/// `part ÷ whole`, at most 1; 0 of nothing.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 / whole as f64).min(1.0)
    }
}

/// The shortest and the longest call of `all`, ns. Where every call was timed, none can have taken longer
/// than all together.
fn bounds(all: &SiteSums) -> (f64, f64) {
    let total = all.total.estimate();
    let most_ns = if total.exact { total.high_ns } else { f64::INFINITY };
    let max_ns = all.max_ns.min(most_ns);
    (all.min_ns.min(max_ns), max_ns)
}

/// What turns a duration in the histogram of `all` (which has timed calls) into ns. The same part of each
/// call goes to the probes of timed calls below as of their sum.
fn single_ns<'a>(all: &SiteSums, clock: &'a Clock) -> impl Fn(f64) -> f64 + use<'a> {
    let bias = all.bias_timed / all.timed as f64;
    let (min_ns, max_ns) = bounds(all);
    let kept = match all.with_probes_ns > 0.0 {
        true => (all.total.measured_ns / all.with_probes_ns).min(1.0),
        false => 1.0,
    };
    move |cycles| (kept * clock.span_ns((cycles - bias).max(0.0))).clamp(min_ns, max_ns)
}

fn distribution(all: &SiteSums, clock: &Clock) -> Option<Distribution> {
    if all.timed == 0 {
        return None;
    }
    let ns = single_ns(all, clock);
    let at = |q: f64| ns(all.histogram.quantile(q).unwrap_or(0.0));
    let (min_ns, max_ns) = bounds(all);
    Some(Distribution {
        min_ns,
        p50_ns: at(0.5),
        p90_ns: at(0.9),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns,
    })
}

/// The histogram of `all` in ns, bucket by bucket.
fn call_times(all: &SiteSums, clock: &Clock) -> CallTimes {
    if all.timed == 0 {
        return CallTimes::default();
    }
    let ns = single_ns(all, clock);
    CallTimes { buckets: all.histogram.filled().map(|(at, calls)| (ns(at), calls)).collect() }
}

/// The last bar: from 10^13 ns, almost three hours, upwards.
const LAST_BAR: usize = 130;

/// The histogram of `all` on the reports' axis. A bucket goes whole to the bar its middle lies in,
/// where the percentiles place it too; a bar is eight to fifteen buckets wide.
fn time_bars(all: &SiteSums, clock: &Clock) -> TimeBars {
    if all.timed == 0 {
        return TimeBars::default();
    }
    let ns = single_ns(all, clock);
    // A cell whose counts grew too large keeps them rounded.
    let estimated = all.timed != all.count || all.histogram.total() != all.timed;
    bars_of(all.histogram.filled().map(|(middle, calls)| (ns(middle), calls)), estimated)
}

/// Calls of so many ns each on the reports' axis.
pub fn bars_of(calls: impl Iterator<Item = (f64, u64)>, estimated: bool) -> TimeBars {
    let mut bars = [0u64; LAST_BAR + 1];
    for (ns, calls) in calls {
        // The hair more is for 1000 ns, whose logarithm comes out just below 3.
        let place = (ns.max(1.0).log10() * 10.0 + 1e-9).floor() as usize;
        let bar = &mut bars[place.min(LAST_BAR)];
        *bar = bar.saturating_add(calls);
    }
    let filled = |calls: &u64| *calls != 0;
    let Some(first) = bars.iter().position(filled) else { return TimeBars::default() };
    let last = bars.iter().rposition(filled).unwrap_or(first);
    TimeBars { first: first as u32, calls: bars[first..=last].to_vec(), estimated }
}

fn add_nodes(profile: &mut Profile, group: GroupId, own: &GroupSums) {
    let first = profile.call_nodes.len() as u32;
    for node in &own.tree.nodes {
        let total = node.total.estimate();
        profile.call_nodes.push(CallNode {
            group,
            parent: node.parent.map(|parent| NodeId(first + parent)),
            site: node.site,
            api: profile.sites[node.site.index()].api,
            depth: node.depth,
            count: node.count.round() as u64,
            scaled: node.scaled,
            collapsed: node.collapsed,
            timed: node.timed,
            total,
            self_ns: node.self_ns.clamp(0.0, total.value_ns),
            wait_ns: node.wait_ns.clamp(0.0, total.value_ns),
            min_max_ns: (node.timed != 0).then_some((node.min_ns.min(node.max_ns), node.max_ns)),
            slow_seen: node.slow_seen,
            slow_ns: node.slow_ns,
            abandoned: node.abandoned,
        });
    }
}

/// First call node of each group that has any.
pub fn first_nodes(profile: &Profile) -> HashMap<GroupId, u32> {
    let mut first = HashMap::new();
    for (at, node) in profile.call_nodes.iter().enumerate() {
        first.entry(node.group).or_insert(at as u32);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of so many cycles at 1 cycle per ns, with a probe of 10 cycles in each.
    fn sums(cycles: &[(u64, u64)], count: u64) -> SiteSums {
        let mut sums = SiteSums { count, ..SiteSums::default() };
        for &(value, calls) in cycles {
            sums.histogram.add_value(value + 10, calls);
            sums.timed += calls;
            sums.total.total_ns += (value * calls) as f64;
            sums.min_ns = sums.min_ns.min(value as f64);
            sums.max_ns = sums.max_ns.max(value as f64);
        }
        sums.bias_timed = 10.0 * sums.timed as f64;
        sums
    }

    fn clock() -> Clock {
        Clock::new(&[], 1_000_000_000, 0)
    }

    #[test]
    fn bars_hold_all_calls_where_their_times_are() {
        let bars = time_bars(&sums(&[(1_000, 5), (1_100, 2), (110_000, 1)], 8), &clock());
        assert_eq!((bars.first, bars.calls.len()), (30, 21));
        assert_eq!((bars.calls[0], bars.calls[20]), (7, 1));
        assert_eq!(bars.calls.iter().sum::<u64>(), 8);
        assert!(!bars.estimated);
    }

    #[test]
    fn bars_of_calls_not_all_timed_are_estimates() {
        assert!(time_bars(&sums(&[(50, 3)], 4), &clock()).estimated);
        let none = time_bars(&sums(&[], 4), &clock());
        assert_eq!(none, TimeBars::default());
    }

    #[test]
    fn bars_at_both_ends_take_what_lies_beyond() {
        let bars = time_bars(&sums(&[(0, 1), (1 << 46, 1)], 2), &clock());
        assert_eq!((bars.first, bars.calls.len()), (0, LAST_BAR + 1));
    }
}
