//! `threads.pv`: one record per thread ever seen.

use super::file::{self, Mapping};
use super::process::{self, timeval_ns, Stamp};
use crate::files;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use perfvisor_format::{FileHeader, FileKind, ThreadRecord, ThreadState, THREAD_HEADER_BYTES};

/// Most records (256 bytes each): a million threads, 256 MiB of address space, sparse.
const MOST: usize = 1 << 20;
/// Records are populated ahead in steps of this many bytes.
const STEP: usize = 16 << 10;

/// The file of the current image. Guarded by the cold lock.
static mut FILE: Option<(Mapping, usize)> = None;
static COUNT: AtomicU32 = AtomicU32::new(0);

fn file() -> &'static mut Option<(Mapping, usize)> {
    // SAFETY: only reached under the cold lock.
    unsafe {
        let file: *mut Option<(Mapping, usize)> = &raw mut FILE;
        &mut *file
    }
}

/// Begins `threads.pv`.
pub fn create() -> Result<(), String> {
    COUNT.store(0, Ordering::Relaxed);
    *file() = None;
    let (Some(path), Some(id)) = (process::path("threads.pv"), process::identity()) else {
        return Err("no trace directory".into());
    };
    let limit = usize::try_from(file::size_limit()).unwrap_or(usize::MAX) & !(file::PAGE - 1);
    let bytes = (THREAD_HEADER_BYTES + MOST * ThreadRecord::BYTES).min(limit);
    let made = file::create(&path, bytes, 0, file::PAGE);
    let (mapping, fd) = made.ok_or("cannot make threads.pv (disk, memory or file size limit)")?;
    // SAFETY: ours.
    unsafe { libc::close(fd) };
    if !file::populate(mapping.base, 0, STEP) {
        return Err("no space left for threads.pv".into());
    }
    let header = FileHeader::new(
        FileKind::Threads,
        THREAD_HEADER_BYTES as u16,
        id.pid,
        id.generation,
        0,
        id.image_id,
    );
    file::put_header(&mapping, &header);
    *file() = Some((mapping, STEP));
    Ok(())
}

/// A new record, all zero but for the unknowns; `None` when there is no room.
pub fn add() -> Option<(u32, &'static mut ThreadRecord)> {
    let (mapping, ready) = file().as_mut()?;
    let index = COUNT.load(Ordering::Relaxed);
    let at = THREAD_HEADER_BYTES + index as usize * ThreadRecord::BYTES;
    if at + ThreadRecord::BYTES > mapping.bytes {
        return None;
    }
    if at + ThreadRecord::BYTES > *ready {
        let more = STEP.min(mapping.bytes - *ready);
        if !file::populate(mapping.base, *ready, more) {
            return None;
        }
        *ready += more;
    }
    COUNT.store(index + 1, Ordering::Relaxed);
    // SAFETY: populated, within the mapping, ours alone until the state is published.
    let record = unsafe { &mut *mapping.base.add(at).cast::<ThreadRecord>() };
    record.segment = u32::MAX;
    record.group = u32::MAX;
    record.creator = u32::MAX;
    record.user_ns = u64::MAX;
    record.system_ns = u64::MAX;
    record.voluntary_switches = u64::MAX;
    record.involuntary_switches = u64::MAX;
    Some((index, record))
}

/// The record `index`.
pub fn get(index: u32) -> Option<&'static mut ThreadRecord> {
    let (mapping, _) = file().as_ref()?;
    if index >= COUNT.load(Ordering::Relaxed) {
        return None;
    }
    let at = THREAD_HEADER_BYTES + index as usize * ThreadRecord::BYTES;
    // SAFETY: within the populated part, because the record was added.
    Some(unsafe { &mut *mapping.base.add(at).cast::<ThreadRecord>() })
}

/// Publishes a state. Pairs with the reader's Acquire load.
pub fn publish(record: &mut ThreadRecord, state: ThreadState) {
    // SAFETY: the record is mapped.
    unsafe { AtomicU32::from_ptr(&raw mut record.state) }.store(state as u32, Ordering::Release);
}

/// Notes begin time and CPU time so far: of a first thread the loader's and our own start-up, of a
/// thread met late its life before. The time stamp comes first, at the end last (`finish`), so that
/// the CPU time between them is never more than the time.
pub fn begin(record: &mut ThreadRecord) {
    let stamp = Stamp::now();
    record.start_tsc = stamp.tsc;
    record.start_monotonic_ns = stamp.monotonic_ns;
    record.cpu_before_ns = cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(0);
    read_own_name(record);
}

fn own_usage() -> libc::rusage {
    // SAFETY: getrusage fills the struct.
    unsafe {
        let mut usage: libc::rusage = core::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage
    }
}

/// What a CPU clock shows. The kernel brings it up to date when it is asked; what getrusage and
/// /proc show of a running thread is up to a tick old (4 ms here), and /proc counts in ticks of 10 ms.
pub fn cpu_ns(clock: libc::clockid_t) -> Option<u64> {
    // SAFETY: clock_gettime fills the struct.
    unsafe {
        let mut time: libc::timespec = core::mem::zeroed();
        let known = libc::clock_gettime(clock, &mut time) == 0;
        known.then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }
}

/// The CPU clock of any thread of this process, as the kernel's `make_thread_cpuclock` numbers it.
fn clock_of(tid: u32) -> libc::clockid_t {
    /// CPUCLOCK_PERTHREAD_MASK and CPUCLOCK_SCHED.
    const PER_THREAD_SCHEDULED: i32 = 4 | 2;
    (!(tid as i32) << 3) | PER_THREAD_SCHEDULED
}

/// Splits an exact sum as two coarse parts stand to each other; with nothing known it is all user's.
pub fn split(sum: u64, user: u64, system: u64) -> (u64, u64) {
    let parts = u128::from(user) + u128::from(system);
    let system = match parts {
        0 => 0,
        _ => (u128::from(sum) * u128::from(system) / parts) as u64,
    };
    (sum - system, system)
}

fn read_own_name(record: &mut ThreadRecord) {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes.
    if unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) } == 0 {
        record.name = name;
    }
}

/// Notes the end of the calling thread: time, CPU, switches, name.
pub fn finish(record: &mut ThreadRecord) {
    take_usage(record);
    let stamp = Stamp::now();
    record.end_monotonic_ns = stamp.monotonic_ns;
    record.end_tsc = stamp.tsc;
}

/// CPU time, switches and name of the calling thread so far.
pub fn take_usage(record: &mut ThreadRecord) {
    let usage = own_usage();
    let (user, system) = (timeval_ns(usage.ru_utime), timeval_ns(usage.ru_stime));
    let sum = cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(user + system);
    (record.user_ns, record.system_ns) = split(sum, user, system);
    record.voluntary_switches = usage.ru_nvcsw as u64;
    record.involuntary_switches = usage.ru_nivcsw as u64;
    read_own_name(record);
}

/// CPU time, switches and name of another live thread: the sum from its clock, how it divides into
/// user and system, which /proc tells in ticks, no finer than that.
pub fn take_usage_of(record: &mut ThreadRecord, tid: u32) {
    let ask = |name: &str| {
        let path = files::c_path(format!("/proc/self/task/{tid}/{name}"))?;
        files::read(&path)
    };
    if let Ok(stat) = ask("stat") {
        // A command may hold any bytes; what is read stands behind it.
        let stat = String::from_utf8_lossy(&stat);
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or("").split_ascii_whitespace().collect();
        // SAFETY: sysconf has no preconditions.
        let tick = 1_000_000_000 / (unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64);
        let field = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok());
        // Fields 14 and 15 of proc(5), counted behind the command's parenthesis.
        if let (Some(user), Some(system)) = (field(11), field(12)) {
            let sum = cpu_ns(clock_of(tid)).unwrap_or((user + system) * tick);
            (record.user_ns, record.system_ns) = split(sum, user, system);
        }
    }
    if let Ok(status) = ask("status") {
        let status = String::from_utf8_lossy(&status);
        for line in status.lines() {
            let value = |line: &str| line.rsplit(':').next().and_then(|v| v.trim().parse().ok());
            if line.starts_with("voluntary_ctxt") {
                record.voluntary_switches = value(line).unwrap_or(u64::MAX);
            } else if line.starts_with("nonvoluntary_ctxt") {
                record.involuntary_switches = value(line).unwrap_or(u64::MAX);
            }
        }
    }
    if let Ok(comm) = ask("comm") {
        let mut name = [0u8; 16];
        for (to, from) in name.iter_mut().zip(comm.iter().filter(|&&byte| byte != b'\n')) {
            *to = *from;
        }
        record.name = name;
    }
}

/// Notes a name given by pthread_setname_np or prctl.
pub fn set_name(record: &mut ThreadRecord, given: &[u8]) {
    let mut name = [0u8; 16];
    for (to, from) in name.iter_mut().take(15).zip(given) {
        *to = *from;
    }
    record.name = name;
}

/// Cuts `threads.pv` to its populated part.
pub fn shorten() {
    if let (Some(path), Some((mapping, ready))) = (process::path("threads.pv"), file().as_mut()) {
        mapping.bytes = *ready;
        file::shorten(&path, *ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_sum_is_split_like_its_coarse_parts() {
        assert_eq!(split(1000, 0, 0), (1000, 0));
        assert_eq!(split(1000, 1, 3), (250, 750));
        assert_eq!(split(7, 0, 5), (0, 7));
        assert_eq!(split(u64::MAX, 1, 1).0, u64::MAX / 2 + 1);
    }

    #[test]
    fn the_clock_of_a_thread_is_that_of_its_id() {
        // SAFETY: gettid has no preconditions.
        let own = clock_of(unsafe { libc::gettid() } as u32);
        let before = cpu_ns(own).expect("a clock of the calling thread");
        let between = cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock");
        let after = cpu_ns(own).expect("a clock of the calling thread");
        assert!((before..=after).contains(&between), "{before} {between} {after}");
        assert_eq!(cpu_ns(clock_of(1)), None, "a thread of another process");
    }
}
