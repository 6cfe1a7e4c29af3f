//! Slow calls: single calls far beyond their like, each with all that is known of it.

use super::Page;
use crate::model::{Profile, SlowCall};
use crate::report::lookup::Lookup;
use crate::report::names::wrap;
use crate::report::outliers::{outliers, Outlier};
use crate::report::slow_call::{arguments, usual, waited};
use crate::report::style::Tone;
use crate::report::units::{count, plural, time};

/// Part of the run's wall time that a path's slow calls must take beyond the usual to be told.
const LEAST_PART: f64 = 1e-5;

pub(super) fn draw(page: &mut Page) {
    page.section(
        "SLOW CALLS",
        "Single calls that took far longer than their like, calls alike told once by the longest; \
         most time beyond the usual first.",
    );
    let all = outliers(page.profile, page.options);
    let many = all.len();
    // Tails of a few microseconds explain nothing in a run of seconds.
    let least =
        if page.options.top == 0 { 0.0 } else { LEAST_PART * page.profile.run.wall_ns as f64 };
    let found: Vec<Outlier> =
        all.into_iter().filter(|outlier| outlier.excess_ns >= least).collect();
    if found.is_empty() {
        let why = match (page.profile.slow_calls.is_empty(), many) {
            (true, _) => "None: no call took far longer than others of its site.".to_owned(),
            (false, 0) => "None passes the filters.".to_owned(),
            _ => format!(
                "None beyond the usual by {} or more ({} shows all).",
                time(least),
                page.options.show_all
            ),
        };
        page.paragraph(Tone::Plain, 2, &why);
        return;
    }
    let small = many - found.len();
    let (idle, busy): (Vec<Outlier>, Vec<Outlier>) =
        found.into_iter().partition(|outlier| outlier.idle);
    list(page, &busy, 1);
    if !idle.is_empty() {
        page.paragraph(
            Tone::Faint,
            2,
            "Long waits for something to happen (sleep, poll, join, condition), which are often meant:",
        );
        list(page, &idle, busy.len() + 1);
    }
    if small > 0 {
        let paths = plural(small as u64, "call path");
        let text = format!("Left out: {paths} beyond the usual by less than {}.", time(least));
        page.paragraph(Tone::Faint, 2, &text);
    }
}

fn list(page: &mut Page, found: &[Outlier], first: usize) {
    let shown = page.options.rows(found.len());
    for (at, outlier) in found.iter().take(shown).enumerate() {
        draw_one(page, outlier, first + at);
    }
    page.rest(found.len() - shown, "call path");
}

fn draw_one(page: &mut Page, outlier: &Outlier, number: usize) {
    let call = outlier.exemplar;
    let names = page.names;
    let usual = usual(call).map_or_else(String::new, |text| format!(" ({text})"));
    let title = format!("{number}. {} in {}{usual}", time(call.duration_ns), names.site(call.site));
    page.paragraph(Tone::Strong, 2, &title);
    for (label, text) in facts(page.profile, names, outlier) {
        let mut head = page.style.paint(Tone::Faint, &format!("{label:<6}"));
        for line in wrap(&text, page.options.width.saturating_sub(5 + 8)) {
            page.line(&format!("     {head}  {line}"));
            head = " ".repeat(6);
        }
    }
}

fn facts(profile: &Profile, names: Lookup, outlier: &Outlier) -> Vec<(&'static str, String)> {
    let call = outlier.exemplar;
    let thread = match call.thread {
        Some(thread) => names.thread(thread),
        None => format!("an ended thread of {}", names.group(call.group)),
    };
    let mut facts =
        vec![("when", format!("{} after the start, in {thread}", time(call.start_ns as f64)))];
    facts.push(("path", path(names, call)));
    if let Some(wait) = waited(profile, names, call) {
        facts.push(("waited", wait));
    }
    let below = if call.below_ns > 0.0 {
        format!("; {} of it in library calls below", time(call.below_ns))
    } else {
        String::new()
    };
    facts.push(("args", format!("{}{below}", arguments(names, call))));
    if outlier.kept > 1 {
        facts.push((
            "alike",
            format!(
                "{} kept, {} together, {} beyond the usual",
                count(outlier.kept),
                time(outlier.sum_ns),
                time(outlier.excess_ns)
            ),
        ));
    }
    facts
}

fn path(names: Lookup, call: &SlowCall) -> String {
    let from = names.site_caller(call.path.first().copied().unwrap_or(call.site));
    let mut steps = vec![from];
    steps.extend(call.path.iter().map(|site| names.site(*site)));
    let at = if call.called_from.is_empty() {
        String::new()
    } else {
        format!("  (called at {})", call.called_from)
    };
    format!("{}{at}", steps.join(" › "))
}
