//! The program's side of a profile: components, APIs, sites, threads and their groups.

use super::ids::{ApiId, ComponentId, GroupId, ImageId, SiteId, ThreadId};
use serde::Serialize;
use std::collections::BTreeMap;

/// One loaded object.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Component {
    /// File name (`libc.so.6`), or `[vdso]`.
    pub name: String,
    /// Path as the loader knew it.
    pub path: String,
    /// Build id in hexadecimal digits, empty when it has none.
    pub build_id: String,
    /// The executable of an image.
    pub executable: bool,
    /// The C library.
    pub libc: bool,
    /// The dynamic loader.
    pub loader: bool,
    /// Perfvisor's own library.
    pub hook: bool,
}

/// A function called across a component boundary.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Api {
    /// Symbol name as the caller asked for it.
    pub symbol: String,
    /// Name as a reader wants it: demangled, without arguments' types.
    pub name: String,
    /// Full demangled name, the same as `name` for C.
    pub signature: String,
    /// Symbol version, empty when none.
    pub version: String,
    /// Where it is defined; `None` = unknown.
    pub component: Option<ComponentId>,
    /// What it may wait for (`none` = it does not block): a `WaitKind` text.
    pub wait_kind: String,
    /// It can block.
    pub blocking: bool,
}

/// One (caller component, API) pair, summed over all images.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Site {
    /// Who calls.
    pub caller: Option<ComponentId>,
    /// What is called; `None` only when the record of the site is lost.
    pub api: Option<ApiId>,
    /// How its calls reach the hook, each way once.
    pub how: Vec<String>,
    /// Only counted, never timed (the API returns twice or never, or unwinds).
    pub counted_only: bool,
    /// Exact number of calls, `late.pv` included.
    pub count: u64,
    /// Calls timed.
    pub timed: u64,
    /// Of `count`, calls no thread could count.
    pub late: u64,
}

/// How a thread record ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadEnd {
    /// It ended.
    Ended,
    /// It ran until its process ended, was killed or replaced, or still runs.
    #[default]
    WithProcess,
}

/// How a thread began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadOrigin {
    /// Created under the hook's eyes.
    Created,
    /// The process's first thread.
    Main,
    /// Met at its first hooked call.
    #[default]
    Met,
}

/// One thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Thread {
    /// Its process image.
    pub image: ImageId,
    /// Index of its record in `threads.pv`.
    pub record: u32,
    /// Kernel thread id.
    pub tid: u32,
    /// Its group.
    pub group: GroupId,
    /// Name (`pthread_setname_np`, prctl); empty when none.
    pub name: String,
    /// How it began.
    pub origin: ThreadOrigin,
    /// How it ended.
    pub end: ThreadEnd,
    /// Its cells are summed in its group: no rows of its own.
    pub folded: bool,
    /// The function it runs, demangled, wrappers seen through.
    pub start_routine: String,
    /// The function given to `pthread_create`, demangled.
    pub outer_routine: String,
    /// The thread that created it.
    pub creator: Option<ThreadId>,
    /// The call that created it, `function+0xoffset in component`.
    pub creator_site: Option<String>,
    /// Begin, ns since the run's start.
    pub start_ns: u64,
    /// End or last sign of life, ns since the run's start.
    pub end_ns: u64,
    /// `end_ns − start_ns`.
    pub lifetime_ns: u64,
    /// Lifetime without the waits at blocking APIs.
    pub exec_ns: f64,
    /// At least so much of `exec_ns` was not on a CPU: ready to run, or blocked where nothing is
    /// seen. `None` when the CPU time is unknown.
    pub off_cpu_ns: Option<f64>,
    /// Waits at blocking APIs.
    pub wait_ns: f64,
    /// The waits by kind (`mutex`, `sleep`, …); empty for a folded thread.
    pub wait_by_kind_ns: BTreeMap<String, f64>,
    /// User CPU time; `None` when the thread was killed.
    pub user_ns: Option<u64>,
    /// System CPU time.
    pub system_ns: Option<u64>,
    /// Voluntary context switches.
    pub voluntary_switches: Option<u64>,
    /// Involuntary context switches.
    pub involuntary_switches: Option<u64>,
    /// Exact number of calls.
    pub calls: u64,
    /// Of these, timed.
    pub timed: u64,
    /// Time in API calls made by no other API call (the roots of its paths), estimated.
    pub api_ns: f64,
    /// The APIs with most self time: (site, exact count, self ns), at most 16; none if folded.
    pub top_sites: Vec<(SiteId, u64, f64)>,
}

impl Thread {
    /// User and system CPU time; `None` when unknown.
    pub fn cpu_ns(&self) -> Option<u64> {
        Some(self.user_ns?.saturating_add(self.system_ns?))
    }
}

/// Threads that share one start routine.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ThreadGroup {
    /// What a reader calls it: the start routine's name, or `main`.
    pub name: String,
    /// File name of the executable its threads ran in.
    pub image_name: String,
    /// Component of the start routine; `None` for `main` and unknown ones.
    pub component: Option<ComponentId>,
    /// Offset of the start routine in it, bytes; 0 when unknown.
    pub start_offset: u64,
    /// Members, in order of start.
    pub threads: Vec<ThreadId>,
    /// Of these, folded.
    pub folded_threads: u64,
    /// Σ lifetime.
    pub lifetime_ns: f64,
    /// Σ exec time.
    pub exec_ns: f64,
    /// Σ known off-CPU time within the exec time.
    pub off_cpu_ns: f64,
    /// Σ wait time.
    pub wait_ns: f64,
    /// Σ wait time by kind; of folded members too.
    pub wait_by_kind_ns: BTreeMap<String, f64>,
    /// Σ known user CPU time.
    pub user_ns: u64,
    /// Σ known system CPU time.
    pub system_ns: u64,
    /// Members whose CPU time is unknown.
    pub cpu_unknown: u64,
    /// Σ known voluntary switches.
    pub voluntary_switches: u64,
    /// Σ known involuntary switches.
    pub involuntary_switches: u64,
    /// Exact number of calls.
    pub calls: u64,
    /// Of these, timed.
    pub timed: u64,
    /// Estimated time in APIs, nested calls counted once.
    pub api_ns: f64,
    /// Members whose exec times are compared: of one process, or the first threads of sibling
    /// worker processes; those with most time to win by sharing evenly. 0 = none share work.
    pub compared_threads: u64,
    /// Longest exec time ÷ mean exec time of the compared.
    pub max_over_mean: f64,
    /// Standard deviation ÷ mean of their exec times.
    pub coefficient_of_variation: f64,
    /// The one of them with the longest exec time.
    pub straggler: Option<ThreadId>,
}
