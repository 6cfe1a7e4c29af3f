//! The system calls in the report: by API, by group and category, by what they were made on, and the
//! slow ones. All of them: `perfvisor syscalls`.

use super::Page;
use crate::analysis::{
    categories, lines_by_key, sort_lines, syscall_lines, target_lines, SyscallKey, SyscallLine,
    SyscallSort, SyscallsBy,
};
use crate::model::{
    category_text, syscall_name, ApiId, GroupId, SlowSyscall, SyscallRow, SyscallSums,
};
use crate::report::names::quoted;
use crate::report::style::Tone;
use crate::report::syscall_facts::{errnos, on_target, result_text, target_text};
use crate::report::table::{Column, Field, Table};
use crate::report::units::{bytes, count, plural, time};
use std::collections::BTreeMap;

/// Rows of each of these tables when there is a limit at all.
const ROWS: usize = 8;
/// System calls named in the row of an API.
const NAMED: usize = 4;

pub(super) fn draw(page: &mut Page) {
    if page.profile.syscalls.is_empty() {
        return;
    }
    apis(page);
    groups(page);
    targets(page);
    slow(page);
}

/// Says how many rows are left out, and where they are.
fn more(page: &mut Page, hidden: usize, what: &str, by: &str) {
    if hidden > 0 {
        let text = format!(
            "… and {} more: perfvisor syscalls {}{by}",
            plural(hidden as u64, what),
            quoted(&page.profile.run.directory)
        );
        page.paragraph(Tone::Faint, 2, &text);
    }
}

fn shown(page: &Page, all: usize) -> usize {
    if page.options.top == 0 {
        all
    } else {
        ROWS.min(page.options.top).min(all)
    }
}

/// Times, errors and bytes of a row, after what it is about.
fn numbers() -> Vec<Column> {
    vec![
        Column::number("exec", 0),
        Column::number("waited", 0),
        Column::number("mean", 4),
        Column::number("p99", 6),
        Column::number("max", 5),
        Column::number("bytes", 3),
        Column::number("errors", 1),
    ]
}

fn number_fields(sums: &SyscallSums) -> Vec<Field> {
    let timed = sums.timed != 0;
    let about = if sums.time().is_some_and(|time| time.exact) { "" } else { "~" };
    let marked = |ns: f64| if timed { format!("{about}{}", time(ns)) } else { String::new() };
    let some = |ns: f64| if ns > 0.0 { marked(ns) } else { String::new() };
    let nonzero = |n: u64, text: String| if n == 0 { String::new() } else { text };
    vec![
        marked(sums.exec_ns()).into(),
        some(sums.waited_ns()).into(),
        sums.mean_ns().map_or_else(String::new, marked).into(),
        sums.distribution().map_or_else(String::new, |d| time(d.p99_ns)).into(),
        if timed { time(sums.max_ns()) } else { String::new() }.into(),
        nonzero(sums.bytes, bytes(sums.bytes)).into(),
        nonzero(sums.errors, count(sums.errors)).into(),
    ]
}

fn apis(page: &mut Page) {
    page.section(
        "SYSTEM CALLS by API",
        "What library functions asked of the kernel themselves, not what they called. per call: system \
         calls for each call of the function; exec: in the kernel without waiting; waited: blocked \
         there; ~: estimated from the timed calls.",
    );
    let filter = page.filter;
    let wanted = |row: &SyscallRow| filter.syscall(row);
    let mut lines = syscall_lines(page.profile, SyscallsBy::Api, !page.options.filtered(), wanted);
    sort_lines(&mut lines, SyscallSort::Time);
    let rows = lines_by_key(&lines);
    if rows.is_empty() {
        page.paragraph(Tone::Plain, 2, "No system call passes the filters.");
        return;
    }
    let mut columns = vec![
        Column::function("function", 0, 16),
        Column::number("syscalls", 0),
        Column::number("per call", 2),
    ];
    columns.extend(numbers());
    columns.push(Column::name("most", 0, 16));
    let mut table = Table::new(columns);
    let shown = shown(page, rows.len());
    for (row, lines) in rows.iter().take(shown) {
        table.row(api_row(page, row, lines));
    }
    page.table(&table);
    more(page, rows.len() - shown, "API", "");
}

fn api_row(page: &Page, row: &SyscallLine, lines: &[&SyscallLine]) -> Vec<Field> {
    let (name, calls) = match row.key {
        SyscallKey::Api(Some(api)) => {
            (page.names.api(Some(api)).to_owned(), calls(page, api).filter(|n| *n != 0))
        }
        SyscallKey::Unplaced => ("(no thread)".into(), None),
        _ => ("(no API)".into(), None),
    };
    let per_call = calls.map(|calls| ratio(row.sums.count as f64 / calls as f64));
    let mut fields: Vec<Field> =
        vec![name.into(), count(row.sums.count).into(), per_call.unwrap_or_default().into()];
    fields.extend(number_fields(&row.sums));
    let mut named: Vec<String> = lines
        .iter()
        .take(NAMED)
        .map(|line| format!("{} {}", syscall_name(line.number), count(line.sums.count)))
        .collect();
    if lines.len() > NAMED {
        named.push(format!("{} more", lines.len() - NAMED));
    }
    fields.push(named.join(", ").into());
    fields
}

/// How often an API was called by the groups that pass.
fn calls(page: &Page, api: ApiId) -> Option<u64> {
    let rows = page.profile.api_rows.iter();
    let rows = rows.filter(|row| row.api == api && page.filter.group(row.group));
    rows.map(|row| row.count).reduce(u64::saturating_add)
}

/// "0.003", "1.20", "340".
pub(super) fn ratio(value: f64) -> String {
    match value {
        v if v >= 1_000.0 => count(v.round() as u64),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v if v >= 0.001 || v <= 0.0 => format!("{v:.3}"),
        _ => "<0.001".into(),
    }
}

fn groups(page: &mut Page) {
    page.section(
        "SYSTEM CALLS of each thread group",
        "By what they are about. exec: in the kernel without waiting; waited: blocked there.",
    );
    let filter = page.filter;
    let sums = categories(page.profile, |row| filter.syscall(row));
    let mut by_group: BTreeMap<GroupId, Vec<(&'static str, SyscallSums)>> = BTreeMap::new();
    for ((group, category), sums) in sums {
        by_group.entry(group).or_default().push((category_text(category), sums));
    }
    let mut columns = vec![Column::word("category", 0), Column::number("syscalls", 0)];
    columns.extend(numbers());
    columns.push(Column::name("by errno", 2, 20));
    let mut table = Table::new(columns);
    let groups = shown(page, by_group.len());
    let hidden = by_group.len() - groups;
    for (group, mut rows) in by_group.into_iter().take(groups) {
        let calls = rows.iter().map(|(_, sums)| sums.count).fold(0, u64::saturating_add);
        let head = format!("{}: {}", page.names.group(group), plural(calls, "system call"));
        table.across(Field::toned(head, Tone::Strong));
        rows.sort_by(|a, b| {
            b.1.total_ns().total_cmp(&a.1.total_ns()).then(b.1.count.cmp(&a.1.count))
        });
        for (category, sums) in rows {
            let mut fields: Vec<Field> = vec![category.into(), count(sums.count).into()];
            fields.extend(number_fields(&sums));
            fields.push(errnos(&sums).into());
            table.row(fields);
        }
    }
    if table.is_empty() {
        page.paragraph(Tone::Plain, 2, "No system call passes the filters.");
        return;
    }
    page.table(&table);
    more(page, hidden, "group", " --by group");
}

fn targets(page: &mut Page) {
    let options = page.options;
    let by_path = !(options.api_filter.is_empty() && options.component_filter.is_empty());
    if page.profile.syscalls.uses.is_empty() || by_path {
        return;
    }
    let filter = page.filter;
    let lines = target_lines(page.profile, false, |row| filter.group(row.group));
    if lines.is_empty() {
        return;
    }
    page.section(
        "FILES, PEERS AND FUTEXES",
        "What system calls were made on. exec: in the kernel without waiting; waited: blocked there.",
    );
    let mut table = Table::new(vec![
        Column::word("kind", 0),
        Column::name("what", 0, 20),
        Column::number("syscalls", 0),
        Column::number("exec", 0),
        Column::number("waited", 0),
        Column::number("longest", 3),
        Column::number("bytes", 1),
        Column::number("errors", 2),
    ]);
    let shown = shown(page, lines.len());
    for line in lines.iter().take(shown) {
        let about = if line.timed == line.count { "" } else { "~" };
        let some = |ns: f64| if ns > 0.0 { format!("{about}{}", time(ns)) } else { "".into() };
        let nonzero = |n: u64, text: String| if n == 0 { String::new() } else { text };
        table.row(vec![
            line.kind.text().into(),
            target_text(line).into(),
            count(line.count).into(),
            some(line.exec_ns).into(),
            some(line.wait_ns).into(),
            some(line.max_ns).replace('~', "").into(),
            nonzero(line.bytes, bytes(line.bytes)).into(),
            nonzero(line.errors, count(line.errors)).into(),
        ]);
    }
    page.table(&table);
    more(page, lines.len() - shown, "object", " --by fd");
}

fn slow(page: &mut Page) {
    let filter = page.filter;
    let wanted = |call: &&SlowSyscall| {
        let node = page.profile.path_above(call.node);
        let mut sites = node.filter_map(|id| Some(page.profile.call_nodes.get(id.index())?.site));
        let options = page.options;
        let by_path = !(options.api_filter.is_empty() && options.component_filter.is_empty());
        filter.group(call.group) && (!by_path || sites.any(|site| filter.site(site)))
    };
    let calls: Vec<&SlowSyscall> = page.profile.syscalls.slow.iter().filter(wanted).collect();
    if calls.is_empty() {
        return;
    }
    page.section(
        "SLOW SYSTEM CALLS",
        "Single system calls that took far longer than their like, waits among them, longest first.",
    );
    let mut table = Table::new(vec![
        Column::number("took", 0),
        Column::word("syscall", 0),
        Column::word("result", 2),
        Column::name("on", 1, 16),
        Column::number("at", 3),
        Column::name("thread", 4, 16),
        Column::function("in", 2, 14),
    ]);
    let shown = shown(page, calls.len());
    for call in calls.iter().take(shown) {
        let thread =
            call.thread.map_or_else(|| page.names.group(call.group), |id| page.names.thread(id));
        table.row(vec![
            time(call.duration_ns).into(),
            syscall_name(call.number).as_ref().into(),
            result_text(call).into(),
            on_target(page.profile, call).into(),
            time(call.start_ns as f64).into(),
            thread.into(),
            call.api.map_or("", |api| page.names.api(Some(api))).into(),
        ]);
    }
    page.table(&table);
    page.rest(calls.len() - shown, "slow system call");
}
