//! What became of the rules, one line each: what CI shows when it stops.

use super::words::{measure, p, percent, subject, value};
use crate::analysis::compare::{Comparison, Measure, RuleHit, RuleResult, Subject};
use crate::report::names::clean;
use crate::report::units::plural;

/// Places listed of a rule.
const PLACES: usize = 5;

/// One or more lines for each rule.
pub fn rules(comparison: &Comparison) -> Vec<String> {
    comparison.rules.iter().flat_map(|rule| lines(rule)).collect()
}

fn lines(rule: &RuleResult) -> Vec<String> {
    let mut lines = Vec::new();
    let held: Vec<&RuleHit> = rule.hits.iter().filter(|hit| hit.holds).collect();
    for hit in held.iter().take(PLACES) {
        lines.push(format!("rule {} HOLDS at {}", clean(&rule.rule), place(hit)));
    }
    if held.len() > PLACES {
        let more = plural((held.len() - PLACES) as u64, "more place");
        lines.push(format!("rule {} HOLDS at {more}", clean(&rule.rule)));
    }
    if !rule.holds {
        let compared = match rule.compared {
            0 => "called on neither side".to_owned(),
            n => format!("{} compared", plural(n as u64, "place")),
        };
        lines.push(format!("rule {} does not hold ({compared})", clean(&rule.rule)));
    }
    for hit in rule.hits.iter().filter(|hit| !hit.holds).take(PLACES) {
        lines.push(format!("  beyond its bound, but not beyond chance: {}", place(hit)));
    }
    if rule.hopeless > 0 {
        lines.push(
            "  so few runs cannot prove any difference there: record more, or judge the numbers \
             alone with --untested"
                .into(),
        );
    }
    lines
}

fn place(hit: &RuleHit) -> String {
    let whole = hit.subject == Subject::Program;
    let unit = hit.measure.unit(whole);
    let name = match hit.measure {
        Measure::Time if whole => "wall time",
        known => measure(known, whole),
    };
    let mut text = format!("{}: {name} ", clean(&subject(&hit.subject)));
    if let Some(a) = hit.a {
        text += &format!("{} → ", value(Some(a), unit));
    }
    text += &value(Some(hit.b), unit);
    let change = hit.a.filter(|a| *a > 0.0).map(|a| percent(hit.b / a - 1.0));
    let test = match (hit.fact, hit.p_corrected) {
        (true, _) => None,
        (false, known) => known.map(|known| format!("p {}", p(Some(known)))),
    };
    let known: Vec<String> = [change, test].into_iter().flatten().collect();
    if !known.is_empty() {
        text += &format!(" ({})", known.join(", "));
    }
    text
}
