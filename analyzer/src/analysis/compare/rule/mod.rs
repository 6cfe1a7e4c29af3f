//! `--fail-if`: what must not be between A and B.
//!
//! ```text
//! RULE    = [PLACE ":"] MEASURE OP BOUND
//! PLACE   = API | API "/" SYSCALL | "@" CATEGORY      globs; API by its name on either side
//! OP      = ">" | ">=" | "<" | "<="
//! BOUND   = ("+" | "-") NUMBER "%"       B's change in per cent of A: p99>+10%, bytes<-5%
//!         | ("+" | "-") NUMBER [UNIT]    B's change itself: mean>+5ms, per-call>+0
//!         | NUMBER [UNIT | "%"]          B's own value: p99>10ms, errors>1%
//! ```
//!
//! Without a place, `wall cpu user system calls syscalls bytes errors wait` are the whole run's (`time`
//! is its wall time), all others are each API's that takes a share of the run worth testing; `*:` names
//! all APIs.
//!
//! A rule on a change holds where the bound is passed **and** the difference is significant: its p,
//! corrected (Holm) for all comparisons that rules ask for, is at most α. Counts need no test where they
//! are facts: with one run a side, or when they are the same in all runs of a side. A rule on B's own
//! value looks at its median and tests nothing. A rule that finds nothing to look at is a mistake, not
//! passed.

mod grammar;

use super::correction::{corrected, Correction, Test};
use super::judge::Difference;
use super::measure::Measure;
use super::subject::passes;
use super::{Options, Row, Subject};
use serde::Serialize;

pub use grammar::Rule;
use grammar::{Bound, Place};

/// One place a rule looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleHit {
    /// Where.
    pub subject: Subject,
    /// What.
    pub measure: Measure,
    /// Median of A.
    pub a: Option<f64>,
    /// Median of B.
    pub b: f64,
    /// What the bound is compared with: the change as a share, the change itself, or B's value;
    /// `None` = from nothing to something, beyond every bound.
    pub found: Option<f64>,
    /// The bound is passed.
    pub beyond: bool,
    /// It is a fact, not an estimate: no test is needed.
    pub fact: bool,
    /// p value corrected for all comparisons of rules.
    pub p_corrected: Option<f64>,
    /// The rule holds here.
    pub holds: bool,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleResult {
    /// As it was given.
    pub rule: String,
    /// It holds somewhere: the comparison fails.
    pub holds: bool,
    /// Places it looked at.
    pub compared: usize,
    /// Of these, places where the bound is passed but the test says nothing.
    pub unproven: usize,
    /// Of those, places where no difference, however large, could be significant with so few runs.
    pub hopeless: usize,
    /// Places where the bound is passed, largest excess first.
    pub hits: Vec<RuleHit>,
}

/// A rule's look at one difference.
struct Look<'a> {
    rule: usize,
    row: &'a Row,
    difference: &'a Difference,
    b: f64,
    found: f64,
    beyond: bool,
    fact: bool,
}

/// Judges all rules.
///
/// # Errors
/// When a rule finds nothing to look at.
pub fn judge(rules: &[Rule], rows: &[Row], options: &Options) -> Result<Vec<RuleResult>, String> {
    let mut looks = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let before = looks.len();
        looks.extend(look(at, rule, rows, options.least_share));
        if looks.len() == before && !never_called(rule, rows) {
            return Err(missed(rule, rows));
        }
    }
    let asked: Vec<usize> = (0..looks.len())
        .filter(|&at| !looks[at].fact && looks[at].difference.p.is_some())
        .collect();
    let tests: Vec<Test> = asked
        .iter()
        .map(|&at| &looks[at].difference)
        .map(|d| Test { p: d.p.unwrap_or(1.0), least_p: d.least_p })
        .collect();
    let (ps, family) = corrected(&tests, Correction::Holm, options.alpha);
    let mut p_corrected = vec![None; looks.len()];
    for (&at, p) in asked.iter().zip(ps) {
        p_corrected[at] = Some(p);
    }
    let judged = (0..rules.len()).map(|at| {
        let own = looks.iter().zip(&p_corrected).filter(|(look, _)| look.rule == at);
        result(&rules[at], own, family, options)
    });
    Ok(judged.collect())
}

fn result<'a>(
    rule: &Rule,
    looks: impl Iterator<Item = (&'a Look<'a>, &'a Option<f64>)>,
    family: usize,
    options: &Options,
) -> RuleResult {
    let mut result = RuleResult {
        rule: rule.text.clone(),
        holds: false,
        compared: 0,
        unproven: 0,
        hopeless: 0,
        hits: Vec::new(),
    };
    for (look, &p_corrected) in looks {
        result.compared += 1;
        if !look.beyond {
            continue;
        }
        let proven = look.fact || p_corrected.is_some_and(|p| p <= options.alpha);
        let holds = proven || options.untested_rules;
        result.unproven += usize::from(!proven);
        let least = options.alpha / family.max(1) as f64;
        result.hopeless += usize::from(!proven && look.difference.least_p > least);
        result.holds |= holds;
        result.hits.push(RuleHit {
            subject: look.row.subject.clone(),
            measure: look.difference.measure,
            a: look.difference.a,
            b: look.b,
            found: Some(look.found).filter(|found| found.is_finite()),
            beyond: look.beyond,
            fact: look.fact,
            p_corrected,
            holds,
        });
    }
    let size = |hit: &RuleHit| hit.found.map_or(f64::INFINITY, f64::abs);
    result.hits.sort_by(|x, y| y.holds.cmp(&x.holds).then(size(y).total_cmp(&size(x))));
    result
}

fn look<'a>(at: usize, rule: &Rule, rows: &'a [Row], least_share: f64) -> Vec<Look<'a>> {
    let measure = rule.measure();
    let mut looks = Vec::new();
    for row in rows.iter().filter(|row| is_place(rule, row, least_share)) {
        let Some(difference) = row.of(measure) else { continue };
        let Some(b) = difference.b else { continue };
        let Some(found) = found(rule, difference, b) else { continue };
        let own_value = matches!(rule.bound, Bound::Value(_));
        looks.push(Look {
            rule: at,
            row,
            difference,
            b,
            found,
            beyond: rule.op.is_beyond(found, rule.bound.number()),
            fact: own_value || is_fact(difference),
        });
    }
    looks
}

fn is_place(rule: &Rule, row: &Row, least_share: f64) -> bool {
    let one_of = |globs: &str, names: [&String; 2]| {
        let globs = [globs.to_owned()];
        names.iter().any(|name| passes(&globs, name))
    };
    match (&rule.place, &row.subject) {
        (Place::Anywhere, Subject::Program) => rule.of_program(),
        (Place::Anywhere, Subject::Api { .. }) => {
            !rule.of_program() && rule.measure() != Measure::PerCall && row.share >= least_share
        }
        (Place::Anywhere, Subject::Syscall { .. }) => rule.measure() == Measure::PerCall,
        (Place::Api(glob), Subject::Api { a, b }) => one_of(glob, [a, b]),
        (Place::Syscall(api, glob), Subject::Syscall { a, b, syscall }) => {
            one_of(api, [a, b]) && one_of(glob, [syscall, syscall])
        }
        (Place::Category(glob), Subject::Category { name }) => one_of(glob, [name, name]),
        _ => false,
    }
}

/// What the bound is compared with; `None` when A's value is needed and not known.
fn found(rule: &Rule, difference: &Difference, b: f64) -> Option<f64> {
    match rule.bound {
        Bound::Value(_) => Some(b),
        Bound::Change(_) => Some(b - difference.a?),
        Bound::Share(_) => {
            let a = difference.a?;
            Some(match difference.change() {
                Some(change) => change,
                None if a == b => 0.0,
                None if a == 0.0 => f64::INFINITY,
                None => b / a - 1.0,
            })
        }
    }
}

/// Counts that are the same in all runs of a side.
fn is_fact(difference: &Difference) -> bool {
    let steady = |runs: &[Option<f64>]| runs.windows(2).all(|pair| pair[0] == pair[1]);
    difference.exact && steady(&difference.a_runs) && steady(&difference.b_runs)
}

/// The rule names a system call that exists, below an API that was called, and nobody made it: it is
/// 0 on both sides.
fn never_called(rule: &Rule, rows: &[Row]) -> bool {
    let Place::Syscall(api, syscall) = &rule.place else { return false };
    let recorded = rows.first().is_some_and(|row| row.of(Measure::Syscalls).is_some());
    let known = perfvisor_format::syscalls().any(|info| info.name == syscall);
    let api = Rule { place: Place::Api(api.clone()), ..rule.clone() };
    recorded && known && rows.iter().any(|row| is_place(&api, row, 0.0))
}

fn missed(rule: &Rule, rows: &[Row]) -> String {
    let place = rows.iter().filter(|row| is_place(rule, row, 0.0)).count();
    let why = match (place, &rule.place) {
        (0, Place::Api(glob)) => format!("no API that was compared matches {glob}"),
        (0, Place::Syscall(api, syscall)) => {
            format!("no system call that was compared matches {api}/{syscall}")
        }
        (0, Place::Category(glob)) => format!("no category of system calls matches {glob}"),
        _ => format!("{} is not known on both sides there", rule.measure().word()),
    };
    format!("the rule {} finds nothing to compare: {why}", rule.text)
}

#[cfg(test)]
mod tests;
