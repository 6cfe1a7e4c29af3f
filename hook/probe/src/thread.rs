//! The state of one recorded thread, private to it; and the thread-local words.

use crate::every::Recent;
use crate::seam::Entry;
use crate::syscall::{Fast, FAST};
use perfvisor_format::{BlockHeader, EventChunkHeader, SegmentHeader, MAX_SITES};

/// Kinds of blocks plus one (kinds start at 1).
pub const BLOCK_KINDS: usize = 9;

/// One slot of the thread's map from keys to references. Key 0 is empty.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct MapSlot {
    /// See `path`.
    pub key: u64,
    /// Reference into the arena.
    pub value: u32,
    /// Zero.
    pub reserved: u32,
}

/// State of a thread. Zeroed memory plus what the hook sets at attach.
#[repr(C)]
pub struct Thread {
    /// Its counter table (16 384 words).
    pub table: *mut u64,
    /// Start of its segment file.
    pub base: *mut u8,
    /// Head of its segment.
    pub segment: *mut SegmentHeader,
    /// Slot address of the call in whose probe the thread is; 0 = in none.
    pub guard: u64,
    /// Bit per table page (512 sites): the page belongs to the file.
    pub table_pages: u32,
    /// Bit per table page: the file could not take it.
    pub table_failed: u32,
    /// Shadow entries.
    pub entries: *mut Entry,
    /// The innermost open entry, or null; its `parent` is the next one.
    pub top: *mut Entry,
    /// Free entries that were used before, linked by `parent`; or null.
    pub spare: *mut Entry,
    /// Entries from here on were never used.
    pub fresh: u32,
    /// How many there are.
    pub entry_capacity: u32,
    /// Events to lose until room is asked for again.
    pub event_pause: u32,
    /// log2 of the map's slots.
    pub map_bits: u32,
    /// Map of call paths, sites and wait edges.
    pub map: *mut MapSlot,
    /// Used slots.
    pub map_used: u32,
    /// Wait edges made.
    pub wait_edges: u32,
    /// Objects of system calls made.
    pub syscall_objects: u32,
    /// 1: system calls were remembered.
    pub fast_used: u32,
    /// Slow system calls kept so far.
    pub slow_syscalls_kept: u32,
    /// State of the generator of jitter (never 0).
    pub random: u64,
    /// Current block per kind, or null.
    pub blocks: [*mut BlockHeader; BLOCK_KINDS],
    /// The thread's stack.
    pub stack_low: u64,
    /// See `stack_low`.
    pub stack_high: u64,
    /// Cycles waited so far at blocking APIs.
    pub waited: u64,
    /// Where the next event goes; null = no events.
    pub event: *mut u8,
    /// End of the chunk's room.
    pub event_end: *mut u8,
    /// The chunk.
    pub event_chunk: *mut EventChunkHeader,
    /// Call paths met before; null unless every call is timed. See `every`.
    pub recent: *mut Recent,
    /// Largest gap (1 = every call is timed).
    pub max_gap: u32,
    /// 1: record events.
    pub events: u32,
    /// Kernel thread id.
    pub tid: u32,
    /// Record index.
    pub index: u32,
    /// Slow calls kept so far, and how many may be.
    pub slow_kept: u32,
    /// See `slow_kept`.
    pub slow_limit: u32,
    /// Bytes of the arena that may be used, from the file's start (hook).
    pub arena_end: u64,
    /// Bytes of the arena populated so far (hook).
    pub arena_ready: u64,
    /// Bytes of the mapping (hook).
    pub mapping_bytes: u64,
    /// Second view of the counter table's file pages (hook); null once all are placed.
    pub table_source: *mut u8,
    /// Segment file number (hook).
    pub segment_number: u32,
    /// 1: modules may have come since the last scan (hook).
    pub rescan: u32,
    /// Lost events that an earlier chunk's head told of (hook).
    pub event_losses_told: u64,
    /// TSD rounds seen at thread end (hook).
    pub end_rounds: u32,
    /// Calls to go until a full shadow stack is looked through again.
    pub collect_pause: u32,
    /// Next in the hook's list of live or spare threads.
    pub next: *mut Thread,
    /// pthread_t (hook).
    pub pthread: u64,
    /// Start routine key for folding (hook).
    pub group_key: u64,
}

/// Bytes from a [`Thread`] to its table of [`FAST`] remembered system calls, which the assembly finds without
/// a pointer: one load less in front of each system call. On pages of its own, behind the shadow entries,
/// which a thread that makes few system calls never touches.
pub const FAST_AT: usize = 53248;

/// What the thread remembers of system calls.
///
/// # Safety
/// `thread` is followed by the table.
#[inline(always)]
pub unsafe fn fast(thread: *mut Thread, index: usize) -> *mut Fast {
    // SAFETY: by contract; the index is masked.
    unsafe { thread.cast::<u8>().add(FAST_AT).cast::<Fast>().add(index & (FAST - 1)) }
}

/// The thread-local words; offsets known to the trampoline.
#[repr(C)]
pub struct Local {
    /// Counter table in force.
    pub table: *mut u64,
    /// The thread's state, or null.
    pub thread: *mut Thread,
    /// Low half: how deep the thread is in work of the hook's own, whose system calls are not the host's.
    /// High half: it is about to fork or has just forked.
    pub quiet: u64,
    /// Syscall User Dispatch (`--syscall-audit`): 1 = system calls made elsewhere than in this library are
    /// reported.
    pub selector: u8,
}

unsafe extern "C" {
    static mut perfvisor_idle_table: [u64; MAX_SITES];
}

/// The calling thread's words.
#[inline(always)]
pub fn local() -> *mut Local {
    let address: *mut Local;
    // SAFETY: initial-exec access to the trampoline's own thread-local symbol; fs:0 is the thread
    // pointer on x86-64 Linux.
    unsafe {
        core::arch::asm!(
            "mov {0}, qword ptr [rip + perfvisor_tls@GOTTPOFF]",
            "add {0}, qword ptr fs:[0]",
            out(reg) address, options(nostack, readonly));
    }
    address
}

/// The table that all threads use before they have their own: its words never leave the negative.
#[inline(always)]
pub fn idle_table() -> *mut u64 {
    (&raw mut perfvisor_idle_table).cast()
}

/// Reference (units of 64 bytes) of an address in the thread's segment.
///
/// # Safety
/// `address` lies in the segment of `thread`.
#[inline(always)]
pub unsafe fn reference<T>(thread: *const Thread, address: *const T) -> u32 {
    // SAFETY: `thread` is live.
    ((address as usize - unsafe { (*thread).base } as usize) / 64) as u32
}

/// Address of a reference.
///
/// # Safety
/// `reference` was made by [`reference`] for this thread and the type is the element's.
#[inline(always)]
pub unsafe fn at<T>(thread: *const Thread, reference: u32) -> *mut T {
    // SAFETY: stays within the mapping by contract.
    unsafe { (*thread).base.add(reference as usize * 64).cast() }
}
