//! The page of `perfvisor footprint`.

use super::syscalls::head;
use super::system_calls::ratio;
use super::Page;
use crate::analysis::Footprint;
use crate::model::{category_text, syscall_category, syscall_name, Profile, SyscallSums};
use crate::report::filter::Filter;
use crate::report::lookup::Lookup;
use crate::report::style::Tone;
use crate::report::syscall_facts::errnos;
use crate::report::syscall_options::SyscallOptions;
use crate::report::table::{Column, Field, Table};
use crate::report::units::{plural, share, time};

/// The footprints as text.
pub fn footprint(profile: &Profile, found: &[Footprint], options: &SyscallOptions) -> String {
    let mut page = Page {
        out: String::new(),
        profile,
        names: Lookup::new(profile),
        filter: Filter::new(profile, &options.text),
        options: &options.text,
        style: options.text.style(),
    };
    head(&mut page, options);
    page.section(
        "FOOTPRINT of each function",
        "What a function and all it called asked of the kernel, for each of its calls. user: time \
         outside of system calls; then by category, executing and waiting apart; failed: share of \
         failed calls; CV: standard deviation ÷ mean; ~: estimated from the timed calls. Functions \
         that call each other contain each other.",
    );
    if found.is_empty() {
        page.paragraph(Tone::Plain, 2, "No function with a system call passes the filters.");
        return page.out;
    }
    let shown = page.options.rows(found.len());
    for footprint in found.iter().take(shown) {
        draw(&mut page, footprint);
    }
    if shown < found.len() {
        page.out.push('\n');
    }
    page.rest(found.len() - shown, "function");
    page.out
}

fn draw(page: &mut Page, f: &Footprint) {
    page.out.push('\n');
    let name = page.names.api(Some(f.api));
    let of = page.names.api_component(Some(f.api));
    let about = if f.estimated { "~" } else { "" };
    let each = match f.spread {
        Some(s) => {
            let mean = f.per_call(f.total_ns.unwrap_or(0.0));
            format!(
                ", {about}{} each (p50 {}, p99 {}, CV {})",
                time(mean),
                time(s.p50_ns),
                time(s.p99_ns),
                share(s.variation)
            )
        }
        None => ", none timed".to_owned(),
    };
    let title = format!("{name} in {of}: {}{each}", plural(f.calls, "call"));
    page.paragraph(Tone::Strong, 2, &title);
    page.paragraph(Tone::Plain, 4, &split(f, about));
    if f.syscalls.is_empty() {
        return;
    }
    let mut table = Table::new(vec![
        Column::word("system call", 0),
        Column::word("category", 4),
        Column::number("per call", 0),
        Column::number("exec/call", 0),
        Column::number("waited/call", 1),
        Column::number("bytes/call", 2),
        Column::number("failed", 1),
        Column::number("CV", 5),
        Column::number("p50", 6),
        Column::number("p99", 3),
        Column::number("max", 7),
        Column::name("by errno", 8, 16),
    ]);
    for (number, sums) in &f.syscalls {
        table.row(row(f, *number, sums));
    }
    let drawn = table.draw(page.options.width, 4, page.style);
    page.out.push_str(&drawn);
}

/// System calls, bytes and time of one call, in a line.
fn split(f: &Footprint, about: &str) -> String {
    let mut parts = vec![format!("{} system calls a call", ratio(f.per_call(f.all.count as f64)))];
    if f.all.bytes != 0 {
        parts.push(format!("{} moved", bytes(f.per_call(f.all.bytes as f64))));
    }
    if f.all.count != 0 {
        parts.push(format!("{} failed", share(f.all.error_share())));
    }
    if let Some(user_ns) = f.user_ns {
        parts.push(format!("user {about}{}", time(f.per_call(user_ns))));
    }
    for (category, sums) in &f.categories {
        let about = if sums.time().is_some_and(|time| time.exact) { "" } else { "~" };
        let word = category_text(*category);
        let (exec, waited) = (f.per_call(sums.exec_ns()), f.per_call(sums.waited_ns()));
        if exec >= 0.05 {
            parts.push(format!("{word} {about}{}", time(exec)));
        }
        if waited >= 0.05 {
            parts.push(format!("{word} waiting {about}{}", time(waited)));
        }
    }
    parts.join(" · ")
}

/// A mean number of bytes, which may be less than one.
fn bytes(value: f64) -> String {
    if value < 10.0 {
        format!("{} B", ratio(value))
    } else {
        crate::report::units::bytes(value.round() as u64)
    }
}

fn row(f: &Footprint, number: u32, sums: &SyscallSums) -> Vec<Field> {
    let timed = sums.timed != 0;
    let about = if sums.time().is_some_and(|time| time.exact) { "" } else { "~" };
    let each = |ns: f64| match timed && ns > 0.0 {
        true => format!("{about}{}", time(f.per_call(ns))),
        false => String::new(),
    };
    let spread = sums.distribution();
    let at = |pick: fn(&crate::model::Distribution) -> f64| {
        spread.as_ref().map_or_else(String::new, |spread| time(pick(spread)))
    };
    vec![
        syscall_name(number).as_ref().into(),
        category_text(syscall_category(number)).into(),
        ratio(f.per_call(sums.count as f64)).into(),
        each(sums.exec_ns()).into(),
        each(sums.waited_ns()).into(),
        if sums.bytes == 0 { String::new() } else { bytes(f.per_call(sums.bytes as f64)) }.into(),
        if sums.errors == 0 { String::new() } else { share(sums.error_share()) }.into(),
        sums.variation().map_or_else(String::new, share).into(),
        at(|spread| spread.p50_ns).into(),
        at(|spread| spread.p99_ns).into(),
        at(|spread| spread.max_ns).into(),
        errnos(sums).into(),
    ]
}
