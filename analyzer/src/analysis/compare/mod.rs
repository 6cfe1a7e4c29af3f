//! Two recordings side by side, each difference tested.
//!
//! What may not happen here: what `analysis` forbids, and no difference called one that the same
//! program, recorded twice, would show as well.
//!
//! ```text
//! Profile → run (per API and system call a footprint) ─┐
//!            subject (which API with which, --map) ────┴→ table (a difference per subject and measure)
//!            statistics, noise, correction ──────────────→ judge (p, interval, verdict) → rule (--fail-if)
//! ```
//!
//! **Several runs a side** are compared over runs: one number a run, so what moves from run to run is in
//! the test. Mann–Whitney, exact up to 40 runs in all, with the interval of the ratio that is its
//! inverse (Hodges–Lehmann). **One run a side** is judged against the noise that the two runs show
//! themselves ([`noise`]). p values are corrected for all tests made ([`correction`]), and a difference
//! is told if its corrected p is at most α and it is at least the least effect asked for.
//!
//! Tested are the measures that do not follow from others ([`Measure::is_derived`]): with ten times as
//! many tests each would need more runs to pass. Times are tested of APIs with a share of the wall time
//! worth talking about, chosen by the mean of both sides, which does not depend on their difference
//! (Bourgon, Gentleman & Huber 2010, "Independent filtering increases detection power").

pub mod correction;
mod judge;
mod measure;
mod noise;
mod notes;
mod rule;
mod run;
#[cfg(test)]
mod simulation;
pub mod statistics;
mod subject;
mod table;

pub use correction::Correction;
pub use judge::{Difference, Verdict};
pub use measure::{Measure, Unit};
pub use rule::{Rule, RuleHit, RuleResult};
pub use run::{ApiFootprint, Footprint, Run};
pub use subject::Map;

use serde::Serialize;

/// What is asked of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// APIs that are compared under different names.
    pub maps: Vec<Map>,
    /// Only APIs whose name on one of the sides matches one of these globs; empty = all.
    pub apis: Vec<String>,
    /// Probability of a false alarm.
    pub alpha: f64,
    /// Differences below this share are not told, 0 … 1.
    pub least_effect: f64,
    /// Times of APIs below this share of the wall time are not tested, 0 … 1.
    pub least_share: f64,
    /// How p values are corrected.
    pub correction: Correction,
    /// What must not be.
    pub rules: Vec<Rule>,
    /// Rules hold by their numbers alone.
    pub untested_rules: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            maps: Vec::new(),
            apis: Vec::new(),
            alpha: 0.05,
            least_effect: 0.01,
            least_share: 0.001,
            correction: Correction::Holm,
            rules: Vec::new(),
            untested_rules: false,
        }
    }
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// The run as a whole.
    Program,
    /// A category of system calls.
    Category {
        /// Its word.
        name: String,
    },
    /// An API.
    Api {
        /// Its name on side A.
        a: String,
        /// Its name on side B.
        b: String,
    },
    /// A system call below an API.
    Syscall {
        /// The API's name on side A.
        a: String,
        /// The API's name on side B.
        b: String,
        /// The system call's name.
        syscall: String,
    },
}

/// One subject with all its differences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What is compared.
    pub subject: Subject,
    /// Component that defines the API, on side A and B.
    pub components: (Option<String>, Option<String>),
    /// Runs of side A and of side B that have it.
    pub runs: (usize, usize),
    /// Mean of both sides: time ÷ wall time (threads' times add up, so it may exceed 1).
    pub share: f64,
    /// Of each measure that at least one side knows.
    pub differences: Vec<Difference>,
}

impl Row {
    /// The difference of `measure`.
    pub fn of(&self, measure: Measure) -> Option<&Difference> {
        self.differences.iter().find(|difference| difference.measure == measure)
    }
}

/// One side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    /// Command of its first run.
    pub command: Vec<String>,
    /// Its runs' directories.
    pub directories: Vec<String>,
}

/// What the verdicts rest on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Basis {
    /// One number a run.
    Runs {
        /// Runs of A.
        a: usize,
        /// Runs of B.
        b: usize,
    },
    /// One run a side, judged by the noise they show.
    Pair {
        /// τ of mean times (standard deviation of the logarithm from run to run).
        spread: f64,
        /// APIs it was taken from.
        apis: usize,
        /// Least difference of a mean time (b/a − 1) that could be told.
        least_told: f64,
        /// Several threads or processes: counts may differ by chance.
        concurrent: bool,
    },
}

/// The whole comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Side A: before.
    pub a: Side,
    /// Side B: after.
    pub b: Side,
    /// What the verdicts rest on.
    pub basis: Basis,
    /// Probability of a false alarm.
    pub alpha: f64,
    /// Least effect told, 0 … 1.
    pub least_effect: f64,
    /// How p values were corrected: `holm`, `benjamini-hochberg` or `none`.
    pub correction: &'static str,
    /// For how many tests.
    pub tests: usize,
    /// Differences told.
    pub told: usize,
    /// What a reader must know to read the rest rightly.
    pub notes: Vec<String>,
    /// The program first, then APIs by time, each with its system calls behind it, then categories.
    pub rows: Vec<Row>,
    /// The rules, in the order they were given.
    pub rules: Vec<RuleResult>,
}

/// Compares runs of A with runs of B; both sides have at least one.
///
/// # Errors
/// When a map or a rule matches nothing: what was asked for cannot be answered.
pub fn compare(a: &[Run], b: &[Run], options: &Options) -> Result<Comparison, String> {
    let pairs = subject::pairs(a, b, &options.maps, &options.apis)?;
    if pairs.is_empty() {
        return Err(match options.apis.is_empty() {
            true => "neither side called an API".to_owned(),
            false => format!("no API of A or B matches {}", options.apis.join(" or ")),
        });
    }
    let judge = judge::Judge::new(a, b, &pairs, options);
    let mut rows = table::rows(a, b, &pairs, &judge, options);
    let (tests, told) = judge::decide(&mut rows, options);
    let rules = rule::judge(&options.rules, &mut rows, options)?;
    let mut comparison = Comparison {
        a: side(a),
        b: side(b),
        basis: judge.basis(tests, options),
        alpha: options.alpha,
        least_effect: options.least_effect,
        correction: options.correction.word(),
        tests,
        told,
        notes: Vec::new(),
        rows,
        rules,
    };
    comparison.notes = notes::notes(a, b, &comparison);
    Ok(comparison)
}

fn side(runs: &[Run]) -> Side {
    Side {
        command: runs.first().map(|run| run.command.clone()).unwrap_or_default(),
        directories: runs.iter().map(|run| run.directory.clone()).collect(),
    }
}
