//! What threads waited for: locks first, then everything else.

use super::Page;
use crate::model::WaitObject;
use crate::report::facts::no_lock;
use crate::report::outliers::is_lock;
use crate::report::style::Tone;
use crate::report::table::{Column, Field, Table};
use crate::report::units::{count, share, time};

pub(super) fn draw(page: &mut Page) {
    let wanted: Vec<&WaitObject> =
        page.profile.wait_objects.iter().filter(|object| wanted(page, object)).collect();
    let (locks, others): (Vec<&WaitObject>, Vec<&WaitObject>) =
        wanted.into_iter().partition(|object| is_lock(object));
    page.section(
        "LOCKS",
        "Locks that threads waited for, longest total wait first. held by: who had it when waits \
         began, with the share of the wait time. A lock nobody waited for is not listed.",
    );
    let none = if filtered_out(page, true) { FILTERED.to_owned() } else { no_lock(page.profile) };
    table(page, &locks, "lock", &none);
    page.section(
        "OTHER WAITS",
        "Time blocked in calls that wait for something else: input, a thread's end, a condition, time.",
    );
    let none = if filtered_out(page, false) { FILTERED } else { "No other wait was seen." };
    table(page, &others, "object", none);
}

/// What stands in place of a table that the filters emptied.
const FILTERED: &str = "None passes the filters.";

/// Whether there are objects of that kind, wanted or not.
fn filtered_out(page: &Page, lock: bool) -> bool {
    page.profile.wait_objects.iter().any(|object| is_lock(object) == lock)
}

fn wanted(page: &Page, object: &WaitObject) -> bool {
    let (filter, options) = (page.filter, page.options);
    (options.group_filter.is_empty() || object.waiters.iter().any(|w| filter.group(w.group)))
        && (object.sites.iter().any(|part| filter.site(part.site))
            || (object.sites.is_empty() && !options.filtered()))
}

fn table(page: &mut Page, objects: &[&WaitObject], what: &str, none: &str) {
    if objects.is_empty() {
        page.paragraph(Tone::Plain, 2, none);
        return;
    }
    let mut table = Table::new(vec![
        Column::word("kind", 0),
        Column::name("what", 0, 18),
        Column::number("waits", 2),
        Column::number("waited", 0),
        Column::number("mean", 4),
        Column::number("longest", 0),
        Column::number("ended at", 6),
        Column::number("waiters", 3),
        Column::function("in", 5, 18),
        Column::name("held by", 1, 22),
    ]);
    let shown = page.options.rows(objects.len());
    let thread_ns: f64 = page.profile.groups.iter().map(|group| group.lifetime_ns).sum();
    for object in objects.iter().take(shown) {
        let tone = if is_lock(object) {
            Tone::of_share(object.wait_ns / thread_ns.max(1.0))
        } else {
            Tone::Plain
        };
        table.row(vec![
            object.kind.as_str().into(),
            page.names.object(object).into(),
            count(object.waits).into(),
            Field::toned(time(object.wait_ns), tone),
            time(object.wait_ns / object.waits.max(1) as f64).into(),
            time(object.max_ns).into(),
            time(object.max_at_ns as f64).into(),
            count(object.waiters.len() as u64).into(),
            sites(page, object).into(),
            holders(page, object).into(),
        ]);
    }
    page.table(&table);
    page.rest(objects.len() - shown, what);
}

fn sites(page: &Page, object: &WaitObject) -> String {
    let mut names: Vec<&str> = Vec::new();
    for part in &object.sites {
        let name = page.names.site(part.site);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// The longest holder and how many others there are.
fn holders(page: &Page, object: &WaitObject) -> String {
    let Some(first) = object.holders.first() else {
        return String::new();
    };
    let part = share(first.wait_ns / object.wait_ns.max(1.0));
    let name =
        first.thread.map_or_else(|| format!("tid {}", first.tid), |id| page.names.member(id));
    match object.holders.len() - 1 {
        0 => format!("{name} {part}"),
        others => format!("{name} {part}, +{others}"),
    }
}
