//! The system calls of x86-64 Linux: name, category and what the hook must know of each.

use crate::syscall_rows::ROWS;
use crate::WaitKind;

/// What a system call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SyscallCategory {
    /// Reads, writes and looks at files and descriptors.
    File = 0,
    /// Names: directories, links, permissions by path.
    Directory = 1,
    /// Waits until data are on disk.
    DiskSync = 2,
    /// Sockets.
    Network = 3,
    /// Address space.
    Memory = 4,
    /// futex and its kin.
    Lock = 5,
    /// Sleeps for a time.
    Sleep = 6,
    /// Waits for one of several descriptors.
    Poll = 7,
    /// Processes and threads: begin, end, wait, ids, limits, scheduling.
    Process = 8,
    /// Signals.
    Signal = 9,
    /// Clocks and timers.
    Time = 10,
    /// System V and POSIX messages, semaphores, shared memory; pipes and eventfds being made.
    Ipc = 11,
    /// Anything else.
    Other = 12,
}

/// One system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyscallInfo {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub category: SyscallCategory,
    /// Index of the argument that is a descriptor; 255 = none.
    pub fd: u8,
    /// A positive result is a number of bytes moved.
    pub bytes: bool,
    /// What a call may wait for; `None` = it does not wait, or its descriptor's kind decides.
    pub wait: WaitKind,
    /// Reads or writes through `fd`: waits if that is a pipe, socket, terminal, eventfd, ….
    pub waits_by_fd: bool,
    /// Comes back twice, elsewhere or never: counted on entry.
    pub entry_only: bool,
}

impl SyscallInfo {
    /// [`SyscallInfo::fd`] of a call that takes no descriptor.
    pub const NO_FD: u8 = 255;
}

/// One more than the highest number of the table.
const LEN: usize = ROWS[ROWS.len() - 1].number as usize + 1;

/// The rows, each at its number, so that looking one up is one bounds check.
static TABLE: [Option<SyscallInfo>; LEN] = {
    let mut table = [None; LEN];
    let mut at = 0;
    while at < ROWS.len() {
        table[ROWS[at].number as usize] = Some(ROWS[at]);
        at += 1;
    }
    table
};

/// What is known of system call `number`; `None` of one newer than the table.
#[must_use]
pub const fn syscall(number: u32) -> Option<&'static SyscallInfo> {
    if (number as usize) < LEN {
        TABLE[number as usize].as_ref()
    } else {
        None
    }
}

/// All system calls, in the order of their numbers.
pub fn syscalls() -> impl Iterator<Item = &'static SyscallInfo> {
    TABLE.iter().flatten()
}
