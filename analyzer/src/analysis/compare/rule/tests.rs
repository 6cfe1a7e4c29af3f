use super::*;
use crate::analysis::compare::measure::Unit;
use crate::analysis::compare::Verdict;

fn difference(measure: Measure, a: &[f64], b: &[f64], p: f64) -> Difference {
    let (from, to) = (a[a.len() / 2], b[b.len() / 2]);
    Difference {
        measure,
        unit: measure.unit(false),
        exact: measure.is_exact(),
        a: Some(from),
        b: Some(to),
        a_runs: a.iter().copied().map(Some).collect(),
        b_runs: b.iter().copied().map(Some).collect(),
        ratio: (from > 0.0 && to > 0.0).then(|| to / from),
        ratio_low: None,
        ratio_high: None,
        confident: true,
        cliffs_delta: None,
        p: Some(p),
        p_corrected: None,
        verdict: Verdict::NotTold,
        least_p: 0.0,
        in_family: true,
    }
}

fn row(subject: Subject, differences: Vec<Difference>) -> Row {
    Row { subject, components: (None, None), runs: (1, 1), share: 0.5, differences }
}

fn rows() -> Vec<Row> {
    let api = |name: &str| Subject::Api { a: name.into(), b: name.into() };
    let step = "sqlite3_step";
    let fsync = Subject::Syscall { a: step.into(), b: step.into(), syscall: "fsync".into() };
    vec![
        row(
            Subject::Program,
            vec![
                difference(Measure::Wall, &[1e9, 1.1e9], &[1.3e9, 1.4e9], 0.3),
                difference(Measure::Calls, &[100.0], &[102.0], 0.9),
                difference(Measure::Syscalls, &[10.0], &[10.0], 1.0),
            ],
        ),
        row(
            api(step),
            vec![
                difference(Measure::P99, &[10e6], &[12e6], 0.001),
                difference(Measure::Calls, &[9.0], &[9.0], 1.0),
            ],
        ),
        row(api("malloc"), vec![difference(Measure::P99, &[100.0], &[140.0], 0.2)]),
        row(fsync, vec![difference(Measure::PerCall, &[0.0], &[2.5], 0.9)]),
    ]
}

fn outcome(rules: &[&str]) -> Result<Vec<RuleResult>, String> {
    let rules: Result<Vec<Rule>, String> = rules.iter().map(|text| Rule::parse(text)).collect();
    judge(&rules?, &rows(), &Options::default())
}

fn holds(rule: &str) -> bool {
    outcome(&[rule]).expect(rule)[0].holds
}

#[test]
fn a_rule_on_times_holds_where_the_bound_is_passed_and_the_test_agrees() {
    assert!(holds("p99>+10%"));
    assert!(!holds("p99>+25%"), "20 % are not beyond 25 %");
    assert!(holds("sqlite3_*:p99>=+2ms") && !holds("sqlite3_*:p99>+2ms"));
    let found = outcome(&["malloc:p99>+10%"]).expect("a place");
    assert_eq!((found[0].holds, found[0].unproven, found[0].compared), (false, 1, 1));
    assert!(!holds("wall>+10%"), "p = 0.3");
    let options = Options { untested_rules: true, ..Options::default() };
    let rule = Rule::parse("wall>+10%").expect("a rule");
    assert!(judge(&[rule], &rows(), &options).expect("a place")[0].holds);
}

#[test]
fn counts_that_are_facts_need_no_test() {
    assert!(holds("calls>+1%") && !holds("calls>+2%"));
    assert!(!holds("sqlite3_step:calls>+0"));
    let from_nothing = outcome(&["sqlite3_step/fsync:per-call>+50%"]).expect("a place");
    assert!(from_nothing[0].holds && from_nothing[0].hits[0].found.is_none());
    assert!(holds("*/f*:per-call>+2") && !holds("*/f*:per-call>+2.5"));
    assert!(holds("per-call>+0"));
}

#[test]
fn counts_that_vary_from_run_to_run_are_tested() {
    let varying = difference(Measure::Calls, &[99.0, 101.0], &[105.0, 107.0], 0.33);
    let rows = [row(Subject::Program, vec![varying])];
    let rule = Rule::parse("calls>+1%").expect("a rule");
    let found = judge(&[rule], &rows, &Options::default()).expect("a place");
    assert_eq!((found[0].holds, found[0].unproven), (false, 1));
}

#[test]
fn rules_on_a_value_look_at_b_alone() {
    assert!(holds("sqlite3_step:p99>11ms") && !holds("sqlite3_step:p99>12ms"));
    assert!(holds("time>1s"), "the run's own time is its wall time");
    assert!(holds("sqlite3_step:calls<10"));
}

#[test]
fn p_values_are_corrected_for_all_that_rules_ask() {
    let ten: Vec<&str> = vec!["sqlite3_step:p99>+10%"; 60];
    assert!(outcome(&ten).expect("places").iter().all(|rule| !rule.holds), "60 · 0.001 > 0.05");
}

#[test]
fn a_rule_that_finds_nothing_is_a_mistake() {
    assert!(outcome(&["free:p99>+10%"]).unwrap_err().contains("no API that was compared"));
    assert!(outcome(&["malloc:mean>+10%"]).unwrap_err().contains("mean is not known"));
    assert!(outcome(&["@lock:time>+10%"]).unwrap_err().contains("category"));
    assert!(outcome(&["sqlite3_step/no_such:calls>+0"]).is_err());
    // The system call exists, the API was called, and it made none: 0 on both sides.
    let found = outcome(&["sqlite3_step/unlink:calls>+0"]).expect("a known system call");
    assert!(!found[0].holds && found[0].compared == 0);
}

#[test]
fn what_is_no_rule_is_refused_with_what_was_expected() {
    for (text, words) in [
        ("p99", "expected MEASURE"),
        ("speed>+10%", "no measure is called"),
        ("p99>", "expected a number"),
        ("p99>10%", "expected a sign"),
        ("p99>+5", "expected a number"),
        ("calls>+5ms", "expected a number"),
        ("p99>+ten%", "expected a number"),
        (":p99>+1%", "before the colon"),
        ("[a:p99>+1%", "before the colon"),
        ("malloc:wall>+1%", "not measured there"),
        ("p99>+1e3%", "expected a number"),
    ] {
        let said = Rule::parse(text).expect_err(text);
        assert!(said.contains(words), "{text}: {said}");
    }
    assert_eq!(Rule::parse("std::map::find:mean<-1%").map(|rule| rule.place), {
        Ok(Place::Api("std::map::find".into()))
    });
    assert_eq!(Measure::Errors.unit(true), Unit::Share);
    assert!(Rule::parse("errors>1%").is_ok() && Rule::parse("bytes>+64KiB").is_ok());
}
