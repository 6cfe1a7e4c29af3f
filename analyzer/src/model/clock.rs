//! From TSC cycles to nanoseconds since the run's start.

/// Shortest baseline (ns) over which two stamps give a better rate than the hook's own
/// calibration: each stamp is off by up to about 100 ns, so 10 ms leave an error of 2·10⁻⁵.
const LEAST_BASELINE_NS: u64 = 10_000_000;
/// Rates outside of this cannot be a TSC's.
const PLAUSIBLE_PER_NS: std::ops::RangeInclusive<f64> = 0.05..=20.0;

/// One moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Time stamp counter, cycles.
    pub tsc: u64,
    /// CLOCK_MONOTONIC, ns.
    pub monotonic_ns: u64,
}

/// The rate of one host's TSC, and the moment that counts as 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Cycles in one ns.
    pub per_ns: f64,
    zero_tsc: u64,
}

impl Clock {
    /// The rate by the longest baseline among `stamps`, else `hint_hz`, else a short baseline.
    /// `zero_tsc` becomes moment 0.
    pub fn new(stamps: &[Stamp], hint_hz: u64, zero_tsc: u64) -> Self {
        let known = stamps.iter().filter(|s| s.tsc != 0 && s.monotonic_ns != 0);
        let first = known.clone().min_by_key(|s| s.tsc);
        let last = known.max_by_key(|s| s.tsc);
        let hint = Some(hint_hz as f64 / 1e9).filter(|rate| PLAUSIBLE_PER_NS.contains(rate));
        let (mut measured, mut baseline_ns) = (None, 0);
        if let (Some(first), Some(last)) = (first, last) {
            baseline_ns = last.monotonic_ns.saturating_sub(first.monotonic_ns);
            if baseline_ns > 0 {
                let rate = (last.tsc - first.tsc) as f64 / baseline_ns as f64;
                measured = Some(rate).filter(|rate| PLAUSIBLE_PER_NS.contains(rate));
            }
        }
        // A baseline that disagrees wildly with the hint is damage, not measurement.
        let agrees = match (measured, hint) {
            (Some(measured), Some(hint)) => (measured / hint - 1.0).abs() < 0.1,
            _ => true,
        };
        let per_ns = match (measured, hint) {
            (Some(rate), _) if baseline_ns >= LEAST_BASELINE_NS && agrees => rate,
            (_, Some(rate)) => rate,
            (Some(rate), None) => rate,
            (None, None) => 1.0,
        };
        Self { per_ns, zero_tsc }
    }

    /// A span of cycles in ns.
    pub fn span_ns(&self, cycles: f64) -> f64 {
        cycles / self.per_ns
    }

    /// A moment in ns since the run's start; earlier ones and 0 (unknown) are the start.
    pub fn moment_ns(&self, tsc: u64) -> u64 {
        self.span_ns(tsc.saturating_sub(self.zero_tsc) as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Stamp = Stamp { tsc: 1_000, monotonic_ns: 500 };

    #[test]
    fn the_longest_baseline_gives_the_rate() {
        let stamps = [
            Stamp { tsc: 31_000_000, monotonic_ns: 10_000_500 },
            START,
            Stamp { tsc: 3_000_001_000, monotonic_ns: 1_000_000_500 },
        ];
        let clock = Clock::new(&stamps, 2_990_000_000, 1_000);
        assert!((clock.per_ns - 3.0).abs() < 1e-12);
        assert_eq!(clock.moment_ns(3_001_000), 1_000_000);
        assert_eq!(clock.moment_ns(0), 0);
    }

    #[test]
    fn a_short_or_absurd_baseline_gives_way_to_the_hint() {
        let short = [START, Stamp { tsc: 2_000, monotonic_ns: 900 }];
        assert_eq!(Clock::new(&short, 2_000_000_000, 0).per_ns, 2.0);
        let absurd = [START, Stamp { tsc: u64::MAX, monotonic_ns: 1_000_000_000 }];
        assert_eq!(Clock::new(&absurd, 2_000_000_000, 0).per_ns, 2.0);
        assert_eq!(Clock::new(&short, 0, 0).per_ns, 2.5);
        assert_eq!(Clock::new(&[], 0, 0).per_ns, 1.0);
    }
}
