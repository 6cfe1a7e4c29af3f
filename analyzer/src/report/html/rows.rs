//! Rows of the page's tables and charts. Times are whole nanoseconds: fractions of them only make
//! the page larger.

use crate::model::{
    ApiRow, CallNode, GroupId, Profile, SlowCall, Thread, ThreadGroup, ThreadId, WaitObject,
};
use crate::report::lookup::Lookup;
use crate::report::outliers::{excess_ns, is_idle, is_lock};
use crate::report::slow_call::{arguments, usual, waited};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Threads of one group that the page carries.
const MEMBERS: usize = 400;
/// Slow calls that the page carries.
const SLOW_CALLS: usize = 2000;
/// Waited-for objects that the page carries.
const OBJECTS: usize = 400;
/// Nodes of the call tree that the page carries.
const NODES: usize = 20_000;
/// Waiters and holders of one object that the page carries.
const PEOPLE: usize = 12;

fn whole(ns: f64) -> i64 {
    ns.round() as i64
}

fn by_kind(kinds: &BTreeMap<String, f64>) -> Vec<(String, i64)> {
    let mut waits: Vec<(String, i64)> = kinds
        .iter()
        .map(|(kind, ns)| (kind.clone(), whole(*ns)))
        .filter(|wait| wait.1 > 0)
        .collect();
    waits.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    waits
}

/// A thread group.
#[derive(Serialize)]
pub struct Group {
    name: String,
    threads: usize,
    lifetime: i64,
    exec: i64,
    wait: i64,
    waits: Vec<(String, i64)>,
    user: u64,
    system: u64,
    cpu_unknown: u64,
    calls: u64,
    max_over_mean: f64,
    variation: f64,
    straggler: Option<String>,
    members: Vec<Member>,
    members_cut: usize,
}

/// A thread of a group.
#[derive(Serialize)]
struct Member {
    label: String,
    start: u64,
    lifetime: u64,
    exec: i64,
    wait: i64,
    waits: Vec<(String, i64)>,
    user: Option<u64>,
    system: Option<u64>,
    calls: u64,
    creator: Option<String>,
    top: Vec<(String, u64, i64)>,
}

impl Group {
    /// All groups, in the profile's order: positions are ids.
    pub fn all(profile: &Profile, names: Lookup) -> Vec<Self> {
        profile
            .groups
            .iter()
            .enumerate()
            .map(|(at, group)| Self::new(profile, names, GroupId(at as u32), group))
            .collect()
    }

    fn new(profile: &Profile, names: Lookup, id: GroupId, group: &ThreadGroup) -> Self {
        let mut members: Vec<(ThreadId, &Thread)> = group
            .threads
            .iter()
            .filter_map(|&id| Some((id, profile.threads.get(id.index())?)))
            .collect();
        members.sort_by(|a, b| b.1.exec_ns.total_cmp(&a.1.exec_ns).then(a.0.cmp(&b.0)));
        let members_cut = members.len().saturating_sub(MEMBERS);
        members.truncate(MEMBERS);
        Self {
            name: names.group(id),
            threads: group.threads.len(),
            lifetime: whole(group.lifetime_ns).max(1),
            exec: whole(group.exec_ns),
            wait: whole(group.wait_ns),
            waits: by_kind(&group.wait_by_kind_ns),
            user: group.user_ns,
            system: group.system_ns,
            cpu_unknown: group.cpu_unknown,
            calls: group.calls,
            max_over_mean: group.max_over_mean,
            variation: group.coefficient_of_variation,
            straggler: group.straggler.map(|id| names.thread(id)),
            members: members.iter().map(|(id, thread)| Member::new(names, *id, thread)).collect(),
            members_cut,
        }
    }
}

impl Member {
    fn new(names: Lookup, id: ThreadId, thread: &Thread) -> Self {
        Self {
            label: names.thread(id),
            start: thread.start_ns,
            lifetime: thread.lifetime_ns,
            exec: whole(thread.exec_ns),
            wait: whole(thread.wait_ns),
            waits: by_kind(&thread.wait_by_kind_ns),
            user: thread.user_ns,
            system: thread.system_ns,
            calls: thread.calls,
            creator: thread.creator_site.clone(),
            top: thread
                .top_sites
                .iter()
                .take(3)
                .map(|&(site, calls, ns)| (names.site(site).to_owned(), calls, whole(ns)))
                .collect(),
        }
    }
}

/// An API in a group.
#[derive(Serialize)]
pub struct CallRow<'a> {
    group: u32,
    name: &'a str,
    signature: &'a str,
    component: &'a str,
    count: u64,
    timed: u64,
    timed_share: f64,
    total: i64,
    low: i64,
    high: i64,
    exact: bool,
    #[serde(rename = "self")]
    self_ns: i64,
    wait: i64,
    mean: f64,
    unseen: i64,
    abandoned: u64,
    spread: Option<[f64; 6]>,
    callers: Vec<(&'a str, u64, i64)>,
}

impl<'a> CallRow<'a> {
    /// One row of the table of calls.
    pub fn new(profile: &'a Profile, names: Lookup<'a>, row: &ApiRow) -> Self {
        let name = names.api(Some(row.api));
        let signature = profile.apis.get(row.api.index()).map_or("", |api| &api.signature);
        let tenth = |ns: f64| (ns * 10.0).round() / 10.0;
        Self {
            group: row.group.0,
            name,
            signature: if signature.is_empty() { name } else { signature },
            component: names.api_component(Some(row.api)),
            count: row.count,
            timed: if row.counted_only { 0 } else { row.timed },
            timed_share: row.timed_share,
            total: whole(row.total.value_ns),
            low: whole(row.total.low_ns),
            high: whole(row.total.high_ns),
            exact: row.total.exact,
            self_ns: whole(row.self_ns),
            wait: whole(row.wait_ns),
            mean: tenth(row.mean_ns),
            unseen: whole(row.unseen_max_ns),
            abandoned: row.abandoned,
            spread: row
                .distribution
                .map(|d| [d.min_ns, d.p50_ns, d.p90_ns, d.p99_ns, d.p999_ns, d.max_ns].map(tenth)),
            callers: row
                .callers
                .iter()
                .map(|caller| {
                    (names.component(caller.component), caller.count, whole(caller.total_ns))
                })
                .collect(),
        }
    }
}

/// A node of the call tree.
#[derive(Serialize)]
pub struct TreeRow<'a> {
    group: u32,
    parent: Option<usize>,
    name: &'a str,
    component: &'a str,
    caller: &'a str,
    count: u64,
    scaled: bool,
    collapsed: bool,
    #[serde(rename = "self")]
    self_ns: i64,
    wait: i64,
}

impl<'a> TreeRow<'a> {
    /// The tree's nodes, parents before children, without those too small to be drawn.
    pub fn all(profile: &'a Profile, names: Lookup<'a>) -> Vec<Self> {
        let nodes = &profile.call_nodes;
        let mut sizes: Vec<f64> = nodes.iter().map(|node| node.total.value_ns).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        let least = sizes.get(NODES).copied().unwrap_or(0.0);
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut rows = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            if node.total.value_ns <= least {
                continue;
            }
            // A node whose parent is too small hangs from the group.
            let parent = node.parent.and_then(|id| places.get(&id.index()).copied());
            places.insert(at, rows.len());
            rows.push(Self::new(names, node, parent));
        }
        rows
    }

    fn new(names: Lookup<'a>, node: &CallNode, parent: Option<usize>) -> Self {
        Self {
            group: node.group.0,
            parent,
            name: names.site(node.site),
            component: names.api_component(names.site_api(node.site)),
            caller: names.site_caller(node.site),
            count: node.count,
            scaled: node.scaled,
            collapsed: node.collapsed,
            self_ns: whole(node.self_ns),
            wait: whole(node.wait_ns),
        }
    }
}

/// The flow matrix: names, and edges between positions in them.
#[derive(Serialize)]
pub struct FlowData<'a> {
    names: Vec<&'a str>,
    /// Caller, callee, calls, self, total, wait.
    edges: Vec<(usize, usize, u64, i64, i64, i64)>,
}

impl<'a> FlowData<'a> {
    /// All edges with calls.
    pub fn new(profile: &Profile, names: Lookup<'a>) -> Self {
        let mut known = Vec::new();
        let mut place = |id| {
            known.iter().position(|other| *other == id).unwrap_or_else(|| {
                known.push(id);
                known.len() - 1
            })
        };
        let edges = profile
            .flow
            .iter()
            .filter(|edge| edge.count > 0)
            .map(|edge| {
                let (caller, callee) = (place(edge.caller), place(edge.callee));
                let [own, total, wait] = [edge.self_ns, edge.total_ns, edge.wait_ns].map(whole);
                (caller, callee, edge.count, own, total, wait)
            })
            .collect();
        Self { names: known.into_iter().map(|id| names.component(id)).collect(), edges }
    }
}

/// A slow call.
#[derive(Serialize)]
pub struct Slow<'a> {
    rank: usize,
    group: u32,
    name: &'a str,
    thread: String,
    start: u64,
    duration: i64,
    median: i64,
    usual: Option<String>,
    path: Vec<&'a str>,
    from: &'a str,
    args: String,
    waited: Option<String>,
    kind: Option<&'a str>,
    below: i64,
    idle: bool,
}

impl<'a> Slow<'a> {
    /// Those most beyond the usual, longest first, and how many are left out.
    pub fn all(profile: &'a Profile, names: Lookup<'a>) -> (Vec<Self>, usize) {
        let mut calls: Vec<&SlowCall> = profile.slow_calls.iter().collect();
        calls.sort_by(|a, b| excess_ns(b).total_cmp(&excess_ns(a)));
        let cut = calls.len().saturating_sub(SLOW_CALLS);
        calls.truncate(SLOW_CALLS);
        let rows = calls.into_iter().enumerate();
        (rows.map(|(rank, call)| Self::new(profile, names, rank, call)).collect(), cut)
    }

    fn new(profile: &'a Profile, names: Lookup<'a>, rank: usize, call: &'a SlowCall) -> Self {
        let steps = call.path.iter().map(|site| names.site(*site));
        let first = call.path.first().copied().unwrap_or(call.site);
        Self {
            rank,
            group: call.group.0,
            name: names.site(call.site),
            thread: call.thread.map_or_else(
                || format!("an ended thread of {}", names.group(call.group)),
                |id| names.thread(id),
            ),
            start: call.start_ns,
            duration: whole(call.duration_ns),
            median: whole(call.median_ns.unwrap_or(0.0)),
            usual: usual(call),
            path: std::iter::once(names.site_caller(first)).chain(steps).collect(),
            from: &call.called_from,
            args: arguments(call),
            waited: waited(profile, names, call),
            kind: call.wait_kind.as_deref().filter(|_| call.wait_ns > 0.5 * call.duration_ns),
            below: whole(call.below_ns),
            idle: is_idle(call),
        }
    }
}

/// Something waited for.
#[derive(Serialize)]
pub struct Object<'a> {
    kind: &'a str,
    what: String,
    lock: bool,
    waits: u64,
    wait: i64,
    max: i64,
    at: u64,
    sites: Vec<&'a str>,
    waiters: Vec<(String, u64, i64)>,
    waiters_all: usize,
    holders: Vec<(String, u64, i64)>,
    holders_all: usize,
}

impl<'a> Object<'a> {
    /// Those waited for longest, and how many are left out.
    pub fn all(profile: &'a Profile, names: Lookup<'a>) -> (Vec<Self>, usize) {
        let objects = &profile.wait_objects;
        let rows = objects.iter().take(OBJECTS).map(|object| Self::new(names, object)).collect();
        (rows, objects.len().saturating_sub(OBJECTS))
    }

    fn new(names: Lookup<'a>, object: &'a WaitObject) -> Self {
        let mut sites: Vec<&str> = Vec::new();
        for part in &object.sites {
            let name = names.site(part.site);
            if !sites.contains(&name) {
                sites.push(name);
            }
        }
        let waiters = object.waiters.iter().take(PEOPLE).map(|waiter| {
            let ended = || format!("ended threads of {}", names.group(waiter.group));
            let name = waiter.thread.map_or_else(ended, |id| names.thread(id));
            (name, waiter.waits, whole(waiter.wait_ns))
        });
        let holders = object.holders.iter().take(PEOPLE).map(|holder| {
            (names.holder(holder.thread, holder.tid), holder.waits, whole(holder.wait_ns))
        });
        Self {
            kind: &object.kind,
            what: names.object(object),
            lock: is_lock(object),
            waits: object.waits,
            wait: whole(object.wait_ns),
            max: whole(object.max_ns),
            at: object.max_at_ns,
            sites,
            waiters: waiters.collect(),
            waiters_all: object.waiters.len(),
            holders: holders.collect(),
            holders_all: object.holders.len(),
        }
    }
}
