//! From the numbers of two sides to a difference with its p value, interval and verdict.

use super::correction::{corrected, Test};
use super::measure::{Measure, Unit};
use super::noise::{self, CountNoise, Spread};
use super::run::{Footprint, Run};
use super::statistics::{self, mann_whitney, mann_whitney_of_histograms, median};
use super::subject::Pair;
use super::{Basis, Options, Row};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// B has more, beyond chance and the least effect.
    More,
    /// B has less, beyond chance and the least effect.
    Less,
    /// All values are the same on both sides.
    Same,
    /// Chance may do this, or it is less than the least effect.
    NotTold,
    /// It was shown, not tested: it follows from other measures, or is too small a part of the run.
    NotTested,
    /// Only one side has it, or too little of it is known.
    Unknown,
}

/// One measure of one subject on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What was measured.
    pub measure: Measure,
    /// In which unit.
    pub unit: Unit,
    /// Counted: exact in each run.
    pub exact: bool,
    /// Median over A's runs; `None` = none of them knows it.
    pub a: Option<f64>,
    /// Median over B's runs.
    pub b: Option<f64>,
    /// A's runs, in their order.
    pub a_runs: Vec<Option<f64>>,
    /// B's runs, in their order.
    pub b_runs: Vec<Option<f64>>,
    /// b ÷ a; `None` where a value is 0 or unknown.
    pub ratio: Option<f64>,
    /// Lower end of its interval of confidence 1 − α.
    pub ratio_low: Option<f64>,
    /// Upper end.
    pub ratio_high: Option<f64>,
    /// The interval has that confidence; with very few runs none has.
    pub confident: bool,
    /// Cliff's δ: P(B's are more) − P(B's are less), over runs, or with one run a side over calls.
    pub cliffs_delta: Option<f64>,
    /// p value, not corrected.
    pub p: Option<f64>,
    /// p value corrected for all tests made; `None` where it was not one of them.
    pub p_corrected: Option<f64>,
    /// What is said of it.
    pub verdict: Verdict,
    /// Least p value possible.
    #[serde(skip)]
    pub least_p: f64,
    /// It is one of the tests that p values are corrected for.
    #[serde(skip)]
    pub in_family: bool,
}

impl Difference {
    /// b/a − 1 where both are known and a is not 0.
    pub fn change(&self) -> Option<f64> {
        self.ratio.map(|ratio| ratio - 1.0)
    }
}

impl Difference {
    /// A difference of single calls' times that the time stamps' own time may make: how much of it each
    /// run takes off was measured when the run began, and drifts with the machine.
    fn is_clock_doubt(&self) -> bool {
        let (Some(a), Some(b)) = (self.a, self.b) else { return false };
        self.measure.is_of_one_call() && (b - a).abs() < noise::CLOCK_DOUBT_NS
    }
}

/// Where values come from: per run the footprint and the calls of the API above it.
pub struct Source<'a> {
    /// A's and B's footprints, where a run has one.
    pub parts: [Vec<Option<&'a Footprint>>; 2],
    /// Values of A's and B's runs.
    pub values: [Vec<Option<f64>>; 2],
}

/// Judges differences of one comparison.
pub struct Judge {
    alpha: f64,
    /// With one run a side: how times and counts vary.
    pair: Option<PairNoise>,
    runs: (usize, usize),
}

struct PairNoise {
    spreads: BTreeMap<Measure, Spread>,
    counts: CountNoise,
}

/// Measures of times whose noise is learnt one by one.
const LEARNT: [Measure; 4] = [Measure::Mean, Measure::P50, Measure::P90, Measure::P99];

impl Judge {
    /// Learns from the runs what there is to learn.
    pub fn new(a: &[Run], b: &[Run], pairs: &[Pair], options: &Options) -> Self {
        let pair = match (a, b) {
            ([a], [b]) => Some(PairNoise::new(a, b, pairs)),
            _ => None,
        };
        Self { alpha: options.alpha, pair, runs: (a.len(), b.len()) }
    }

    /// What the verdicts rest on, with `tests` of them made.
    pub fn basis(&self, tests: usize, options: &Options) -> Basis {
        let Some(pair) = &self.pair else { return Basis::Runs { a: self.runs.0, b: self.runs.1 } };
        let spread = pair.spread(Measure::Mean);
        let alpha = match options.correction {
            super::Correction::None => self.alpha,
            _ => self.alpha / tests.max(1) as f64,
        };
        Basis::Pair {
            spread: spread.tau,
            apis: spread.apis,
            least_told: spread.least_told(alpha),
            concurrent: pair.counts.concurrent,
        }
    }

    /// The difference of `measure` that `source` shows; `None` where no side knows it.
    pub fn difference(&self, measure: Measure, unit: Unit, source: Source) -> Option<Difference> {
        let known = |side: &[Option<f64>]| side.iter().flatten().copied().collect::<Vec<f64>>();
        let (a, b) = (known(&source.values[0]), known(&source.values[1]));
        if a.is_empty() && b.is_empty() {
            return None;
        }
        let middle = |side: &[f64]| (!side.is_empty()).then(|| median(side));
        let mut difference = Difference {
            measure,
            unit,
            exact: measure.is_exact(),
            a: middle(&a),
            b: middle(&b),
            a_runs: source.values[0].clone(),
            b_runs: source.values[1].clone(),
            ratio: None,
            ratio_low: None,
            ratio_high: None,
            confident: false,
            cliffs_delta: None,
            p: None,
            p_corrected: None,
            verdict: Verdict::Unknown,
            least_p: 1.0,
            in_family: false,
        };
        if let (Some(from), Some(to)) = (difference.a, difference.b) {
            difference.ratio = (from > 0.0 && to > 0.0).then(|| to / from);
            match &self.pair {
                Some(pair) => pair.judge(&mut difference, &source, self.alpha),
                None => over_runs(&mut difference, &a, &b, self.alpha),
            }
        }
        Some(difference)
    }
}

/// Over runs: Mann–Whitney, and the interval that is its inverse.
fn over_runs(difference: &mut Difference, a: &[f64], b: &[f64], alpha: f64) {
    let Some(test) = mann_whitney(a, b) else { return };
    difference.p = Some(test.p);
    difference.least_p = test.least_p;
    difference.cliffs_delta = Some(test.delta);
    let logs = |side: &[f64]| side.iter().map(|value| value.ln()).collect::<Vec<f64>>();
    if a.iter().chain(b).all(|value| *value > 0.0) {
        if let Some(shift) = statistics::shift(&logs(a), &logs(b), alpha) {
            difference.ratio = Some(shift.value.exp());
            difference.ratio_low = Some(shift.low.exp());
            difference.ratio_high = Some(shift.high.exp());
            difference.confident = shift.confident;
        }
    }
}

impl PairNoise {
    fn new(a: &Run, b: &Run, pairs: &[Pair]) -> Self {
        let parts: Vec<(Footprint, Footprint)> = pairs
            .iter()
            .filter_map(|pair| Some((Pair::of(a, &pair.of_a)?, Pair::of(b, &pair.of_b)?)))
            .map(|(a, b)| (a.whole, b.whole))
            .collect();
        let spreads = LEARNT.into_iter().map(|measure| {
            let differences: Vec<(f64, f64)> =
                parts.iter().filter_map(|(a, b)| log_ratio(measure, a, b)).collect();
            (measure, Spread::new(&differences))
        });
        let counts: Vec<(f64, f64)> =
            parts.iter().map(|(a, b)| (a.calls as f64, b.calls as f64)).collect();
        Self { spreads: spreads.collect(), counts: CountNoise::new(a, b, &counts) }
    }

    fn spread(&self, measure: Measure) -> Spread {
        let known = self.spreads.get(&measure).or(self.spreads.get(&Measure::Mean));
        known.copied().unwrap_or_else(|| Spread::new(&[]))
    }

    fn judge(&self, difference: &mut Difference, source: &Source, alpha: f64) {
        let measure = difference.measure;
        let (Some(a), Some(b)) = (difference.a, difference.b) else { return };
        let parts = [first(&source.parts[0]), first(&source.parts[1])];
        let test = if measure.is_exact() {
            let (n_a, n_b) = (counted(measure, a, parts[0]), counted(measure, b, parts[1]));
            // Nothing on one side is taken for half a call, that the ratio be finite.
            let d = match (a > 0.0, b > 0.0) {
                (true, true) => (b / a).ln(),
                _ if a == b => 0.0,
                _ => ((n_b + 0.5) / (n_a + 0.5)).ln(),
            };
            // At the farthest all of them are on one side: 2 · ½^(n_a + n_b), the binomial law's.
            difference.least_p = 2f64.powf(1.0 - n_a - n_b).min(1.0);
            Some(self.counts.judge(d, n_a, n_b, alpha))
        } else if let [Some(part_a), Some(part_b)] = parts {
            let error = noise::within(measure, part_a).zip(noise::within(measure, part_b));
            difference.cliffs_delta = ranks(part_a, part_b).map(|test| test.delta);
            let d = difference.ratio.map(f64::ln);
            d.zip(error).map(|(d, (s_a, s_b))| {
                let mut test = self.spread(measure).judge(d, s_a.hypot(s_b), alpha);
                if measure == Measure::P50 {
                    // Both nulls must fall: that of the calls within the runs, and that between.
                    test.p = test.p.max(ranks(part_a, part_b).map_or(1.0, |ranks| ranks.p));
                }
                test
            })
        } else {
            // The run as a whole is one number a side.
            difference.ratio.map(|ratio| self.spread(measure).judge(ratio.ln(), 0.0, alpha))
        };
        let Some(test) = test else { return };
        difference.p = Some(test.p);
        if !difference.exact {
            difference.least_p = 0.0;
        }
        if difference.ratio.is_some() {
            difference.ratio_low = Some(test.log_interval.0.exp());
            difference.ratio_high = Some(test.log_interval.1.exp());
            difference.confident = true;
        }
    }
}

fn first<'a>(side: &[Option<&'a Footprint>]) -> Option<&'a Footprint> {
    side.first().copied().flatten()
}

/// How many things were counted for a value: what its chance error depends on.
fn counted(measure: Measure, value: f64, part: Option<&Footprint>) -> f64 {
    let Some(part) = part else { return value };
    let number = match measure {
        Measure::Syscalls | Measure::Bytes => part.syscalls,
        Measure::Errors => part.errors,
        _ => Some(part.calls),
    };
    number.unwrap_or(0) as f64
}

fn ranks(a: &Footprint, b: &Footprint) -> Option<statistics::RankTest> {
    mann_whitney_of_histograms(&a.times, &b.times, a.timed as f64, b.timed as f64)
}

/// ln(b/a) of a measure of times with its standard error within the runs.
fn log_ratio(measure: Measure, a: &Footprint, b: &Footprint) -> Option<(f64, f64)> {
    let error = noise::within(measure, a)?.hypot(noise::within(measure, b)?);
    let (from, to) = (measure.of_part(a, a.calls)?, measure.of_part(b, b.calls)?);
    (from > 0.0 && to > 0.0).then(|| ((to / from).ln(), error))
}

/// Corrects p values for all tests made and says of each difference what it is. Returns how many tests
/// they were corrected for and how many differences are told.
pub fn decide(rows: &mut [Row], options: &Options) -> (usize, usize) {
    let mut all: Vec<&mut Difference> =
        rows.iter_mut().flat_map(|row| &mut row.differences).collect();
    let family: Vec<usize> =
        (0..all.len()).filter(|&at| all[at].in_family && all[at].p.is_some()).collect();
    let tests: Vec<Test> = family
        .iter()
        .map(|&at| Test { p: all[at].p.unwrap_or(1.0), least_p: all[at].least_p })
        .collect();
    let (ps, count) = corrected(&tests, options.correction, options.alpha);
    for (&at, p) in family.iter().zip(ps) {
        all[at].p_corrected = Some(p);
    }
    let mut told = 0;
    for difference in all {
        difference.verdict = verdict(difference, options);
        told += usize::from(matches!(difference.verdict, Verdict::More | Verdict::Less));
    }
    (count, told)
}

fn verdict(difference: &Difference, options: &Options) -> Verdict {
    let (Some(a), Some(b)) = (difference.a, difference.b) else { return Verdict::Unknown };
    let runs = difference.a_runs.iter().chain(&difference.b_runs);
    if runs.flatten().all(|value| *value == a) {
        return Verdict::Same;
    }
    let Some(p) = difference.p_corrected else {
        return if difference.p.is_some() { Verdict::NotTested } else { Verdict::Unknown };
    };
    let effect = difference.ratio.map_or(f64::INFINITY, |ratio| ratio.ln().abs());
    let enough = effect >= options.least_effect.max(0.0).ln_1p();
    let enough = enough && !difference.is_clock_doubt();
    let more = difference.ratio.map_or(b > a, |ratio| ratio > 1.0);
    match (p <= options.alpha && enough, more) {
        (true, true) => Verdict::More,
        (true, false) => Verdict::Less,
        _ => Verdict::NotTold,
    }
}
