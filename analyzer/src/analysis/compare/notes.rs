//! What a reader must know to read a comparison rightly, in sentences.

use super::measure::Measure;
use super::run::Run;
use super::statistics::median;
use super::{Basis, Comparison, Subject};

/// Shift of all APIs together that is worth a sentence, as a ratio.
const COMMON_SHIFT: f64 = 0.03;
/// APIs that must share it.
const LEAST_APIS: usize = 8;

/// All that applies.
pub fn notes(a: &[Run], b: &[Run], comparison: &Comparison) -> Vec<String> {
    let mut notes = vec![basis(comparison)];
    notes.extend(power(comparison));
    notes.extend(order(a, b));
    notes.extend(common_shift(comparison));
    notes.extend(commands(a, b, comparison));
    notes.extend(incomplete(a, b));
    notes.extend(syscalls(comparison));
    notes
}

fn percent(share: f64) -> String {
    match share {
        s if s >= 9.995 => format!("{:.0}×", s + 1.0),
        s if s >= 0.0995 => format!("{:.0}%", s * 100.0),
        s => format!("{:.1}%", s * 100.0),
    }
}

fn basis(comparison: &Comparison) -> String {
    match comparison.basis {
        Basis::Runs { a, b } => format!(
            "Tested over runs, {a} of A and {b} of B: Mann–Whitney, the ratio's interval by \
             Hodges–Lehmann; p corrected ({}) for {} tests, α = {}.",
            comparison.correction, comparison.tests, comparison.alpha
        ),
        Basis::Pair { spread, apis, least_told, concurrent } => {
            let times = format!(
                "One run a side: time differences below {} cannot be told from the noise from run to \
                 run (standard deviation {}, by the {apis} APIs timed often enough): record more runs.",
                percent(least_told),
                percent(spread.exp_m1())
            );
            let counts = match concurrent {
                true => {
                    "Counts are exact, but threads and processes divide their work by chance: a count \
                     that differs a little may do so in the next run of the same program."
                }
                false => {
                    "Counts are exact; one thread repeats them but for what Poisson's law allows."
                }
            };
            format!(
                "{times} {counts} p corrected ({}) for {} tests, α = {}.",
                comparison.correction, comparison.tests, comparison.alpha
            )
        }
    }
}

/// Runs of a side from which the least p passes a correction for `tests`.
fn runs_needed(tests: usize, alpha: f64) -> u32 {
    let mut ways = 2.0;
    let mut runs = 1;
    // C(2n, n) = C(2n−2, n−1) · 2(2n−1) ÷ n.
    while 2.0 / ways > alpha / tests.max(1) as f64 && runs < 100 {
        runs += 1;
        let n = f64::from(runs);
        ways *= 2.0 * (2.0 * n - 1.0) / n;
    }
    runs
}

/// So few runs that no test can pass.
fn power(comparison: &Comparison) -> Option<String> {
    let Basis::Runs { .. } = comparison.basis else { return None };
    let differences = || comparison.rows.iter().flat_map(|row| &row.differences);
    let able = differences().filter(|d| d.in_family && d.least_p <= comparison.alpha).count();
    let asked = differences().filter(|d| d.in_family && d.least_p < 1.0).count();
    let corrected = |tests: usize| match comparison.correction {
        "none" => 1,
        _ => tests,
    };
    let enough = differences()
        .any(|d| d.in_family && d.least_p <= comparison.alpha / corrected(comparison.tests) as f64);
    (asked > 0 && (able == 0 || comparison.tests == 0 || !enough)).then(|| {
        format!(
            "So few runs cannot show any of {asked} differences, however large they are: record {} a \
             side, or ask for less with --api.",
            runs_needed(corrected(asked), comparison.alpha)
        )
    })
}

/// Sides recorded one after the other carry the machine's drift.
fn order(a: &[Run], b: &[Run]) -> Option<String> {
    let starts =
        |runs: &[Run]| -> Vec<u64> { runs.iter().map(|run| run.start_realtime_ns).collect() };
    let (a, b) = (starts(a), starts(b));
    if a.len() < 2 || b.len() < 2 || a.iter().chain(&b).any(|start| *start == 0) {
        return None;
    }
    let apart = a.iter().max() < b.iter().min() || b.iter().max() < a.iter().min();
    apart.then(|| {
        "All runs of one side were recorded before those of the other: a machine that became slower \
         or faster in between looks like a difference. Record A and B in turn."
            .to_owned()
    })
}

/// Most APIs moved together.
fn common_shift(comparison: &Comparison) -> Option<String> {
    let logs: Vec<f64> = comparison
        .rows
        .iter()
        .filter(|row| matches!(row.subject, Subject::Api { .. }))
        .filter_map(|row| row.of(Measure::Mean))
        .filter(|mean| mean.in_family && mean.p.is_some())
        .filter_map(|mean| mean.ratio.map(f64::ln))
        .collect();
    let shift = median(&logs).exp();
    (logs.len() >= LEAST_APIS && (shift - 1.0).abs() >= COMMON_SHIFT).then(|| {
        format!(
            "The median of the mean times of {} APIs is {:.2}× in B: either all of the program changed, \
             or the machine was {} then.",
            logs.len(),
            shift,
            if shift > 1.0 { "slower" } else { "faster" }
        )
    })
}

fn commands(a: &[Run], b: &[Run], comparison: &Comparison) -> Option<String> {
    let mixed = |runs: &[Run]| runs.windows(2).any(|pair| pair[0].command != pair[1].command);
    let side = match (mixed(a), mixed(b)) {
        (false, false) if comparison.a.command == comparison.b.command => return None,
        (false, false) => return Some("A and B ran different commands.".to_owned()),
        (true, true) => "both sides",
        (true, false) => "A",
        (false, true) => "B",
    };
    Some(format!("Runs of {side} ran different commands."))
}

fn incomplete(a: &[Run], b: &[Run]) -> Option<String> {
    let lost: Vec<&str> =
        a.iter().chain(b).filter(|run| run.incomplete).map(|run| &*run.directory).collect();
    (!lost.is_empty()).then(|| {
        format!("Records were lost or damaged, so counts are too low, in {}.", lost.join(", "))
    })
}

fn syscalls(comparison: &Comparison) -> Option<String> {
    let program = comparison.rows.first()?.of(Measure::Syscalls);
    let known =
        |runs: Option<&Vec<Option<f64>>>| runs.is_some_and(|r| r.iter().all(Option::is_some));
    let (a, b) = (known(program.map(|d| &d.a_runs)), known(program.map(|d| &d.b_runs)));
    let side = match (a, b) {
        (true, true) => return None,
        (false, false) => "the recordings hold",
        (true, false) => "B holds",
        (false, true) => "A holds",
    };
    Some(format!("System calls are not compared: {side} none in some run."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_needed_are_those_whose_least_p_passes() {
        // 2 ÷ C(8, 4) = 0.029, 2 ÷ C(14, 7) = 0.00058, 2 ÷ C(16, 8) = 0.00016.
        assert_eq!(runs_needed(1, 0.05), 4);
        assert_eq!(runs_needed(85, 0.05), 7);
        assert_eq!(runs_needed(86, 0.05), 8);
    }

    #[test]
    fn percentages_beyond_tenfold_are_factors() {
        assert_eq!(percent(0.034), "3.4%");
        assert_eq!(percent(0.44), "44%");
        assert_eq!(percent(12.0), "13×");
    }
}
