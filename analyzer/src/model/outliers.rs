//! Rare long calls among sampled ones.
//!
//! A sampled call stands for `w` calls. When one of them is as long as a lost time slice, the
//! estimator claims `w` lost time slices. But the hook also watches the time between timed calls:
//! an untimed call that long would have made its window long, and the sum of all such windows is
//! known (`unseen_max`). So calls long enough to be seen that way count once, as measured; what
//! untimed calls like them may add is bounded by the windows and widens the interval upwards.

use crate::read::Segment;
use perfvisor_format::{bucket_bounds, Bucket, Cell, SiteState};

/// The hook calls a window long beyond 8 expected windows and this many cycles.
const WINDOW_FACTOR: f64 = 8.0;
const WINDOW_SLACK: f64 = 60_000.0;
/// Calls in the longest window: the largest gap, drawn from up to twice its mean.
const LONGEST_WINDOW: f64 = 2.0 * 1_024.0;

/// Calls of a cell that a window would have shown, raw cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outliers {
    /// Σw.
    pub represented: f64,
    /// Σw·d.
    pub weighted: f64,
    /// Σd: what was measured.
    pub measured: f64,
}

/// The duration (cycles) from which an untimed call of a site cannot hide in its window; infinite
/// when the site was always timed or is not known well enough.
pub fn visible_from(state: &SiteState) -> f64 {
    let window = f64::from(state.window_mean);
    if !window.is_finite() || window <= 0.0 {
        return f64::INFINITY;
    }
    WINDOW_SLACK + WINDOW_FACTOR * window * LONGEST_WINDOW
}

/// The calls of `cell` (named by `reference`) from `visible_from` cycles on.
pub fn outliers(segment: &Segment, reference: u32, cell: &Cell, visible_from: f64) -> Outliers {
    let mut found = Outliers::default();
    if (cell.max as f64) < visible_from || cell.represented == cell.timed {
        return found;
    }
    segment.histogram(cell, |octave, sub, calls| {
        let (low, high) = bucket_bounds(Bucket { octave, sub });
        if low as f64 >= visible_from {
            found.represented += calls as f64;
            found.weighted += calls as f64 * (low + high - 1) as f64 / 2.0;
        }
    });
    let kept = segment.slow_calls.iter().filter(|slow| slow.cell == reference);
    found.measured =
        kept.map(|slow| slow.duration as f64).filter(|&d| d >= visible_from).sum::<f64>();
    // The histogram rounds; what was measured is at least the longest call.
    found.measured = found.measured.max(cell.max as f64);
    found.weighted =
        found.weighted.clamp(found.measured, (cell.weighted_sum as f64).max(found.measured));
    found.represented = found.represented.min(cell.represented as f64);
    found
}

/// Σw(d−m)² of the calls of `cell` below `visible_from`, cycles².
pub fn spread_below(segment: &Segment, cell: &Cell, visible_from: f64, mean: f64) -> f64 {
    let mut spread = 0.0;
    segment.histogram(cell, |octave, sub, calls| {
        let (low, high) = bucket_bounds(Bucket { octave, sub });
        if (low as f64) < visible_from {
            let away = (low + high - 1) as f64 / 2.0 - mean;
            spread += calls as f64 * away * away;
        }
    });
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_without_windows_hides_everything() {
        let mut state = SiteState::read(&[0; 64], 0).expect("64 bytes");
        assert_eq!(visible_from(&state), f64::INFINITY);
        state.window_mean = f32::NAN;
        assert_eq!(visible_from(&state), f64::INFINITY);
        state.window_mean = 100.0;
        assert_eq!(visible_from(&state), 60_000.0 + 8.0 * 100.0 * 2_048.0);
    }
}
