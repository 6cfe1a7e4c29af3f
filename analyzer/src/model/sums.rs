//! What segments are folded into: per group its sites and call tree, waits, slow calls.
//!
//! Each worker fills its own [`Sums`]; merging two is adding. Memory is bounded by what the
//! profile shows: paths, sites, waited-for objects, and a fixed number of slow calls per site.

use super::estimate::EstimateSum;
use super::histogram::Histogram;
use super::ids::{GroupId, ImageId, SiteId, ThreadId};
use super::profile::Losses;
use super::syscall_cells::SyscallParts;
use perfvisor_format::SlowCall as RawSlowCall;
use std::collections::{BTreeMap, HashMap};

/// Slow calls kept per (group, site): the longest.
const SLOW_KEPT: usize = 64;

/// One (group, site).
#[derive(Clone, Debug)]
pub struct SiteSums {
    /// Exact number of calls.
    pub count: u64,
    /// Calls timed.
    pub timed: u64,
    /// Calls in segments where none was timed.
    pub unknown: u64,
    /// Total time.
    pub total: EstimateSum,
    /// Self time, ns.
    pub self_ns: f64,
    /// Time waited, ns.
    pub wait_ns: f64,
    /// Shortest timed call, ns.
    pub min_ns: f64,
    /// Longest timed call, ns.
    pub max_ns: f64,
    /// Calls whose end was not seen.
    pub abandoned: u64,
    /// Raw durations, cycles.
    pub histogram: Histogram,
    /// Σ timed · bias cycles, for the histogram's percentiles.
    pub bias_timed: f64,
    /// Σ of the timed calls without their own bias, but with the probes of timed calls below, ns.
    pub with_probes_ns: f64,
}

impl Default for SiteSums {
    fn default() -> Self {
        Self {
            count: 0,
            timed: 0,
            unknown: 0,
            total: EstimateSum::default(),
            self_ns: 0.0,
            wait_ns: 0.0,
            min_ns: f64::INFINITY,
            max_ns: 0.0,
            abandoned: 0,
            histogram: Histogram::default(),
            bias_timed: 0.0,
            with_probes_ns: 0.0,
        }
    }
}

impl SiteSums {
    /// Adds another part of the same site.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.timed = self.timed.saturating_add(other.timed);
        self.unknown = self.unknown.saturating_add(other.unknown);
        self.total.add(&other.total);
        self.self_ns += other.self_ns;
        self.wait_ns += other.wait_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.abandoned = self.abandoned.saturating_add(other.abandoned);
        self.histogram.merge(&other.histogram);
        self.bias_timed += other.bias_timed;
        self.with_probes_ns += other.with_probes_ns;
    }
}

/// One call path of a group.
#[derive(Clone, Debug)]
pub struct NodeSums {
    /// Calling path's position in the tree; `None` for a root.
    pub parent: Option<u32>,
    /// Last site of the path.
    pub site: SiteId,
    /// Length of the path.
    pub depth: u32,
    /// Calls, scaled unless all were timed.
    pub count: f64,
    /// Not all calls were timed.
    pub scaled: bool,
    /// Deeper paths were folded into it.
    pub collapsed: bool,
    /// Calls timed.
    pub timed: u64,
    /// Total time.
    pub total: EstimateSum,
    /// Self time, ns.
    pub self_ns: f64,
    /// Time waited, ns.
    pub wait_ns: f64,
    /// Shortest timed call, ns.
    pub min_ns: f64,
    /// Longest timed call, ns.
    pub max_ns: f64,
    /// Slow calls seen.
    pub slow_seen: u64,
    /// Their time, ns.
    pub slow_ns: f64,
    /// Calls whose end was not seen.
    pub abandoned: u64,
}

impl NodeSums {
    fn new(parent: Option<u32>, site: SiteId, depth: u32) -> Self {
        Self {
            parent,
            site,
            depth,
            count: 0.0,
            scaled: false,
            collapsed: false,
            timed: 0,
            total: EstimateSum::default(),
            self_ns: 0.0,
            wait_ns: 0.0,
            min_ns: f64::INFINITY,
            max_ns: 0.0,
            slow_seen: 0,
            slow_ns: 0.0,
            abandoned: 0,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.scaled |= other.scaled;
        self.collapsed |= other.collapsed;
        self.timed = self.timed.saturating_add(other.timed);
        self.total.add(&other.total);
        self.self_ns += other.self_ns;
        self.wait_ns += other.wait_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.slow_seen = self.slow_seen.saturating_add(other.slow_seen);
        self.slow_ns += other.slow_ns;
        self.abandoned = self.abandoned.saturating_add(other.abandoned);
    }
}

/// A group's call tree; parents stand before their children.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Nodes.
    pub nodes: Vec<NodeSums>,
    index: HashMap<(Option<u32>, SiteId), u32>,
}

impl Tree {
    /// The node of `site` below `parent`, made if need be.
    pub fn node(&mut self, parent: Option<u32>, site: SiteId) -> u32 {
        let nodes = &mut self.nodes;
        *self.index.entry((parent, site)).or_insert_with(|| {
            let depth = parent.map_or(1, |p| nodes[p as usize].depth + 1);
            nodes.push(NodeSums::new(parent, site, depth));
            nodes.len() as u32 - 1
        })
    }

    /// The node at the end of `path`, when the tree has it.
    pub fn find(&self, path: &[SiteId]) -> Option<u32> {
        let mut at = None;
        for &site in path {
            at = Some(*self.index.get(&(at, site))?);
        }
        at
    }

    /// Nodes with timed calls that have none above them: their times contain all others'. A path
    /// may begin with APIs that were only counted.
    pub fn outermost(&self) -> impl Iterator<Item = &NodeSums> {
        let mut below = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let parent = node.parent.map(|p| p as usize);
            below.push(parent.is_some_and(|p| below[p] || self.nodes[p].timed != 0));
        }
        let timed = self.nodes.iter().zip(below).filter(|(node, below)| !below && node.timed != 0);
        timed.map(|(node, _)| node)
    }

    fn merge(&mut self, other: &Self) {
        let mut map = Vec::with_capacity(other.nodes.len());
        for node in &other.nodes {
            let parent = node.parent.map(|p| map[p as usize]);
            let at = self.node(parent, node.site);
            self.nodes[at as usize].merge(node);
            map.push(at);
        }
    }
}

/// One thread, from its segment.
#[derive(Clone, Debug, Default)]
pub struct ThreadSums {
    /// Exact number of calls.
    pub calls: u64,
    /// Calls timed.
    pub timed: u64,
    /// Waits by kind, ns.
    pub waits: BTreeMap<&'static str, f64>,
    /// Estimated time in the roots of its call paths, ns.
    pub api_ns: f64,
    /// Sites with most self time: (site, count, self ns).
    pub top_sites: Vec<(SiteId, u64, f64)>,
    /// Time stamp of the last timed call's end.
    pub last_tsc: u64,
    /// A call of this kind of wait had begun and not ended.
    pub open_wait: Option<&'static str>,
}

/// A slow call, with what names it.
#[derive(Clone, Debug)]
pub struct SlowSums {
    /// The record.
    pub raw: RawSlowCall,
    /// Image, thread (`None` = folded).
    pub image: ImageId,
    /// See `image`.
    pub thread: Option<ThreadId>,
    /// Path, root first.
    pub path: Vec<SiteId>,
    /// Site of the longest wait within.
    pub wait_site: Option<SiteId>,
}

/// Count, sum and longest of some waits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WaitSum {
    /// Waits.
    pub waits: u64,
    /// Σ, ns.
    pub wait_ns: f64,
}

impl WaitSum {
    fn add(&mut self, other: Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.wait_ns += other.wait_ns;
    }
}

/// One waited-for object.
#[derive(Clone, Debug, Default)]
pub struct ObjectSums {
    /// All waits.
    pub sum: WaitSum,
    /// Longest, ns, and the time stamp of its end.
    pub max_ns: f64,
    /// See `max_ns`.
    pub max_tsc: u64,
    /// By site.
    pub sites: HashMap<SiteId, WaitSum>,
    /// By waiter.
    pub waiters: HashMap<(GroupId, Option<ThreadId>), WaitSum>,
    /// By the holder's tid.
    pub holders: HashMap<u32, WaitSum>,
}

impl ObjectSums {
    fn merge(&mut self, other: Self) {
        self.sum.add(other.sum);
        if other.max_ns > self.max_ns {
            self.max_ns = other.max_ns;
            self.max_tsc = other.max_tsc;
        }
        for (key, sum) in other.sites {
            self.sites.entry(key).or_default().add(sum);
        }
        for (key, sum) in other.waiters {
            self.waiters.entry(key).or_default().add(sum);
        }
        for (key, sum) in other.holders {
            self.holders.entry(key).or_default().add(sum);
        }
    }
}

/// One group.
#[derive(Clone, Debug, Default)]
pub struct GroupSums {
    /// Flat, per site.
    pub sites: HashMap<SiteId, SiteSums>,
    /// Call tree.
    pub tree: Tree,
    /// Waits of folded members by kind, ns.
    pub folded_waits: BTreeMap<&'static str, f64>,
}

/// Image, `WaitKind` and object of a wait.
pub type ObjectKey = (ImageId, u16, u64);

/// Everything segments give.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// By group.
    pub groups: HashMap<GroupId, GroupSums>,
    /// By thread; folded ones are missing.
    pub threads: HashMap<ThreadId, ThreadSums>,
    /// By waited-for object.
    pub objects: HashMap<ObjectKey, ObjectSums>,
    /// Longest slow calls per (group, site).
    pub slow: HashMap<(GroupId, SiteId), Vec<SlowSums>>,
    /// System calls.
    pub syscalls: SyscallParts,
    /// Losses and damages.
    pub losses: Losses,
    /// Calls and timed calls per image.
    pub images: HashMap<ImageId, (u64, u64)>,
}

impl Sums {
    /// Keeps `slow` if it is among the longest of its site.
    pub fn keep_slow(&mut self, group: GroupId, site: SiteId, slow: SlowSums) {
        let kept = self.slow.entry((group, site)).or_default();
        kept.push(slow);
        if kept.len() >= 2 * SLOW_KEPT {
            trim(kept);
        }
    }

    /// Adds waits for the object `key`.
    pub fn add_object(&mut self, key: ObjectKey, object: ObjectSums) {
        self.objects.entry(key).or_default().merge(object);
    }

    /// Cuts the slow calls to what is kept.
    pub fn trim_slow(&mut self) {
        for kept in self.slow.values_mut() {
            trim(kept);
        }
    }

    /// Adds all of `other`.
    pub fn merge(mut self, other: Self) -> Self {
        for (id, group) in other.groups {
            let own = self.groups.entry(id).or_default();
            for (site, sums) in group.sites {
                own.sites.entry(site).or_default().merge(&sums);
            }
            own.tree.merge(&group.tree);
            for (kind, wait_ns) in group.folded_waits {
                *own.folded_waits.entry(kind).or_default() += wait_ns;
            }
        }
        self.threads.extend(other.threads);
        for (key, object) in other.objects {
            self.objects.entry(key).or_default().merge(object);
        }
        for ((group, site), slow) in other.slow {
            for call in slow {
                self.keep_slow(group, site, call);
            }
        }
        for (image, (calls, timed)) in other.images {
            let own = self.images.entry(image).or_default();
            own.0 = own.0.saturating_add(calls);
            own.1 = own.1.saturating_add(timed);
        }
        self.syscalls.merge(other.syscalls);
        add_losses(&mut self.losses, other.losses);
        self
    }
}

/// Adds one list of losses to another.
pub fn add_losses(losses: &mut Losses, other: Losses) {
    let sum = |a: &mut u64, b: u64| *a = a.saturating_add(b);
    sum(&mut losses.lost_calls, other.lost_calls);
    sum(&mut losses.lost_threads, other.lost_threads);
    sum(&mut losses.lost_records, other.lost_records);
    sum(&mut losses.lost_cells, other.lost_cells);
    sum(&mut losses.lost_slow_calls, other.lost_slow_calls);
    sum(&mut losses.lost_waits, other.lost_waits);
    sum(&mut losses.lost_events, other.lost_events);
    sum(&mut losses.overwritten_events, other.overwritten_events);
    sum(&mut losses.abandoned, other.abandoned);
    sum(&mut losses.folds_in_progress, other.folds_in_progress);
    sum(&mut losses.late_calls, other.late_calls);
    sum(&mut losses.images_cut_short, other.images_cut_short);
    losses.damages.extend(other.damages);
    losses.unreadable_images.extend(other.unreadable_images);
}

fn trim(kept: &mut Vec<SlowSums>) {
    kept.sort_by(|a, b| {
        (b.raw.duration, a.raw.start_tsc, a.image, a.thread).cmp(&(
            a.raw.duration,
            b.raw.start_tsc,
            b.image,
            b.thread,
        ))
    });
    kept.truncate(SLOW_KEPT);
}
