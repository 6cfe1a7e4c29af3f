//! Folds one segment into [`Sums`].

use super::clock::Clock;
use super::estimate::{estimate, EstimateSum, SegmentSite, SiteEstimate};
use super::ids::{GroupId, ImageId, ThreadId};
use super::sums::{ObjectSums, SlowSums, Sums, ThreadSums, WaitSum};
use super::syscall_cells::add_syscalls;
use super::syscall_sums::bias as syscall_bias;
use super::tables::{ImageMap, LocalSite};
use crate::read::Segment;
use perfvisor_format::{
    syscall, Cell, ProcessHeader, SyscallCategory, WaitKind, CELL_FLAG_COLLAPSED,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Sites listed per thread.
const TOP_SITES: usize = 16;

/// What a system call waits for.
fn wait_kind(number: u32) -> &'static str {
    match syscall(number) {
        Some(info) if info.wait != WaitKind::None => info.wait.text(),
        Some(info) if info.category == SyscallCategory::Network => WaitKind::Network.text(),
        _ => WaitKind::File.text(),
    }
}

/// What a segment's figures are read with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Its image.
    pub image: ImageId,
    /// The image's head: bias and costs of the probe.
    pub header: &'a ProcessHeader,
    /// Cycles to ns.
    pub clock: &'a Clock,
    /// Local site ids to the run's.
    pub map: &'a ImageMap,
    /// The thread's or folded threads' group.
    pub group: GroupId,
    /// The thread; `None` = the segment of folded threads.
    pub thread: Option<ThreadId>,
    /// Threads by their records: folded slow calls still name theirs.
    pub records: &'a HashMap<(ImageId, u32), ThreadId>,
}

/// What a fold in progress changes (FORMAT.md, "Folding").
#[derive(Clone, Debug, Default)]
pub struct FoldView {
    /// The thread is being folded at this moment.
    pub folding: bool,
    /// Thread: site states before this one (order of the file) are in the group already.
    pub skip_states: usize,
    /// Group: the site whose count was this before the fold's current step.
    pub count_before: Option<(u32, u64)>,
}

/// Per cell: the probe's own time in it, cycles.
#[derive(Clone, Copy, Default)]
struct CellView {
    /// Cost of timed calls anywhere below.
    below_cost: f64,
    /// Timed calls directly below, and the bias of the calls they stand for.
    child_timed: f64,
    child_bias: f64,
    /// Corrected Σw·d, Σw·self, Σd.
    weighted: f64,
    own: f64,
    measured: f64,
    systematic: f64,
    /// What is left of its time without the probes of timed calls below, 0 … 1.
    kept: f64,
    /// The cell's numbers make sense and it was timed at least once.
    usable: bool,
}

/// One segment, its figures corrected for the probe's own time.
struct View<'a> {
    segment: &'a Segment,
    context: Context<'a>,
    cells: Vec<CellView>,
    /// Parents before children.
    order: Vec<u32>,
    sites: HashMap<u32, SegmentSite>,
    estimates: HashMap<u32, SiteEstimate>,
    bias: Bias,
}

/// What the time stamps of a timed call measure of themselves, cycles.
#[derive(Clone, Copy)]
struct Bias {
    always: f64,
    always_error: f64,
    sampled: f64,
    sampled_error: f64,
}

impl Bias {
    fn new(header: &ProcessHeader) -> Self {
        let always = f64::from(header.timed_bias_cycles);
        let always_error = f64::from(header.timed_bias_error_cycles);
        // A trace whose writer did not measure the second one says 0.
        let sampled = f64::from(header.sampled_bias_cycles).max(always);
        let sampled_error = f64::from(header.sampled_bias_error_cycles).max(always_error);
        Self { always, always_error, sampled, sampled_error }
    }

    /// Bias and its error for the calls of `cell`: those of a site timed rarely find the probe cold.
    fn of(&self, cell: &Cell) -> (f64, f64) {
        if cell.represented > cell.timed {
            (self.sampled, self.sampled_error)
        } else {
            (self.always, self.always_error)
        }
    }

    /// A single raw duration of `cell`, corrected.
    fn single(&self, cell: &Cell, cycles: u64) -> f64 {
        (cycles as f64 - self.of(cell).0).max(0.0)
    }
}

/// Adds `segment` to `sums`.
pub fn add_segment(segment: &Segment, context: Context<'_>, fold: &FoldView, sums: &mut Sums) {
    let mut view = View::new(segment, context);
    view.correct();
    view.sum_sites(fold);
    view.add_sites(sums);
    view.add_tree(sums);
    view.add_waits(sums);
    view.add_slow_calls(sums);
    view.add_thread(sums);
    add_syscalls(segment, context, fold.folding, &mut sums.syscalls);
    let header = &segment.header;
    let losses = &mut sums.losses;
    losses.lost_cells = losses.lost_cells.saturating_add(header.lost_cells);
    losses.lost_slow_calls = losses.lost_slow_calls.saturating_add(header.lost_slow_calls);
    losses.lost_waits = losses.lost_waits.saturating_add(header.lost_waits);
    losses.lost_events = losses.lost_events.saturating_add(header.lost_events);
    // Written ones so far: those found in the event files come off in `build`.
    losses.overwritten_events = losses.overwritten_events.saturating_add(header.events);
    losses.abandoned = losses.abandoned.saturating_add(header.abandoned);
    losses.damages.extend(segment.damages.iter().cloned());
}

/// No sum of a cell is larger: 2³² calls that stand for 2⁴⁰ each and take 2⁶⁴ cycles give a
/// Σ(w²−w)·d² of 2·10⁷². Squares of it are still numbers.
const LARGEST_SUM: f64 = 2e72;

/// A number of a damaged file that is none, or that no recording can give, counts as 0.
pub fn finite(value: f64) -> f64 {
    if value <= LARGEST_SUM {
        value.max(0.0)
    } else {
        0.0
    }
}

impl<'a> View<'a> {
    fn new(segment: &'a Segment, context: Context<'a>) -> Self {
        let mut order: Vec<u32> = (0..segment.cells.len() as u32).collect();
        order.sort_by_key(|&at| segment.cells[at as usize].cell.depth);
        Self {
            segment,
            context,
            cells: vec![CellView::default(); segment.cells.len()],
            order,
            sites: HashMap::new(),
            estimates: HashMap::new(),
            bias: Bias::new(context.header),
        }
    }

    /// Takes the probe's own time off each cell: the bias of its own timed calls, and the whole
    /// cost of timed calls below, which its time stamps enclose.
    fn correct(&mut self) {
        let header = self.context.header;
        let cost = (f64::from(header.timed_cost_16) / 16.0).max(self.bias.always);
        for &at in self.order.iter().rev() {
            let entry = &self.segment.cells[at as usize];
            let (timed, represented) = (entry.cell.timed as f64, entry.cell.represented as f64);
            let below = self.cells[at as usize].below_cost;
            if let Some(parent) = entry.parent {
                self.cells[parent as usize].below_cost += below + timed * cost;
            }
            // What is below a call that was only counted came off the self time of a timed one.
            if let Some(timed_above) = self.timed_above(at) {
                let above = &mut self.cells[timed_above as usize];
                above.child_timed += timed;
                above.child_bias += self.bias.of(&entry.cell).0 * represented;
            }
        }
        for (view, entry) in self.cells.iter_mut().zip(&self.segment.cells) {
            let cell = &entry.cell;
            if cell.timed == 0 || cell.represented < cell.timed {
                continue;
            }
            view.usable = true;
            let (timed, represented) = (cell.timed as f64, cell.represented as f64);
            let weight = represented / timed;
            let below = view.below_cost;
            let (bias, error) = self.bias.of(cell);
            let own_and_below = (cell.sum as f64 - bias * timed).max(0.0);
            view.measured = (own_and_below - below).max(0.0);
            view.kept = if own_and_below > 0.0 { view.measured / own_and_below } else { 1.0 };
            view.weighted =
                (cell.weighted_sum as f64 - bias * represented - below * weight).max(0.0);
            // `below` of the parent held the children's bias once per represented call, but the
            // parent's time holds the whole cost once per timed child.
            let children = view.child_bias - cost * view.child_timed;
            view.own = cell.weighted_self as f64 - bias * represented + children * weight;
            view.systematic = error * represented + 0.5 * below * weight;
        }
    }

    /// The next cell above the one at `at` that was timed.
    fn timed_above(&self, at: u32) -> Option<u32> {
        let cells = &self.segment.cells;
        let above = |&at: &u32| cells[at as usize].parent;
        // Depth falls with each step (checked when parents were linked), so this ends.
        let mut path = std::iter::successors(above(&at), above);
        path.find(|&at| cells[at as usize].cell.timed != 0)
    }

    /// Whether each cell, or one below it, is the path of a system call: it needs a place in the
    /// tree even if it was never timed itself.
    fn holds_syscalls(&self) -> Vec<bool> {
        let mut holds = vec![false; self.cells.len()];
        for path in self.segment.syscalls.iter().filter_map(|entry| entry.path) {
            holds[path as usize] = true;
        }
        for &at in self.order.iter().rev() {
            if let Some(parent) = self.segment.cells[at as usize].parent {
                holds[parent as usize] |= holds[at as usize];
            }
        }
        holds
    }

    /// Sums the cells per site and estimates each site.
    fn sum_sites(&mut self, fold: &FoldView) {
        let states = &self.segment.states;
        if states.len() < fold.skip_states {
            // Which sites are in the group already stood in the missing states: none twice.
            self.cells.iter_mut().for_each(|view| view.usable = false);
            return;
        }
        let folded: HashSet<u32> =
            states.iter().take(fold.skip_states).map(|state| state.site).collect();
        for &(site, mut count) in &self.segment.counts {
            if folded.contains(&site) {
                continue;
            }
            if let Some((of, before)) = fold.count_before {
                if of == site {
                    count = before;
                }
            }
            let blocking = self.context.map.site(site).wait != WaitKind::None;
            let (bias, min) = (self.bias.always, f64::INFINITY);
            let sums = SegmentSite { count, blocking, bias, min, ..SegmentSite::default() };
            self.sites.insert(site, sums);
        }
        for state in states {
            if let Some(site) = self.sites.get_mut(&state.site) {
                let windows = &mut site.windows;
                windows.excess += state.unseen_max as f64;
                windows.long += f64::from(state.long_windows);
                windows.longest = windows.longest.max(finite(f64::from(state.longest_excess)));
                let open = site.count.saturating_sub(state.base_count);
                windows.leave_open(open as f64, site.count as f64);
            }
        }
        for (view, entry) in self.cells.iter_mut().zip(&self.segment.cells) {
            let cell = &entry.cell;
            let Some(site) = self.sites.get_mut(&cell.site).filter(|_| view.usable) else {
                view.usable = false;
                continue;
            };
            site.timed = site.timed.saturating_add(cell.timed);
            site.represented += cell.represented as f64;
            site.raw_weighted += cell.weighted_sum as f64;
            site.measured += view.measured;
            site.weighted += view.weighted;
            site.weighted_self += view.own;
            site.weighted_wait += (cell.weighted_wait as f64).min(view.weighted);
            let windows = &mut site.windows;
            windows.visible = windows.visible.saturating_add(cell.visible_calls.min(cell.timed));
            windows.weight += cell.visible_weight as f64;
            windows.sum += cell.visible_sum as f64;
            windows.weighted += cell.visible_weighted as f64;
            windows.variance += finite(cell.visible_variance);
            let variance = [cell.variance_0, cell.variance_1, cell.variance_2];
            for (sum, value) in site.variance.iter_mut().zip(variance) {
                *sum += finite(value);
            }
            site.min = site.min.min(self.bias.single(cell, cell.min));
            site.bias = site.bias.max(self.bias.of(cell).0);
            site.bias_timed += self.bias.of(cell).0 * cell.timed as f64;
            site.systematic += view.systematic;
        }
        self.estimates = self.sites.iter().map(|(&site, s)| (site, estimate(s))).collect();
    }

    /// A single raw duration of the cell at `at`, ns. What the probes below took of the cell is
    /// spread over its calls by their length, so that they sum up to the cell's corrected time.
    fn single_ns(&self, at: usize, cycles: u64) -> f64 {
        let cell = &self.segment.cells[at].cell;
        self.ns(self.bias.single(cell, cycles) * self.cells[at].kept)
    }

    fn ns(&self, cycles: f64) -> f64 {
        self.context.clock.span_ns(cycles)
    }

    fn sum_of(&self, e: &SiteEstimate, measured: f64) -> EstimateSum {
        let ns2 = 1.0 / (self.context.clock.per_ns * self.context.clock.per_ns);
        EstimateSum {
            total_ns: self.ns(e.total),
            variance_ns2: e.variance * ns2,
            systematic_ns: self.ns(e.systematic),
            measured_ns: self.ns(measured),
            unseen_ns: self.ns(e.above),
            supposed_ns: self.ns(e.below),
            exact: e.exact,
        }
    }

    fn add_sites(&self, sums: &mut Sums) {
        let group = sums.groups.entry(self.context.group).or_default();
        let (mut calls, mut timed) = (0u64, 0u64);
        for (&local, site) in &self.sites {
            let e = self.estimates[&local];
            let row = group.sites.entry(self.context.map.site(local).site).or_default();
            row.count = row.count.saturating_add(site.count);
            row.timed = row.timed.saturating_add(site.timed);
            if site.timed == 0 {
                row.unknown = row.unknown.saturating_add(site.count);
            }
            row.total.add(&self.sum_of(&e, site.measured));
            row.self_ns += self.ns(e.own);
            row.wait_ns += self.ns(e.wait);
            row.bias_timed += site.bias_timed;
            if e.free_calls >= 1.0 {
                let raw = e.free_mean + site.bias;
                row.histogram.add_value(raw as u64, e.free_calls as u64);
                row.min_ns = row.min_ns.min(self.ns(e.free_mean));
            }
            calls = calls.saturating_add(site.count);
            timed = timed.saturating_add(site.timed);
        }
        for (at, (view, entry)) in self.cells.iter().zip(&self.segment.cells).enumerate() {
            let cell = &entry.cell;
            let row = group.sites.entry(self.context.map.site(cell.site).site).or_default();
            row.abandoned = row.abandoned.saturating_add(cell.abandoned);
            if !view.usable {
                continue;
            }
            row.min_ns = row.min_ns.min(self.single_ns(at, cell.min));
            row.max_ns = row.max_ns.max(self.single_ns(at, cell.max));
            let (bias, _) = self.bias.of(cell);
            row.with_probes_ns += self.ns((cell.sum as f64 - bias * cell.timed as f64).max(0.0));
            let histogram = &mut row.histogram;
            self.segment.histogram(cell, |octave, sub, n| histogram.add(octave, sub, n));
        }
        let image = sums.images.entry(self.context.image).or_default();
        image.0 = image.0.saturating_add(calls);
        image.1 = image.1.saturating_add(timed);
    }

    fn add_tree(&self, sums: &mut Sums) {
        let tree = &mut sums.groups.entry(self.context.group).or_default().tree;
        let mut nodes: Vec<Option<u32>> = vec![None; self.cells.len()];
        let holds_syscalls = self.holds_syscalls();
        for &at in &self.order {
            let (view, entry) = (&self.cells[at as usize], &self.segment.cells[at as usize]);
            let cell = &entry.cell;
            if !view.usable && cell.abandoned == 0 && !holds_syscalls[at as usize] {
                continue;
            }
            let parent = entry.parent.and_then(|parent| nodes[parent as usize]);
            let id = tree.node(parent, self.context.map.site(cell.site).site);
            nodes[at as usize] = Some(id);
            let node = &mut tree.nodes[id as usize];
            node.abandoned = node.abandoned.saturating_add(cell.abandoned);
            node.collapsed |= cell.flags & CELL_FLAG_COLLAPSED != 0;
            let Some(e) = self.estimates.get(&cell.site).filter(|_| view.usable) else { continue };
            let path = self.path_estimate(at, e);
            node.count += cell.represented as f64 * e.scale;
            node.scaled |= !e.exact;
            node.timed = node.timed.saturating_add(cell.timed);
            node.total.add(&self.sum_of(&path, view.measured));
            node.self_ns += self.ns(path.own);
            node.wait_ns += self.ns(path.wait);
            node.min_ns = node.min_ns.min(self.single_ns(at as usize, cell.min));
            node.max_ns = node.max_ns.max(self.single_ns(at as usize, cell.max));
            node.slow_seen = node.slow_seen.saturating_add(cell.slow_seen);
            node.slow_ns += self.ns(cell.slow_sum as f64);
        }
    }

    /// One path's share of its site's estimate `e`.
    fn path_estimate(&self, at: u32, e: &SiteEstimate) -> SiteEstimate {
        let (view, cell) = (&self.cells[at as usize], &self.segment.cells[at as usize].cell);
        let represented = cell.represented as f64;
        let wait = (cell.weighted_wait as f64).min(view.weighted);
        if e.exact {
            let (total, own, systematic) = (view.weighted, view.own, view.systematic);
            return SiteEstimate { total, own, wait, systematic, exact: true, ..*e };
        }
        let visible = cell.visible_calls.min(cell.timed) as f64;
        let usual = (cell.weighted_sum.saturating_sub(cell.visible_sum)) as f64;
        let mean = usual / (represented - visible).max(1.0);
        let [v0, v1, v2] = [cell.variance_0, cell.variance_1, cell.variance_2].map(finite);
        let variance = (v2 - 2.0 * mean * v1 + mean * mean * v0).max(0.0);
        let blocking = self.sites.get(&cell.site).is_some_and(|site| site.blocking);
        // A blocking site grows by free calls of their own mean, not by its contended calls.
        let (scale, free) = match blocking {
            true => (1.0, (e.scale - 1.0).max(0.0) * represented * e.free_mean),
            false => (e.time_scale, 0.0),
        };
        let whole = self.sites.get(&cell.site).map_or(0.0, |site| site.weighted);
        let share = if whole > 0.0 { (view.weighted / whole).min(1.0) } else { 0.0 };
        SiteEstimate {
            total: view.weighted * scale + free,
            variance: variance * scale * scale,
            systematic: view.systematic * scale,
            own: view.own * scale + free,
            wait: wait * scale,
            below: e.below * share,
            above: e.above * share,
            ..*e
        }
    }

    fn add_waits(&self, sums: &mut Sums) {
        let ticks = |cycles: u64| self.context.clock.span_ns(cycles as f64);
        for edge in self.segment.waits.iter().filter(|edge| edge.count != 0) {
            let site = self.context.map.site(edge.site).site;
            let sum = WaitSum { waits: edge.count, wait_ns: ticks(edge.sum) };
            let mut object = ObjectSums {
                sum,
                max_ns: ticks(edge.max),
                max_tsc: edge.max_tsc,
                ..ObjectSums::default()
            };
            object.sites.insert(site, sum);
            object.waiters.insert((self.context.group, self.context.thread), sum);
            if edge.holder_tid != 0 {
                object.holders.insert(edge.holder_tid, sum);
            }
            let key = (self.context.image, edge.kind, edge.object);
            sums.add_object(key, object);
        }
    }

    fn add_slow_calls(&self, sums: &mut Sums) {
        for raw in &self.segment.slow_calls {
            let site = self.context.map.site(raw.site).site;
            let mut path = Vec::new();
            let mut at = self.segment.cell_at(raw.cell);
            // Depth falls with each step (checked when parents were linked), so this ends.
            while let Some(cell) = at {
                let entry = &self.segment.cells[cell as usize];
                path.push(self.context.map.site(entry.cell.site).site);
                at = entry.parent;
            }
            path.reverse();
            if path.is_empty() {
                path.push(site);
            }
            let wait_site =
                (raw.wait_site != u32::MAX).then(|| self.context.map.site(raw.wait_site).site);
            let mut raw = *raw;
            let kept = self.segment.cell_at(raw.cell).map(|at| self.cells[at as usize].kept);
            let kept = kept.filter(|kept| *kept > 0.0).unwrap_or(1.0);
            let duration = raw.duration.saturating_sub(self.bias.always as u64) as f64;
            raw.duration = (duration * kept).round() as u64;
            raw.below = raw.below.min(raw.duration);
            let image = self.context.image;
            let thread = self.context.thread.or_else(|| {
                let record = raw.reserved_small.checked_sub(1)?;
                self.context.records.get(&(image, record)).copied()
            });
            let slow = SlowSums { raw, image, thread, path, wait_site };
            sums.keep_slow(self.context.group, site, slow);
        }
    }

    /// Waits by kind: of nested blocking calls, system calls among them, only the outermost counts.
    fn waits_by_kind(&self) -> BTreeMap<&'static str, f64> {
        let mut waits = BTreeMap::new();
        let mut covered = vec![false; self.cells.len()];
        for &at in &self.order {
            let entry = &self.segment.cells[at as usize];
            let above = entry.parent.is_some_and(|parent| covered[parent as usize]);
            let waited = entry.cell.wait_sum != 0;
            covered[at as usize] = above || waited;
            if waited && !above {
                let kind = self.context.map.site(entry.cell.site).wait.text();
                *waits.entry(kind).or_default() += self.ns(entry.cell.wait_sum as f64);
            }
        }
        // Waits in system calls that no API which blocks has counted.
        let (bias, _) = syscall_bias(self.context.header);
        for entry in &self.segment.syscalls {
            let waited = (entry.cell.wait_sum as f64 - bias * entry.cell.timed as f64).max(0.0);
            if waited > 0.0 && !entry.path.is_some_and(|path| covered[path as usize]) {
                *waits.entry(wait_kind(entry.cell.number)).or_default() += self.ns(waited);
            }
        }
        waits
    }

    fn add_thread(&self, sums: &mut Sums) {
        let waits = self.waits_by_kind();
        let Some(thread) = self.context.thread else {
            let group = sums.groups.entry(self.context.group).or_default();
            for (kind, wait_ns) in waits {
                *group.folded_waits.entry(kind).or_default() += wait_ns;
            }
            return;
        };
        let mut result = ThreadSums { waits, ..ThreadSums::default() };
        for (&local, site) in &self.sites {
            let LocalSite { site: id, wait } = self.context.map.site(local);
            result.calls = result.calls.saturating_add(site.count);
            result.timed = result.timed.saturating_add(site.timed);
            let e = &self.estimates[&local];
            result.top_sites.push((id, site.count, self.ns(e.own).max(0.0)));
            // Always timed and yet one call more than timed: it is in that call.
            let always = site.represented == site.timed as f64;
            if wait != WaitKind::None && always && site.timed < site.count {
                result.open_wait = Some(wait.text());
            }
        }
        result.top_sites.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
        result.top_sites.truncate(TOP_SITES);
        for (at, entry) in self.segment.cells.iter().enumerate() {
            if self.cells[at].usable && self.timed_above(at as u32).is_none() {
                if let Some(e) = self.estimates.get(&entry.cell.site) {
                    result.api_ns += self.ns(self.path_estimate(at as u32, e).total);
                }
            }
        }
        let header = &self.segment.header;
        let last = self.segment.states.iter().map(|state| state.last_tsc).max().unwrap_or(0);
        result.last_tsc = header.last_tsc.max(last);
        sums.threads.insert(thread, result);
    }
}
