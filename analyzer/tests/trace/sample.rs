//! The traces that tests read: small, and with every kind of content.

use crate::case::Files;
use crate::writer::syscalls::SYSCALL_BIAS;
use crate::writer::{ImageWriter, SegmentWriter};
use perfvisor_format::{
    ObjectKind, SkipReason, SyscallObjectKind, SyscallSkip, SyscallTable, ThreadState, WaitKind,
    SYSCALL_ENTRY_ONLY, SYSCALL_WAITS,
};

pub const MUTEX: u64 = 0x10_0500;
const COMPUTE: u32 = 0;
const MALLOC: u32 = 1;
const LOCK: u32 = 2;
const JOIN: u32 = 3;
const FREAD: u32 = 4;
const RECV: u32 = 5;
const FUTEX: u32 = 202;

fn image() -> ImageWriter {
    let mut image = ImageWriter::new(100);
    image.component(0, 1, 0x10_0000, "/gone/app");
    image.component(1, 0, 0x20_0000, "/gone/libwork.so");
    image.component(2, 8, 0x30_0000, "/gone/libc.so.6");
    image.site(COMPUTE, 0, 1, WaitKind::None, "_ZN4work7computeEi");
    image.site(MALLOC, 1, 2, WaitKind::None, "malloc");
    image.site(LOCK, 0, 2, WaitKind::Mutex, "pthread_mutex_lock");
    image.site(JOIN, 0, 2, WaitKind::Join, "pthread_join");
    image.skip(0, SkipReason::DataUse, "stdout");
    image.message(7_000, "a message");
    image
}

/// A worker: 10 computes of 1 ms that each call malloc, timed in 2 of 100 calls (50 ns each);
/// 1000 locks of which 4 waited 25 ms each for thread 101.
fn worker(slow: bool) -> SegmentWriter {
    let mut s = SegmentWriter::default();
    s.count(COMPUTE, 10, 3, 0);
    s.count(MALLOC, 100, 20, 2_000);
    s.count(LOCK, 1_000, 1, 0);
    let compute = s.cell(None, COMPUTE);
    let malloc = s.cell(Some(compute), MALLOC);
    let lock = s.cell(None, LOCK);
    s.timed(compute, 1, &[1_000_000; 10], 500, 0);
    s.timed(malloc, 50, &[50, 50], 0, 0);
    s.timed(lock, 1, &[25_000_000; 4], 0, 25_000_000);
    s.timed(lock, 90, &[15; 11], 0, 0);
    s.wait(LOCK, WaitKind::Mutex, MUTEX, 101, 4, 100_000_000);
    if slow {
        s.slow(lock, 300_000_000, 25_000_000, |call| {
            call.args[0] = MUTEX;
            call.object = MUTEX;
            call.wait = 50_000_000;
            call.holder_tid = 101;
            call.wait_kind = WaitKind::Mutex as u16;
            call.wait_site = LOCK;
            call.return_address = 0x10_0777;
        });
    }
    s
}

fn named(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

/// main, three workers (one twice as long), one folded worker, calls counted late.
pub fn workers() -> Files {
    let mut image = image();
    image.thread(ThreadState::Live, 0, 0, |r| r.name = named("app"));
    for (to_ns, name) in [(400_000_000, "w1"), (400_000_000, "w2"), (800_000_000, "w3")] {
        image.thread(ThreadState::Ended, 100_000_000, to_ns, |r| {
            r.start_routine = 0x10_2000;
            r.creator_site = 0x10_1234;
            r.name = named(name);
        });
    }
    image.thread(ThreadState::Folded, 100_000_000, 500_000_000, |r| {
        r.start_routine = 0x10_2000;
        r.segment = u32::MAX;
        r.group = 0;
        r.calls = 1_110;
        r.wait_cycles = 200_000_000;
    });
    let mut main = SegmentWriter::default();
    main.count(JOIN, 3, 0, 0);
    let join = main.cell(None, JOIN);
    main.timed(join, 1, &[300_000_000, 1_000, 400_000_000], 0, 0);
    main.wait(JOIN, WaitKind::Join, 0x7000_0003, 0, 1, 400_000_000);
    image.thread_segment(0, &main);
    for thread in 1..=3 {
        image.thread_segment(thread, &worker(thread == 2));
    }
    image.group_segment(0, &worker(true));
    image.late(&[(MALLOC, 5)]);
    image.files()
}

/// Killed while thread 2 was being folded: of its three sites the first is in the group already,
/// the second half.
pub fn folding() -> Files {
    let mut image = image();
    image.header.end_kind = 0;
    image.header.end_tsc = 0;
    image.header.end_monotonic_ns = 0;
    image.thread(ThreadState::Live, 0, 0, |r| r.user_ns = u64::MAX);
    image.thread(ThreadState::Folded, 100_000_000, 500_000_000, |r| {
        r.start_routine = 0x10_2000;
        r.segment = u32::MAX;
        r.group = 0;
    });
    image.thread(ThreadState::Folding, 100_000_000, 600_000_000, |r| {
        r.start_routine = 0x10_2000;
        r.group = 0;
    });
    image.thread_segment(0, &SegmentWriter::default());
    image.thread_segment(2, &worker(false));
    let mut group = worker(false);
    group.header.fold_thread = 3;
    group.header.fold_site = 2;
    group.header.fold_count_before = 100;
    // The group's own counts: compute of both threads, malloc half added.
    let mut changed = SegmentWriter::default();
    changed.header = group.header;
    changed.count(COMPUTE, 20, 0, 0);
    changed.count(MALLOC, 177, 0, 0);
    changed.count(LOCK, 1_000, 0, 0);
    let compute = changed.cell(None, COMPUTE);
    changed.timed(compute, 1, &[1_000_000; 20], 0, 0);
    image.group_segment(0, &changed);
    image.files()
}

/// One process of 1.1 with system calls: main reads a file through `fread`, sampled, and a socket
/// through `recv`; `malloc` is only counted and calls the kernel all the same, alone and below
/// `compute`; two workers, one folded, wait for a futex.
pub fn syscalls() -> Files {
    let mut image = image();
    image.version_minor = 1;
    image.header.syscall_bias_cycles = SYSCALL_BIAS as u32;
    image.header.syscall_bias_error_cycles = 4;
    image.header.syscall_timed_cost_16 = 100 * 16;
    image.header.syscall_counted_cost_16 = 8 * 16;
    image.header.syscall_patch_cycles = 2_000_000;
    image.site(FREAD, 0, 2, WaitKind::Stream, "fread");
    image.site(RECV, 0, 2, WaitKind::Network, "recv");
    image.syscall_sites(2, 300, 298, 6);
    image.syscall_sites(0, 1, 1, 0);
    image.syscall_skipped(2, SyscallSkip::Policy, 0x1_2345);
    image.syscall_skipped(2, SyscallSkip::NoPatchPoint, 0x1_2400);
    image.object(1, ObjectKind::File, "/data/input");
    image.object(2, ObjectKind::Socket, "tcp 127.0.0.1:80");
    image.syscall_totals(&[
        (SyscallTable::Unplaced, FUTEX, 5),
        (SyscallTable::Own, 9, 12),
        (SyscallTable::Missed, 39, 2),
    ]);
    image.thread(ThreadState::Live, 0, 0, |r| r.name = named("app"));
    image.thread(ThreadState::Ended, 100_000_000, 600_000_000, |r| {
        r.start_routine = 0x10_2000;
        r.name = named("w1");
    });
    image.thread(ThreadState::Folded, 100_000_000, 500_000_000, |r| {
        r.start_routine = 0x10_2000;
        r.segment = u32::MAX;
        r.group = 0;
    });
    image.thread_segment(0, &reader());
    image.thread_segment(1, &waiter());
    image.group_segment(0, &waiter());
    image.files()
}

/// Main of [`syscalls`].
fn reader() -> SegmentWriter {
    let mut s = SegmentWriter::default();
    s.count(COMPUTE, 2, 0, 0);
    s.count(MALLOC, 1_000, 0, 0);
    s.count(FREAD, 10, 0, 0);
    s.count(RECV, 4, 0, 0);
    let compute = s.cell(None, COMPUTE);
    let below_compute = s.cell(Some(compute), MALLOC);
    let malloc = s.cell(None, MALLOC);
    let fread = s.cell(None, FREAD);
    let recv = s.cell(None, RECV);
    s.timed(compute, 1, &[3_000_000; 2], 0, 0);
    s.timed(fread, 1, &[400_000; 10], 0, 0);
    s.timed(recv, 1, &[10_000_000; 4], 0, 10_000_000);
    let read = s.syscall(Some(fread), 0, 1_000, |cell| {
        cell.bytes = 4_096_000;
        cell.gap = 10;
    });
    s.syscall_timed(read, 10, &[1_000; 100], false);
    s.object(read, SyscallObjectKind::Descriptor, 1, &[1_000; 100], |object| {
        object.count = 1_000;
        object.weighted_sum = 10 * object.sum;
        object.bytes = 4_096_000;
    });
    let recvfrom = s.syscall(Some(recv), 45, 4, |cell| {
        cell.errors = 2;
        cell.errno[0] = 11 << 48 | 1;
        cell.errno[1] = 104 << 48 | 1;
        cell.bytes = 64;
    });
    s.syscall_timed(recvfrom, 1, &[9_000_000; 4], true);
    s.object(recvfrom, SyscallObjectKind::Descriptor, 2, &[9_000_000; 4], |object| {
        object.errors = 2;
        object.wait_sum = object.sum;
    });
    s.slow_syscall(recvfrom, 200_000_000, 9_000_000, |slow| {
        slow.args = [5, 0x7000, 64, 0, 0, 0];
        slow.result = -104;
        slow.object_kind = SyscallObjectKind::Descriptor as u32;
        slow.object = 2;
    });
    let brk = s.syscall(Some(malloc), 12, 3, |cell| cell.noted = 3);
    s.syscall_timed(brk, 1, &[2_000; 3], false);
    let mmap = s.syscall(Some(below_compute), 9, 7, |cell| cell.noted = 7);
    s.syscall_timed(mmap, 1, &[5_000; 7], false);
    s.syscall(None, 231, 1, |cell| cell.flags = SYSCALL_ENTRY_ONLY);
    s
}

/// A worker of [`syscalls`]: 20 waits of 10 ms for a futex, 5 of which timed out.
fn waiter() -> SegmentWriter {
    let mut s = SegmentWriter::default();
    s.count(COMPUTE, 1, 0, 0);
    let compute = s.cell(None, COMPUTE);
    s.timed(compute, 1, &[250_000_000], 0, 0);
    let futex = s.syscall(Some(compute), FUTEX, 20, |cell| {
        cell.flags = SYSCALL_WAITS;
        cell.errors = 5;
        cell.errno[0] = 110 << 48 | 5;
    });
    s.syscall_timed(futex, 1, &[10_000_000; 20], true);
    s.object(futex, SyscallObjectKind::Futex, MUTEX, &[10_000_000; 20], |object| {
        object.errors = 5;
        object.wait_sum = object.sum;
    });
    s.header.lost_syscall_objects = 1;
    s
}

/// One call that encloses 1000 timed ones: their probes are part of what it seems to have taken.
pub fn one_call() -> Files {
    let mut image = image();
    image.thread(ThreadState::Live, 0, 0, |_| {});
    let mut main = SegmentWriter::default();
    main.count(COMPUTE, 1, 0, 0);
    main.count(MALLOC, 1_000, 0, 0);
    let compute = main.cell(None, COMPUTE);
    let malloc = main.cell(Some(compute), MALLOC);
    main.timed(compute, 1, &[400_000], 50_000, 0);
    main.timed(malloc, 1, &[50; 1_000], 0, 0);
    main.slow(compute, 1_000, 400_000, |_| {});
    image.thread_segment(0, &main);
    image.files()
}

/// A program started by the name of a link, and a fork of it that wrote over its arguments.
pub fn renamed() -> Files {
    let describe = |image: &mut ImageWriter, argv0: &str| {
        image.component(0, 1, 0x10_0000, "/gone/app");
        image.setting("argv0", argv0);
        image.thread(ThreadState::Live, 0, 0, |r| r.name = named("link"));
        image.thread_segment(0, &SegmentWriter::default());
    };
    let mut parent = ImageWriter::new(100);
    describe(&mut parent, "/gone/link");
    let mut child = ImageWriter::new(200);
    child.header.forked = 1;
    child.header.parent_pid = 100;
    child.header.start_realtime_ns += 1;
    describe(&mut child, " -c n.conf");
    let mut files = parent.files();
    files.extend(child.files());
    files
}

/// Events of two chunks, written in reused order, one event longer than 2³² cycles.
pub fn events() -> Files {
    let mut image = image();
    image.header.mode = 2;
    image.thread(ThreadState::Live, 0, 0, |_| {});
    let mut main = SegmentWriter::default();
    main.count(MALLOC, 200, 0, 0);
    let cell = main.cell(None, MALLOC);
    main.timed(cell, 1, &[40; 200], 0, 0);
    main.header.events = 200;
    image.thread_segment(0, &main);
    let first = (0..100u64).map(|n| (n * 1_000, 40, MALLOC, 2u8)).collect();
    let mut second: Vec<_> = (100..199u64).map(|n| (n * 1_000, 40, MALLOC, 2u8)).collect();
    second.push((300_000, 3_000_000_000, COMPUTE, 1));
    // A copy of chunk 0 that was begun when the process was killed.
    let cut = second[..10].to_vec();
    image.events(0, &[(2, 6, second), (1, 0, first), (2, 6, cut)]);
    image.files()
}
