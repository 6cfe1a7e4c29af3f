//! System calls: what is folded per call path and number, per object, and the exemplars.

use crate::{plain, OCTAVES};

/// Numbers that are told apart; a call of a higher one is counted under the last.
pub const SYSCALL_NUMBERS: usize = 1024;
/// `syscalls.pv`: bytes before its first table.
pub const SYSCALLS_HEADER_BYTES: usize = 4096;
/// `syscalls.pv`: bytes of one table, one u64 a number.
pub const SYSCALL_TABLE_BYTES: usize = SYSCALL_NUMBERS * 8;

/// The tables of `syscalls.pv`, in their order in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum SyscallTable {
    /// Calls seen that no thread's cells hold: made inside the probe, by threads without a file, or
    /// when a thread's segment was full.
    Unplaced = 0,
    /// Calls that the hook made for itself; in no other sum.
    Own = 1,
    /// Calls that reached the kernel from an instruction that is not seen (`--syscall-audit`).
    Missed = 2,
}

/// Bytes of `syscalls.pv`.
pub const SYSCALLS_FILE_BYTES: usize = SYSCALLS_HEADER_BYTES + 3 * SYSCALL_TABLE_BYTES;

/// [`SyscallCell::flags`]: every call of this number may wait; its time is time waited.
pub const SYSCALL_WAITS: u32 = 1;
/// [`SyscallCell::flags`]: counted when the call began, never timed (exit, clone, execve, …).
pub const SYSCALL_ENTRY_ONLY: u32 = 2;

/// Errno values that one cell tells apart; others count in [`SyscallCell::errors`] only.
pub const ERRNOS: usize = 4;

/// Per (thread, call path, system call). 448 bytes.
///
/// Counts, errors and bytes are exact. Times are those of the timed calls, each of which stands for
/// `w` calls, as in [`crate::Cell`]; raw cycles between two time stamps around the instruction.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SyscallCell {
    /// Reference of the [`crate::Cell`] of the call path it was made in; 0 = outside of any API.
    pub path: u32,
    /// The system call's number.
    pub number: u32,
    /// `SYSCALL_*`.
    pub flags: u32,
    /// Histogram counts are in units of 2^this.
    pub histogram_shift: u32,
    /// Low half calls left before the next timed one (signed), high half armed: as the table word.
    pub word: u64,
    /// Exact count when the word was last rearmed; the word says what came since.
    pub base_count: u64,
    /// Calls timed.
    pub timed: u64,
    /// Σw: calls the timed ones stand for.
    pub represented: u64,
    /// Σd.
    pub sum: u64,
    /// Σw·d.
    pub weighted_sum: u64,
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
    /// Calls that returned −4095 to −1.
    pub errors: u64,
    /// Σ of positive results of calls that move bytes (read, write and their kin).
    pub bytes: u64,
    /// Σd of calls that waited: those of a number that may always wait, and of others (read, write)
    /// where the descriptor's kind makes them wait (pipe, socket, terminal).
    pub wait_sum: u64,
    /// Calls longer than this are kept as slow system calls.
    pub slow_threshold: u64,
    /// Slow calls seen (kept or not).
    pub slow_seen: u64,
    /// Σd of slow calls seen.
    pub slow_sum: u64,
    /// Current mean gap between timed calls; 1 = every call is timed.
    pub gap: u32,
    /// Calls timed since the gap last changed.
    pub since_change: u32,
    /// Moving mean of duration, cycles.
    pub mean: f32,
    /// Moving variance of duration, cycles².
    pub variance: f32,
    /// Errors by errno: errno << 48 | count; 0 = unused.
    pub errno: [u64; ERRNOS],
    /// Of all calls, those whose innermost API was not timed: it was told by the note its stub left.
    pub noted: u64,
    /// Writer's scratch while a thread is folded: reference of the cell it went to.
    pub folded_into: u64,
    /// References (units of 64 bytes) of histogram chunks, one an octave; 0 = empty octave.
    pub histogram: [u32; OCTAVES],
    /// Zero.
    pub reserved: [u64; 7],
}
plain!(SyscallCell, 448);

/// What a [`SyscallObject`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SyscallObjectKind {
    /// A file, socket, pipe, …: `object` is the id of an `Object` record in `process.pv`.
    Descriptor = 1,
    /// A futex: `object` is its address, `operation` the futex operation without its flags.
    Futex = 2,
}

impl SyscallObjectKind {
    /// The kind written as `raw`, if known.
    pub fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            1 => Self::Descriptor,
            2 => Self::Futex,
            _ => return None,
        })
    }
}

/// Per (thread, system call, object): what was done to one file, peer or futex. 128 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SyscallObject {
    /// A [`SyscallObjectKind`].
    pub kind: u32,
    /// Futex operation (`FUTEX_WAIT` = 0, …); else 0.
    pub operation: u32,
    /// Object id or address.
    pub object: u64,
    /// The system call's number.
    pub number: u32,
    /// Reference of the [`SyscallCell`] that met it first.
    pub cell: u32,
    /// Calls, exact.
    pub count: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Bytes moved, exact.
    pub bytes: u64,
    /// Calls timed.
    pub timed: u64,
    /// Σd, cycles.
    pub sum: u64,
    /// Σw·d, cycles.
    pub weighted_sum: u64,
    /// Σd of calls that waited, cycles.
    pub wait_sum: u64,
    /// Longest call, cycles.
    pub max: u64,
    /// Time stamp of the end of the longest call.
    pub max_tsc: u64,
    /// Zero.
    pub reserved: [u64; 4],
}
plain!(SyscallObject, 128);

/// A system call beyond its cell's own tail, kept whole. 128 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SlowSyscall {
    /// Time stamp before the instruction.
    pub start_tsc: u64,
    /// Raw duration, cycles.
    pub duration: u64,
    /// Reference of its [`SyscallCell`].
    pub cell: u32,
    /// The system call's number.
    pub number: u32,
    /// Its arguments.
    pub args: [u64; 6],
    /// What the kernel returned; −4095 to −1 is an error.
    pub result: i64,
    /// Object id or futex address; 0 = none.
    pub object: u64,
    /// Threshold in force.
    pub threshold: u64,
    /// A [`SyscallObjectKind`]; 0 = none.
    pub object_kind: u32,
    /// In a group's segment: record index of the thread plus 1; else 0.
    pub thread_index_1: u32,
    /// Zero.
    pub reserved: [u64; 3],
}
plain!(SlowSyscall, 128);
