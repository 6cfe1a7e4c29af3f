//! How often a site is timed, and what its untimed calls may have hidden.
//!
//! **Gap.** A timed call is reckoned at 200 cycles of its thread (two time stamps and the bookkeeping;
//! `scripts/bench --only micro`). A site whose calls come every `w` cycles may cost 1/2048 of the
//! thread's time, so its gap may grow to 200·2048/w, at most `max_gap`; where its calls become rarer
//! it shrinks again. A site of whose calls many make system calls may cost 1/128, since those are to be shown below
//! the whole path that led there. A call far beyond the site's usual ones cuts it, if the site was calm: what
//! surprises often is no surprise. So does a window (see below) long enough to pay for that. Gaps are drawn uniformly from 1 ..= 2g − 1 (mean g), so that a
//! period in the host never locks to ours, and each timed call stands for g calls
//! (Horvitz–Thompson).
//!
//! **Windows.** Between two timed calls of a site lie untimed ones, and the time of that window is
//! known. What exceeds the usual time of so many calls by more than [`limit`] is kept as unseen time:
//! no untimed call can have been longer without showing there. So a timed call beyond the same limit
//! stands for itself alone (it is *visible*); what others like it took lies within the unseen time.
//! Without this one lost time slice, timed by chance, would count as `g` of them, and one that fell
//! into an untimed call would be missing from a total whose interval knows nothing of it. The limit
//! follows the site: it rises with each long window and falls with each other one, so that about one
//! window in ten is long. Time the thread waited is part of the window: an untimed call may have
//! waited inside (`lzma_code` of xz does, for its threads).

use crate::buffer::random;
use crate::thread::Thread;
use perfvisor_format::SiteState;

/// Calls timed at one gap before it may double or halve.
const SETTLE: u16 = 16;
/// Timed calls without a surprise after which a site counts as calm.
const CALM: u16 = 64;
/// Cycles a timed call costs × 2048: the budget's numerator.
const COST_2048: f32 = 200.0 * 2048.0;
/// The same for a site that makes system calls.
const COST_128: f32 = 200.0 * 128.0;
/// [`SiteState::since_change`] of a site whose last call surprised.
const SURPRISED: u16 = u16::MAX;
/// Excess (cycles; 1 ms at 3 GHz) of a window that pays for 32 more timed calls, by which the gap then
/// grows back, with 1/512 of its time.
const CUT: f32 = 32.0 * 200.0 * 512.0;
/// Weight of the newest value in moving means.
const ALPHA: f32 = 1.0 / 16.0;
/// Excess (cycles) that is never long: what the probe itself and cache misses vary by.
const SLACK: f32 = 1_000.0;
/// Bounds of the limit, as a share of a window of mean length.
const LEAST_LIMIT: f32 = 1.0 / 64.0;
/// See `LEAST_LIMIT`.
const MOST_LIMIT: f32 = 64.0;
/// What a long window multiplies the limit by.
const RAISE: f32 = 1.25;
/// What any other window multiplies it by: with `RAISE`, one window in ten is long.
const LOWER: f32 = 0.975;

/// One timed call, as its window sees it.
pub struct Timed {
    /// Its duration, cycles.
    pub duration: u64,
    /// Cycles from the end of the last timed call to its start.
    pub before: u64,
    /// Calls since then, this one included; 0 = no window (the first call, or one out of turn).
    pub calls: u32,
    /// [`visible`] said so.
    pub visible: bool,
}

/// Adapts the gap before it is drawn. `thread.max_gap` bounds it.
///
/// # Safety
/// `thread` and `state` are live, guard held.
#[inline(always)]
pub unsafe fn adapt(thread: *const Thread, state: *mut SiteState, makes_system_calls: bool) {
    // SAFETY: live by contract.
    unsafe {
        if (*state).since_change < SETTLE {
            return;
        }
        let gap = u32::from((*state).gap);
        let budget = if makes_system_calls { COST_128 } else { COST_2048 };
        let wanted = budget / ((*state).window_mean + 1.0);
        let next = if (*state).since_change == SURPRISED {
            // In force only now: the call that surprised had drawn its successor before.
            (gap / 4).max(1)
        } else if gap as f32 * 2.0 <= wanted {
            (gap * 2).min((*thread).max_gap)
        } else if gap as f32 > wanted * 2.0 {
            (gap / 2).max(1)
        } else {
            gap
        };
        if next != gap {
            (*state).gap = next as u16;
            (*state).since_change = 0;
        } else if (*state).since_change == SURPRISED {
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
        let gap = u32::from((*state).gap);
        if gap <= 1 {
            return 1;
        }
        // A 64-bit product instead of a division: uniform over 0 .. 2g−1 up to 2⁻²¹.
        1 + (((random(thread) >> 32) * u64::from(2 * gap - 1)) >> 32) as u32
    }
}

/// Cycles by which a window, or one call in it, may exceed the usual and not be long.
#[inline(always)]
unsafe fn limit(state: *const SiteState) -> f32 {
    // SAFETY: live by the contract of the callers.
    unsafe { SLACK + (*state).window_limit * (*state).window_mean * f32::from((*state).gap) }
}

/// A call so long that it would have made its window long, had it not been timed.
///
/// # Safety
/// As for [`adapt`].
#[inline(always)]
pub unsafe fn visible(state: *const SiteState, duration: u64) -> bool {
    // SAFETY: live by contract.
    unsafe { duration as f32 - (*state).mean > limit(state) }
}

/// Learns from a timed call.
///
/// # Safety
/// As for [`adapt`].
#[inline(always)]
pub unsafe fn learn(state: *mut SiteState, call: &Timed) {
    // SAFETY: live by contract.
    unsafe {
        let value = if call.visible { (*state).mean + limit(state) } else { call.duration as f32 };
        learn_window(state, call, value);
        learn_duration(state, call.duration as f32, value);
    }
}

/// Moving mean and variance of the duration, `value` being the clipped `duration`; the surprise.
#[inline(always)]
unsafe fn learn_duration(state: *mut SiteState, duration: f32, value: f32) {
    // SAFETY: contract of `learn`.
    unsafe {
        if (*state).mean == 0.0 {
            (*state).mean = value;
            return;
        }
        let mean = (*state).mean;
        let spread = (*state).variance;
        let calm = (*state).since_change;
        if calm < SURPRISED - 1 {
            (*state).since_change = calm + 1;
        }
        let away = duration - mean;
        let beyond = away > 8.0 * mean && away * away > 64.0 * spread;
        if beyond && calm >= CALM && (*state).gap > 1 {
            (*state).since_change = SURPRISED;
        }
        let away = value - mean;
        (*state).mean = mean + ALPHA * away;
        (*state).variance = spread + ALPHA * (away * away - spread);
    }
}

/// The window that ends with a call of clipped duration `value`.
#[inline(always)]
unsafe fn learn_window(state: *mut SiteState, call: &Timed, value: f32) {
    // SAFETY: contract of `learn`.
    unsafe {
        if call.calls == 0 {
            return;
        }
        let calls = call.calls as f32;
        if (*state).window_mean == 0.0 {
            (*state).window_mean = (call.before as f32 + value) / calls;
            (*state).window_limit = LEAST_LIMIT;
            return;
        }
        let usual = (*state).window_mean * calls;
        let limit = limit(state);
        let mut before = call.before as f32;
        if call.calls > 1 {
            let excess = before + (*state).mean - usual;
            if excess > limit {
                (*state).unseen_max += excess as u64;
                (*state).long_windows += 1;
                if excess > (*state).longest_excess {
                    (*state).longest_excess = excess;
                }
                if (*state).window_limit < MOST_LIMIT {
                    (*state).window_limit *= RAISE;
                }
                if excess > CUT && excess > 8.0 * usual {
                    // Something new: the site itself may have become slow.
                    (*state).since_change = SURPRISED;
                }
                before = usual + limit;
            } else if (*state).window_limit > LEAST_LIMIT {
                (*state).window_limit *= LOWER;
            }
        }
        (*state).window_mean += ALPHA * ((before + value) / calls - (*state).window_mean);
    }
}
