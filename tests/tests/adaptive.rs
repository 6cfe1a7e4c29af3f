//! Totals of adaptive timing: the true total lies in the printed 95 % interval as often as it says.

use e2e::{run, Perfvisor, Recording, Report};
use serde_json::Value;

/// Runs per shape; the interval may miss five of them.
const RUNS: usize = 100;
/// Runs that must be right.
const RIGHT: usize = 95;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// The row of `work` in the main group.
fn work_row(report: &Report) -> &Value {
    let (group, _) = report.group("main");
    report.api_row(group, "work").expect("a row of work")
}

/// One run: `Ok` when the truth lies in the interval, else what was off.
fn one_run(arguments: &[&str]) -> Result<(), String> {
    // The recording is made quietly and read by the same command a user would type.
    let (mut command, scratch) = Perfvisor::testapp("totals").args(arguments).command();
    let outcome = run(&mut command);
    assert!(outcome.status.success(), "{outcome:?}");
    let recording = Recording::from_parts(outcome, scratch);
    let report = recording.report();
    let truth = recording.truth.get("total_ns", "work") as f64;
    let total = &work_row(&report)["total"];
    let (low, high) = (number(&total["low_ns"]), number(&total["high_ns"]));
    if (low..=high).contains(&truth) {
        Ok(())
    } else {
        Err(format!("{truth} not in {low}..{high}"))
    }
}

fn covered(arguments: &[&str]) {
    let misses: Vec<String> = (0..RUNS).filter_map(|_| one_run(arguments).err()).collect();
    assert!(RUNS - misses.len() >= RIGHT, "{arguments:?}: {} misses: {misses:#?}", misses.len());
}

#[test]
fn the_total_of_steady_calls_is_covered() {
    covered(&["steady", "40000"]);
}

#[test]
fn the_total_of_bimodal_calls_is_covered() {
    covered(&["bimodal", "30000"]);
}

#[test]
fn the_total_of_drifting_calls_is_covered() {
    covered(&["drifting", "30000"]);
}

#[test]
fn the_total_with_a_rare_slow_call_is_covered() {
    covered(&["rare", "300000"]);
}

#[test]
fn a_slow_call_among_a_million_is_found_or_owned_up_to() {
    let recording = Perfvisor::testapp("totals").args(&["rare"]).record();
    let report = recording.report();
    let row = work_row(&report);
    let found = report.table("slow_calls").iter().any(|call| {
        let site = report.row("sites", &call["site"]).expect("site of a slow call");
        report.symbol(&site["api"]) == "work" && number(&call["duration_ns"]) >= 9e6
    });
    let share = number(&row["timed_share"]);
    let unseen = number(&row["unseen_max_ns"]);
    assert!(found || (share < 1.0 && unseen >= 9e6), "neither found nor owned up to: {row}");
    // A person reads the text, not the JSON.
    let text = recording.report_text(&[]).ok().stdout;
    assert!(found || text.contains("timed"), "the report does not say what share was timed");
}

#[test]
fn adaptive_timing_leaves_cheap_calls_mostly_untimed() {
    let report = Perfvisor::testapp("micro").args(&["3000000"]).record().report();
    let (group, _) = report.group("main");
    let row = report.api_row(group, "leaf").expect("a row of leaf");
    assert_eq!(row["count"].as_u64(), Some(3_000_000));
    assert!(number(&row["timed_share"]) < 0.05, "{}", row["timed_share"]);
    assert_eq!(row["total"]["exact"], false);
}

#[test]
fn exact_timing_times_every_call() {
    let recording = Perfvisor::testapp("micro").args(&["300000"]).flags(&["--exact"]).record();
    let report = recording.report();
    let (group, _) = report.group("main");
    let row = report.api_row(group, "leaf").expect("a row of leaf");
    assert_eq!(row["count"].as_u64(), Some(300_000));
    assert_eq!(row["timed"].as_u64(), Some(300_000));
    assert_eq!(row["total"]["exact"], true);
}
