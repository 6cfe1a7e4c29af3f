//! What one run a side can tell: the noise from run to run, as far as the two runs themselves show it.
//!
//! Within a run a mean of many calls is known well; from run to run of the same program it moves far
//! more: memory lies elsewhere, the clock's rate and the neighbours differ. Forty runs of `sqlite3`,
//! `xz`, `sort` and `python3` (Xeon 2.8 GHz, virtual, 2 cores) had standard deviations of the logarithm
//! of an API's mean time from 0.03 to 0.8 where every call was timed. A test of the calls alone takes
//! any of this for a difference. So, as Efron (2004, "Large-scale simultaneous hypothesis testing: the
//! choice of a null hypothesis") does with many tests at once, the null distribution is taken from
//! the data: most APIs of the two runs did not change.
//!
//! With dᵢ = ln(bᵢ/aᵢ) of API i and sᵢ its standard error within the runs,
//!
//! - δ = median of dᵢ;
//! - τ₀ solves median(|dᵢ − δ| ÷ √(τ₀² + sᵢ²)) = 0.6745 (the median of |Z|), 0 if even τ₀ = 0 is too much;
//! - few APIs know it badly: τ² = (m·τ₀² + 5·σ²) ÷ (m + 5) with σ = 0.2, and never less than 0.05²;
//! - z = min(|d|, |d − δ|) ÷ √(τ² + s²), judged by Student's t with four degrees of freedom, because
//!   the scale differs from API to API and a mixture of scales has heavy tails.
//!
//! Calls that mostly wait or are system calls depend on disks and other processes: `fdatasync` took from
//! 0.2 to 4 ms. They have δ and τ of their own, with σ = 0.6; so has the wall time, which holds them.
//!
//! The constants were chosen on 40 runs each of the four programs above. Counted on recordings made
//! afterwards, in pairs that share no run: 1 of 80 pairs of the same four and 0 of 160 of eight others told
//! a difference. (`grep`, one of the eight, showed that bytes must not count as so many independent things,
//! and is counted as it is since.) The module `simulation` has the rates on made-up recordings.
//!
//! A factor that all APIs share is thus never called a difference: the machine may have been slower.
//!
//! **Standard errors within a run**, all with n the number of timed calls: of a mean
//! √((v² ÷ n) + (h ÷ 1.96·total)²), v the calls' variation and h the half width of what untimed calls
//! leave open; of the q-quantile a quarter of the logarithm of the ratio of the quantiles at
//! q ± 2·√(q(1−q) ÷ n) (Woodruff 1952). To both a clock's doubt of 15 ns is added, half the time two
//! time stamps take; times below it, and percentiles with fewer than ten timed calls beyond, are not judged.
//!
//! **Counts** are exact, but what is counted may depend on time. A run of one thread repeats itself but
//! for little (hash seeds, addresses, the process id's digits), taken as Poisson's law at most:
//! z = ln(b/a) ÷ √(φ/a + φ/b), φ ≥ 1 the median over all APIs of (b−a)² ÷ (a+b), over the median of χ²₁ (0.4549).
//! Bytes and errors are taken for as exact as the number of system calls they come from.
//! Several threads or processes also divide their work by chance: 0.1² is added under the root. `sort`
//! calls `rawmemchr` 1,936 times ± 18 %.

use super::measure::Measure;
use super::run::{Footprint, Run};
use super::statistics::{median, student_quantile, student_two_sided};

/// Degrees of freedom of the null distribution: its tails.
const FREEDOM: f64 = 4.0;
/// Spread that is supposed before anything is seen: of calls that compute, and of those that wait or
/// are system calls.
const SUPPOSED: [f64; 2] = [0.2, 0.6];
/// For how many APIs it counts.
const SUPPOSED_APIS: f64 = 5.0;
/// Least spread from run to run.
const LEAST_SPREAD: f64 = 0.05;
/// Median of |Z|, and of Z².
const MEDIAN_OF_NORMAL: f64 = 0.674_5;
const MEDIAN_OF_CHI2: f64 = 0.454_9;
/// What a time of one call may be off by, ns.
pub const CLOCK_DOUBT_NS: f64 = 15.0;
/// Spread of counts where threads divide the work.
const SPREAD_OF_COUNTS: f64 = 0.1;
/// Timed calls beyond a percentile that it needs: with fewer it is the luck of single calls.
const LEAST_BEYOND: f64 = 10.0;
/// Timed calls a side needs before its times are judged.
pub const LEAST_TIMED: u64 = 20;

/// The null distribution of one measure of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// δ: what all APIs share, as a logarithm.
    pub shift: f64,
    /// τ, as a logarithm.
    pub tau: f64,
    /// APIs it was taken from.
    pub apis: usize,
}

/// What a pair of runs says of one difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairTest {
    /// Two-sided p value.
    pub p: f64,
    /// ln of the lower and the upper end of the ratio's interval.
    pub log_interval: (f64, f64),
}

impl Spread {
    /// The null distribution of `differences`: (ln(b/a), its standard error within the runs), all of
    /// calls that depend on others or all of calls that do not.
    pub fn new(differences: &[(f64, f64)], on_others: bool) -> Self {
        let logs: Vec<f64> = differences.iter().map(|(d, _)| *d).collect();
        let shift = median(&logs);
        let typical = |tau: f64| {
            let scaled: Vec<f64> = differences
                .iter()
                .map(|(d, s)| (d - shift).abs() / tau.hypot(*s).max(1e-12))
                .collect();
            median(&scaled)
        };
        let (mut low, mut high) = (0.0, 10.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if typical(middle) > MEDIAN_OF_NORMAL {
                low = middle;
            } else {
                high = middle;
            }
        }
        let apis = differences.len();
        let m = apis as f64;
        let supposed = SUPPOSED[usize::from(on_others)].powi(2) * SUPPOSED_APIS;
        let square = (m * high * high + supposed) / (m + SUPPOSED_APIS);
        Self { shift, tau: square.sqrt().max(LEAST_SPREAD), apis }
    }

    /// Judges the difference `d` with the standard error `s` within the runs.
    pub fn judge(&self, d: f64, s: f64, alpha: f64) -> PairTest {
        let all = self.tau.hypot(s);
        let reach = student_quantile(alpha, FREEDOM) * all;
        PairTest {
            p: student_two_sided(d.abs().min((d - self.shift).abs()) / all, FREEDOM),
            log_interval: (d - reach, d + reach),
        }
    }

    /// The least difference (b/a − 1) that would be told at `alpha` if it were known exactly within
    /// the runs.
    pub fn least_told(&self, alpha: f64) -> f64 {
        (student_quantile(alpha, FREEDOM) * self.tau + self.shift.abs()).exp_m1()
    }
}

/// Whether the time of these calls is in the hands of disks, the kernel and other processes.
pub fn depends_on_others(part: &Footprint) -> bool {
    let syscalls = part.syscalls.unwrap_or(0);
    part.wait_ns > part.total_ns / 2.0 || syscalls.saturating_mul(2) >= part.calls.max(1)
}

/// Standard error of ln of `measure` within the run that `part` is of; `None` where too few calls were
/// timed to judge by.
pub fn within(measure: Measure, part: &Footprint) -> Option<f64> {
    if part.timed < LEAST_TIMED {
        return None;
    }
    let n = part.timed as f64;
    let (value, error) = match measure.quantile() {
        Some(q) if n * (1.0 - q) < LEAST_BEYOND => return None,
        Some(q) => {
            let half = 2.0 * (q * (1.0 - q) / n).sqrt();
            let (low, high) = (part.quantile((q - half).max(0.0))?, part.quantile(q + half)?);
            (part.quantile(q)?, (high.max(1.0) / low.max(1.0)).ln() / 4.0)
        }
        None => {
            let open = part.unsure_ns / part.total_ns.max(1.0) / super::statistics::Z95;
            (part.mean_ns()?, (part.variation()? / n.sqrt()).hypot(open))
        }
    };
    // Below the doubt nothing is known, be it 3 ns or 12.
    (value >= CLOCK_DOUBT_NS).then(|| error.hypot(CLOCK_DOUBT_NS / value))
}

/// How counts vary from run to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountNoise {
    /// φ.
    pub overdispersion: f64,
    /// A run had several threads or processes.
    pub concurrent: bool,
}

impl CountNoise {
    /// Of a pair of runs with these counts of all APIs.
    pub fn new(a: &Run, b: &Run, counts: &[(f64, f64)]) -> Self {
        let scaled: Vec<f64> =
            counts.iter().map(|(a, b)| (b - a).powi(2) / (a + b).max(1.0)).collect();
        Self {
            overdispersion: (median(&scaled) / MEDIAN_OF_CHI2).max(1.0),
            concurrent: a.threads > 1 || b.threads > 1,
        }
    }

    /// Judges the ratio b/a of which `n_a` and `n_b` things were counted; `d` is its logarithm.
    pub fn judge(&self, d: f64, n_a: f64, n_b: f64, alpha: f64) -> PairTest {
        let chance = if self.concurrent { SPREAD_OF_COUNTS } else { 0.0 };
        let counted = self.overdispersion * (1.0 / n_a.max(0.5) + 1.0 / n_b.max(0.5));
        let all = counted.sqrt().hypot(chance);
        let (p, reach) = match self.concurrent {
            true => (student_two_sided(d / all, FREEDOM), student_quantile(alpha, FREEDOM)),
            false => (super::statistics::normal_two_sided(d / all), student_quantile(alpha, 1e9)),
        };
        PairTest { p, log_interval: (d - reach * all, d + reach * all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_most_apis_and_outliers_do_not_move_it() {
        // Quantiles of a normal law with a deviation of 0.2 around 0.1, and three changed APIs.
        let normal = [-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64];
        let mut all: Vec<(f64, f64)> = (0..50).map(|i| (0.1 + 0.2 * normal[i % 10], 0.0)).collect();
        let spread = Spread::new(&all, false);
        assert!((spread.shift - 0.1).abs() < 0.03, "{spread:?}");
        assert!((spread.tau - 0.2).abs() < 0.03, "{spread:?}");
        all.extend([(3.0, 0.0), (2.5, 0.0), (4.0, 0.0)]);
        let with = Spread::new(&all, false);
        assert!((with.tau - spread.tau).abs() < 0.05, "{with:?}");
        assert!(with.judge(4.0, 0.0, 0.05).p < 0.001);
        assert!(with.judge(0.3, 0.0, 0.05).p > 0.2);
    }

    #[test]
    fn what_all_apis_share_is_no_difference() {
        let all = vec![(0.7, 0.01); 40];
        let spread = Spread::new(&all, false);
        assert_eq!(spread.judge(0.7, 0.01, 0.05).p, 1.0);
        assert!(spread.judge(0.0, 0.01, 0.05).p > 0.99, "nor is what did not move with them");
        assert!(spread.least_told(0.05) > 1.0);
    }

    #[test]
    fn without_apis_to_learn_from_the_spread_is_the_supposed_one() {
        let spread = Spread::new(&[], false);
        assert!((spread.tau - 0.2).abs() < 1e-12 && (spread.shift, spread.apis) == (0.0, 0));
        assert!((Spread::new(&[], true).tau - 0.6).abs() < 1e-12);
    }

    #[test]
    fn few_calls_or_none_are_not_judged() {
        let steady = |timed: u64, ns: f64| Footprint {
            calls: timed,
            timed,
            known: timed as f64,
            total_ns: ns * timed as f64,
            times: vec![(ns * 0.9, timed / 2), (ns * 1.1, timed - timed / 2)],
            ..Footprint::default()
        };
        assert_eq!(within(Measure::Mean, &steady(19, 1e6)), None);
        let many = within(Measure::Mean, &steady(10_000, 1e6)).expect("enough");
        assert!((many - 0.001).abs() < 1e-4, "{many}");
        // A call of 20 ns is not known to 15 ns, and one of 10 ns not at all.
        assert!(within(Measure::Mean, &steady(10_000, 20.0)).expect("enough") > 0.7);
        assert_eq!(within(Measure::Mean, &steady(10_000, 10.0)), None);
        let tail = within(Measure::P99, &steady(10_000, 1e6)).expect("enough");
        assert!(tail < 0.01, "{tail}");
    }

    #[test]
    fn counts_of_one_thread_are_judged_more_strictly_than_those_of_many() {
        let one = Run { threads: 1, ..Run::default() };
        let many = Run { threads: 3, ..Run::default() };
        let same = vec![(100.0, 100.0); 10];
        let quiet = CountNoise::new(&one, &one, &same);
        assert_eq!(quiet.overdispersion, 1.0);
        let d = 1.1f64.ln();
        assert!(quiet.judge(d, 10_000.0, 11_000.0, 0.05).p < 1e-9);
        assert!(quiet.judge(d, 50.0, 55.0, 0.05).p > 0.5);
        assert!(CountNoise::new(&one, &many, &same).judge(d, 10_000.0, 11_000.0, 0.05).p > 0.3);
        let wild = CountNoise::new(&one, &one, &[(100.0, 140.0); 10]);
        assert!(wild.overdispersion > 14.0, "{wild:?}");
    }
}
