//! Which component calls which: a matrix of time and calls.

use super::Page;
use crate::model::{ComponentId, FlowEdge};
use crate::report::style::Tone;
use crate::report::table::{Column, Field, Table};
use crate::report::units::{compact_count, time};
use std::collections::HashMap;

/// Components shown as columns at most; a wider matrix is not read any more.
const COLUMNS_SHOWN: usize = 9;
/// Width of one column of the matrix: at least, and at most.
const COLUMN_WIDTH: (usize, usize) = (13, 22);
/// Width of the callers' names.
const NAME_WIDTH: usize = 18;

type Key = Option<ComponentId>;

pub(super) fn draw(page: &mut Page) {
    if page.profile.flow.is_empty() {
        return;
    }
    page.section(
        "FLOW",
        "From row to column: time spent in the called component itself, and below it the number of \
         calls.",
    );
    let edges = page.filter.flow();
    if edges.is_empty() {
        page.paragraph(Tone::Plain, 2, "No call passes the filters.");
        return;
    }
    let weight = |edge: &FlowEdge| edge.self_ns + edge.count as f64 * 1e-3;
    let callers = ranked(edges.iter().map(|edge| (edge.caller, weight(edge))));
    let callees = ranked(edges.iter().map(|edge| (edge.callee, weight(edge))));
    let room = page.options.width.saturating_sub(2 + NAME_WIDTH);
    let shown = callees.len().min((room / COLUMN_WIDTH.0).clamp(1, COLUMNS_SHOWN));
    let column = (room / shown.max(1)).clamp(COLUMN_WIDTH.0, COLUMN_WIDTH.1);
    let cells: HashMap<(Key, Key), &FlowEdge> =
        edges.iter().map(|edge| ((edge.caller, edge.callee), edge)).collect();
    let rows = page.options.rows(callers.len());
    let text = matrix(page, &callers[..rows], &callees[..shown], &cells, column);
    page.out.push_str(&text);
    page.rest(callers.len() - rows, "calling component");
    if shown < callees.len() {
        let names: Vec<&str> =
            callees[shown..].iter().map(|id| page.names.component(*id)).collect();
        let text = format!("Called components not at this width: {}.", names.join(", "));
        page.paragraph(Tone::Faint, 2, &text);
    }
}

/// Keys by their summed weight, largest first.
fn ranked(weights: impl Iterator<Item = (Key, f64)>) -> Vec<Key> {
    let mut sums: HashMap<Key, f64> = HashMap::new();
    for (key, weight) in weights {
        *sums.entry(key).or_default() += weight;
    }
    let mut keys: Vec<(Key, f64)> = sums.into_iter().collect();
    keys.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    keys.into_iter().map(|(key, _)| key).collect()
}

fn matrix(
    page: &Page,
    callers: &[Key],
    callees: &[Key],
    cells: &HashMap<(Key, Key), &FlowEdge>,
    column: usize,
) -> String {
    let mut heads = vec![Column::name("caller", 0, NAME_WIDTH)];
    heads.extend(callees.iter().map(|id| {
        let name = crate::report::names::fit(page.names.component(*id), column - 2);
        Column::number(name, 0)
    }));
    let mut table = Table::new(heads);
    let whole: f64 = cells.values().map(|edge| edge.self_ns).sum();
    for caller in callers {
        let edge = |callee: &Key| cells.get(&(*caller, *callee)).copied();
        if callees.iter().all(|callee| edge(callee).is_none()) {
            continue;
        }
        let mut times: Vec<Field> = vec![page.names.component(*caller).into()];
        let mut counts: Vec<Field> = vec!["".into()];
        for callee in callees {
            times.push(edge(callee).map_or_else(Field::default, |edge| {
                Field::toned(time(edge.self_ns), Tone::of_share(edge.self_ns / whole.max(1.0)))
            }));
            counts.push(edge(callee).map_or_else(Field::default, |edge| {
                Field::toned(compact_count(edge.count), Tone::Faint)
            }));
        }
        table.row(times);
        table.row(counts);
    }
    table.draw(page.options.width, 2, page.style)
}
