//! The system calls' side of a profile.
//!
//! [`Syscalls::rows`] is the table that all others are sums of: one row per process image, thread
//! (or the folded members of a group), call path and number. [`SyscallSums::merge`] adds rows up by
//! whatever is asked for; [`Profile::syscalls_below`] gives those of one API, callees included.

use super::ids::{ApiId, ComponentId, GroupId, ImageId, NodeId, SyscallTargetId, ThreadId};
use super::profile::Profile;
use super::syscall_sums::SyscallSums;
use perfvisor_format::{syscall, ObjectKind, SyscallCategory, SYSCALL_NUMBERS};
use serde::Serialize;
use std::borrow::Cow;

/// All system calls of a run; empty when none were recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Syscalls {
    /// One row per (image, thread or folded members, call path, number).
    pub rows: Vec<SyscallRow>,
    /// Files, peers and futexes that system calls were made on.
    pub targets: Vec<SyscallTarget>,
    /// One row per (thread or folded members, target, number, futex operation).
    pub uses: Vec<SyscallUse>,
    /// Calls kept whole because they were beyond their own tail, longest first.
    pub slow: Vec<SlowSyscall>,
    /// Calls that are in no row, by image and number.
    pub outside: Vec<SyscallOutside>,
    /// Which `syscall` instructions are seen, by component.
    pub coverage: Vec<SyscallCoverage>,
    /// An audit (`--syscall-audit`) counted in some image what is not seen.
    pub audited: bool,
    /// What is missing.
    pub losses: SyscallLosses,
    /// What recording them cost, estimated.
    pub overhead: SyscallOverhead,
}

impl Syscalls {
    /// There is nothing to show: the recording was made without system calls.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.outside.is_empty() && self.coverage.is_empty()
    }

    /// Exact number of the program's calls that were seen: those in rows and those without a place.
    pub fn count(&self) -> u64 {
        let rows = self.rows.iter().map(|row| row.sums.count);
        rows.chain(self.outside.iter().map(|o| o.unplaced)).fold(0, u64::saturating_add)
    }
}

/// One system call in one call path of one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SyscallRow {
    /// The process image.
    pub image: ImageId,
    /// The thread's group.
    pub group: GroupId,
    /// The thread; `None` = the group's folded members.
    pub thread: Option<ThreadId>,
    /// The call path it was made in; `None` = outside of any API.
    pub node: Option<NodeId>,
    /// The path's last API; `None` = outside of any.
    pub api: Option<ApiId>,
    /// The system call's number.
    pub number: u32,
    /// Seen only when it begins (exit, clone, execve, …): it has no times.
    pub entry_only: bool,
    /// What it sums up to.
    pub sums: SyscallSums,
}

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetKind {
    /// A descriptor led to it.
    Descriptor(ObjectKind),
    /// A futex.
    Futex,
}

impl TargetKind {
    /// The word reports use.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Descriptor(kind) => kind.text(),
            Self::Futex => "futex",
        }
    }
}

impl Serialize for TargetKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// A file, peer, pipe, … or futex.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SyscallTarget {
    /// The image in which its id or address means something.
    pub image: ImageId,
    /// What it is.
    pub kind: TargetKind,
    /// Id of the recorded object, or the futex's address. A file opened twice is two objects.
    pub object: u64,
    /// A path, a peer's address, what a futex's address is (`symbol+0xoffset in component`); empty
    /// when nothing is known.
    pub name: String,
    /// When it was met, ns since the run's start; 0 for futexes and lost records.
    pub met_ns: u64,
}

/// What one thread (or the folded members of a group) did to one target by one system call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SyscallUse {
    /// The target.
    pub target: SyscallTargetId,
    /// The group.
    pub group: GroupId,
    /// The thread; `None` = folded members.
    pub thread: Option<ThreadId>,
    /// The system call's number.
    pub number: u32,
    /// Futex operation without its flags (0 = wait, 1 = wake, …); 0 for others.
    pub operation: u32,
    /// Exact number of calls.
    pub count: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Bytes moved, exact.
    pub bytes: u64,
    /// Calls timed.
    pub timed: u64,
    /// Estimated time, ns; exact but for the probe's own uncertainty when all were timed.
    pub total_ns: f64,
    /// Estimated time waited (of `total_ns`), ns.
    pub wait_ns: f64,
    /// Longest timed call, ns.
    pub max_ns: f64,
    /// When that ended, ns since the run's start.
    pub max_at_ns: u64,
}

/// A system call beyond its own tail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlowSyscall {
    /// The image.
    pub image: ImageId,
    /// The group.
    pub group: GroupId,
    /// The thread; `None` when it was folded and is not known any more.
    pub thread: Option<ThreadId>,
    /// The call path it was made in; `None` = outside of any API, or unknown.
    pub node: Option<NodeId>,
    /// The path's last API.
    pub api: Option<ApiId>,
    /// The system call's number.
    pub number: u32,
    /// Begin, ns since the run's start.
    pub start_ns: u64,
    /// Duration.
    pub duration_ns: f64,
    /// Duration beyond which its like were kept at that time.
    pub threshold_ns: f64,
    /// Its arguments.
    pub args: [u64; 6],
    /// What the kernel returned; −4095 to −1 is an error.
    pub result: i64,
    /// What it was made on.
    pub target: Option<SyscallTargetId>,
}

impl SlowSyscall {
    /// The errno it failed with.
    pub fn errno(&self) -> Option<u16> {
        (-4095..0).contains(&self.result).then(|| self.result.unsigned_abs() as u16)
    }
}

/// Calls of one number in one image that are in no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SyscallOutside {
    /// The image.
    pub image: ImageId,
    /// The system call's number.
    pub number: u32,
    /// Calls of the program that were seen but belong to no thread's rows.
    pub unplaced: u64,
    /// Calls that the hook made for itself, in no other sum.
    pub own: u64,
    /// Calls that an audit saw and that would not be seen without it; they are in the rows, too.
    pub missed: u64,
}

/// The `syscall` instructions of one component. Where images differ, the worst is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SyscallCoverage {
    /// The component.
    pub component: ComponentId,
    /// Instructions found.
    pub found: u64,
    /// Of these, seen.
    pub patched: u64,
    /// Of the seen ones, those seen only when a call begins.
    pub entry_only: u64,
    /// Instructions left alone, by reason: (words, addresses in the component's file).
    pub skipped: Vec<(String, Vec<u64>)>,
}

/// What is missing of the system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyscallLosses {
    /// Calls whose cell could not be made: they are unplaced.
    pub lost_cells: u64,
    /// Targets that were not kept apart.
    pub lost_objects: u64,
    /// Slow calls not kept.
    pub lost_slow: u64,
}

/// What recording system calls cost, from what the hook measured at load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SyscallOverhead {
    /// CPU time of timed calls' probes, ns.
    pub timed_ns: f64,
    /// CPU time of counted calls' probes, ns.
    pub counted_ns: f64,
    /// Time that finding and changing the instructions took, in all images, ns.
    pub patch_ns: f64,
}

/// What the kernel calls `number`.
pub fn syscall_name(number: u32) -> Cow<'static, str> {
    match syscall(number) {
        Some(info) => Cow::Borrowed(info.name),
        // Calls of higher numbers are counted under the last one.
        None if number as usize + 1 == SYSCALL_NUMBERS => Cow::Borrowed("(unknown)"),
        None => Cow::Owned(format!("syscall_{number}")),
    }
}

/// What the system call `number` is about.
pub fn syscall_category(number: u32) -> SyscallCategory {
    syscall(number).map_or(SyscallCategory::Other, |info| info.category)
}

/// The word reports use for a category.
pub const fn category_text(category: SyscallCategory) -> &'static str {
    match category {
        SyscallCategory::File => "file",
        SyscallCategory::Directory => "directory",
        SyscallCategory::DiskSync => "disk sync",
        SyscallCategory::Network => "network",
        SyscallCategory::Memory => "memory",
        SyscallCategory::Lock => "lock",
        SyscallCategory::Sleep => "sleep",
        SyscallCategory::Poll => "poll",
        SyscallCategory::Process => "process",
        SyscallCategory::Signal => "signal",
        SyscallCategory::Time => "time",
        SyscallCategory::Ipc => "ipc",
        SyscallCategory::Other => "other",
    }
}

impl Profile {
    /// The call path of a system call, innermost first.
    pub fn path_above(&self, node: Option<NodeId>) -> impl Iterator<Item = NodeId> + '_ {
        // Parents stand before their children, so this ends.
        std::iter::successors(node, |node| self.call_nodes.get(node.index())?.parent)
    }

    /// Whether a system call was made in `api` or in anything it called.
    pub fn is_below(&self, row: &SyscallRow, api: ApiId) -> bool {
        let node = |id: NodeId| self.call_nodes.get(id.index());
        self.path_above(row.node).any(|id| node(id).and_then(|n| n.api) == Some(api))
    }

    /// The system calls made in `api` or in anything it called, in all threads.
    pub fn syscalls_below(&self, api: ApiId) -> impl Iterator<Item = &SyscallRow> {
        self.syscalls.rows.iter().filter(move |row| self.is_below(row, api))
    }
}
