//! `threads.pv`: one fixed record per thread ever seen.

use crate::plain;

/// Bytes before the first record of `threads.pv`.
pub const THREAD_HEADER_BYTES: usize = 4096;

/// Life of a thread record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ThreadState {
    /// Never used.
    Free = 0,
    /// Running, or killed with its process.
    Live = 1,
    /// Ended; its segment `t<segment>.pv` is kept as it was.
    Ended = 2,
    /// Its cells are being added to its group's segment.
    Folding = 3,
    /// Its cells are in its group's segment; its own segment may belong to another thread by now.
    Folded = 4,
}

impl ThreadState {
    /// The state written as `raw`, if known.
    pub fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            0 => Self::Free,
            1 => Self::Live,
            2 => Self::Ended,
            3 => Self::Folding,
            4 => Self::Folded,
            _ => return None,
        })
    }
}

/// One thread. 256 bytes. A thread is named by its index here: (tid, generation) made unique.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ThreadRecord {
    /// A [`ThreadState`]; the record is complete once this is not `Free` (Release store).
    pub state: u32,
    /// Kernel thread id in the process's pid namespace.
    pub tid: u32,
    /// Segment file number (`t<segment>.pv`); `u32::MAX` = none.
    pub segment: u32,
    /// Group segment number (`g<group>.pv`) once folded; `u32::MAX` = none.
    pub group: u32,
    /// Function given to pthread_create; 0 = main thread or unknown.
    pub start_routine: u64,
    /// The user's function behind a known wrapper (std::thread, …); 0 = none found.
    pub start_inner: u64,
    /// Return address of the pthread_create call; 0 = unknown.
    pub creator_site: u64,
    /// Record index of the creating thread; `u32::MAX` = unknown.
    pub creator: u32,
    /// 1 = main thread, 2 = seen first at a hooked call (start unknown), 0 = created under watch.
    pub origin: u32,
    /// pthread_t.
    pub pthread: u64,
    /// Time stamps of begin and end (0 = not ended).
    pub start_tsc: u64,
    /// See `start_tsc`.
    pub end_tsc: u64,
    /// CLOCK_MONOTONIC at `start_tsc`, ns.
    pub start_monotonic_ns: u64,
    /// CLOCK_MONOTONIC at `end_tsc`, ns; 0 = not ended.
    pub end_monotonic_ns: u64,
    /// User CPU time, ns; `u64::MAX` = unknown (killed).
    pub user_ns: u64,
    /// System CPU time, ns; `u64::MAX` = unknown.
    pub system_ns: u64,
    /// Voluntary context switches; `u64::MAX` = unknown.
    pub voluntary_switches: u64,
    /// Involuntary context switches; `u64::MAX` = unknown.
    pub involuntary_switches: u64,
    /// Written at fold: exact calls of the thread.
    pub calls: u64,
    /// Written at fold: cycles waited at blocking APIs (Σ wait_sum).
    pub wait_cycles: u64,
    /// Name, NUL padded.
    pub name: [u8; 16],
    /// Lowest and highest address of its stack; 0 = unknown.
    pub stack_low: u64,
    /// See `stack_low`.
    pub stack_high: u64,
    /// CPU time (user + system), ns, when the thread began to be watched.
    pub cpu_before_ns: u64,
    /// A code address found where a C++ `std::thread` keeps a plain function pointer; it holds only
    /// if the callable's type, told by the name of `start_inner`, is one. 0 = none.
    pub start_pointer: u64,
    /// Zero.
    pub reserved: [u64; 9],
}
plain!(ThreadRecord, 256);
