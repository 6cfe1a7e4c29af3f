//! The comparison as text: the verdict, what it rests on, then the tables.

use super::words::{change, delta, interval, measure, p, subject, tone, value, verdict};
use super::CompareOptions;
use crate::analysis::compare::{Comparison, Difference, Measure, Row, Side, Subject, Verdict};
use crate::report::names::{clean, command_line, wrap};
use crate::report::style::{Style, Tone};
use crate::report::table::{Column, Field, Table};
use crate::report::units::plural;

/// Directories named of a side.
const DIRECTORIES: usize = 3;

/// The whole text, lines ended by newlines.
pub fn text(comparison: &Comparison, options: &CompareOptions) -> String {
    let style = Style { color: options.color };
    let mut page = Page { out: String::new(), comparison, options, style };
    page.head();
    page.verdict();
    page.rules();
    page.program();
    page.apis();
    page.syscalls();
    page.categories();
    page.out
}

struct Page<'a> {
    out: String,
    comparison: &'a Comparison,
    options: &'a CompareOptions,
    style: Style,
}

impl Page<'_> {
    fn toned(&mut self, tone: Tone, text: &str) {
        self.out.push_str(&self.style.paint(tone, text));
        self.out.push('\n');
    }

    fn paragraph(&mut self, tone: Tone, first: &str, indent: usize, text: &str) {
        let blank = " ".repeat(indent);
        let room = self.options.width.saturating_sub(indent);
        for (at, line) in wrap(text, room).iter().enumerate() {
            let before = if at == 0 { format!("{first:<indent$}") } else { blank.clone() };
            self.out.push_str(&format!("{before}{}\n", self.style.paint(tone, line)));
        }
    }

    fn section(&mut self, title: &str, caption: &str) {
        self.out.push('\n');
        self.toned(Tone::Strong, title);
        self.paragraph(Tone::Faint, "", 2, caption);
    }

    fn table(&mut self, table: &Table) {
        self.out.push_str(&table.draw(self.options.width, 2, self.style));
        let left_out = table.left_out(self.options.width, 2);
        if !left_out.is_empty() {
            let text = format!("Not at this width: {}.", left_out.join(", "));
            self.paragraph(Tone::Faint, "", 2, &text);
        }
    }

    fn head(&mut self) {
        self.toned(Tone::Strong, "perfvisor compare");
        for (name, side) in [("A", &self.comparison.a), ("B", &self.comparison.b)] {
            let text = side_text(side);
            self.paragraph(Tone::Plain, &format!("  {name}"), 5, &text);
        }
    }

    fn verdict(&mut self) {
        let comparison = self.comparison;
        self.section(
            "VERDICT",
            "Differences that chance does not explain, with the interval of B ÷ A − 1 and Cliff's δ \
             (+1: all of B's are more, 0: as often more as less).",
        );
        let said = match comparison.told {
            0 => "No difference is told.".to_owned(),
            n => format!("{} told:", plural(n as u64, "difference")),
        };
        self.paragraph(Tone::Strong, "", 2, &said);
        let told: Vec<(&Row, &Difference)> = told(comparison);
        let shown = rows_shown(self.options, told.len());
        for (at, (row, difference)) in told.iter().take(shown).enumerate() {
            let text = sentence(row, difference);
            self.paragraph(tone(Some(difference)), &format!("  {}.", at + 1), 5, &text);
        }
        self.rest(told.len() - shown, "difference");
        for note in &comparison.notes {
            self.paragraph(Tone::Plain, "  -", 4, note);
        }
    }

    fn rules(&mut self) {
        if self.comparison.rules.is_empty() {
            return;
        }
        self.section("RULES", "What --fail-if asked. A rule that holds makes the exit code 1.");
        for line in super::rules(self.comparison) {
            let tone = if line.contains(" HOLDS at ") { Tone::Alarm } else { Tone::Plain };
            let indent = if line.starts_with(' ') { 4 } else { 2 };
            self.paragraph(tone, "", indent, &line);
        }
    }

    fn program(&mut self) {
        let Some(row) = self.comparison.rows.first() else { return };
        self.section("WHOLE PROGRAM", "Medians of the runs; p is corrected for all tests made.");
        let mut table = Table::new(vec![
            Column::word("measure", 0),
            Column::number("A", 0),
            Column::number("B", 0),
            Column::number("change", 0),
            Column::number(self.confidence(), 3),
            Column::number("δ", 5),
            Column::number("p", 2),
            Column::word("verdict", 4),
        ]);
        for difference in &row.differences {
            table.row(vec![
                measure(difference.measure, true).into(),
                value(difference.a, difference.unit).into(),
                value(difference.b, difference.unit).into(),
                Field::toned(change(Some(difference)), tone(Some(difference))),
                interval(difference).into(),
                delta(difference.cliffs_delta).into(),
                p(difference.p_corrected).into(),
                verdict(difference.verdict).into(),
            ]);
        }
        self.table(&table);
    }

    fn confidence(&self) -> String {
        format!("{}% interval", super::words::confidence(self.comparison.alpha))
    }

    fn apis(&mut self) {
        let rows: Vec<&Row> = self
            .comparison
            .rows
            .iter()
            .filter(|r| matches!(r.subject, Subject::Api { .. }))
            .collect();
        self.section(
            "LIBRARY CALLS by time",
            "Each with the change of B against A: *: told; =: the same in all runs; new, gone: from \
             or to none. wait: share of the time waited. sys: system calls per call, with those of all \
             it calls.",
        );
        let mut table = Table::new(vec![
            Column::function("function", 0, 12),
            Column::number("calls A", 8),
            Column::number("calls B", 5),
            Column::number("calls", 1),
            Column::number("mean A", 6),
            Column::number("mean B", 2),
            Column::number("mean", 0),
            Column::number(self.confidence(), 9),
            Column::number("p50", 10),
            Column::number("p90", 11),
            Column::number("p99", 3),
            Column::number("max", 12),
            Column::number("total", 13),
            Column::number("wait A", 15),
            Column::number("wait B", 14),
            Column::number("sys A", 8),
            Column::number("sys B", 6),
            Column::number("sys", 4),
            Column::number("bytes", 16),
            Column::number("failed", 17),
        ]);
        let shown = rows_shown(self.options, rows.len());
        for row in &rows[..shown] {
            table.row(api_fields(row));
        }
        self.table(&table);
        self.rest(rows.len() - shown, "function");
    }

    fn syscalls(&mut self) {
        let rows: Vec<&Row> = self
            .comparison
            .rows
            .iter()
            .filter(|row| matches!(row.subject, Subject::Syscall { .. }))
            .collect();
        if rows.is_empty() {
            return;
        }
        self.section(
            "SYSTEM CALLS below library calls",
            "Of the function and of all it calls, so nested functions show them again.",
        );
        self.part_table(&rows, "function / system call", true);
    }

    fn categories(&mut self) {
        let rows: Vec<&Row> = self
            .comparison
            .rows
            .iter()
            .filter(|row| matches!(row.subject, Subject::Category { .. }))
            .collect();
        if rows.is_empty() {
            return;
        }
        self.section("SYSTEM CALLS by category", "Of the whole program, each once.");
        self.part_table(&rows, "category", false);
    }

    fn part_table(&mut self, rows: &[&Row], head: &str, below: bool) {
        let mut columns = vec![
            Column::function(head, 0, 16),
            Column::number("calls A", 8),
            Column::number("calls B", 5),
            Column::number("calls", 1),
        ];
        if below {
            columns.extend([
                Column::number("per call A", 10),
                Column::number("per call B", 7),
                Column::number("per call", 2),
            ]);
        }
        columns.extend([
            Column::number("bytes each", 12),
            Column::number("failed", 13),
            Column::number("mean A", 9),
            Column::number("mean B", 3),
            Column::number("mean", 0),
            Column::number("p99", 6),
            Column::number("total", 11),
        ]);
        let mut table = Table::new(columns);
        let shown = rows_shown(self.options, rows.len());
        for row in &rows[..shown] {
            let mut fields = vec![subject(&row.subject).into()];
            fields.extend(pair(row, Measure::Calls));
            if below {
                fields.extend(pair(row, Measure::PerCall));
            }
            fields.extend([cell(row, Measure::Bytes), cell(row, Measure::Errors)]);
            fields.extend(pair(row, Measure::Mean));
            fields.extend([cell(row, Measure::P99), cell(row, Measure::Time)]);
            table.row(fields);
        }
        self.table(&table);
        self.rest(rows.len() - shown, "row");
    }

    fn rest(&mut self, hidden: usize, what: &str) {
        if hidden > 0 {
            let text = format!("… and {} more (--top 0 shows all).", plural(hidden as u64, what));
            self.paragraph(Tone::Faint, "", 2, &text);
        }
    }
}

fn rows_shown(options: &CompareOptions, all: usize) -> usize {
    match options.top {
        0 => all,
        top => top.min(all),
    }
}

fn side_text(side: &Side) -> String {
    let command = clean(&command_line(&side.command));
    let named: Vec<String> =
        side.directories.iter().take(DIRECTORIES).map(|directory| clean(directory)).collect();
    let more = match side.directories.len().saturating_sub(DIRECTORIES) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let runs = plural(side.directories.len() as u64, "run");
    format!("{runs} of {command}, in {}{more}", named.join(", "))
}

/// Told differences, largest first.
pub fn told(comparison: &Comparison) -> Vec<(&Row, &Difference)> {
    let mut told: Vec<(&Row, &Difference)> = comparison
        .rows
        .iter()
        .flat_map(|row| row.differences.iter().map(move |difference| (row, difference)))
        .filter(|(_, d)| matches!(d.verdict, Verdict::More | Verdict::Less))
        .collect();
    // Stable: equal shares stay as the rows are.
    told.sort_by(|x, y| y.0.share.total_cmp(&x.0.share));
    told
}

/// One told difference in one sentence.
pub fn sentence(row: &Row, difference: &Difference) -> String {
    let whole = row.subject == Subject::Program;
    let mut text = format!(
        "{}: {} {} → {}",
        clean(&subject(&row.subject)),
        measure(difference.measure, whole),
        value(difference.a, difference.unit),
        value(difference.b, difference.unit)
    );
    let mut known = Vec::new();
    if let Some(change) = difference.change() {
        known.push(super::words::percent(change));
    }
    let interval = interval(difference);
    if !interval.is_empty() {
        known.push(interval);
    }
    if difference.cliffs_delta.is_some() {
        known.push(format!("δ {}", delta(difference.cliffs_delta)));
    }
    if difference.p_corrected.is_some() {
        known.push(format!("p {}", p(difference.p_corrected)));
    }
    if !known.is_empty() {
        text += &format!(" ({})", known.join("; "));
    }
    text
}

fn cell(row: &Row, measure: Measure) -> Field {
    let difference = row.of(measure);
    Field::toned(change(difference), tone(difference))
}

/// A's value, B's value and the change.
fn pair(row: &Row, measure: Measure) -> [Field; 3] {
    let difference = row.of(measure);
    let side = |pick: fn(&Difference) -> Option<f64>| {
        difference.map_or_else(String::new, |d| value(pick(d), d.unit)).into()
    };
    [side(|d| d.a), side(|d| d.b), cell(row, measure)]
}

fn api_fields(row: &Row) -> Vec<Field> {
    let wait = |pick: fn(&Difference) -> Option<f64>| -> Field {
        let of = |measure| row.of(measure).and_then(pick);
        match (of(Measure::Wait), of(Measure::Mean)) {
            (Some(wait), Some(mean)) if mean > 0.0 && wait > 0.0 => {
                crate::report::units::share((wait / mean).min(1.0)).into()
            }
            _ => "".into(),
        }
    };
    let mut fields = vec![subject(&row.subject).into()];
    fields.extend(pair(row, Measure::Calls));
    fields.extend(pair(row, Measure::Mean));
    fields.push(row.of(Measure::Mean).map_or_else(String::new, interval).into());
    let changes = [Measure::P50, Measure::P90, Measure::P99, Measure::Max, Measure::Time];
    fields.extend(changes.map(|measure| cell(row, measure)));
    fields.extend([wait(|d| d.a), wait(|d| d.b)]);
    fields.extend(pair(row, Measure::Syscalls));
    fields.extend([cell(row, Measure::Bytes), cell(row, Measure::Errors)]);
    fields
}
