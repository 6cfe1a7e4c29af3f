//! From records to one [`Profile`].
//!
//! What may not happen here: no printing, no judging (that is `analysis`), and no time shown as
//! exact that is not. Everything is computed once, in parallel over images and threads; memory is
//! bounded by the profile, not by the trace.

mod build;
mod calls;
mod clock;
mod demangle;
mod estimate;
mod events;
mod execs;
mod finish;
mod gather;
mod histogram;
mod ids;
mod image_name;
mod imbalance;
mod order;
mod overhead;
mod profile;
mod program;
mod segments;
mod start_routine;
mod sums;
mod symbols;
mod syscall_cells;
mod syscall_finish;
mod syscall_sums;
mod syscalls;
mod tables;
mod threads;
mod unseen;
mod waits;

pub use crate::read::Damage;
pub use build::load;
pub use calls::{
    ApiRow, CallNode, CallTimes, CallerShare, Distribution, EventRow, EventsSummary, FlowEdge,
    Holder, SlowCall, TimeBars, WaitObject, WaitShare, Waiter,
};
pub use ids::{
    ApiId, ComponentId, GroupId, ImageId, NodeId, SiteId, SlowCallId, SyscallTargetId, ThreadId,
    WaitObjectId,
};
pub use profile::{
    Coverage, Estimate, Image, ImageEnd, Losses, Mode, Overhead, Profile, RunInfo, SkipRow,
    Unsymbolised,
};
pub use program::{Api, Component, Site, Thread, ThreadEnd, ThreadGroup, ThreadOrigin};
pub use syscall_sums::SyscallSums;
pub use syscalls::{
    category_text, syscall_category, syscall_name, SlowSyscall, SyscallCoverage, SyscallLosses,
    SyscallOutside, SyscallOverhead, SyscallRow, SyscallTarget, SyscallUse, Syscalls, TargetKind,
};
