//! `process.pv`: a header page, then append-only records.

use crate::plain;

/// Bytes before the first record of `process.pv`.
pub const PROCESS_HEADER_BYTES: usize = 4096;

/// How a process image ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EndKind {
    /// Still running, or killed by a signal.
    None = 0,
    /// exit() or return from main.
    Exit = 1,
    /// _exit(), _Exit(), quick_exit().
    Exited = 2,
    /// exec was about to replace the image (stays when it succeeded).
    Exec = 3,
}

/// Head of `process.pv`, at offset 64 behind the [`crate::FileHeader`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ProcessHeader {
    /// Commit word: end offset (bytes in the file) of the last complete record. Release store.
    pub committed: u64,
    /// Parent's process id.
    pub parent_pid: u32,
    /// An [`EndKind`].
    pub end_kind: u32,
    /// Exit status given to exit(), where known.
    pub exit_status: u32,
    /// 1 = this image began as the fork child of a recorded one (no exec).
    pub forked: u32,
    /// Time stamp, CLOCK_MONOTONIC (ns) and CLOCK_REALTIME (ns) at load.
    pub start_tsc: u64,
    /// See `start_tsc`.
    pub start_monotonic_ns: u64,
    /// See `start_tsc`.
    pub start_realtime_ns: u64,
    /// Time stamp at end; 0 = did not end by itself.
    pub end_tsc: u64,
    /// CLOCK_MONOTONIC at `end_tsc`.
    pub end_monotonic_ns: u64,
    /// TSC frequency as known at load (CPUID or a short calibration), Hz.
    pub tsc_hz_hint: u64,
    /// What the two time stamps of a timed call measure of themselves (cycles); taken off each.
    pub timed_bias_cycles: u32,
    /// Uncertainty (± cycles) of that figure.
    pub timed_bias_error_cycles: u32,
    /// What a timed call costs its thread (1/16 cycle).
    pub timed_cost_16: u32,
    /// What a counted call costs its thread (1/16 cycle).
    pub counted_cost_16: u32,
    /// Slots found that lead to another component.
    pub slots_found: u64,
    /// Of these, patched.
    pub slots_patched: u64,
    /// Calls made while the hook could not keep them anywhere (no memory, no disk).
    pub lost_calls: u64,
    /// Threads that could not be recorded (no memory, disk or file).
    pub lost_threads: u64,
    /// Records of this file not written.
    pub lost_records: u64,
    /// Bits: 1 exact, 2 events, 4 flight recorder, 8 self-calls, 16 no APIs (`--only syscalls`), 32 no
    /// system calls (`--only apis`), 64 system calls audited.
    pub mode: u64,
    /// Flight recorder length, ns.
    pub flight_ns: u64,
    /// Time the hook's loading took, cycles.
    pub load_cycles: u64,
    /// Children seen to begin (fork), recorded or not.
    pub forks: u64,
    /// Process CPU (user, system) at end, ns.
    pub user_ns: u64,
    /// See `user_ns`.
    pub system_ns: u64,
    /// As `timed_bias_cycles`, for calls timed rarely (w > 1): the probe's code is cold then.
    pub sampled_bias_cycles: u32,
    /// Uncertainty (± cycles) of that figure.
    pub sampled_bias_error_cycles: u32,
    /// What the two time stamps of a timed system call measure of themselves (cycles).
    pub syscall_bias_cycles: u32,
    /// Uncertainty (± cycles) of that figure.
    pub syscall_bias_error_cycles: u32,
    /// What a timed system call costs its thread (1/16 cycle).
    pub syscall_timed_cost_16: u32,
    /// What a counted system call costs its thread (1/16 cycle).
    pub syscall_counted_cost_16: u32,
    /// Time (cycles) that finding and changing `syscall` instructions took.
    pub syscall_patch_cycles: u64,
    /// Zero.
    pub reserved: [u64; 4],
}
plain!(ProcessHeader, 240);

/// Head of a record; the payload follows, padded to 8 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RecordHeader {
    /// Bytes of head + payload, before padding.
    pub bytes: u32,
    /// A [`RecordKind`].
    pub kind: u16,
    /// Zero.
    pub flags: u16,
    /// CRC-32 of the payload.
    pub crc: u32,
    /// 0x43455250 ("PREC").
    pub tag: u32,
}
plain!(RecordHeader, 16);

impl RecordHeader {
    /// Value of [`RecordHeader::tag`].
    pub const TAG: u32 = 0x4345_5250;
}

/// Records of `process.pv`. Payloads are given as `type name` in order, little-endian, packed;
/// `str` is u32 length + bytes (UTF-8 or any bytes of a path).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RecordKind {
    /// `u32 id, u32 flags (1 = executable, 2 = vdso, 4 = loader, 8 = libc, 16 = hook), u64 base
    /// (load bias), u64 low, u64 high (mapped range), u64 tsc, str path, str build_id (raw bytes)`.
    /// The same id again: it was loaded again.
    Component = 1,
    /// `u32 id, u64 tsc`.
    Unload = 2,
    /// `u32 id, u32 caller component, u32 target component (MAX = unknown), u8 how (SiteHow), u8
    /// wait (WaitKind), u8 counted_only (1 = never timed), u8 0, u64 target, u64 slot, str name,
    /// str version`. The same id again: its target changed.
    Site = 3,
    /// `u32 caller component, u32 reason (SkipReason), str name`: a slot left alone.
    Skip = 4,
    /// `str key, str value`: a setting in force, as it was given. Key "argv0", "argv1", … "exe",
    /// "cwd", "hostname" also stand here.
    Setting = 5,
    /// `u64 tsc, str text`: something the user should know (partial coverage, lost …).
    Message = 6,
    /// `u64 tsc, u32 child pid`: fork returned.
    Fork = 7,
    /// `u64 tsc, str path`: exec is about to happen.
    Exec = 8,
    /// `u32 component, u32 found, u32 patched, u32 entry_only`: its `syscall` instructions, those of
    /// them that are seen (entry_only included), and those seen only on entry. Once for each
    /// component that has any, again when it is loaded again.
    SyscallSites = 9,
    /// `u32 component, u32 reason (SyscallSkip), u64 address`: an instruction left alone; the
    /// address is that of the component's file (load bias taken off).
    SyscallSkipped = 10,
    /// `u32 id, u32 kind (ObjectKind), u64 tsc, str name`: something a descriptor led to: a path, a
    /// peer's address, or empty.
    Object = 11,
}

impl RecordKind {
    /// The kind written as `raw`, if known.
    pub fn from_raw(raw: u16) -> Option<Self> {
        Some(match raw {
            1 => Self::Component,
            2 => Self::Unload,
            3 => Self::Site,
            4 => Self::Skip,
            5 => Self::Setting,
            6 => Self::Message,
            7 => Self::Fork,
            8 => Self::Exec,
            9 => Self::SyscallSites,
            10 => Self::SyscallSkipped,
            11 => Self::Object,
            _ => return None,
        })
    }
}

macro_rules! coded {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $value:literal => $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant = $value,)* }
        impl $name {
            /// The variant written as `raw`, if known.
            pub fn from_raw(raw: u8) -> Option<Self> {
                match raw { $($value => Some(Self::$variant),)* _ => None }
            }
            /// The word reports use.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

coded! {
    /// How a site's calls reach us.
    SiteHow {
        /// A JUMP_SLOT relocation that was bound already.
        JumpSlot = 1 => "jump slot",
        /// A JUMP_SLOT relocation that was lazy: we resolved it.
        LazySlot = 2 => "lazy jump slot",
        /// A GLOB_DAT slot used only by call and jmp.
        GlobDat = 3 => "GLOB_DAT slot",
        /// A pointer handed out by dlsym.
        Dlsym = 4 => "dlsym",
        /// Calls through a GLOB_DAT slot that is also loaded as data: the slot keeps its pointer, the
        /// calls were changed.
        CallSites = 5 => "changed calls",
    }
}

coded! {
    /// Why a slot was left alone.
    SkipReason {
        /// The policy table says so (loader internals, …).
        Policy = 1 => "unsafe to hook",
        /// An include or exclude filter.
        Filtered = 2 => "filtered",
        /// Its target lies in its own component.
        SelfCall = 3 => "call to itself",
        /// The slot is also loaded as data, its pointer identity is kept.
        DataUse = 4 => "address also used as data",
        /// No definition found (weak, or to come with a later dlopen).
        Unresolved = 5 => "not resolved",
        /// No stub left.
        NoStub = 6 => "no stub left",
        /// The page could not be opened for writing.
        Protected = 7 => "page could not be written",
        /// The target is not code.
        NotCode = 8 => "target is not code",
        /// Calls could be changed, but there is no free address near enough to lead them to.
        NoRoom = 9 => "no room near the code",
    }
}

coded! {
    /// Why a `syscall` instruction was left alone.
    SyscallSkip {
        /// Its function's code could not be decoded up to it.
        NotDecoded = 1 => "code not decoded",
        /// No instruction before it is long enough to be led to us, and no hole is near enough.
        NoPatchPoint = 2 => "no room for a jump",
        /// There is no free address near enough to lead it to.
        NoRoom = 3 => "no room near the code",
        /// The page could not be replaced.
        Protected = 4 => "page could not be written",
        /// A filter.
        Filtered = 5 => "filtered",
        /// It must not be touched (`rt_sigreturn` and the like).
        Policy = 6 => "unsafe to hook",
    }
}

coded! {
    /// What a descriptor leads to.
    ObjectKind {
        /// Not known.
        Unknown = 0 => "unknown",
        /// A regular file; its path.
        File = 1 => "file",
        /// A directory; its path.
        Directory = 2 => "directory",
        /// A socket: its peer's address as `tcp 127.0.0.1:80`, or its own where it listens.
        Socket = 3 => "socket",
        /// A pipe or FIFO.
        Pipe = 4 => "pipe",
        /// An eventfd.
        EventFd = 5 => "eventfd",
        /// An epoll instance.
        Epoll = 6 => "epoll",
        /// A terminal; its path.
        Tty = 7 => "tty",
        /// Another device; its path.
        Device = 8 => "device",
        /// A timerfd.
        TimerFd = 9 => "timerfd",
        /// A signalfd.
        SignalFd = 10 => "signalfd",
        /// An inotify or fanotify instance.
        Notify = 11 => "inotify",
        /// A memfd; its name.
        MemFd = 12 => "memfd",
        /// Any other anonymous inode; its name.
        Anonymous = 13 => "anonymous",
    }
}

coded! {
    /// What a blocking call waits for, and what its object is.
    WaitKind {
        /// It does not block.
        None = 0 => "none",
        /// pthread mutex, address; the holder is known.
        Mutex = 1 => "mutex",
        /// Read-write lock, for reading.
        ReadLock = 2 => "rwlock (read)",
        /// Read-write lock, for writing; the holder is known.
        WriteLock = 3 => "rwlock (write)",
        /// Condition variable, address.
        Condition = 4 => "condition",
        /// Semaphore, address.
        Semaphore = 5 => "semaphore",
        /// Barrier, address.
        Barrier = 6 => "barrier",
        /// Another thread's end, pthread_t.
        Join = 7 => "join",
        /// poll, select, epoll_wait: fd of the epoll, or 0.
        Poll = 8 => "poll",
        /// nanosleep, usleep, …
        Sleep = 9 => "sleep",
        /// Socket calls, fd.
        Network = 10 => "network",
        /// read, write, …: fd.
        File = 11 => "file",
        /// fsync and its kin, fd.
        DiskSync = 12 => "disk sync",
        /// wait4, waitpid, system, …: pid.
        Process = 13 => "process",
        /// pause, sigwait, …
        Signal = 14 => "signal",
        /// Spin lock, address.
        Spin = 15 => "spin lock",
        /// Streams that reach the kernel when their buffer is full (fread, fflush): FILE address.
        Stream = 16 => "stream",
        /// pthread_once, call_once: control address.
        Once = 17 => "once",
        /// flock, lockf, fcntl(F_SETLKW), System V and POSIX message queues: fd or id.
        Ipc = 18 => "ipc",
        /// futex(2) called by its number, address: locks that are not glibc's.
        Futex = 19 => "futex",
    }
}

/// CRC-32 (IEEE 802.3, reflected), bit by bit: only headers and rare records pass through it.
pub const fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    let mut at = 0;
    while at < bytes.len() {
        crc ^= bytes[at] as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        at += 1;
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn crc_of_the_check_string_is_the_published_one() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
