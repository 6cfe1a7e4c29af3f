//! [`Profile`]: a whole run, all its process images, as plain owned data.
//!
//! What may not happen here: no code that reads files or computes; these are the types every
//! analysis and report looks at. Times are nanoseconds (`_ns`): `u64` where measured or counted
//! whole, `f64` where estimated. Moments are nanoseconds since the run's start.

use super::calls::{ApiRow, CallNode, EventsSummary, FlowEdge, SlowCall, WaitObject};
use super::ids::{ComponentId, ImageId};
use super::program::{Api, Component, Site, Thread, ThreadGroup};
use super::syscalls::Syscalls;
use crate::read::Damage;
use serde::Serialize;
use std::collections::BTreeSet;

/// Everything known of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Profile {
    /// What ran, where and when.
    pub run: RunInfo,
    /// Process images (a fork or an exec begins one), oldest first.
    pub images: Vec<Image>,
    /// What is missing and why. Reports say it first.
    pub losses: Losses,
    /// Which call sites are seen and which are not.
    pub coverage: Coverage,
    /// What recording cost the program.
    pub overhead: Overhead,
    /// Loaded objects of all images; those with the same path and build id are one.
    pub components: Vec<Component>,
    /// Functions called across a component boundary.
    pub apis: Vec<Api>,
    /// (caller component, API) pairs of all images.
    pub sites: Vec<Site>,
    /// Thread groups, busiest first.
    pub groups: Vec<ThreadGroup>,
    /// Threads, in order of start.
    pub threads: Vec<Thread>,
    /// One row per (group, API), by group, then by self time, largest first.
    pub api_rows: Vec<ApiRow>,
    /// Call trees of all groups; a parent stands before its children.
    pub call_nodes: Vec<CallNode>,
    /// Component-to-component calls of the whole run, largest total time first.
    pub flow: Vec<FlowEdge>,
    /// Calls kept whole because they were beyond their site's own tail, longest first.
    pub slow_calls: Vec<SlowCall>,
    /// Locks and other things waited for, longest total wait first.
    pub wait_objects: Vec<WaitObject>,
    /// What the event files hold; empty without `--events` and `--flight-recorder`.
    pub events: EventsSummary,
    /// System calls; empty when they were not recorded.
    #[serde(skip_serializing_if = "Syscalls::is_empty")]
    pub syscalls: Syscalls,
}

/// An estimated sum with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Best estimate, ns.
    pub value_ns: f64,
    /// Lower end of the 95 % interval, ns.
    pub low_ns: f64,
    /// Upper end of the 95 % interval, ns; it includes what untimed calls may hide.
    pub high_ns: f64,
    /// Every call was timed: only the probe's own uncertainty separates `low_ns` from `high_ns`.
    pub exact: bool,
}

/// The run as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunInfo {
    /// The trace directory as it was given.
    pub directory: String,
    /// Command and arguments: of `run.json`, else of the first image.
    pub command: Vec<String>,
    /// Working directory of the first image.
    pub cwd: Option<String>,
    /// Host names of the images, each once.
    pub hosts: Vec<String>,
    /// Wall clock at the start, ns since 1970.
    pub start_realtime_ns: u64,
    /// From start to end of the run: of `run.json`, else from the first to the last time stamp.
    pub wall_ns: u64,
    /// Exit status, where known.
    pub exit_code: Option<i32>,
    /// Signal that killed the command, where known.
    pub signal: Option<i32>,
    /// User CPU time of all processes, where known.
    pub user_ns: Option<u64>,
    /// System CPU time of all processes, where known.
    pub system_ns: Option<u64>,
    /// Largest resident set of one process, KiB, where known.
    pub max_rss_kib: Option<u64>,
    /// The recording was made with `perfvisor run`, which left `run.json`.
    pub has_run_json: bool,
}

/// How a process image ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageEnd {
    /// exit() or return from main.
    Exit,
    /// _exit() and its kin: nothing of the program ran afterwards.
    ImmediateExit,
    /// Replaced by exec.
    Exec,
    /// Did not end by itself: killed by a signal, or still running.
    #[default]
    KilledOrRunning,
}

/// What the recording kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mode {
    /// `--exact`: every call is timed.
    pub exact: bool,
    /// `--events`: every call is kept as an event.
    pub events: bool,
    /// `--flight-recorder`: events of the last so many ns.
    pub flight_ns: Option<u64>,
    /// `--self-calls`: a component's calls to itself too.
    pub self_calls: bool,
    /// `--only syscalls`: no calls between components.
    #[serde(skip_serializing_if = "is_false")]
    pub no_apis: bool,
    /// `--only apis`: no system calls.
    #[serde(skip_serializing_if = "is_false")]
    pub no_syscalls: bool,
}

/// What 1.0 traces cannot have is left out where it is not so.
fn is_false(value: &bool) -> bool {
    !value
}

/// One process image.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Image {
    /// Process id in its pid namespace.
    pub pid: u32,
    /// Images of this pid before it.
    pub generation: u32,
    /// Parent's process id.
    pub parent_pid: u32,
    /// File name of the executable; groups of threads carry it.
    pub name: String,
    /// Path of the executable.
    pub exe: String,
    /// Command line.
    pub argv: Vec<String>,
    /// Working directory at load.
    pub cwd: Option<String>,
    /// Host name at load.
    pub host: Option<String>,
    /// Settings in force, as they were given.
    pub settings: Vec<(String, String)>,
    /// What was kept.
    pub mode: Mode,
    /// Began as the fork child of a recorded image.
    pub forked: bool,
    /// How it ended.
    pub end: ImageEnd,
    /// Status given to exit(), where known.
    pub exit_status: Option<u32>,
    /// What it was replaced by, as it was given to exec; `None` = by nothing, or unknown.
    pub exec_path: Option<String>,
    /// It was replaced by a program that recorded nothing.
    pub exec_unrecorded: bool,
    /// Begin, ns since the run's start.
    pub start_ns: u64,
    /// Last sign of life, ns since the run's start.
    pub end_ns: u64,
    /// Time the hook's loading took, ns.
    pub load_ns: u64,
    /// CPU time (user), ns; of the process if it ended by itself, else the sum of known threads.
    pub user_ns: u64,
    /// CPU time (system), ns.
    pub system_ns: u64,
    /// Cycles in one ns.
    pub tsc_per_ns: f64,
    /// Threads recorded.
    pub threads: u64,
    /// Exact number of calls counted.
    pub calls: u64,
    /// Children seen to begin.
    pub forks: u64,
    /// What the hook wants the user to know: (ns since the run's start, text).
    pub messages: Vec<(u64, String)>,
}

/// What is missing from the recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Losses {
    /// Calls made while the hook could keep them nowhere.
    pub lost_calls: u64,
    /// Threads that could not be recorded.
    pub lost_threads: u64,
    /// Records of `process.pv` not written.
    pub lost_records: u64,
    /// Timed calls without a cell: counted, their times missing.
    pub lost_cells: u64,
    /// Slow calls not kept.
    pub lost_slow_calls: u64,
    /// Waits not attributed to their object.
    pub lost_waits: u64,
    /// Events not kept: no room, or the limit was reached.
    pub lost_events: u64,
    /// Events that newer ones of a flight recorder replaced.
    pub overwritten_events: u64,
    /// Calls whose end was not seen (exception, longjmp, thread or process end).
    pub abandoned: u64,
    /// Threads whose folding was cut short: their times may be half counted.
    pub folds_in_progress: u64,
    /// Calls counted in no thread (`late.pv`): part of site counts, of no group.
    pub late_calls: u64,
    /// Damaged places of the files.
    pub damages: Vec<Damage>,
    /// Images that could not be read at all.
    pub unreadable_images: Vec<Damage>,
    /// Images that did not end by themselves (killed or still running).
    pub images_cut_short: u64,
    /// Images replaced (exec) by a program that recorded nothing.
    pub unrecorded_execs: u64,
}

/// Which call sites are seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Slots found that lead to another component.
    pub slots_found: u64,
    /// Of these, patched.
    pub slots_patched: u64,
    /// Sites (caller component, API) known.
    pub sites: u64,
    /// Of these, called at least once.
    pub sites_called: u64,
    /// Sites whose API may only be counted, never timed.
    pub sites_counted_only: u64,
    /// Slots left alone, by component and reason, most first.
    pub skips: Vec<SkipRow>,
    /// All names of slots left alone.
    #[serde(skip)]
    pub skipped_names: BTreeSet<String>,
    /// Components whose symbols could not be used, with the reason.
    pub unsymbolised: Vec<Unsymbolised>,
    /// Exact number of all calls.
    pub calls: u64,
    /// Of these, timed.
    pub timed_calls: u64,
}

/// Slots of one component left alone for one reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SkipRow {
    /// Whose slots.
    pub component: ComponentId,
    /// The reason's words.
    pub reason: String,
    /// How many.
    pub slots: u64,
    /// A few of the names.
    pub examples: Vec<String>,
    /// Names among them of functions that can wait: their waits are not seen.
    pub waiting: Vec<String>,
}

/// A component whose functions have no names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unsymbolised {
    /// Which.
    pub component: ComponentId,
    /// Why: stripped, missing file, other build id.
    pub reason: String,
}

/// What recording cost, estimated from the costs the hook measured at load.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overhead {
    /// CPU time of timed calls' probes, ns.
    pub timed_ns: f64,
    /// CPU time of counted calls' stubs, ns.
    pub counted_ns: f64,
    /// Time the hook's loading took in all images, elapsed and not part of `share`, ns.
    pub load_ns: f64,
    /// CPU time of the run (user + system), ns; 0 = unknown.
    pub cpu_ns: f64,
    /// (timed + counted) ÷ CPU, 0 … 1; `None` when the CPU time is unknown, or below these costs
    /// and so one of both wrong.
    pub share: Option<f64>,
    /// Per image: timed + counted + load, ns.
    pub per_image: Vec<(ImageId, f64)>,
}
