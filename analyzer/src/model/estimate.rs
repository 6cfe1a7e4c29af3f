//! How timed calls stand for all calls: the estimators and their intervals.
//!
//! A call path is timed on some calls; each stands for `w` of them. Within one thread and site
//! the total is `count · m` with the ratio estimator `m = Σw·d / Σw`, its variance
//! `(count/Σw)² · Σ(w²−w)(d−m)²`. A site that blocks is different: calls that can block are
//! timed always (`w = 1`), the others (a free lock) are sampled or only counted. Its total is
//! what was timed plus `(count − Σw)` calls of the free path, whose mean comes from sampled
//! free calls (those with `w > 1`), else lies between 0 and the shortest call seen.
//!
//! All figures are cycles without the probe's own time.

use super::profile::Estimate;
use super::unseen::Windows;

/// Normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.96;
/// What the cells of one site in one segment sum up to, cycles.
#[derive(Clone, Copy, Debug, Default)]
pub struct SegmentSite {
    /// Exact number of calls.
    pub count: u64,
    /// Calls timed.
    pub timed: u64,
    /// Σw.
    pub represented: f64,
    /// Σw·d as recorded.
    pub raw_weighted: f64,
    /// Σd, corrected.
    pub measured: f64,
    /// Σw·d, corrected.
    pub weighted: f64,
    /// Σw·self, corrected.
    pub weighted_self: f64,
    /// Σw·wait.
    pub weighted_wait: f64,
    /// Σ(w²−w)·dᵏ for k = 0, 1, 2, as recorded.
    pub variance: [f64; 3],
    /// Shortest timed call, corrected; infinite when none.
    pub min: f64,
    /// What the corrections may be off by.
    pub systematic: f64,
    /// The probe's own time in a timed call, the largest of its cells.
    pub bias: f64,
    /// The same, summed over the timed calls.
    pub bias_timed: f64,
    /// The site blocks.
    pub blocking: bool,
    /// Long windows and visible calls; these are in the sums above with w = 1, but in `variance` not.
    pub windows: Windows,
}

impl SegmentSite {
    /// Mean of the calls that are not visible, as recorded.
    fn usual_mean(&self) -> f64 {
        (self.raw_weighted - self.windows.sum).max(0.0) / self.usual_represented().max(1.0)
    }

    /// Σw without visible calls.
    fn usual_represented(&self) -> f64 {
        (self.represented - self.windows.visible as f64).max(0.0)
    }

    /// Untimed calls per timed one.
    fn untimed(&self) -> f64 {
        self.count.saturating_sub(self.timed) as f64 / (self.timed as f64).max(1.0)
    }
}

/// The estimate for one site in one segment, cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SiteEstimate {
    /// Total time.
    pub total: f64,
    /// Its variance (cycles²), widened for few samples.
    pub variance: f64,
    /// Half width of what is not random.
    pub systematic: f64,
    /// Self time.
    pub own: f64,
    /// Time waited.
    pub wait: f64,
    /// `count ÷ Σw` by which the counts of paths are scaled.
    pub scale: f64,
    /// By which their times are.
    pub time_scale: f64,
    /// How far below the total the truth may lie because of visible calls, besides the variance.
    pub below: f64,
    /// How far above.
    pub above: f64,
    /// Calls of the free path not represented, and their mean.
    pub free_calls: f64,
    /// See `free_calls`.
    pub free_mean: f64,
    /// Every call was timed.
    pub exact: bool,
}

/// Estimates one site in one segment.
pub fn estimate(site: &SegmentSite) -> SiteEstimate {
    if site.timed == 0 || site.represented <= 0.0 {
        return SiteEstimate { scale: 1.0, time_scale: 1.0, ..SiteEstimate::default() };
    }
    let exact = site.timed == site.count;
    if exact {
        return SiteEstimate {
            total: site.weighted,
            variance: 0.0,
            systematic: site.systematic,
            own: site.weighted_self,
            wait: site.weighted_wait,
            scale: 1.0,
            time_scale: 1.0,
            exact,
            ..SiteEstimate::default()
        };
    }
    if site.blocking {
        return estimate_blocking(site);
    }
    estimate_sampled(site)
}

/// The usual calls by the ratio estimator, the visible ones once each, and what untimed calls like
/// these may have taken (`unseen`).
fn estimate_sampled(site: &SegmentSite) -> SiteEstimate {
    let [v0, v1, v2] = site.variance;
    let visible = site.windows.visible as f64;
    let represented = site.usual_represented();
    let mean = site.usual_mean();
    let scale = if represented > 0.0 { (site.count as f64 - visible) / represented } else { 1.0 };
    let variance = (v2 - 2.0 * mean * v1 + mean * mean * v0).max(0.0);
    let seen = (site.windows.sum - site.bias * visible).clamp(0.0, site.weighted);
    let hidden = site.windows.hidden(mean, site.untimed());
    let total = (site.weighted - seen) * scale + seen + hidden.value;
    let time_scale = if site.weighted > 0.0 { total / site.weighted } else { scale };
    SiteEstimate {
        total,
        variance: variance * scale * scale * small_sample(represented, v0),
        systematic: site.systematic * scale,
        own: site.weighted_self * time_scale,
        wait: site.weighted_wait * time_scale,
        scale: site.count as f64 / site.represented,
        time_scale,
        below: hidden.value - hidden.low,
        above: hidden.high - hidden.value,
        ..SiteEstimate::default()
    }
}

fn estimate_blocking(site: &SegmentSite) -> SiteEstimate {
    let [v0, v1, v2] = site.variance;
    let free_calls = site.count as f64 - site.represented;
    let (mut variance, mut systematic) = (0.0, site.systematic);
    // One sampled call adds at least 2²−2; less is damage, by which nothing should be divided.
    let free_mean = if v0 >= 1.0 {
        // Only sampled calls of the free path have w > 1, so v1/v0 is their mean.
        variance = (v2 - v1 * v1 / v0).max(0.0) * small_sample(site.represented, v0);
        (v1 / v0 - site.bias).max(0.0)
    } else {
        let most = if site.min.is_finite() { site.min } else { 0.0 };
        systematic += free_calls.max(0.0) * most / 2.0;
        most / 2.0
    };
    let free = free_calls * free_mean;
    SiteEstimate {
        total: (site.weighted + free).max(site.measured),
        variance,
        systematic,
        own: site.weighted_self + free,
        wait: site.weighted_wait,
        scale: site.count as f64 / site.represented,
        time_scale: 1.0,
        below: 0.0,
        above: site.windows.hidden(site.usual_mean(), site.untimed()).high,
        free_calls: free_calls.max(0.0),
        free_mean,
        exact: false,
    }
}

/// (t ÷ z)² for Kish's effective number of samples: a few samples know their spread badly.
fn small_sample(represented: f64, v0: f64) -> f64 {
    let effective = represented * represented / (v0 + represented).max(1.0);
    let freedom = (effective - 1.0).max(1.0);
    let t = Z95 + 2.37 / freedom + 2.8 / (freedom * freedom) + 5.0 / freedom.powi(5);
    (t / Z95).powi(2)
}

/// A sum of independent estimates, ns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EstimateSum {
    /// Σ total.
    pub total_ns: f64,
    /// Σ variance, ns².
    pub variance_ns2: f64,
    /// Σ systematic half widths.
    pub systematic_ns: f64,
    /// Time that was measured and cannot be less.
    pub measured_ns: f64,
    /// Time that untimed calls may hide beyond the total.
    pub unseen_ns: f64,
    /// Time of untimed calls in the total that they may not have taken.
    pub supposed_ns: f64,
    /// All parts are exact.
    pub exact: bool,
}

impl Default for EstimateSum {
    fn default() -> Self {
        Self {
            total_ns: 0.0,
            variance_ns2: 0.0,
            systematic_ns: 0.0,
            measured_ns: 0.0,
            unseen_ns: 0.0,
            supposed_ns: 0.0,
            exact: true,
        }
    }
}

impl EstimateSum {
    /// Adds an independent sum.
    pub fn add(&mut self, other: &Self) {
        self.total_ns += other.total_ns;
        self.variance_ns2 += other.variance_ns2;
        self.systematic_ns += other.systematic_ns;
        self.measured_ns += other.measured_ns;
        self.unseen_ns += other.unseen_ns;
        self.supposed_ns += other.supposed_ns;
        self.exact &= other.exact;
    }

    /// The estimate with its interval.
    pub fn estimate(&self) -> Estimate {
        let value_ns = self.total_ns.max(0.0);
        let half = Z95 * self.variance_ns2.max(0.0).sqrt() + self.systematic_ns.max(0.0);
        let least = (self.measured_ns - self.systematic_ns).clamp(0.0, value_ns);
        Estimate {
            value_ns,
            low_ns: (value_ns - half - self.supposed_ns.max(0.0)).max(least),
            high_ns: value_ns + half + self.unseen_ns.max(0.0),
            exact: self.exact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(count: u64, calls: &[(f64, f64)], blocking: bool) -> SegmentSite {
        let mut site = SegmentSite { count, blocking, min: f64::INFINITY, ..Default::default() };
        for &(w, d) in calls {
            site.timed += 1;
            site.represented += w;
            site.raw_weighted += w * d;
            site.weighted += w * d;
            site.weighted_self += w * d;
            site.measured += d;
            site.min = site.min.min(d);
            let factor = w * w - w;
            site.variance[0] += factor;
            site.variance[1] += factor * d;
            site.variance[2] += factor * d * d;
        }
        site
    }

    #[test]
    fn all_timed_is_exact() {
        let e = estimate(&sampled(3, &[(1.0, 10.0), (1.0, 20.0), (1.0, 30.0)], false));
        assert!(e.exact);
        assert_eq!((e.total, e.variance), (60.0, 0.0));
    }

    #[test]
    fn a_weight_too_small_to_be_one_divides_nothing() {
        let mut site = sampled(100, &[(2.0, 50.0), (1.0, 10.0)], true);
        site.variance = [f64::MIN_POSITIVE, 1e70, 1e71];
        let e = estimate(&site);
        assert!(e.total.is_finite() && e.variance.is_finite(), "{e:?}");
    }

    #[test]
    fn a_steady_sample_has_no_spread_and_scales_to_the_exact_count() {
        let e = estimate(&sampled(1_000, &[(100.0, 7.0); 9], false));
        assert!(!e.exact);
        assert!((e.total - 7_000.0).abs() < 1e-9);
        assert!(e.variance.abs() < 1e-6);
    }

    #[test]
    fn the_interval_holds_the_truth_95_times_of_100() {
        // A bimodal site: 1 call in 50 takes 100 times as long. Sampled by a seeded generator.
        let mut state = 0x1234_5678_9abc_def1u64;
        let mut next = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        let mut hits = 0;
        for _ in 0..200 {
            let (mut truth, mut calls, mut until) = (0.0, Vec::new(), 1u64);
            for _ in 0..100_000u64 {
                let d = if next() % 50 == 0 { 1_000.0 } else { 10.0 };
                truth += d;
                until -= 1;
                if until == 0 {
                    calls.push((32.0, d));
                    until = 1 + next() % 63;
                }
            }
            let e = estimate(&sampled(100_000, &calls, false));
            let half = Z95 * e.variance.sqrt();
            hits += u32::from((e.total - truth).abs() <= half);
        }
        assert!(hits >= 186, "{hits} of 200");
    }

    #[test]
    fn a_lost_time_slice_counts_once() {
        // 1000 sampled calls of 10 cycles for 100 each; one of them lost 30 M cycles.
        let mut site = sampled(100_000, &[(100.0, 10.0); 999], false);
        site.timed += 1;
        site.represented += 1.0;
        site.raw_weighted += 30e6;
        site.weighted += 30e6;
        site.windows.visible = 1;
        site.windows.weight = 100.0;
        site.windows.sum = 30e6;
        site.windows.weighted = 3e9;
        let e = estimate(&site);
        assert!((e.total - (1e6 + 30e6)).abs() < 100.0, "{e:?}");
        // With windows that show 5 M more, the truth may lie that much higher.
        site.windows.excess = 5e6;
        site.windows.long = 3.0;
        let e = estimate(&site);
        assert!((e.total + e.above - 36e6).abs() < 100.0, "{e:?}");
        assert!((e.total - e.below - 31e6).abs() < 100.0, "{e:?}");
    }

    #[test]
    fn a_million_free_locks_are_not_charged_like_ten_contended_ones() {
        let contended = [(1.0, 50_000.0); 10];
        let e = estimate(&sampled(1_000_010, &contended, true));
        assert!(e.total >= 500_000.0 && !e.exact);
        // Without samples of the free path the interval reaches down to no time at all.
        assert!(e.total - e.systematic <= 500_000.0 + 1e-6);

        let mut both = contended.to_vec();
        both.extend(vec![(1_000.0, 40.0); 1_000]);
        let e = estimate(&sampled(1_000_010, &both, true));
        assert!((e.total - 40_500_000.0).abs() < 1.0, "{}", e.total);
        assert!(e.variance.sqrt() < 1.0);
    }

    #[test]
    fn few_samples_widen_the_interval() {
        assert!(small_sample(200.0, 200.0 * 99.0) > 20.0);
        assert!(small_sample(200_000.0, 200_000.0 * 99.0) < 1.01);
    }

    #[test]
    fn unseen_time_widens_only_upwards() {
        let sum = EstimateSum {
            total_ns: 100.0,
            variance_ns2: 4.0,
            measured_ns: 50.0,
            unseen_ns: 1_000.0,
            exact: false,
            ..EstimateSum::default()
        };
        let e = sum.estimate();
        assert!((e.low_ns - 96.08).abs() < 1e-9 && (e.high_ns - 1_103.92).abs() < 1e-9);
    }
}
