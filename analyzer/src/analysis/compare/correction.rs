//! Correction of p values for the number of comparisons.
//!
//! | what | formula | source |
//! |---|---|---|
//! | Holm | sorted p(i)·(m − i), kept rising | Holm 1979 |
//! | Tarone | tests whose least possible p exceeds α/K cannot be rejected and do not count; K is the least number that is not below the tests left | Tarone 1990; with Holm: Hommel & Krummenauer 1998 |
//! | Benjamini–Hochberg | sorted p(i)·m ÷ (i + 1), kept rising from the end | Benjamini & Hochberg 1995 |

/// One test of a family: its p and the least that it could have been.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// p value.
    pub p: f64,
    /// Least possible p value.
    pub least_p: f64,
}

/// How p values are corrected for their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Correction {
    /// Holm, of the tests that can be rejected at all (Tarone): one false alarm in all with
    /// probability α.
    #[default]
    Holm,
    /// Benjamini–Hochberg: a share α of the differences found is false.
    BenjaminiHochberg,
    /// None: each difference by itself.
    None,
}

impl Correction {
    /// All corrections with the words of the command line and the JSON.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("holm", Self::Holm),
        ("benjamini-hochberg", Self::BenjaminiHochberg),
        ("none", Self::None),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }
}

/// Corrected p values, and how many tests they were corrected for.
pub fn corrected(tests: &[Test], correction: Correction, alpha: f64) -> (Vec<f64>, usize) {
    match correction {
        Correction::None => (tests.iter().map(|test| test.p).collect(), tests.len()),
        Correction::BenjaminiHochberg => (benjamini_hochberg(tests), tests.len()),
        Correction::Holm => holm(tests, alpha),
    }
}

fn by_p(tests: &[Test]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tests.len()).collect();
    order.sort_by(|&x, &y| tests[x].p.total_cmp(&tests[y].p));
    order
}

fn benjamini_hochberg(tests: &[Test]) -> Vec<f64> {
    let mut corrected = vec![1.0; tests.len()];
    let mut least: f64 = 1.0;
    for (at, &test) in by_p(tests).iter().enumerate().rev() {
        least = least.min(tests[test].p * tests.len() as f64 / (at + 1) as f64);
        corrected[test] = least;
    }
    corrected
}

fn holm(tests: &[Test], alpha: f64) -> (Vec<f64>, usize) {
    let able = |k: usize| tests.iter().filter(|test| test.least_p <= alpha / k as f64).count();
    let k = (1..=tests.len().max(1)).find(|&k| able(k) <= k).unwrap_or(tests.len());
    let family = able(k);
    let mut corrected = vec![1.0; tests.len()];
    let mut most: f64 = 0.0;
    let able = by_p(tests).into_iter().filter(|&at| tests[at].least_p <= alpha / k as f64);
    for (before, at) in able.enumerate() {
        most = most.max(tests[at].p * (family - before) as f64).min(1.0);
        corrected[at] = most;
    }
    (corrected, family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(ps: &[f64]) -> Vec<Test> {
        ps.iter().map(|&p| Test { p, least_p: 0.0 }).collect()
    }

    #[test]
    fn holm_is_as_in_r() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") gives 0.03 0.06 0.06 0.02.
        let (found, family) = corrected(&tests(&[0.01, 0.04, 0.03, 0.005]), Correction::Holm, 0.05);
        for (found, wanted) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
        }
        assert_eq!(family, 4);
    }

    #[test]
    fn benjamini_hochberg_is_as_in_scipy() {
        let tests = tests(&[0.01, 0.04, 0.03, 0.005]);
        let (found, _) = corrected(&tests, Correction::BenjaminiHochberg, 0.05);
        for (found, wanted) in found.iter().zip([0.02, 0.04, 0.04, 0.02]) {
            assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
        }
        assert_eq!(corrected(&tests, Correction::None, 0.05).0, [0.01, 0.04, 0.03, 0.005]);
    }

    #[test]
    fn tests_that_can_never_be_rejected_do_not_count() {
        // Tarone: nine tests of values that are all the same leave the tenth alone.
        let mut tests = vec![Test { p: 1.0, least_p: 1.0 }; 9];
        tests.push(Test { p: 0.02, least_p: 0.008 });
        let (found, family) = corrected(&tests, Correction::Holm, 0.05);
        assert_eq!((found[9], family), (0.02, 1));
        assert_eq!(found[0], 1.0);
        // Ten tests that can reach 0.008 at least can reach 0.05 ÷ 10 no more.
        let few = vec![Test { p: 0.008, least_p: 0.008 }; 10];
        assert!(corrected(&few, Correction::Holm, 0.05).0.iter().all(|p| *p == 1.0));
        assert_eq!(corrected(&[], Correction::Holm, 0.05), (Vec::new(), 0));
    }
}
