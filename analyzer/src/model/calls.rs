//! The calls' side of a profile: rows, paths, flow, slow calls, waits, events.

use super::ids::{ApiId, ComponentId, GroupId, ImageId, NodeId, SiteId, ThreadId, WaitObjectId};
use super::profile::Estimate;
use serde::Serialize;

/// One API in one thread group, over all paths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApiRow {
    /// The group.
    pub group: GroupId,
    /// The API.
    pub api: ApiId,
    /// Exact number of calls.
    pub count: u64,
    /// Of these, timed.
    pub timed: u64,
    /// `timed ÷ count`, 0 … 1.
    pub timed_share: f64,
    /// Time in the API with all it calls.
    pub total: Estimate,
    /// Time in the API without timed API calls below it.
    pub self_ns: f64,
    /// Time waited: its own, if it blocks, else in blocking calls below.
    pub wait_ns: f64,
    /// `total ÷ count`.
    pub mean_ns: f64,
    /// Times of single calls; `None` when none was timed.
    pub distribution: Option<Distribution>,
    /// The same calls by their time; empty when none was timed.
    pub histogram: TimeBars,
    /// The same, as fine as it was recorded; not part of the JSON report.
    #[serde(skip)]
    pub times: CallTimes,
    /// Upper bound of time that untimed calls may hide beyond the estimate.
    pub unseen_max_ns: f64,
    /// Calls whose end was not seen.
    pub abandoned: u64,
    /// It can block.
    pub blocking: bool,
    /// Only counted, never timed: all times are 0 and mean nothing.
    pub counted_only: bool,
    /// Who calls it, most calls first.
    pub callers: Vec<CallerShare>,
}

/// Percentiles of single calls' times (calls not timed are represented by timed ones), corrected
/// for the probes as their total is: where every call was timed, none is longer than its high end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Shortest timed call.
    pub min_ns: f64,
    /// Median.
    pub p50_ns: f64,
    /// 90th percentile.
    pub p90_ns: f64,
    /// 99th percentile.
    pub p99_ns: f64,
    /// 99.9th percentile.
    pub p999_ns: f64,
    /// Longest timed call.
    pub max_ns: f64,
}

/// Calls by their time on a logarithmic axis, ten bars a decade: bar `i` holds the calls of at least
/// 10^((first + i) ÷ 10) ns that are shorter than the next bar's. Shorter than 1 ns is in bar 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimeBars {
    /// Place of the first bar on the axis.
    pub first: u32,
    /// Calls of each bar; the first and the last have some.
    pub calls: Vec<u64>,
    /// Not every call was timed: the numbers are scaled up from those that were.
    pub estimated: bool,
}

/// Calls by their time, in the buckets they were recorded in (about 3 % wide): what two recordings
/// are compared by, where [`TimeBars`] are too wide.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallTimes {
    /// (middle of the bucket, ns; calls, scaled up from the timed ones), shortest first.
    pub buckets: Vec<(f64, u64)>,
}

/// One caller of an API in one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallerShare {
    /// The calling component.
    pub component: Option<ComponentId>,
    /// The site.
    pub site: SiteId,
    /// Exact number of calls.
    pub count: u64,
    /// Estimated time, ns.
    pub total_ns: f64,
    /// Estimated time without timed calls below, ns.
    pub self_ns: f64,
}

/// One call path of one group: a node of its call tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallNode {
    /// The group.
    pub group: GroupId,
    /// The calling path; `None` for a root.
    pub parent: Option<NodeId>,
    /// The last site of the path.
    pub site: SiteId,
    /// Its API; the same as the site's.
    pub api: Option<ApiId>,
    /// Length of the path, 1 for a root.
    pub depth: u32,
    /// Calls, exact unless `scaled`.
    pub count: u64,
    /// `count` is scaled up from timed calls, not exact.
    pub scaled: bool,
    /// Deeper paths were folded into this one.
    pub collapsed: bool,
    /// Calls timed.
    pub timed: u64,
    /// Estimated time with all below.
    pub total: Estimate,
    /// Estimated time without timed calls below.
    pub self_ns: f64,
    /// Estimated time waited in it or below.
    pub wait_ns: f64,
    /// Shortest and longest timed call, ns; `None` when none was timed.
    pub min_max_ns: Option<(f64, f64)>,
    /// Slow calls seen, kept or not.
    pub slow_seen: u64,
    /// Their summed time, ns.
    pub slow_ns: f64,
    /// Calls whose end was not seen.
    pub abandoned: u64,
}

/// Calls from one component to another, in the whole run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowEdge {
    /// Who calls; `None` = unknown.
    pub caller: Option<ComponentId>,
    /// Who is called; `None` = unknown.
    pub callee: Option<ComponentId>,
    /// Exact number of calls.
    pub count: u64,
    /// Estimated time with all below, ns (nested edges count it again).
    pub total_ns: f64,
    /// Estimated time without timed calls below, ns.
    pub self_ns: f64,
    /// Estimated time waited at blocking APIs of this edge, ns.
    pub wait_ns: f64,
}

impl FlowEdge {
    /// An edge without calls so far.
    pub fn between(caller: Option<ComponentId>, callee: Option<ComponentId>) -> Self {
        Self { caller, callee, count: 0, total_ns: 0.0, self_ns: 0.0, wait_ns: 0.0 }
    }
}

/// A call beyond its site's own tail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlowCall {
    /// The image.
    pub image: ImageId,
    /// The thread; `None` when it was folded into its group.
    pub thread: Option<ThreadId>,
    /// The group.
    pub group: GroupId,
    /// The site.
    pub site: SiteId,
    /// Call path from the root to the site, this one last.
    pub path: Vec<SiteId>,
    /// The path's node, when its cell is readable.
    pub node: Option<NodeId>,
    /// Begin, ns since the run's start.
    pub start_ns: u64,
    /// Duration.
    pub duration_ns: f64,
    /// Duration beyond which the site kept slow calls at that time.
    pub threshold_ns: f64,
    /// Median of its (group, API); `None` when unknown.
    pub median_ns: Option<f64>,
    /// First six integer arguments (raw registers; only as many mean something as the API has).
    pub args: [u64; 6],
    /// What it returned (rax).
    pub result: u64,
    /// Return address as `function+0xoffset in component`, or a bare address.
    pub called_from: String,
    /// Time in timed API calls below.
    pub below_ns: f64,
    /// Time waited within.
    pub wait_ns: f64,
    /// What the longest wait within was for (`WaitKind` text); `None` = it did not wait.
    pub wait_kind: Option<String>,
    /// Site of the longest wait within.
    pub wait_site: Option<SiteId>,
    /// Address, fd or pthread_t waited for; 0 = nothing.
    pub object: u64,
    /// The wait object of this profile it names.
    pub wait_object: Option<WaitObjectId>,
    /// Kernel id of the thread that held it; `None` = unknown.
    pub holder_tid: Option<u32>,
    /// The holder, when it is a recorded thread.
    pub holder: Option<ThreadId>,
}

/// One thing threads waited for: a lock, a condition, an fd, a thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaitObject {
    /// The image its address belongs to.
    pub image: ImageId,
    /// `WaitKind` text; the read and write sides of a rwlock are two entries.
    pub kind: String,
    /// Address, fd or pthread_t; 0 when the API has no object (sleep).
    pub object: u64,
    /// What the address is, when it lies in a component: `symbol+0xoffset in component`.
    pub label: Option<String>,
    /// For a join: the thread waited for.
    pub joined: Option<ThreadId>,
    /// Waits.
    pub waits: u64,
    /// Σ time waited.
    pub wait_ns: f64,
    /// Longest wait.
    pub max_ns: f64,
    /// When the longest wait ended, ns since the run's start.
    pub max_at_ns: u64,
    /// Sites that waited, longest first.
    pub sites: Vec<WaitShare>,
    /// Who waited, longest first.
    pub waiters: Vec<Waiter>,
    /// Who held it when waits began, longest first; only where the object tells.
    pub holders: Vec<Holder>,
}

/// A site's share of an object's waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaitShare {
    /// The site.
    pub site: SiteId,
    /// Waits.
    pub waits: u64,
    /// Σ time waited.
    pub wait_ns: f64,
}

/// A waiting thread (or folded members of a group, together).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Waiter {
    /// The thread; `None` = folded members.
    pub thread: Option<ThreadId>,
    /// Its group.
    pub group: GroupId,
    /// Waits.
    pub waits: u64,
    /// Σ time waited.
    pub wait_ns: f64,
}

/// A thread that held a lock others waited for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Holder {
    /// Kernel thread id.
    pub tid: u32,
    /// The thread, when it is recorded.
    pub thread: Option<ThreadId>,
    /// Waits that began while it held the object.
    pub waits: u64,
    /// Σ time waited for it.
    pub wait_ns: f64,
}

/// What the event files hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EventsSummary {
    /// Event files read.
    pub files: u64,
    /// Chunks read.
    pub chunks: u64,
    /// Events read.
    pub events: u64,
    /// As [`super::Losses::lost_events`].
    pub lost: u64,
    /// Begin of the oldest event, ns since the run's start.
    pub first_ns: u64,
    /// End of the newest event, ns since the run's start.
    pub last_ns: u64,
    /// Per (group, site), most time first.
    pub rows: Vec<EventRow>,
    /// Deepest nesting of timed calls seen.
    pub max_depth: u32,
}

/// Events of one site in one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventRow {
    /// The group.
    pub group: GroupId,
    /// The site.
    pub site: SiteId,
    /// Events.
    pub count: u64,
    /// Σ duration.
    pub total_ns: f64,
    /// Times of single calls.
    pub distribution: Distribution,
}
