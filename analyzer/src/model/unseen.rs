//! What untimed calls may have taken beyond calls like the timed ones.
//!
//! A timed call stands for `w` calls. For one as long as a lost time slice that would claim `w` lost
//! time slices. But the hook also watches the time between timed calls (FORMAT.md, "Windows and
//! visible calls"): calls too long to hide there (`k` visible ones were timed) count once, and the
//! time that others like them took, `h`, lies within bounds:
//!
//! - `0 ≤ h ≤ U`, the excess of the `N` long windows, and of the window that is still open at the end,
//!   which is taken for as long as the longest unless that is less likely than 2.5 %;
//! - timing is a random sample, so with 97.5 % confidence no more than `q(k)·r` untimed calls are
//!   visible ones, `q` being the upper limit of a Poisson mean of which `k` were seen (Garwood 1936,
//!   in the approximation of Wilson and Hilferty) and `r` the untimed calls per timed one. If that is
//!   less than `N`, `h` is at most the sum of so many windows of mean excess `U/N`, two standard
//!   deviations of it (an excess `e ≤ e_max` has `E[e²] ≤ e_max·U/N`), and the longest;
//! - from [`MANY`] visible calls on, calls like these took `Σ(w−1)(d−m)` with the variance
//!   `Σ(w²−w)d²` (Horvitz–Thompson), and longer ones no more than the bound above gives for none
//!   seen.

/// Visible calls from which their own sum is near enough to normal.
const MANY: u64 = 10;
/// Normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.96;

/// What the hook says of one site's long windows and visible calls, cycles.
#[derive(Clone, Copy, Debug, Default)]
pub struct Windows {
    /// U: excess of long windows.
    pub excess: f64,
    /// N: how many they are.
    pub long: f64,
    /// The largest excess.
    pub longest: f64,
    /// k: visible calls.
    pub visible: u64,
    /// Σw of them.
    pub weight: f64,
    /// Σd of them, as recorded.
    pub sum: f64,
    /// Σw·d of them, as recorded.
    pub weighted: f64,
    /// Σ(w²−w)·d² of them.
    pub variance: f64,
}

/// Time hidden in untimed visible calls, cycles: `low ≤ value ≤ high`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hidden {
    /// Lower end of 95 % confidence.
    pub low: f64,
    /// Best guess.
    pub value: f64,
    /// Upper end.
    pub high: f64,
}

/// Upper limit (97.5 %) of a Poisson mean of which `seen` were counted.
fn upper_count(seen: u64) -> f64 {
    let next = seen as f64 + 1.0;
    next * (1.0 - 1.0 / (9.0 * next) + Z95 / (3.0 * next.sqrt())).powi(3)
}

impl Windows {
    /// The most that untimed calls hide of a kind of which `seen` were timed, given `untimed` calls
    /// for each timed one.
    fn most(&self, seen: u64, untimed: f64) -> f64 {
        if self.long < 1.0 {
            return self.excess;
        }
        let calls = upper_count(seen) * untimed;
        if calls >= self.long {
            return self.excess;
        }
        let mean = self.excess / self.long;
        let likely = calls * mean;
        (likely + 2.0 * (likely * self.longest).sqrt() + self.longest).min(self.excess)
    }

    /// Adds the window that the end left open: `open` of `count` calls.
    pub fn leave_open(&mut self, open: f64, count: f64) {
        if self.long * open > 0.025 * count {
            self.excess += self.longest;
        }
    }

    /// What untimed visible calls took; `mean` is that of the other calls (as recorded), `untimed`
    /// the number of untimed calls for each timed one.
    pub fn hidden(&self, mean: f64, untimed: f64) -> Hidden {
        let others = self.weight - self.visible as f64;
        let guess = self.weighted - self.sum - mean * others;
        if self.visible < MANY {
            let high = self.most(self.visible, untimed);
            return Hidden { low: 0.0, value: guess.clamp(0.0, high), high };
        }
        let half = Z95 * self.variance.max(0.0).sqrt();
        let high = (guess.max(0.0) + half + self.most(0, untimed)).min(self.excess);
        Hidden { low: (guess - half).clamp(0.0, high), value: guess.clamp(0.0, high), high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garwood_limits_are_near_the_table() {
        for (seen, limit) in [(0, 3.69), (1, 5.57), (5, 11.67), (10, 18.39), (100, 121.6)] {
            let near = upper_count(seen);
            assert!((near - limit).abs() < 0.05 * limit, "{seen}: {near}");
        }
    }

    #[test]
    fn a_timed_time_slice_does_not_claim_more_than_the_windows_show() {
        // One call of 30 M cycles timed for 100; the windows exceed by 1 M in all.
        let windows = Windows {
            excess: 1e6,
            long: 20.0,
            longest: 2e5,
            visible: 1,
            weight: 100.0,
            sum: 30e6,
            weighted: 3e9,
            variance: 100.0 * 99.0 * 9e14,
        };
        let hidden = windows.hidden(10.0, 99.0);
        assert_eq!(hidden, Hidden { low: 0.0, value: 1e6, high: 1e6 });
    }

    #[test]
    fn many_long_windows_without_a_visible_call_are_not_all_of_the_site() {
        let windows = Windows { excess: 1e9, long: 1e5, longest: 1e6, ..Windows::default() };
        let hidden = windows.hidden(10.0, 100.0);
        // 3.69·100 of 100 000 windows of 10 000 cycles, their spread and the longest.
        assert!(hidden.high > 3.6e6 && hidden.high < 1e7, "{hidden:?}");
        assert_eq!(hidden.value, 0.0);
    }

    #[test]
    fn an_open_window_may_hide_what_others_did() {
        let seen = Windows { excess: 1e6, long: 20.0, longest: 2e5, ..Windows::default() };
        let (mut likely, mut unlikely) = (seen, seen);
        likely.leave_open(200.0, 40_000.0);
        unlikely.leave_open(20.0, 40_000.0);
        assert_eq!((likely.excess, unlikely.excess), (1.2e6, 1e6));
    }

    #[test]
    fn a_tail_of_the_site_itself_is_scaled_like_any_other_sum() {
        let visible = 1_000;
        let windows = Windows {
            excess: 2e9,
            long: 1e5,
            longest: 1e5,
            visible,
            weight: 1e5,
            sum: 2e7,
            weighted: 2e9,
            variance: 1e3 * 100.0 * 99.0 * 4e8,
        };
        let hidden = windows.hidden(0.0, 99.0);
        assert!((hidden.value - 1.98e9).abs() < 1.0);
        assert!(hidden.low > 1.8e9 && hidden.high <= 2e9, "{hidden:?}");
    }
}
