//! The page of `perfvisor syscalls`: what `strace -c -f` prints, with who made the calls.

use super::Page;
use crate::analysis::{
    sort_lines, sum_all, syscall_lines, target_lines, SyscallKey, SyscallLine, SyscallSort,
    SyscallsBy, TargetLine,
};
use crate::model::{syscall_name, Profile, SyscallRow, SyscallSums};
use crate::report::facts::summary;
use crate::report::filter::Filter;
use crate::report::lookup::Lookup;
use crate::report::names::{clean, command_line, cut};
use crate::report::style::Tone;
use crate::report::syscall_facts::{
    coverage, errnos, futex_operation, losses, overhead, target_text, totals,
};
use crate::report::syscall_options::SyscallOptions;
use crate::report::table::{Column, Field, Table};
use crate::report::units::{bytes, count, share, time};

/// The system calls of a run as text.
pub fn syscalls(profile: &Profile, options: &SyscallOptions) -> String {
    let mut page = Page {
        out: String::new(),
        profile,
        names: Lookup::new(profile),
        filter: Filter::new(profile, &options.text),
        options: &options.text,
        style: options.text.style(),
    };
    let wanted = |row: &SyscallRow| options.wants(profile, row);
    let filtered = options.filtered();
    head(&mut page, options);
    if options.by == SyscallsBy::Target {
        targets(&mut page, options);
        return page.out;
    }
    let mut lines = syscall_lines(profile, options.by, !filtered, wanted);
    sort_lines(&mut lines, options.sort);
    page.section(
        &format!("SYSTEM CALLS by {}", options.sort_text()),
        "% time, seconds, usecs/call: executing, waits left out; waited: seconds blocked; ~: \
         estimated from the timed calls; nothing: never timed.",
    );
    if lines.is_empty() {
        page.paragraph(Tone::Plain, 2, "No system call passes the filters.");
        return page.out;
    }
    draw_lines(&mut page, &lines, column(options.by));
    page.out
}

/// What ran, what is missing, how much was seen.
pub(super) fn head(page: &mut Page, options: &SyscallOptions) {
    let run = &page.profile.run;
    let command =
        if run.command.is_empty() { run.directory.clone() } else { command_line(&run.command) };
    let title = cut(&clean(&format!("perfvisor: {command}")), 4 * page.options.width);
    page.paragraph(Tone::Strong, 0, &title);
    let rows = page.profile.syscalls.rows.iter();
    let mut all = sum_all(rows.filter(|row| options.wants(page.profile, row)));
    if options.filtered() {
        let text = format!("Only: {}.", options.written(page.profile));
        page.paragraph(Tone::Notice, 2, &text);
    } else {
        all.add_unplaced(page.profile.syscalls.count().saturating_sub(all.count));
    }
    let mut said = totals(&all);
    said.extend(summary(page.profile).into_iter().take(4));
    page.paragraph(Tone::Plain, 2, &said.join(" · "));
    let missing = losses(page.profile);
    if !missing.is_empty() || !page.profile.losses.damages.is_empty() {
        page.section("INCOMPLETE", "What this recording does not have.");
        for text in missing.iter().chain(&crate::report::facts::damages(page.profile)) {
            page.bullet(Tone::Alarm, text);
        }
    }
    page.section("RECORDING", "How much of the system calls was seen, and what seeing it cost.");
    for text in coverage(page.profile).iter().chain(&overhead(page.profile)) {
        page.bullet(Tone::Plain, text);
    }
}

/// The column of what a row is about besides the system call.
fn column(by: SyscallsBy) -> Column {
    match by {
        SyscallsBy::Syscall | SyscallsBy::Target => Column::word("in", 9),
        SyscallsBy::Api => Column::function("API", 0, 12),
        SyscallsBy::Process => Column::name("process", 0, 12),
        SyscallsBy::Group => Column::name("group", 0, 12),
        SyscallsBy::Thread => Column::name("thread", 0, 16),
    }
}

fn draw_lines(page: &mut Page, lines: &[SyscallLine], by: Column) {
    let mut all = SyscallSums::default();
    lines.iter().for_each(|line| all.merge(&line.sums));
    let mut table = Table::new(vec![
        Column::number("% time", 4),
        Column::number("seconds", 0),
        Column::number("usecs/call", 2),
        Column::number("calls", 0),
        Column::number("errors", 1),
        Column::number("waited", 1),
        Column::word("syscall", 0),
        by,
        Column::number("bytes", 5),
        Column::number("p50", 7),
        Column::number("p99", 6),
        Column::number("max", 6),
        Column::number("timed", 8),
        Column::name("by errno", 3, 24),
    ]);
    let shown = page.options.rows(lines.len());
    for line in lines.iter().take(shown) {
        let who = who(page, line.key);
        table.row(fields(&line.sums, &all, &syscall_name(line.number), who));
    }
    let total = fields(&all, &all, "total", String::new());
    table.row(total);
    page.table(&table);
    page.rest(lines.len() - shown, "row");
}

fn who(page: &Page, key: SyscallKey) -> String {
    match key {
        SyscallKey::All => String::new(),
        SyscallKey::Api(Some(api)) => page.names.api(Some(api)).to_owned(),
        SyscallKey::Api(None) => "(no API)".into(),
        SyscallKey::Process(id) => match page.profile.images.get(id.index()) {
            Some(image) => format!("{} {}", image.pid, image.name),
            None => crate::report::lookup::UNKNOWN.into(),
        },
        SyscallKey::Group(group) => page.names.group(group),
        SyscallKey::Thread(_, Some(thread)) => page.names.thread(thread),
        SyscallKey::Thread(group, None) => format!("{} (folded)", page.names.group(group)),
        SyscallKey::Unplaced => "(no thread)".into(),
    }
}

/// The row of a table of system calls.
fn fields(sums: &SyscallSums, all: &SyscallSums, name: &str, who: String) -> Vec<Field> {
    let timed = sums.timed != 0;
    let exact = sums.time().is_some_and(|time| time.exact);
    let known = |text: String| if timed { text } else { String::new() };
    let marked = |text: String| known(if exact { text } else { format!("~{text}") });
    let part = sums.exec_ns() / all.exec_ns().max(1.0);
    let calls = sums.count.saturating_sub(sums.unknown).max(1) as f64;
    let spread = sums.distribution();
    let at = |pick: fn(&crate::model::Distribution) -> f64| {
        spread.as_ref().map_or_else(String::new, |spread| time(pick(spread)))
    };
    let waited = if sums.waited_ns() > 0.0 { marked(seconds(sums.waited_ns())) } else { "".into() };
    vec![
        Field::toned(known(format!("{:.2}", 100.0 * part.min(1.0))), Tone::of_share(part)),
        marked(seconds(sums.exec_ns())).into(),
        marked(format!("{:.1}", sums.exec_ns() / calls / 1e3)).into(),
        count(sums.count).into(),
        nonzero(sums.errors).into(),
        Field::toned(waited, Tone::of_share(sums.waited_ns() / all.waited_ns().max(1.0))),
        name.into(),
        who.into(),
        if sums.bytes == 0 { String::new() } else { bytes(sums.bytes) }.into(),
        at(|spread| spread.p50_ns).into(),
        at(|spread| spread.p99_ns).into(),
        at(|spread| spread.max_ns).into(),
        if timed { share(sums.timed_share()) } else { String::new() }.into(),
        errnos(sums).into(),
    ]
}

/// As `strace` writes it.
fn seconds(ns: f64) -> String {
    format!("{:.6}", ns / 1e9)
}

fn nonzero(value: u64) -> String {
    if value == 0 {
        String::new()
    } else {
        count(value)
    }
}

fn targets(page: &mut Page, options: &SyscallOptions) {
    let filter = page.filter;
    let mut lines = target_lines(page.profile, true, |row| {
        filter.group(row.group) && options.wants_number(row.number)
    });
    page.section(
        &format!("FILES, PEERS AND FUTEXES by {}", options.sort_text()),
        "What system calls were made on. % time, seconds: executing, waits left out; waited: seconds \
         blocked; ~: estimated from the timed calls.",
    );
    if lines.is_empty() {
        page.paragraph(Tone::Plain, 2, "No use of a file, peer or futex passes the filters.");
        return;
    }
    sort_targets(&mut lines, options.sort);
    let exec: f64 = lines.iter().map(|line| line.exec_ns).sum();
    let mut table = Table::new(vec![
        Column::number("% time", 4),
        Column::number("seconds", 0),
        Column::number("calls", 0),
        Column::number("errors", 3),
        Column::number("waited", 1),
        Column::number("bytes", 2),
        Column::number("max", 5),
        Column::word("syscall", 0),
        Column::word("kind", 2),
        Column::name("what", 0, 16),
    ]);
    let shown = page.options.rows(lines.len());
    for line in lines.iter().take(shown) {
        table.row(target_row(line, exec));
    }
    page.table(&table);
    page.rest(lines.len() - shown, "row");
}

fn sort_targets(lines: &mut [TargetLine], sort: SyscallSort) {
    match sort {
        // They come in that order.
        SyscallSort::Time => {}
        SyscallSort::Wait => lines.sort_by(|a, b| b.wait_ns.total_cmp(&a.wait_ns)),
        SyscallSort::Calls => lines.sort_by_key(|line| std::cmp::Reverse(line.count)),
        SyscallSort::Errors => lines.sort_by_key(|line| std::cmp::Reverse(line.errors)),
        SyscallSort::Bytes => lines.sort_by_key(|line| std::cmp::Reverse(line.bytes)),
        SyscallSort::Max => lines.sort_by(|a, b| b.max_ns.total_cmp(&a.max_ns)),
        SyscallSort::Name => lines.sort_by(|a, b| a.name.cmp(&b.name)),
    }
}

fn target_row(line: &TargetLine, exec_ns: f64) -> Vec<Field> {
    let part = line.exec_ns / exec_ns.max(1.0);
    let about = if line.timed == line.count { "" } else { "~" };
    let marked =
        |text: String| if line.timed == 0 { String::new() } else { format!("{about}{text}") };
    let name = line.number.map(syscall_name).unwrap_or_default();
    let operation = line.operation.map(|op| format!(" {}", futex_operation(op)));
    vec![
        Field::toned(format!("{:.2}", 100.0 * part.min(1.0)), Tone::of_share(part)),
        marked(seconds(line.exec_ns)).into(),
        count(line.count).into(),
        nonzero(line.errors).into(),
        if line.wait_ns > 0.0 { marked(seconds(line.wait_ns)) } else { String::new() }.into(),
        if line.bytes == 0 { String::new() } else { bytes(line.bytes) }.into(),
        if line.timed == 0 { String::new() } else { time(line.max_ns) }.into(),
        format!("{name}{}", operation.unwrap_or_default()).into(),
        line.kind.text().into(),
        target_text(line).into(),
    ]
}
