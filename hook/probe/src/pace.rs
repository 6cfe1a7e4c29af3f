//! How often a site is timed: the gap between timed calls, doubled while a site is dull, cut when
//! it surprises.
//!
//! A timed call is reckoned at 60 cycles of its thread (two time stamps and the bookkeeping;
//! `scripts/bench --only micro` measures 150 and more, so sites cost more than their share). A site whose calls come every `w` cycles may cost
//! 1/512 of the thread's time, so its gap may grow to 60·512/w, at most `max_gap`. Gaps are drawn
//! uniformly from 1 ..= 2g − 1 (mean g), so that a period in the host never locks to ours, and each
//! timed call stands for g calls (Horvitz–Thompson).

use crate::buffer::random;
use crate::thread::Thread;
use perfvisor_format::SiteState;

/// Calls timed at one gap before it may double.
const SETTLE: u32 = 32;
/// Cycles a timed call costs × 512: the budget's numerator.
const COST_512: f32 = 60.0 * 512.0;
/// Weight of the newest value in moving means.
const ALPHA: f32 = 1.0 / 16.0;
/// A window must be longer than this (cycles) to be called long: 20 µs at 3 GHz.
const LONG_WINDOW: f32 = 60_000.0;

/// Adapts the gap before it is drawn. `thread.max_gap` bounds it.
///
/// # Safety
/// `thread` and `state` are live, guard held.
#[inline(always)]
pub unsafe fn adapt(thread: *const Thread, state: *mut SiteState) {
    // SAFETY: live by contract.
    unsafe {
        if (*state).since_change < SETTLE || (*state).gap >= (*thread).max_gap {
            return;
        }
        let wanted = COST_512 / ((*state).window_mean + 1.0);
        if (*state).gap as f32 * 2.0 <= wanted {
            (*state).gap = ((*state).gap * 2).min((*thread).max_gap);
            (*state).since_change = 0;
        }
    }
}

/// Draws the number of calls until the next timed one.
///
/// # Safety
/// As for [`adapt`].
#[inline(always)]
pub unsafe fn draw(thread: *mut Thread, state: *const SiteState) -> u32 {
    // SAFETY: live by contract.
    unsafe {
        let gap = (*state).gap;
        if gap <= 1 {
            return 1;
        }
        // A 64-bit product instead of a division: uniform over 0 .. 2g−1 up to 2⁻²¹.
        1 + (((random(thread) >> 32) * u64::from(2 * gap - 1)) >> 32) as u32
    }
}

/// Learns from a timed call: its duration and the window (cycles, calls) since the last timed one.
/// `exact` says that every call is timed anyway.
///
/// # Safety
/// As for [`adapt`].
#[inline(always)]
pub unsafe fn learn(state: *mut SiteState, duration: u64, window: u64, calls: u32, exact: bool) {
    // SAFETY: live by contract.
    unsafe {
        (*state).since_change = (*state).since_change.saturating_add(1);
        let value = duration as f32;
        let away = value - (*state).mean;
        let spread = (*state).variance;
        let surprise = (*state).gap > 1 && away > 0.0 && {
            let limit = 8.0 * (*state).mean;
            away > limit && away * away > 64.0 * spread
        };
        (*state).mean += ALPHA * away;
        (*state).variance += ALPHA * (away * away - spread);
        if surprise {
            (*state).gap = ((*state).gap / 4).max(1);
            (*state).since_change = 0;
        }
        // With every call timed (exact) there is nothing to pace and nothing unseen.
        if calls == 0 || (*state).gap == 1 && calls == 1 && exact {
            return;
        }
        let per_call = window as f32 / calls as f32;
        let expected = (*state).window_mean * calls as f32;
        if calls > 1 && window as f32 > 8.0 * expected + LONG_WINDOW && expected > 0.0 {
            // Among the untimed calls of this window one may have been long: say how long at most.
            (*state).unseen_max += window - expected as u64;
            (*state).long_windows += 1;
            (*state).gap = ((*state).gap / 4).max(1);
            (*state).since_change = 0;
        } else {
            (*state).window_mean += ALPHA * (per_call - (*state).window_mean);
        }
    }
}
