//! What is folded per call site, per call path, per waited-for object, and the exemplars.

use crate::{plain, OCTAVES};

/// [`Cell::flags`]: deeper call paths were collapsed into this cell.
pub const CELL_FLAG_COLLAPSED: u16 = 1;

/// Per (thread, call site): pace of timing and the base of the exact count.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SiteState {
    /// Site id.
    pub site: u32,
    /// Current mean gap between timed calls; 1 = every call is timed.
    pub gap: u16,
    /// Calls timed since the gap last changed; `u16::MAX` = the last one surprised.
    pub since_change: u16,
    /// Exact count when the site was last rearmed; the table word says what came since.
    pub base_count: u64,
    /// Unseen time (cycles): the excess of all long windows, which untimed calls may have taken.
    pub unseen_max: u64,
    /// Time stamp of the end of the last timed call that came in its turn.
    pub last_tsc: u64,
    /// Moving mean of duration, cycles.
    pub mean: f32,
    /// Moving variance of duration, cycles².
    pub variance: f32,
    /// Writer's cache: reference of the last parent cell.
    pub cached_parent: u32,
    /// Writer's cache: reference of the cell below it.
    pub cached_cell: u32,
    /// Moving mean of window per call, cycles (time between timed calls / calls between).
    pub window_mean: f32,
    /// Windows that exceeded the usual by more than the limit, see `unseen_max`.
    pub long_windows: u32,
    /// The limit, as a share of a window of mean length.
    pub window_limit: f32,
    /// The largest excess, cycles.
    pub longest_excess: f32,
}
plain!(SiteState, 64);

/// Per (thread, call path): one node of the thread's tree of API calls. 384 bytes.
///
/// All times are raw cycles between the probe's two time stamps; a reader takes
/// `timed_bias_cycles` of the process header off each timed call. A timed call stands for `w`
/// calls (the gap in force): Σ over timed calls of w·d is the Horvitz–Thompson estimate of the
/// total, and `variance_*` hold Σ(w²−w)·dᵏ for k = 0, 1, 2, from which
/// Var = v2 − 2·m·v1 + m²·v0 with m = weighted_sum / represented (ratio estimator).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Cell {
    /// Reference (units of 64 bytes) of the calling path's cell; 0 = none open.
    pub parent: u32,
    /// Site id.
    pub site: u32,
    /// Length of the path; 1 for a root.
    pub depth: u16,
    /// Flags, `CELL_FLAG_*`.
    pub flags: u16,
    /// Histogram counts are in units of 2^this.
    pub histogram_shift: u32,
    /// Calls timed.
    pub timed: u64,
    /// Σw: calls the timed ones stand for.
    pub represented: u64,
    /// Σd.
    pub sum: u64,
    /// Σw·d.
    pub weighted_sum: u64,
    /// Σw·(d − time in timed API calls below, each scaled by its own gap).
    pub weighted_self: i64,
    /// Σw·(time waited: own, if the API blocks, else in blocking calls below).
    pub weighted_wait: u64,
    /// Shortest timed call; `u64::MAX` when none.
    pub min: u64,
    /// Longest timed call.
    pub max: u64,
    /// Σ(w²−w).
    pub variance_0: f64,
    /// Σ(w²−w)·d.
    pub variance_1: f64,
    /// Σ(w²−w)·d².
    pub variance_2: f64,
    /// Calls longer than this are kept as slow calls.
    pub slow_threshold: u64,
    /// Slow calls seen (kept or not).
    pub slow_seen: u64,
    /// Σd of slow calls seen.
    pub slow_sum: u64,
    /// Σd of all calls that waited (own wait of a blocking API).
    pub wait_sum: u64,
    /// Calls whose end was not seen.
    pub abandoned: u64,
    /// Visible calls: timed out of a gap above 1, and too long to have hidden in a window. They
    /// stand for themselves alone (w = 1 in all sums above).
    pub visible_calls: u64,
    /// Σd of visible calls.
    pub visible_sum: u64,
    /// Σw of visible calls, w being the gap in force.
    pub visible_weight: u64,
    /// Σw·d of visible calls.
    pub visible_weighted: u64,
    /// Σ(w²−w)·d² of visible calls.
    pub visible_variance: f64,
    /// Writer's scratch while a thread is folded: reference of the cell it went to.
    pub folded_into: u64,
    /// References (units of 64 bytes) of histogram chunks, one an octave; 0 = empty octave.
    pub histogram: [u32; OCTAVES],
    /// Zero.
    pub reserved_tail: [u32; 4],
}
plain!(Cell, 384);

/// A call beyond its site's own tail, kept whole. 192 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SlowCall {
    /// Entry time stamp.
    pub start_tsc: u64,
    /// Raw duration, cycles.
    pub duration: u64,
    /// Reference of its cell.
    pub cell: u32,
    /// Site id.
    pub site: u32,
    /// The first six integer arguments.
    pub args: [u64; 6],
    /// Where it was called from (return address).
    pub return_address: u64,
    /// What the API returned (rax).
    pub result: u64,
    /// Time (cycles) in timed API calls below, scaled.
    pub below: u64,
    /// Time (cycles) waited within.
    pub wait: u64,
    /// What was waited for: address of the lock/condition/…, fd, thread (pthread_t); 0 = nothing.
    pub object: u64,
    /// Thread id that held it at the start, where the object tells; 0 = unknown.
    pub holder_tid: u32,
    /// A [`crate::WaitKind`] of the longest wait within.
    pub wait_kind: u16,
    /// Zero.
    pub flags: u16,
    /// Threshold in force.
    pub threshold: u64,
    /// Site of the longest wait within (the site itself if it blocks); `u32::MAX` = none.
    pub wait_site: u32,
    /// In a group's segment: record index of the thread plus 1; else 0.
    pub reserved_small: u32,
    /// Zero.
    pub reserved: [u64; 7],
}
plain!(SlowCall, 192);

/// Time waited for one object, per holder. 64 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct WaitEdge {
    /// Site id of the blocking call.
    pub site: u32,
    /// Holder's thread id when the wait began; 0 = unknown.
    pub holder_tid: u32,
    /// Address, fd or pthread_t.
    pub object: u64,
    /// Waits.
    pub count: u64,
    /// Cycles waited.
    pub sum: u64,
    /// Longest wait, cycles.
    pub max: u64,
    /// A [`crate::WaitKind`].
    pub kind: u16,
    /// Zero.
    pub flags: u16,
    /// Reference of the cell that waited first.
    pub cell: u32,
    /// Time stamp of the end of the longest wait.
    pub max_tsc: u64,
    /// Zero.
    pub reserved: u64,
}
plain!(WaitEdge, 64);
