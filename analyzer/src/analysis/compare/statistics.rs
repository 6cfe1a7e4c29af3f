//! Tests and intervals of two sets of values: numbers in, numbers out.
//!
//! | what | formula | source |
//! |---|---|---|
//! | Mann–Whitney, exact | share of the C(n+m, n) ways to choose n of the pooled mid-ranks whose sum lies as far from n(n+m+1)/2 as that of `a`, or farther | Mann & Whitney 1947; counted by Streitberg & Röhmel's shift algorithm (1986), which ties do not disturb |
//! | Mann–Whitney, large | z = (\|U − nm/2\| − ½) ÷ √(nm/12 · ((N+1) − Σ(t³−t)/(N(N−1)))) | Lehmann 1975, with the corrections for ties and continuity |
//! | Cliff's δ | P(b > a) − P(b < a) = 2U/(nm) − 1 | Cliff 1993 |
//! | ratio and its interval | median of all ln(b/a), and the k-th smallest and largest of them, k from the exact null distribution of U | Hodges & Lehmann 1963; Lehmann 1963 |

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::erf::erfc;

/// Values on both sides up to which the exact distribution is counted.
const EXACT_UP_TO: usize = 40;
/// Normal quantile of a two-sided 95 % interval.
pub const Z95: f64 = 1.959_963_984_540_054;

/// P(|Z| ≥ |z|) of a standard normal Z.
pub fn normal_two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2).clamp(0.0, 1.0)
}

/// P(|T| ≥ |t|) of Student's t with `freedom` > 0 degrees of freedom.
pub fn student_two_sided(t: f64, freedom: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(law) => (2.0 * law.sf(t.abs())).clamp(0.0, 1.0),
        Err(_) => 1.0,
    }
}

/// The t with P(|T| ≥ t) = `p`; infinite where there is none.
pub fn student_quantile(p: f64, freedom: f64) -> f64 {
    if p <= 0.0 {
        return f64::INFINITY;
    }
    // Bisection on our own tail: the law's inverse loses its digits far out, where we need it.
    let (mut low, mut high) = (0.0, 1.0);
    while student_two_sided(high, freedom) > p {
        high *= 2.0;
        if high > 1e12 {
            return f64::INFINITY;
        }
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if student_two_sided(middle, freedom) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The middle value; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

/// What a Mann–Whitney test says of two sets of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTest {
    /// Two-sided p value.
    pub p: f64,
    /// The least p that these values could give in another order: with few values, or many ties, it
    /// is not small.
    pub least_p: f64,
    /// Cliff's δ: P(b > a) − P(b < a), −1 … 1.
    pub delta: f64,
}

/// Mann–Whitney test of `b` against `a`; `None` when a side is empty.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<RankTest> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (n, m) = (a.len(), b.len());
    let (ranks, ties) = doubled_ranks(a, b);
    let sum: usize = ranks[..n].iter().sum();
    // Of doubled ranks: U of b counts the pairs in which b is larger, ties by half.
    let u_b = (n * m) as f64 - (sum as f64 / 2.0 - (n * (n + 1)) as f64 / 2.0);
    let delta = 2.0 * u_b / (n * m) as f64 - 1.0;
    let (p, least_p) = match n + m <= EXACT_UP_TO {
        true if ties == all_tied(n + m) => (1.0, 1.0),
        true => exact(&ranks, n, sum, ties),
        false => (normal(n as f64, m as f64, u_b, ties), 0.0),
    };
    Some(RankTest { p, least_p, delta })
}

/// Twice the mid-rank of each value, `a` before `b`, and Σ(t³−t) over ties.
fn doubled_ranks(a: &[f64], b: &[f64]) -> (Vec<usize>, f64) {
    let values: Vec<f64> = a.iter().chain(b).copied().collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&x, &y| values[x].total_cmp(&values[y]));
    let mut ranks = vec![0; values.len()];
    let mut ties = 0.0;
    let mut at = 0;
    while at < order.len() {
        let same = order[at..].iter().take_while(|&&o| values[o] == values[order[at]]).count();
        let same = same.max(1);
        for &o in &order[at..at + same] {
            // Ranks at + 1 … at + same; twice their mean.
            ranks[o] = 2 * at + same + 1;
        }
        ties += (same as f64).powi(3) - same as f64;
        at += same;
    }
    (ranks, ties)
}

/// Σ(t³−t) when all of so many values are the same.
fn all_tied(values: usize) -> f64 {
    (values as f64).powi(3) - values as f64
}

/// p and the least possible p, by counting the sums of every choice of `n` ranks.
fn exact(ranks: &[usize], n: usize, sum: usize, ties: f64) -> (f64, f64) {
    // Of twice the ranks; without ties sums are n(n+1)/2 + U.
    let (ways, first, step) = match ties > 0.0 {
        true => (choices(ranks, n), 0, 1),
        false => (ways_of_u(n, ranks.len() - n), n * (n + 1), 2),
    };
    let all: f64 = ways.iter().sum();
    let centre = (n * (ranks.len() + 1)) as f64;
    let far = |at: usize| ((first + step * at) as f64 - centre).abs();
    let share = |least: f64| {
        let counted = ways.iter().enumerate().filter(|(at, _)| far(*at) >= least - 1e-9);
        (counted.map(|(_, ways)| ways).sum::<f64>() / all).min(1.0)
    };
    let reached = ways.iter().enumerate().filter(|(_, ways)| **ways > 0.0);
    let farthest = reached.map(|(at, _)| far(at)).fold(0.0, f64::max);
    (share((sum as f64 - centre).abs()), share(farthest))
}

/// In how many ways `n` of `ranks` have each sum.
fn choices(ranks: &[usize], n: usize) -> Vec<f64> {
    let most: usize = ranks.iter().sum();
    // One row for each number of ranks taken.
    let mut ways = vec![vec![0.0; most + 1]; n + 1];
    ways[0][0] = 1.0;
    let mut reached = 0;
    for &rank in ranks {
        reached += rank;
        for taken in (1..=n).rev() {
            let (fewer, more) = ways.split_at_mut(taken);
            let (from, to) = (&fewer[taken - 1][..=reached - rank], &mut more[0][rank..=reached]);
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        }
    }
    ways.pop().unwrap_or_default()
}

/// In how many ways `n` of n + m different values have each U: the coefficients of Gauss's binomial,
/// the product of (1 − x^(m+i)) ÷ (1 − x^i) for i = 1 … n. All are whole and below 2⁵³.
fn ways_of_u(n: usize, m: usize) -> Vec<f64> {
    let mut ways = vec![0.0; n * m + 1];
    ways[0] = 1.0;
    for i in 1..=n {
        for u in (m + i..ways.len()).rev() {
            ways[u] -= ways[u - m - i];
        }
        for u in i..ways.len() {
            ways[u] += ways[u - i];
        }
    }
    ways
}

fn normal(n: f64, m: f64, u: f64, ties: f64) -> f64 {
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)).max(1.0));
    if variance <= 0.0 {
        return 1.0;
    }
    let away = ((u - n * m / 2.0).abs() - 0.5).max(0.0);
    normal_two_sided(away / variance.sqrt())
}

/// Mann–Whitney test of two histograms: (value, calls) with rising values. The calls of a side count
/// as `size_a` and `size_b` independent ones, which may be fewer than they are.
pub fn mann_whitney_of_histograms(
    a: &[(f64, u64)],
    b: &[(f64, u64)],
    size_a: f64,
    size_b: f64,
) -> Option<RankTest> {
    let total = |side: &[(f64, u64)]| side.iter().map(|(_, calls)| *calls as f64).sum::<f64>();
    let (all_a, all_b) = (total(a), total(b));
    if all_a <= 0.0 || all_b <= 0.0 || size_a < 1.0 || size_b < 1.0 {
        return None;
    }
    let (mut at_a, mut at_b) = (0, 0);
    let (mut below_a, mut u, mut ties) = (0.0, 0.0, 0.0);
    while at_a < a.len() || at_b < b.len() {
        let next = |side: &[(f64, u64)], at: usize| side.get(at).map_or(f64::INFINITY, |x| x.0);
        let value = next(a, at_a).min(next(b, at_b));
        let take = |side: &[(f64, u64)], at: &mut usize| {
            let mut calls = 0.0;
            while let Some(&(_, more)) = side.get(*at).filter(|(other, _)| *other <= value) {
                calls += more as f64;
                *at += 1;
            }
            calls
        };
        let (in_a, in_b) =
            (take(a, &mut at_a) / all_a * size_a, take(b, &mut at_b) / all_b * size_b);
        u += in_b * (below_a + in_a / 2.0);
        below_a += in_a;
        let tied = in_a + in_b;
        ties += (tied.powi(3) - tied).max(0.0);
        if in_a + in_b == 0.0 {
            // A value that is no number would never be taken.
            return None;
        }
    }
    let delta = 2.0 * u / (size_a * size_b) - 1.0;
    Some(RankTest { p: normal(size_a, size_b, u, ties), least_p: 0.0, delta })
}

/// An estimate with the interval it lies in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Best estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The interval holds with the confidence asked for; with too few values not even all of them
    /// reach it.
    pub confident: bool,
}

/// Hodges and Lehmann's shift from `a` to `b` with its interval of confidence 1 − `alpha`, which is
/// the inverse of the Mann–Whitney test; `None` when a side is empty.
pub fn shift(a: &[f64], b: &[f64], alpha: f64) -> Option<Interval> {
    let mut all: Vec<f64> = b.iter().flat_map(|y| a.iter().map(move |x| y - x)).collect();
    if all.is_empty() {
        return None;
    }
    all.sort_by(f64::total_cmp);
    let cut = cut(a.len(), b.len(), alpha);
    let at = cut.unwrap_or(1).clamp(1, all.len()) - 1;
    let value = median_of_sorted(&all);
    // Half of all differences or more cannot be cut off each end.
    let at = at.min((all.len() - 1) / 2);
    Some(Interval {
        value,
        low: all[at],
        high: all[all.len() - 1 - at],
        confident: cut.is_some() || all.first() == all.last(),
    })
}

/// The largest k with P(U ≤ k − 1) ≤ α/2; `None` when there is none.
fn cut(n: usize, m: usize, alpha: f64) -> Option<usize> {
    if n + m > EXACT_UP_TO {
        let (n, m) = (n as f64, m as f64);
        let z = student_quantile(alpha, 1e9);
        let at = (n * m / 2.0 - z * (n * m * (n + m + 1.0) / 12.0).sqrt()).floor();
        return (at >= 1.0).then_some(at as usize);
    }
    let ways = ways_of_u(n, m);
    let all: f64 = ways.iter().sum();
    let (mut below, mut k) = (0.0, 0);
    for more in ways {
        below += more / all;
        if below > alpha / 2.0 {
            break;
        }
        k += 1;
    }
    (k > 0).then_some(k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64) {
        assert!((found / wanted - 1.0).abs() < 1e-6, "{found}, expected {wanted}");
    }

    // The expected values are those of scipy 1.x: `stats.norm`, `stats.t`, `stats.mannwhitneyu`.

    #[test]
    fn tails_are_those_of_scipy() {
        near(normal_two_sided(1.96), 0.049_995_790_296_440_87);
        near(normal_two_sided(-5.0), 5.733_031_437_583_866e-7);
        near(student_two_sided(12.924, 3.0), 0.000_999_995_111);
        near(student_two_sided(2.5, 7.0), 0.040_992_218_585_752_89);
        near(student_quantile(0.001, 3.0), 12.923_978_636_687_481);
        near(student_quantile(0.05, 5.0), 2.570_581_835_636_315_5);
        assert_eq!(student_quantile(0.0, 3.0), f64::INFINITY);
    }

    #[test]
    fn exact_p_without_ties_is_that_of_scipy() {
        let (a, b) = ([19.0, 22.0, 16.0, 29.0, 24.0], [20.0, 11.0, 17.0, 12.0]);
        let test = mann_whitney(&a, &b).expect("both sides have values");
        near(test.p, 0.111_111_111_111_111_1);
        // U of a is 17 of 20 pairs.
        near(test.delta, -0.7);
        near(test.least_p, 2.0 / 126.0);
        let test = mann_whitney(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]);
        let test = test.expect("both sides have values");
        near(test.p, 0.007_936_507_936_507_936);
        assert_eq!((test.p, test.delta), (test.least_p, 1.0));
    }

    #[test]
    fn exact_p_with_ties_is_that_of_all_permutations() {
        // scipy.stats.permutation_test of the rank sum's distance from its mean.
        let (a, b) = ([1.0, 1.0, 2.0, 2.0, 3.0], [2.0, 3.0, 3.0, 4.0, 4.0, 4.0]);
        near(mann_whitney(&a, &b).expect("values").p, 0.028_138_528_138_528_14);
    }

    #[test]
    fn both_ways_of_counting_agree() {
        for (n, m) in [(1, 1), (2, 5), (7, 4), (20, 20)] {
            let ranks: Vec<usize> = (1..=n + m).collect();
            assert_eq!(choices(&ranks, n)[n * (n + 1) / 2..][..=n * m], ways_of_u(n, m));
        }
        // C(40, 20).
        assert_eq!(ways_of_u(20, 20).iter().sum::<f64>(), 137_846_528_820.0);
    }

    #[test]
    fn values_that_are_all_the_same_can_never_differ() {
        let test = mann_whitney(&[7.0; 10], &[7.0; 10]).expect("values");
        assert_eq!((test.p, test.least_p, test.delta), (1.0, 1.0, 0.0));
        assert_eq!(mann_whitney(&[], &[1.0]), None);
    }

    #[test]
    fn many_values_are_judged_as_scipy_judges_them() {
        let a: Vec<f64> = (0..30).map(|i| f64::from(i * 37 % 101)).collect();
        let b: Vec<f64> = (0..25).map(|i| f64::from((i * 53 + 11) % 97 + 12)).collect();
        near(mann_whitney(&a, &b).expect("values").p, 0.264_531_515_684_591_54);
    }

    #[test]
    fn histograms_are_judged_as_their_values_are() {
        let a = [(10.0, 5), (20.0, 30), (30.0, 15)];
        let b = [(10.0, 2), (20.0, 20), (30.0, 30), (40.0, 4)];
        let test = mann_whitney_of_histograms(&a, &b, 50.0, 56.0).expect("values");
        near(test.p, 0.000_794_361_109_576_943);
        near(test.delta, 2.0 * 1880.0 / (50.0 * 56.0) - 1.0);
        let fewer = mann_whitney_of_histograms(&a, &b, 5.0, 5.6).expect("values");
        assert!(fewer.p > 0.2 && (fewer.delta - test.delta).abs() < 1e-9, "{fewer:?}");
        assert_eq!(mann_whitney_of_histograms(&a, &[], 50.0, 0.0), None);
        assert_eq!(mann_whitney_of_histograms(&[(f64::NAN, 3)], &b, 3.0, 56.0), None);
    }

    #[test]
    fn the_shift_s_interval_excludes_0_exactly_when_the_test_rejects() {
        // R: wilcox.test(b, a, conf.int = TRUE) of 1:5 and 6:10 gives 5 within 2 and 8.
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        let found = shift(&a, &b, 0.05).expect("values");
        assert_eq!((found.value, found.low, found.high), (5.0, 2.0, 8.0));
        assert!(found.confident);
        // Three against three never reach 95 %.
        let few = shift(&a[..3], &b[..3], 0.05).expect("values");
        assert_eq!((few.low, few.high, few.confident), (3.0, 7.0, false));
        // The same on each side is known, however few they are.
        let same = shift(&[4.0; 2], &[6.0; 2], 0.05).expect("values");
        assert_eq!((same.value, same.low, same.high, same.confident), (2.0, 2.0, 2.0, true));
    }

    #[test]
    fn large_sides_have_an_interval_like_the_exact_one() {
        let a: Vec<f64> = (0..20).map(f64::from).collect();
        let b: Vec<f64> = (0..20).map(|i| f64::from(i) + 3.5).collect();
        let exact = shift(&a, &b, 0.05).expect("values");
        let (mut more_a, mut more_b) = (a.clone(), b.clone());
        more_a.push(9.5);
        more_b.push(13.0);
        let large = shift(&more_a, &more_b, 0.05).expect("values");
        assert!((exact.low - large.low).abs() < 0.6 && (exact.high - large.high).abs() < 0.6);
    }
}
