//! The cell of (call path, number): how it is found, what a call adds, when the next one is timed.
//!
//! **Turns.** Every call of a cell is timed until [`SETTLE`] in a row have shown that timing costs more
//! than 1/[`SHARE`] of them; then the gap doubles, up to [`MOST`], and shrinks when calls become longer.
//! Turns are drawn uniformly from 1 ..= 2g − 1, and each timed call stands for g. Calls that may wait have a
//! gap of 1.

use crate::buffer::{publish, random, take};
use crate::path::{insert, room, slot};
use crate::sync::{count_low, remaining};
use crate::thread::{at, reference, Thread};
use core::ptr::null_mut;
use perfvisor_format::{BlockKind, SyscallCell, ERRNOS};

/// Marks the low half of a key as a system call's number; sites are smaller.
const NUMBER_KEY: u64 = 0x8000_0000;
/// Timed calls at one gap before it changes.
const SETTLE: u32 = 16;
/// Cycles a timed call costs more than an untimed one (`scripts/bench --only syscall`).
const COST: f32 = 150.0;
/// The share of a call's time that timing may cost is one in this many.
const SHARE: f32 = 256.0;
/// Largest gap.
const MOST: u32 = 64;
const ALPHA: f32 = 1.0 / 16.0;

/// The cell of `number` below `path`; null when there is no room.
///
/// # Safety
/// `thread` is the calling thread's live state, guard held.
#[inline(always)]
pub unsafe fn find(thread: *mut Thread, path: u32, number: u32) -> *mut SyscallCell {
    let key = u64::from(path) << 32 | NUMBER_KEY | u64::from(number);
    // SAFETY: contract handed on.
    unsafe {
        let found = slot(thread, key);
        if (*found).key == key {
            return at(thread, (*found).value);
        }
        make(thread, path, number, key)
    }
}

#[cold]
unsafe fn make(thread: *mut Thread, path: u32, number: u32, key: u64) -> *mut SyscallCell {
    // SAFETY: contract of `find`.
    unsafe {
        if !room(thread) {
            return null_mut();
        }
        let cell: *mut SyscallCell = take(thread, BlockKind::Syscalls);
        if cell.is_null() {
            return cell;
        }
        (*cell).path = path;
        (*cell).number = number;
        (*cell).min = u64::MAX;
        (*cell).gap = 1;
        publish(thread, BlockKind::Syscalls);
        insert(thread, key, reference(thread, cell));
        cell
    }
}

/// Counts a call that is not timed.
///
/// # Safety
/// `cell` is a cell of the calling thread.
#[inline(always)]
pub unsafe fn count(cell: *mut SyscallCell) {
    // SAFETY: by contract. The high half alone: count = armed − remaining.
    unsafe {
        let armed = (&raw mut (*cell).word).cast::<u32>().add(1);
        core::arch::asm!("inc dword ptr [{a}]", a = in(reg) armed, options(nostack));
    }
}

/// Counts a call; whether it is its turn to be timed ([`advance`] then draws the next).
///
/// # Safety
/// `cell` is a cell of the calling thread.
#[inline(always)]
pub unsafe fn takes_turn(cell: *mut SyscallCell) -> bool {
    // SAFETY: by contract.
    unsafe {
        let word = &raw mut (*cell).word;
        crate::sync::count_one(word);
        remaining(word) < 0
    }
}

/// Brings the base of the count up to now and, if the word has run out, draws the next turn. Returns for
/// how many calls the one that took this turn stands.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub unsafe fn advance(thread: *mut Thread, cell: *mut SyscallCell) -> u32 {
    // SAFETY: by contract.
    unsafe {
        let word = &raw mut (*cell).word;
        let fresh = count_low(word).wrapping_sub((*cell).base_count as u32);
        (*cell).base_count += u64::from(fresh);
        if remaining(word) >= 0 {
            return 1;
        }
        let weight = (*cell).gap;
        let gap = u64::from((*cell).gap);
        let next =
            if gap <= 1 { 1 } else { 1 + (((random(thread) >> 32) * (2 * gap - 1)) >> 32) as u32 };
        // As `sync::rearm`: the low half first, so that a kill in between shows.
        let lift = next.wrapping_add((-1 - remaining(word)) as u32);
        crate::sync::rearm(word, lift);
        weight
    }
}

/// Adapts the gap, once the turn that was taken at the old one has its weight.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub unsafe fn adapt(thread: *const Thread, cell: *mut SyscallCell) {
    // SAFETY: by contract.
    unsafe {
        if (*cell).since_change < SETTLE {
            return;
        }
        let wanted = COST * SHARE / ((*cell).mean + 1.0);
        let gap = (*cell).gap;
        let next = if gap as f32 * 2.0 <= wanted {
            (gap * 2).min(MOST).min((*thread).max_gap)
        } else if gap as f32 > wanted * 2.0 {
            (gap / 2).max(1)
        } else {
            gap
        };
        if next != gap {
            (*cell).gap = next;
            (*cell).since_change = 0;
        }
    }
}

/// Adds a timed call that stands for `weight` calls.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub unsafe fn add(cell: *mut SyscallCell, duration: u64, weight: u32) {
    // SAFETY: by contract.
    unsafe {
        (*cell).timed += 1;
        (*cell).represented += u64::from(weight);
        (*cell).sum += duration;
        (*cell).weighted_sum += duration * u64::from(weight);
        if duration < (*cell).min {
            (*cell).min = duration;
        }
        if duration > (*cell).max {
            (*cell).max = duration;
        }
        if weight > 1 {
            let (w, d) = (f64::from(weight), duration as f64);
            let factor = w * (w - 1.0);
            (*cell).variance_0 += factor;
            (*cell).variance_1 += factor * d;
            (*cell).variance_2 += factor * d * d;
        }
    }
}

/// Learns how long calls are; one that waits, or is far longer than the rest, makes the next ones timed.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub unsafe fn learn(cell: *mut SyscallCell, duration: u64, waits: bool) {
    // SAFETY: by contract.
    unsafe {
        if waits {
            (*cell).gap = 1;
            (*cell).since_change = 0;
            return;
        }
        let value = duration as f32;
        if (*cell).mean == 0.0 {
            (*cell).mean = value;
        }
        // A lost time slice is no reason to time a thousand calls.
        let value = value.min(16.0 * (*cell).mean);
        let away = value - (*cell).mean;
        (*cell).mean += ALPHA * away;
        (*cell).variance += ALPHA * (away * away - (*cell).variance);
        (*cell).since_change = (*cell).since_change.saturating_add(1);
    }
}

/// Counts an error.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub unsafe fn add_error(cell: *mut SyscallCell, result: i64) {
    let errno = result.unsigned_abs() << 48;
    // SAFETY: by contract.
    unsafe {
        (*cell).errors += 1;
        let mut at = 0;
        while at < ERRNOS {
            let word = (&raw mut (*cell).errno).cast::<u64>().add(at);
            if *word == 0 {
                *word = errno;
            }
            if *word & 0xffff << 48 == errno {
                *word += 1;
                return;
            }
            at += 1;
        }
    }
}
