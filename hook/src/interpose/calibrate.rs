//! What a timed and a counted call cost, measured at load on this machine through the real stubs,
//! with a thread state that belongs to no file.

use crate::store::{process, segment};
use core::sync::atomic::{AtomicU32, Ordering};
use perfvisor_format::{Cell, SegmentHeader, ARENA_OFFSET, MAX_SITES};
use perfvisor_probe::clock::now;
use perfvisor_probe::path;
use perfvisor_probe::thread::{idle_table, local};

/// Site id whose stub calibration borrows: the last of the plain ones, never given out.
pub const SITE: usize = perfvisor_probe::sites::MUTEX_FIRST - 1;
const CALLS: u32 = 256;
/// Counted calls before a timed one when the bias of rare timing is measured.
const RARE: u32 = 128;

/// Cycles by which a program's own code between two timed calls makes the probe colder than the loop
/// here does: 0 to 40, by `testapps/totals steady` on an idle and on a busy machine.
const COLDER: u64 = 10;

static BIAS: AtomicU32 = AtomicU32::new(0);
static BIAS_ERROR: AtomicU32 = AtomicU32::new(0);
static SAMPLED_BIAS: AtomicU32 = AtomicU32::new(0);
static SAMPLED_BIAS_ERROR: AtomicU32 = AtomicU32::new(0);
static TIMED_COST: AtomicU32 = AtomicU32::new(0);
static COUNTED_COST: AtomicU32 = AtomicU32::new(0);
static SYSCALL_BIAS: AtomicU32 = AtomicU32::new(0);
static SYSCALL_BIAS_ERROR: AtomicU32 = AtomicU32::new(0);

/// What a system call costs its thread when it is timed, and when it is only counted (1/16 cycle), beyond
/// the call itself: `scripts/bench --only syscall`, 40 and 10 ns at 2.8 GHz. Not measured at load, because
/// that would take system calls.
const SYSCALL_TIMED_COST_16: u32 = 112 * 16;
const SYSCALL_COUNTED_COST_16: u32 = 28 * 16;

unsafe extern "C" {
    fn perfvisor_empty();
    fn perfvisor_call_many(function: unsafe extern "C" fn(), times: u32);
    static perfvisor_stubs: u8;
    static mut perfvisor_targets: [u64; MAX_SITES];
}

/// Measures and writes the figures into the process header.
pub fn run() {
    let thread = segment::new_private();
    if thread.is_null() {
        return;
    }
    // SAFETY: a private, anonymous stand-in for a segment: header, table and a small arena.
    unsafe {
        let bytes = ARENA_OFFSET + (64 << 10);
        let Some(base) = anonymous_segment(bytes) else { return };
        (*thread).base = base;
        (*thread).segment = base.add(64).cast::<SegmentHeader>();
        (*(*thread).segment).committed = ARENA_OFFSET as u64;
        (*thread).table = base.add(4096).cast();
        (*thread).table_pages = u32::MAX;
        (*thread).mapping_bytes = bytes as u64;
        (*thread).arena_ready = bytes as u64;
        if crate::load::config().every_call() {
            segment::set_max_gap(thread, 1);
        } else {
            // Timed each time, but on the way of a call that is timed now and then.
            (*thread).max_gap = 1;
        }
        (*thread).stack_high = u64::MAX;
        perfvisor_targets[SITE] = perfvisor_empty as *const () as u64;
        let stub = (&raw const perfvisor_stubs).add(SITE * 64);
        let stub: unsafe extern "C" fn() = core::mem::transmute(stub);
        let local = local();
        (*local).thread = thread;
        (*local).table = (*thread).table;
        perfvisor_call_many(stub, CALLS);
        let state = path::site_state(thread, SITE);
        let cell = path::cell(thread, state, 0);
        reset(cell);
        let begin = now();
        perfvisor_call_many(stub, CALLS);
        let timed = now() - begin;
        note_bias(cell, &BIAS, &BIAS_ERROR, 0);
        reset(cell);
        call_rarely(stub, (*thread).table.add(SITE));
        note_bias(cell, &SAMPLED_BIAS, &SAMPLED_BIAS_ERROR, COLDER);
        (*(*thread).table.add(SITE)) = 1 << 20;
        let counted = best(|| perfvisor_call_many(stub, CALLS));
        let plain = best(|| perfvisor_call_many(perfvisor_empty, CALLS));
        (*local).thread = core::ptr::null_mut();
        (*local).table = idle_table();
        let per_call = |cycles: u64| (cycles.saturating_sub(plain) * 16 / u64::from(CALLS)) as u32;
        note_stamps();
        TIMED_COST.store(per_call(timed), Ordering::Relaxed);
        COUNTED_COST.store(per_call(counted), Ordering::Relaxed);
        libc::munmap(base.cast(), bytes);
    }
    write();
}

/// Memory shaped like a segment whose table is 128 KiB aligned.
unsafe fn anonymous_segment(bytes: usize) -> Option<*mut u8> {
    let align = perfvisor_format::TABLE_BYTES;
    // SAFETY: a fresh mapping, trimmed by the caller's munmap at the end of the process at worst.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let at = libc::mmap(core::ptr::null_mut(), bytes + align, access, flags, -1, 0);
        if at == libc::MAP_FAILED {
            return None;
        }
        let start = at as usize;
        let base = (start + 4096).next_multiple_of(align) - 4096;
        if base > start {
            libc::munmap(at, base - start);
        }
        if start + align > base {
            libc::munmap((base + bytes).next_multiple_of(4096) as *mut _, start + align - base);
        }
        Some(base as *mut u8)
    }
}

unsafe fn reset(cell: *mut Cell) {
    // SAFETY: a live cell of the calibration thread.
    unsafe {
        (*cell).timed = 0;
        (*cell).sum = 0;
        (*cell).min = u64::MAX;
    }
}

/// Calls the stub so that one call in [`RARE`] is timed, as at a site in its stride.
unsafe fn call_rarely(stub: unsafe extern "C" fn(), word: *mut u64) {
    // SAFETY: `word` is the site's word in the calibration thread's table.
    unsafe {
        for _ in 0..CALLS / 4 {
            *word = u64::from(RARE);
            perfvisor_call_many(stub, RARE);
            *word = 0;
            stub();
        }
    }
}

/// Stores what the stamps of the timed calls of `cell` measure of themselves, `colder` cycles more
/// being likely and twice that possible.
unsafe fn note_bias(cell: *const Cell, bias_of: &AtomicU32, error_of: &AtomicU32, colder: u64) {
    // SAFETY: a live cell of the calibration thread.
    unsafe {
        let count = (*cell).timed.max(1);
        let mean = (*cell).sum / count;
        let least = (*cell).min.min(mean);
        // An interrupt in the loop lifts the mean; twice the least is no sane mean.
        let bias = mean.min(least + least / 4);
        bias_of.store((bias + colder) as u32, Ordering::Relaxed);
        // A busy sibling of the core nearly doubles the figure (measured: 32 and 60 to 75 cycles), and
        // it may be busy now and idle later or the other way round.
        let error = (bias - least + 2).max(bias / 2) + 2 * colder;
        error_of.store(error as u32, Ordering::Relaxed);
    }
}

/// Stores what two time stamps with nothing between them measure: the least of many, which an idle core
/// shows, and as its uncertainty what the usual one is beyond that.
fn note_stamps() {
    let mut all = [0u64; 65];
    for slot in &mut all {
        let begin = now();
        *slot = now().saturating_sub(begin);
    }
    all.sort_unstable();
    let (least, usual) = (all[0], all[32]);
    SYSCALL_BIAS.store(usual as u32, Ordering::Relaxed);
    SYSCALL_BIAS_ERROR.store((usual / 2).max(usual - least) as u32, Ordering::Relaxed);
}

fn best(mut run: impl FnMut()) -> u64 {
    (0..3)
        .map(|_| {
            let begin = now();
            run();
            now() - begin
        })
        .min()
        .unwrap_or(0)
}

/// Writes the figures into the header of the current image.
pub fn write() {
    if let Some(header) = process::header() {
        header.timed_bias_cycles = BIAS.load(Ordering::Relaxed);
        header.timed_bias_error_cycles = BIAS_ERROR.load(Ordering::Relaxed);
        header.sampled_bias_cycles = SAMPLED_BIAS.load(Ordering::Relaxed);
        header.sampled_bias_error_cycles = SAMPLED_BIAS_ERROR.load(Ordering::Relaxed);
        header.timed_cost_16 = TIMED_COST.load(Ordering::Relaxed);
        header.counted_cost_16 = COUNTED_COST.load(Ordering::Relaxed);
        header.syscall_bias_cycles = SYSCALL_BIAS.load(Ordering::Relaxed);
        header.syscall_bias_error_cycles = SYSCALL_BIAS_ERROR.load(Ordering::Relaxed);
        header.syscall_timed_cost_16 = SYSCALL_TIMED_COST_16;
        header.syscall_counted_cost_16 = SYSCALL_COUNTED_COST_16;
        header.tsc_hz_hint = tsc_hz();
    }
}

/// TSC frequency: CPUID leaf 0x15 where it says, else a short comparison with CLOCK_MONOTONIC.
fn tsc_hz() -> u64 {
    let leaf = core::arch::x86_64::__cpuid(0);
    if leaf.eax >= 0x15 {
        let ratio = core::arch::x86_64::__cpuid(0x15);
        if ratio.eax != 0 && ratio.ebx != 0 && ratio.ecx != 0 {
            return u64::from(ratio.ecx) * u64::from(ratio.ebx) / u64::from(ratio.eax);
        }
    }
    let first = process::Stamp::now();
    loop {
        let second = process::Stamp::now();
        let ns = second.monotonic_ns.saturating_sub(first.monotonic_ns);
        if ns > 100_000 {
            return ((second.tsc - first.tsc) as u128 * 1_000_000_000 / u128::from(ns)) as u64;
        }
    }
}
