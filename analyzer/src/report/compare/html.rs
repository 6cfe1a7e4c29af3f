//! The comparison as one HTML page, in the frame and under the rules of the report's.

use super::text::{sentence, told};
use super::words;
use crate::analysis::compare::{Comparison, Difference, Measure, Row, Subject, Verdict};
use crate::report::html::page;
use crate::report::names::command_line;
use serde::Serialize;

/// In the order they are read: the first defines what the others use, the last runs them.
const SCRIPTS: [&str; 3] = [
    include_str!("../html/base.js"),
    include_str!("../html/compare.js"),
    include_str!("../html/start.js"),
];

/// The whole page.
pub fn html(comparison: &Comparison) -> String {
    let data = Page::new(comparison);
    let title = format!("perfvisor compare: {} → {}", data.a.command, data.b.command);
    page(&title, &data, &SCRIPTS)
}

/// Everything the page's script reads.
#[derive(Serialize)]
struct Page<'a> {
    a: Side<'a>,
    b: Side<'a>,
    told: Vec<Told>,
    notes: &'a [String],
    rules: Vec<RuleLine>,
    confidence: String,
    program: Subjects,
    apis: Vec<Subjects>,
    categories: Vec<Subjects>,
    footer: String,
}

#[derive(Serialize)]
struct Side<'a> {
    command: String,
    directories: &'a [String],
}

#[derive(Serialize)]
struct Told {
    text: String,
    verdict: Verdict,
}

#[derive(Serialize)]
struct RuleLine {
    text: String,
    holds: bool,
}

/// One subject with what is below it.
#[derive(Default, Serialize)]
struct Subjects {
    name: String,
    components: String,
    differences: Vec<Shown>,
    syscalls: Vec<Subjects>,
}

/// One difference in words; `size` is what it is sorted by.
#[derive(Serialize)]
struct Shown {
    measure: Measure,
    name: &'static str,
    a: String,
    b: String,
    change: String,
    size: Option<f64>,
    interval: String,
    delta: String,
    p: String,
    verdict: Verdict,
    said: &'static str,
}

impl<'a> Page<'a> {
    fn new(comparison: &'a Comparison) -> Self {
        let side = |side: &'a crate::analysis::compare::Side| Side {
            command: command_line(&side.command),
            directories: &side.directories,
        };
        let mut program = Subjects::default();
        let (mut apis, mut categories): (Vec<Subjects>, Vec<Subjects>) = (Vec::new(), Vec::new());
        for row in &comparison.rows {
            match &row.subject {
                Subject::Program => program = Subjects::new(row),
                Subject::Api { .. } => apis.push(Subjects::new(row)),
                Subject::Category { .. } => categories.push(Subjects::new(row)),
                // They follow their API.
                Subject::Syscall { .. } => {
                    if let Some(api) = apis.last_mut() {
                        api.syscalls.push(Subjects::new(row));
                    }
                }
            }
        }
        let rules = super::rules(comparison).into_iter();
        Self {
            a: side(&comparison.a),
            b: side(&comparison.b),
            told: told(comparison)
                .into_iter()
                .map(|(row, d)| Told { text: sentence(row, d), verdict: d.verdict })
                .collect(),
            notes: &comparison.notes,
            rules: rules
                .map(|text| RuleLine { holds: text.contains(super::rules::HOLDS), text })
                .collect(),
            confidence: words::confidence(comparison.alpha),
            program,
            apis,
            categories,
            footer: format!("Drawn by perfvisor {}.", env!("CARGO_PKG_VERSION")),
        }
    }
}

impl Subjects {
    fn new(row: &Row) -> Self {
        let components = match &row.components {
            (Some(a), Some(b)) if a != b => format!("{a} → {b}"),
            (Some(one), _) | (None, Some(one)) => one.clone(),
            (None, None) => String::new(),
        };
        let whole = row.subject == Subject::Program;
        Self {
            name: words::subject(&row.subject),
            components,
            differences: row.differences.iter().map(|d| Shown::new(d, whole)).collect(),
            syscalls: Vec::new(),
        }
    }
}

impl Shown {
    fn new(difference: &Difference, whole: bool) -> Self {
        Self {
            measure: difference.measure,
            name: words::measure(difference.measure, whole),
            a: words::value(difference.a, difference.unit),
            b: words::value(difference.b, difference.unit),
            change: words::change(Some(difference)),
            size: difference.ratio.map(f64::ln),
            interval: words::interval(difference),
            delta: words::delta(difference.cliffs_delta),
            p: words::p(difference.p_corrected),
            verdict: difference.verdict,
            said: words::verdict(difference.verdict),
        }
    }
}
