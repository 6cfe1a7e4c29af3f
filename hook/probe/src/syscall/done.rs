//! The end of a timed system call, the failure of an untimed one, the beginning of one that does not
//! come back.

use super::object::{self, Name};
use super::seam::SyscallFrame;
use super::{cell, fast};
use crate::buffer::{publish, take};
use crate::cold;
use crate::descriptors;
use crate::exit::{threshold_of, LEAST_THRESHOLD, TAIL_KNOWN};
use crate::guard;
use crate::notes;
use crate::sites;
use crate::thread::{at, idle_table, local, reference, Thread};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use perfvisor_format::{
    syscall, BlockKind, Cell, SlowSyscall, SyscallCell, SyscallInfo, SyscallObject, WaitKind,
    SYSCALL_ENTRY_ONLY, SYSCALL_NUMBERS, SYSCALL_WAITS,
};

/// Until a cell's tail is known a call is slow from here on (cycles; 1 ms at 3 GHz).
const FIRST_THRESHOLD: u64 = 3_000_000;
const FUTEX: u16 = 202;
const PRCTL: u64 = 157;
const SECCOMP: u64 = 317;
const PR_SET_SECCOMP: u64 = 22;

unsafe extern "C" {
    static perfvisor_syscall_unplaced: *mut u64;
}

/// Whether a number must be left where it stands: it comes back twice, elsewhere or never. Read by the
/// assembly where the number is not known before.
#[no_mangle]
pub static perfvisor_syscall_leaves: [u8; SYSCALL_NUMBERS] = leaves();

const fn leaves() -> [u8; SYSCALL_NUMBERS] {
    let mut table = [0; SYSCALL_NUMBERS];
    let mut number = 0;
    while number < SYSCALL_NUMBERS {
        if let Some(info) = syscall(number as u32) {
            table[number] = info.entry_only as u8;
        }
        number += 1;
    }
    table
}

/// Numbers a new thread calls before its start routine: whoever created it will say what it is.
const fn is_of_start(number: u64) -> bool {
    // rt_sigprocmask, set_robust_list, rseq; and at its end munmap, madvise, exit.
    matches!(number, 14 | 273 | 334 | 11 | 28 | 60)
}

/// Counts a call that no thread's cells can hold.
#[cold]
unsafe fn unplaced(number: u64) {
    // SAFETY: null, or a table of SYSCALL_NUMBERS words that stays mapped.
    unsafe {
        let table = (&raw const perfvisor_syscall_unplaced).read();
        if !table.is_null() {
            let number = (number as usize).min(SYSCALL_NUMBERS - 1);
            // Relaxed: a counter, read after the process or with a tolerance of a call.
            AtomicU64::from_ptr(table.add(number)).fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The calling thread's state, made if it has none and may have one; with the guard taken. Null: nothing
/// can be recorded, and the call is counted for the process.
#[inline(always)]
unsafe fn guarded(frame: *const SyscallFrame) -> *mut Thread {
    // SAFETY: contract of the callers.
    unsafe {
        let local = local();
        let mut thread = (*local).thread;
        if thread.is_null() && (*local).table == idle_table() && !is_of_start((*frame).number) {
            thread = cold::attach();
        }
        if thread.is_null() || !guard::take(thread, (*frame).sp) {
            return core::ptr::null_mut();
        }
        thread
    }
}

/// System calls that are not led here are looked for (`--syscall-audit`). Every call is timed then.
pub static AUDIT: AtomicBool = AtomicBool::new(false);

/// Lets the calling thread's system calls pass wherever they are made, or not.
#[inline(always)]
unsafe fn select(selector: u8) {
    if AUDIT.load(Ordering::Relaxed) {
        // SAFETY: the calling thread's own byte, which the kernel reads.
        unsafe { (&raw mut (*local()).selector).write_volatile(selector) };
    }
}

/// A timed system call returned.
///
/// # Safety
/// Called by the assembly only.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_syscall_probe_done(frame: *mut SyscallFrame) {
    // SAFETY: the assembly's own frame.
    unsafe {
        let number = (*frame).number;
        select(1);
        if number == SECCOMP || (number == PRCTL && (*frame).args[0] == PR_SET_SECCOMP) {
            cold::call(cold::calls().restricted, 0, 0, 0);
        }
        let thread = guarded(frame);
        if thread.is_null() {
            descriptors::changed_by(number as u32, &(*frame).args, (*frame).result);
            // What the assembly counted in a cell is counted.
            if (*frame).cell.is_null() {
                unplaced(number);
            }
            return;
        }
        record(thread, frame);
        guard::leave(thread);
    }
}

/// An untimed system call failed. Its cell and object have counted it.
///
/// # Safety
/// Called by the assembly only.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_syscall_probe_error(frame: *mut SyscallFrame) {
    // SAFETY: the assembly's own frame; in `start` it keeps the object.
    unsafe {
        cell::add_error((*frame).cell, (*frame).result);
        let object = (*frame).start as *mut SyscallObject;
        if !object.is_null() {
            (*object).errors += 1;
        }
    }
}

/// A system call begins that comes back twice, elsewhere or never.
///
/// # Safety
/// Called by the assembly only.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_syscall_probe_begin(frame: *mut SyscallFrame) {
    // SAFETY: the assembly's own frame.
    unsafe {
        // It is made in its place now, and the next one that comes back here ends that.
        select(0);
        let thread = guarded(frame);
        if thread.is_null() {
            return unplaced((*frame).number);
        }
        let found = find(thread, frame).0;
        if !found.is_null() {
            (*found).flags |= SYSCALL_ENTRY_ONLY;
            cell::count(found);
            cell::advance(thread, found);
        }
        guard::leave(thread);
    }
}

/// The cell of a call and the slot of its innermost note; null when there is no room, and then the call
/// is counted as unplaced.
#[inline(always)]
unsafe fn find(thread: *mut Thread, frame: *const SyscallFrame) -> (*mut SyscallCell, u64) {
    // SAFETY: guard held.
    unsafe {
        let above = notes::innermost_timed(thread, (*frame).sp);
        let path = notes::path_at(thread, SyscallFrame::walk(frame), above);
        let number = ((*frame).number as usize).min(SYSCALL_NUMBERS - 1) as u32;
        let found = cell::find(thread, path.cell, number);
        if found.is_null() {
            (*(*thread).segment).lost_syscall_cells += 1;
            unplaced((*frame).number);
            return (found, 0);
        }
        if path.slot != 0 {
            (*found).noted += 1;
        }
        if path.cell != 0 && path.slot == 0 {
            let above: *const Cell = at(thread, path.cell);
            sites::makes_system_calls((*above).site as usize);
        }
        (found, path.slot)
    }
}

const NO_INFO: SyscallInfo = SyscallInfo {
    number: u16::MAX,
    name: "",
    category: perfvisor_format::SyscallCategory::Other,
    fd: 255,
    bytes: false,
    wait: WaitKind::None,
    waits_by_fd: false,
    entry_only: false,
};

#[inline(always)]
unsafe fn record(thread: *mut Thread, frame: *mut SyscallFrame) {
    // SAFETY: guard held.
    unsafe {
        let number = (*frame).number as u32;
        let info = syscall(number).unwrap_or(&NO_INFO);
        let mut found = (*frame).cell;
        let mut slot = 0;
        // On the fast way, which leads here when it is a call's turn.
        let counted = !found.is_null();
        if !counted {
            (found, slot) = find(thread, frame);
        }
        descriptors_of(number, frame);
        if found.is_null() {
            return;
        }
        let (name, descriptor_waits) = object::name(thread, frame, info);
        let object = object::find(thread, name, number, found);
        if counted || cell::takes_turn(found) {
            let spent = Spent {
                duration: (*frame).end.saturating_sub((*frame).start),
                weight: cell::advance(thread, found),
                waits: waits(info, frame) || (info.waits_by_fd && descriptor_waits),
            };
            if (*found).path != 0 {
                let above: *const Cell = at(thread, (*found).path);
                sites::add_system_calls((*above).site as usize, spent.weight);
            }
            account(thread, frame, found, info, &spent);
            if !object.is_null() {
                add_to_object(object, frame, &spent);
            }
            judge(thread, frame, found, spent.duration, name);
            (*(*thread).segment).last_tsc = (*frame).end;
        }
        add_result(frame, found, object, info);
        if !counted && (*found).gap > 1 && !must_come(number) {
            fast::remember(thread, frame, found, object, slot);
        }
        closes(number, frame);
    }
}

/// Whether the probe must see every call of `number`, so that none may take the fast way.
const fn must_come(number: u32) -> bool {
    descriptors::changes(number) || number == PRCTL as u32 || number == SECCOMP as u32
}

/// What a call took.
struct Spent {
    duration: u64,
    weight: u32,
    waits: bool,
}

/// A close is about what the descriptor was; all other calls about what it is.
#[inline(always)]
unsafe fn descriptors_of(number: u32, frame: *const SyscallFrame) {
    if number != 3 {
        // SAFETY: the assembly's own frame.
        unsafe { descriptors::changed_by(number, &(*frame).args, (*frame).result) };
    }
}

#[inline(always)]
unsafe fn closes(number: u32, frame: *const SyscallFrame) {
    if number == 3 {
        // SAFETY: the assembly's own frame.
        unsafe { descriptors::changed_by(number, &(*frame).args, (*frame).result) };
    }
}

/// Whether a call of this number may wait; of futex, whether its operation does.
#[inline(always)]
unsafe fn waits(info: &SyscallInfo, frame: *const SyscallFrame) -> bool {
    /// WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2.
    const FUTEX_WAITS: u64 = 1 | 1 << 6 | 1 << 9 | 1 << 11 | 1 << 13;
    if info.number == FUTEX {
        // SAFETY: the assembly's own frame.
        let operation = unsafe { (*frame).args[1] } & 0x7f;
        return operation < 64 && FUTEX_WAITS & (1 << operation) != 0;
    }
    info.wait as u8 != WaitKind::None as u8
}

/// Adds what a call returned: exact, whether it is timed or not.
#[inline(always)]
unsafe fn add_result(
    frame: *const SyscallFrame,
    found: *mut SyscallCell,
    object: *mut SyscallObject,
    info: &SyscallInfo,
) {
    // SAFETY: guard held; `object` is null or live.
    unsafe {
        let result = (*frame).result;
        let failed = (-4095..0).contains(&result);
        let bytes = if info.bytes && result > 0 { result as u64 } else { 0 };
        if failed {
            cell::add_error(found, result);
        }
        (*found).bytes += bytes;
        if !object.is_null() {
            (*object).count += 1;
            (*object).errors += u64::from(failed);
            (*object).bytes += bytes;
        }
    }
}

#[inline(always)]
unsafe fn account(
    thread: *mut Thread,
    frame: *const SyscallFrame,
    found: *mut SyscallCell,
    info: &SyscallInfo,
    spent: &Spent,
) {
    // SAFETY: guard held.
    unsafe {
        cell::add(found, spent.duration, spent.weight);
        let directory = (&raw mut (*found).histogram).cast::<u32>();
        let shift = &raw mut (*found).histogram_shift;
        crate::buffer::add_to_chunks(thread, directory, shift, spent.duration, spent.weight);
        if spent.waits {
            (*found).wait_sum += spent.duration;
            if waits(info, frame) && info.number != FUTEX {
                (*found).flags |= SYSCALL_WAITS;
            }
        }
        cell::learn(found, spent.duration, spent.waits);
        cell::adapt(thread, found);
    }
}

#[inline(always)]
unsafe fn add_to_object(object: *mut SyscallObject, frame: *const SyscallFrame, spent: &Spent) {
    // SAFETY: guard held.
    unsafe {
        (*object).timed += 1;
        (*object).sum += spent.duration;
        (*object).weighted_sum += spent.duration * u64::from(spent.weight);
        if spent.waits {
            (*object).wait_sum += spent.duration;
        }
        if spent.duration > (*object).max {
            (*object).max = spent.duration;
            (*object).max_tsc = (*frame).end;
        }
    }
}

/// Keeps the call if it is beyond its cell's tail.
#[inline(always)]
unsafe fn judge(
    thread: *mut Thread,
    frame: *const SyscallFrame,
    found: *mut SyscallCell,
    duration: u64,
    name: Name,
) {
    // SAFETY: guard held.
    unsafe {
        let timed = (*found).timed;
        if duration > (*found).slow_threshold {
            if (*found).slow_threshold == 0 {
                (*found).slow_threshold = FIRST_THRESHOLD;
                if duration <= FIRST_THRESHOLD {
                    return;
                }
            }
            keep(thread, frame, found, duration, name);
        } else if timed & (timed - 1) == 0 && timed >= TAIL_KNOWN {
            let directory = (&raw const (*found).histogram).cast::<u32>();
            let shift = (*found).histogram_shift;
            let limit = threshold_of(thread, directory, (*found).represented >> shift);
            (*found).slow_threshold = limit.max(LEAST_THRESHOLD);
        }
    }
}

#[cold]
unsafe fn keep(
    thread: *mut Thread,
    frame: *const SyscallFrame,
    found: *mut SyscallCell,
    duration: u64,
    name: Name,
) {
    // SAFETY: guard held.
    unsafe {
        (*found).slow_seen += 1;
        (*found).slow_sum += duration;
        let threshold = (*found).slow_threshold;
        // More than one call in 256 is no tail: look higher.
        if (*found).slow_seen * 256 > (*found).timed + 2048 {
            (*found).slow_threshold = threshold.saturating_mul(2).max(duration / 2);
        }
        let slow: *mut SlowSyscall = if (*thread).slow_syscalls_kept < (*thread).slow_limit {
            take(thread, BlockKind::SlowSyscalls)
        } else {
            core::ptr::null_mut()
        };
        if slow.is_null() {
            (*(*thread).segment).lost_slow_syscalls += 1;
            return;
        }
        (*thread).slow_syscalls_kept += 1;
        (*slow).start_tsc = (*frame).start;
        (*slow).duration = duration;
        (*slow).cell = reference(thread, found);
        (*slow).number = (*found).number;
        (*slow).args = (*frame).args;
        (*slow).result = (*frame).result;
        (*slow).object = name.object;
        (*slow).object_kind = name.kind;
        (*slow).threshold = threshold;
        publish(thread, BlockKind::SlowSyscalls);
    }
}
