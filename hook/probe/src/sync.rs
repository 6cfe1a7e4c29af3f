//! Commit words and the counter word: every atomic of the hot path, each with its pair.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Publishes `value` in a commit word. Pairs with the reader's Acquire load (analyzer `read`).
///
/// # Safety
/// `word` is an aligned, mapped u64 that only this thread writes.
#[inline(always)]
pub unsafe fn commit_u64(word: *mut u64, value: u64) {
    // SAFETY: aligned and mapped by the caller's contract.
    unsafe { AtomicU64::from_ptr(word) }.store(value, Ordering::Release);
}

/// Publishes `value` in a commit word of 32 bits. Pairs with the reader's Acquire load.
///
/// # Safety
/// As for [`commit_u64`].
#[inline(always)]
pub unsafe fn commit_u32(word: *mut u32, value: u32) {
    // SAFETY: aligned and mapped by the caller's contract.
    unsafe { AtomicU32::from_ptr(word) }.store(value, Ordering::Release);
}

// The stub's decrement stores four bytes. A load of all eight right behind it would have to wait until
// that store has left the store buffer (measured: 20 ns a call), so the halves are read and written
// apart.

/// The low half of a counter word: calls left before the next timed one; negative = due.
///
/// # Safety
/// `word` is a mapped counter word.
#[inline(always)]
pub unsafe fn remaining(word: *const u64) -> i32 {
    // SAFETY: mapped by contract; a volatile read, because a signal handler's stub may change it.
    unsafe { word.cast::<i32>().read_volatile() }
}

/// Count modulo 2³² that a counter word tells: armed − remaining.
///
/// # Safety
/// `word` is a mapped counter word.
#[inline(always)]
pub unsafe fn count_low(word: *const u64) -> u32 {
    // SAFETY: mapped by contract.
    unsafe {
        let armed = word.cast::<u32>().add(1).read_volatile();
        armed.wrapping_sub(word.cast::<u32>().read_volatile())
    }
}

/// Adds `gap` to both halves of a counter word, the low one first, each in one instruction, so that a
/// signal handler's `decl` is never lost. A kill between the two leaves a count below the site's
/// base, by which a reader tells it (FORMAT.md, "Counting").
///
/// # Safety
/// `word` is mapped and written by this thread (and its signal handlers) only; the site's base count
/// is up to date.
#[inline(always)]
pub unsafe fn rearm(word: *mut u64, gap: u32) {
    // SAFETY: mapped by contract; plain read-modify-write instructions on one's own word.
    unsafe {
        core::arch::asm!(
            "add dword ptr [{w}], {g:e}",
            "add dword ptr [{w} + 4], {g:e}",
            w = in(reg) word, g = in(reg) gap, options(nostack));
    }
}

/// Counts one call on a word, as a stub does.
///
/// # Safety
/// As for [`rearm`].
#[inline(always)]
pub unsafe fn count_one(word: *mut u64) {
    // SAFETY: as for `rearm`.
    unsafe {
        core::arch::asm!("dec dword ptr [{w}]", w = in(reg) word, options(nostack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_counts_exactly_over_any_sequence_of_gaps() {
        let mut word = 0u64;
        let mut made = 0u32;
        for step in 0..5000u32 {
            // SAFETY: `word` is a local.
            unsafe {
                count_one(&raw mut word);
                made += 1;
                if remaining(&raw const word) < 0 {
                    if step % 7 == 0 {
                        // A handler's calls before the rearm.
                        count_one(&raw mut word);
                        made += 1;
                    }
                    rearm(&raw mut word, 2 + step % 97);
                }
                assert_eq!(count_low(&raw const word), made);
            }
        }
    }
}
