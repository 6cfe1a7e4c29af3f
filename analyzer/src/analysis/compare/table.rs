//! The rows of a comparison: every subject with the numbers of all runs.

use super::judge::{Judge, Source};
use super::measure::Measure;
use super::noise::CLOCK_DOUBT_NS;
use super::run::{ApiFootprint, Footprint, Run};
use super::subject::Pair;
use super::{Options, Row, Subject};
use std::collections::BTreeSet;

/// One side's runs of one API.
struct Runs<'a> {
    parts: Vec<Option<ApiFootprint>>,
    of: &'a [Run],
}

/// All rows: the program, APIs by time with their system calls, categories.
pub fn rows(a: &[Run], b: &[Run], pairs: &[Pair], judge: &Judge, options: &Options) -> Vec<Row> {
    let mut rows = vec![program(a, b, judge)];
    let mut apis: Vec<Vec<Row>> = pairs
        .iter()
        .map(|pair| {
            let side = |runs, names: &[String]| Runs { parts: parts(runs, names), of: runs };
            api(pair, &side(a, &pair.of_a), &side(b, &pair.of_b), judge, options)
        })
        .collect();
    apis.sort_by(|x, y| weight(y).total_cmp(&weight(x)));
    rows.extend(apis.into_iter().flatten());
    if options.apis.is_empty() {
        rows.extend(categories(a, b, judge, options));
    }
    rows
}

/// What API rows are sorted by.
fn weight(rows: &[Row]) -> f64 {
    rows.first().map_or(0.0, |row| row.share)
}

fn parts(runs: &[Run], names: &[String]) -> Vec<Option<ApiFootprint>> {
    runs.iter().map(|run| Pair::of(run, names)).collect()
}

fn program(a: &[Run], b: &[Run], judge: &Judge) -> Row {
    let values = |runs: &[Run], measure: Measure| {
        runs.iter().map(|run| measure.of_run(run)).collect::<Vec<_>>()
    };
    let mut differences = Vec::new();
    for measure in Measure::OF_PROGRAM {
        // Bytes are as exact as the number of calls that moved them; its times are one number a run.
        let parts = |runs: &'_ [Run]| -> Vec<Option<Footprint>> {
            runs.iter().map(|run| measure.is_exact().then(|| run.program.clone())).collect()
        };
        let (in_a, in_b) = (parts(a), parts(b));
        let source = Source {
            parts: [
                in_a.iter().map(Option::as_ref).collect(),
                in_b.iter().map(Option::as_ref).collect(),
            ],
            values: [values(a, measure), values(b, measure)],
        };
        if let Some(mut difference) = judge.difference(measure, measure.unit(true), source) {
            difference.in_family = !measure.is_derived();
            differences.push(difference);
        }
    }
    Row {
        subject: Subject::Program,
        components: (None, None),
        runs: (a.len(), b.len()),
        share: 1.0,
        differences,
    }
}

fn api(pair: &Pair, a: &Runs, b: &Runs, judge: &Judge, options: &Options) -> Vec<Row> {
    let component =
        |runs: &Runs, name: &str| runs.of.iter().find_map(|run| run.components.get(name)).cloned();
    let whole = |runs: &Runs| -> Vec<Option<Footprint>> {
        runs.parts.iter().map(|part| part.as_ref().map(|part| part.whole.clone())).collect()
    };
    let subject = Subject::Api { a: pair.a.clone(), b: pair.b.clone() };
    let (in_a, in_b) = (whole(a), whole(b));
    let sides = Sides { a: &in_a, b: &in_b, above_a: a, above_b: b };
    let mut first = row(subject, &Measure::OF_API, &sides, judge, options);
    first.components = (component(a, &pair.of_a[0]), component(b, &pair.of_b[0]));
    let mut rows = vec![first];
    let names: BTreeSet<&String> = [a, b]
        .into_iter()
        .flat_map(|runs| runs.parts.iter().flatten())
        .flat_map(|part| part.syscalls.keys())
        .collect();
    for name in names {
        let below = |runs: &Runs| -> Vec<Option<Footprint>> {
            let part = |part: &ApiFootprint| part.syscalls.get(name).cloned().unwrap_or_default();
            runs.parts.iter().map(|runs| runs.as_ref().map(part)).collect()
        };
        let subject =
            Subject::Syscall { a: pair.a.clone(), b: pair.b.clone(), syscall: name.clone() };
        let (in_a, in_b) = (below(a), below(b));
        let sides = Sides { a: &in_a, b: &in_b, above_a: a, above_b: b };
        rows.push(row(subject, &Measure::OF_SYSCALL, &sides, judge, options));
    }
    rows[1..].sort_by(|x, y| y.share.total_cmp(&x.share));
    rows
}

/// The parts of both sides and the APIs they are below.
struct Sides<'a> {
    a: &'a [Option<Footprint>],
    b: &'a [Option<Footprint>],
    above_a: &'a Runs<'a>,
    above_b: &'a Runs<'a>,
}

fn row(
    subject: Subject,
    measures: &[Measure],
    sides: &Sides,
    judge: &Judge,
    options: &Options,
) -> Row {
    let share = share(sides);
    let has = |parts: &[Option<Footprint>]| parts.iter().flatten().filter(|p| p.calls > 0).count();
    let runs = (has(sides.a), has(sides.b));
    let mut differences = Vec::new();
    for &measure in measures {
        let values = |parts: &[Option<Footprint>], above: &Runs| -> Vec<Option<f64>> {
            let one = |(part, above): (&Option<Footprint>, &Option<ApiFootprint>)| match part {
                Some(part) => {
                    measure.of_part(part, above.as_ref().map_or(0, |above| above.whole.calls))
                }
                // A run that never called it called it no time.
                None => (measure == Measure::Calls).then_some(0.0),
            };
            parts.iter().zip(&above.parts).map(one).collect()
        };
        let source = Source {
            parts: [
                sides.a.iter().map(Option::as_ref).collect(),
                sides.b.iter().map(Option::as_ref).collect(),
            ],
            values: [values(sides.a, sides.above_a), values(sides.b, sides.above_b)],
        };
        if let Some(mut difference) = judge.difference(measure, measure.unit(false), source) {
            let typical = difference.a.unwrap_or(0.0) + difference.b.unwrap_or(0.0);
            let tells = typical / 2.0 >= CLOCK_DOUBT_NS;
            let matters = difference.exact || (share >= options.least_share && tells);
            difference.in_family = matters && !measure.is_derived();
            differences.push(difference);
        }
    }
    Row { subject, components: (None, None), runs, share, differences }
}

/// Mean over both sides of time ÷ wall time.
fn share(sides: &Sides) -> f64 {
    let of = |parts: &[Option<Footprint>], above: &Runs| {
        let each = parts.iter().zip(above.of).map(|(part, run)| {
            part.as_ref().map_or(0.0, |part| part.total_ns) / (run.wall_ns as f64).max(1.0)
        });
        each.sum::<f64>() / parts.len().max(1) as f64
    };
    (of(sides.a, sides.above_a) + of(sides.b, sides.above_b)) / 2.0
}

fn categories(a: &[Run], b: &[Run], judge: &Judge, options: &Options) -> Vec<Row> {
    let names: BTreeSet<&String> =
        a.iter().chain(b).flat_map(|run| run.categories.keys()).collect();
    let mut rows: Vec<Row> = names
        .into_iter()
        .map(|name| {
            let of = |runs: &[Run]| -> Vec<Option<Footprint>> {
                let of = |run: &Run| run.categories.get(name).cloned().unwrap_or_default();
                runs.iter().map(|run| Some(of(run))).collect()
            };
            let above = |runs: &'_ [Run]| vec![None; runs.len()];
            let (in_a, in_b) = (of(a), of(b));
            let sides = Sides {
                a: &in_a,
                b: &in_b,
                above_a: &Runs { parts: above(a), of: a },
                above_b: &Runs { parts: above(b), of: b },
            };
            let subject = Subject::Category { name: name.clone() };
            row(subject, &Measure::OF_SYSCALL, &sides, judge, options)
        })
        .collect();
    rows.sort_by(|x, y| y.share.total_cmp(&x.share));
    rows
}
