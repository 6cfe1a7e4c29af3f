//! The segment file: counter table, then an arena of typed blocks; and the event file.

use crate::plain;

/// Most sites one process can have; more are reported as skipped.
pub const MAX_SITES: usize = 16384;
/// Bytes of the segment's header region.
pub const SEGMENT_HEADER_BYTES: usize = 4096;
/// Offset of the counter table: one 8-byte word per site, see FORMAT.md.
pub const TABLE_OFFSET: usize = SEGMENT_HEADER_BYTES;
/// Bytes of the counter table.
pub const TABLE_BYTES: usize = MAX_SITES * 8;
/// Offset of the arena of blocks.
pub const ARENA_OFFSET: usize = TABLE_OFFSET + TABLE_BYTES;
/// References into the arena count in this many bytes from the start of the file.
pub const ARENA_UNIT: usize = 64;

/// Whether a segment is of a thread or of a folded group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SegmentKind {
    /// One thread.
    Thread = 1,
    /// The sum of ended threads with one start routine.
    Group = 2,
}

/// Head of a segment file, at offset 64 behind the [`crate::FileHeader`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SegmentHeader {
    /// A [`SegmentKind`].
    pub kind: u32,
    /// Index of the thread's record; for a group its ordinal.
    pub thread_index: u32,
    /// Commit word: end offset (bytes) of the last complete block of the arena. Release store.
    pub committed: u64,
    /// Group: the start routine that its threads share. Thread: 0.
    pub group_start_routine: u64,
    /// Slow calls not kept because there was no room.
    pub lost_slow_calls: u64,
    /// Timed calls whose cell could not be made (arena full); counted in the table all the same.
    pub lost_cells: u64,
    /// Wait edges not kept.
    pub lost_waits: u64,
    /// Events not kept.
    pub lost_events: u64,
    /// Events written (lost ones not included).
    pub events: u64,
    /// Calls whose end was never seen: unwound by an exception, longjmp, thread or process end.
    pub abandoned: u64,
    /// Timed calls.
    pub timed: u64,
    /// Fold journal: 1 + reference of the thread's site state being folded, see FORMAT.md; 0 = none.
    pub fold_site: u64,
    /// Fold journal: the group's count of that site before.
    pub fold_count_before: u64,
    /// Fold journal: thread record index being folded, plus 1; 0 = none.
    pub fold_thread: u64,
    /// Last probe's time stamp (cycles), written when a site is rearmed.
    pub last_tsc: u64,
    /// Bitmap-free hint: highest site id ever counted here plus 1.
    pub site_limit: u64,
    /// System calls whose cell could not be made; they count as unplaced.
    pub lost_syscall_cells: u64,
    /// Objects of system calls not kept.
    pub lost_syscall_objects: u64,
    /// Slow system calls not kept.
    pub lost_slow_syscalls: u64,
    /// Zero.
    pub reserved: [u64; 6],
}
plain!(SegmentHeader, 192);

/// What a block of the arena holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum BlockKind {
    /// [`crate::SiteState`] each 64 bytes.
    Sites = 1,
    /// [`crate::Cell`] each 384 bytes.
    Cells = 2,
    /// Histogram chunks: 32 u32 each, 128 bytes.
    Histograms = 3,
    /// [`crate::SlowCall`] each 192 bytes.
    SlowCalls = 4,
    /// [`crate::WaitEdge`] each 64 bytes.
    Waits = 5,
    /// [`crate::SyscallCell`] each 448 bytes.
    Syscalls = 6,
    /// [`crate::SyscallObject`] each 128 bytes.
    SyscallObjects = 7,
    /// [`crate::SlowSyscall`] each 128 bytes.
    SlowSyscalls = 8,
}

impl BlockKind {
    /// The kind written as `raw`, if known.
    pub fn from_raw(raw: u16) -> Option<Self> {
        Some(match raw {
            1 => Self::Sites,
            2 => Self::Cells,
            3 => Self::Histograms,
            4 => Self::SlowCalls,
            5 => Self::Waits,
            6 => Self::Syscalls,
            7 => Self::SyscallObjects,
            8 => Self::SlowSyscalls,
            _ => return None,
        })
    }

    /// Bytes of one element of such a block.
    pub const fn element_bytes(self) -> usize {
        match self {
            Self::Sites | Self::Waits => 64,
            Self::Cells => 384,
            Self::Histograms | Self::SyscallObjects | Self::SlowSyscalls => 128,
            Self::SlowCalls => 192,
            Self::Syscalls => 448,
        }
    }
}

/// Head of a block: 64 bytes, so that elements stay on cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BlockHeader {
    /// A [`BlockKind`].
    pub kind: u16,
    /// Elements the block has room for.
    pub capacity: u16,
    /// Commit word: elements in use. An element is complete before it is counted here.
    pub used: u32,
    /// Bytes of the whole block, this head included; the next block follows.
    pub bytes: u32,
    /// Always 0x4b4c4250 ("PBLK"): a torn or overwritten block is told by it.
    pub tag: u32,
    /// Zero.
    pub reserved: [u64; 6],
}
plain!(BlockHeader, 64);

impl BlockHeader {
    /// Value of [`BlockHeader::tag`].
    pub const TAG: u32 = 0x4b4c_4250;
}

/// Bytes of one chunk of an event file; chunk `k` begins at `4096 + k * EVENT_CHUNK_BYTES`.
pub const EVENT_CHUNK_BYTES: usize = 1 << 16;
/// Value of [`Event::duration`] that says: the true one (u64) is the next 16-byte record's first word.
pub const EVENT_LONG: u32 = u32::MAX;

/// Head of an event chunk.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EventChunkHeader {
    /// Position in the thread's sequence of chunks; a flight recorder reuses room, never numbers.
    pub sequence: u64,
    /// Commit word: bytes of events behind this head. Release store.
    pub committed: u64,
    /// End (cycles) of the newest event when the chunk was closed, else 0.
    pub last_tsc: u64,
    /// Thread record index, so that a chunk is never taken for another thread's.
    pub thread_index: u64,
    /// Events lost right before this chunk.
    pub lost_before: u64,
    /// Zero.
    pub reserved: [u64; 3],
}
plain!(EventChunkHeader, 64);

/// One call: 16 bytes, written when the call returns, so inner calls stand before outer ones.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Event {
    /// Entry time stamp, cycles.
    pub start_tsc: u64,
    /// Cycles, or [`EVENT_LONG`].
    pub duration: u32,
    /// Site id in bits 0–23, depth of open timed calls (capped at 255) in bits 24–31.
    pub site_and_depth: u32,
}
plain!(Event, 16);
