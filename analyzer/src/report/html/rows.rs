//! Rows of the page's tables and charts. Times are whole nanoseconds: fractions of them only make
//! the page larger.

use crate::model::{ApiRow, CallNode, GroupId, Profile, Thread, ThreadGroup, ThreadId};
use crate::report::lookup::Lookup;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Threads of one group that the page carries.
const MEMBERS: usize = 400;
/// Nodes of the call tree that the page carries.
const NODES: usize = 20_000;

/// Rounded to a whole nanosecond.
pub(super) fn whole(ns: f64) -> i64 {
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
    off: i64,
    wait: i64,
    waits: Vec<(String, i64)>,
    user: u64,
    system: u64,
    cpu_unknown: u64,
    calls: u64,
    compared: u64,
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
    off: Option<i64>,
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
            off: whole(group.off_cpu_ns),
            wait: whole(group.wait_ns),
            waits: by_kind(&group.wait_by_kind_ns),
            user: group.user_ns,
            system: group.system_ns,
            cpu_unknown: group.cpu_unknown,
            calls: group.calls,
            compared: group.compared_threads,
            max_over_mean: group.max_over_mean,
            variation: group.coefficient_of_variation,
            straggler: group.straggler.map(|id| names.thread(id)),
            members: members
                .iter()
                .map(|(id, thread)| {
                    let ordinal = group.threads.binary_search(id).map_or(0, |at| at + 1);
                    Member::new(names, ordinal, thread)
                })
                .collect(),
            members_cut,
        }
    }
}

impl Member {
    fn new(names: Lookup, ordinal: usize, thread: &Thread) -> Self {
        let mut label = format!("#{ordinal} · tid {}", thread.tid);
        if !thread.name.is_empty() {
            label.push_str(&format!(" · {}", thread.name));
        }
        Self {
            label,
            start: thread.start_ns,
            lifetime: thread.lifetime_ns,
            exec: whole(thread.exec_ns),
            off: thread.off_cpu_ns.map(whole),
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
    /// Place of the first bar, calls of each.
    bars: Option<(u32, &'a [u64])>,
    estimated: bool,
    callers: Vec<(&'a str, u64, i64)>,
}

impl<'a> CallRow<'a> {
    /// One row of the table of calls.
    pub fn new(profile: &'a Profile, names: Lookup<'a>, row: &'a ApiRow) -> Self {
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
            bars: (!row.histogram.calls.is_empty())
                .then_some((row.histogram.first, row.histogram.calls.as_slice())),
            estimated: row.histogram.estimated,
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
