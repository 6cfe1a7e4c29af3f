//! The APIs of each thread group: how often, how long, how spread, called by whom.

use super::groups::wanted_groups;
use super::Page;
use crate::model::{ApiRow, Estimate, GroupId, ThreadGroup};
use crate::report::lookup::Lookup;
use crate::report::options::SortBy;
use crate::report::style::Tone;
use crate::report::table::{Column, Field, Table};
use crate::report::units::{count, interval, share, time, time_within};

pub(super) fn draw(page: &mut Page) {
    if page.profile.api_rows.is_empty() {
        return;
    }
    let title = format!("LIBRARY CALLS by {}", page.options.sort.text());
    page.section(
        &title,
        "What each group called in other components. self: time in the function without timed calls \
         it makes; self%: of the group's thread time; total: with them; ±: the 95% interval of total, \
         or from–to; timed: share of calls measured, the others are only counted; ~: estimated from \
         the timed calls; ≥: the longest of these.",
    );
    let mut table = Table::new(columns());
    let groups: Vec<(GroupId, &ThreadGroup)> = wanted_groups(page).collect();
    let mut cut = Vec::new();
    for &(id, group) in &groups {
        let rows = wanted_rows(page, id, group);
        if rows.is_empty() {
            continue;
        }
        table.across(Field::toned(group_line(page, id, group), Tone::Strong));
        let shown = page.options.rows(rows.len());
        for api_row in rows.iter().take(shown) {
            table.row(row(page.names, api_row, group));
        }
        if shown < rows.len() {
            cut.push(format!("{} of {}", rows.len() - shown, page.names.group(id)));
        }
    }
    if table.is_empty() {
        page.paragraph(Tone::Plain, 2, "No call passes the filters.");
        return;
    }
    page.table(&table);
    if !cut.is_empty() {
        let text = format!("Not shown: {} ({} shows all).", cut.join(", "), page.options.show_all);
        page.paragraph(Tone::Faint, 2, &text);
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::function("function", 0, 24),
        Column::name("in", 8, 9),
        Column::number("calls", 0),
        Column::number("self", 0),
        Column::number("self%", 1),
        Column::number("wait", 6),
        Column::number("total", 2),
        Column::number("±", 2),
        Column::number("mean", 1),
        Column::number("p50", 4),
        Column::number("p99", 3),
        Column::number("p99.9", 7),
        Column::number("max", 1),
        Column::number("timed", 5),
        Column::name("called from", 9, 14),
    ]
}

fn group_line(page: &Page, id: GroupId, group: &ThreadGroup) -> String {
    format!(
        "{}: {}, {} in library calls of {} thread time",
        page.names.group(id),
        crate::report::units::plural(group.threads.len() as u64, "thread"),
        time(group.api_ns),
        time(group.lifetime_ns),
    )
}

/// The group's rows that pass the filters, in the order asked for.
fn wanted_rows<'a>(page: &Page<'a>, id: GroupId, group: &ThreadGroup) -> Vec<&'a ApiRow> {
    let options = page.options;
    let mut rows: Vec<&ApiRow> = page
        .profile
        .api_rows
        .iter()
        .filter(|row| row.group == id && row.count > 0)
        .filter(|row| row.self_ns >= options.min_share * group.lifetime_ns)
        .filter(|row| page.filter.row(row))
        .collect();
    let key = |row: &ApiRow| match options.sort {
        SortBy::SelfTime | SortBy::Name => row.self_ns,
        SortBy::Total => row.total.value_ns,
        SortBy::Wait => row.wait_ns,
        SortBy::Calls => row.count as f64,
        SortBy::Mean => row.mean_ns,
        SortBy::P99 => row.distribution.map_or(0.0, |distribution| distribution.p99_ns),
        SortBy::Max => row.distribution.map_or(0.0, |distribution| distribution.max_ns),
    };
    if options.sort == SortBy::Name {
        rows.sort_by_key(|row| page.names.api(Some(row.api)));
    } else {
        // Rows of equal time (counted only) are ordered by how often they were called.
        rows.sort_by(|a, b| key(b).total_cmp(&key(a)).then(b.count.cmp(&a.count)));
    }
    rows
}

fn row(names: Lookup, row: &ApiRow, group: &ThreadGroup) -> Vec<Field> {
    let untimed = row.counted_only || row.timed == 0;
    let known = |text: String| if untimed { String::new() } else { text };
    // A mark at every width: the columns that tell how well a time is known may find no room.
    let (about, least) = if row.total.exact { ("", "") } else { ("~", "≥") };
    let marked = |text: String| known(format!("{about}{text}"));
    let part = row.self_ns / group.lifetime_ns.max(1.0);
    let tone = if untimed { Tone::Plain } else { Tone::of_share(part) };
    let spread = |pick: fn(&crate::model::Distribution) -> f64| {
        row.distribution.as_ref().map_or_else(String::new, |d| known(time(pick(d))))
    };
    let longest = match row.distribution {
        Some(distribution) => known(format!("{least}{}", time(distribution.max_ns))),
        None => String::new(),
    };
    let half = half_width(&row.total);
    vec![
        names.api(Some(row.api)).into(),
        names.api_component(Some(row.api)).into(),
        count(row.count).into(),
        Field::toned(marked(time_within(row.self_ns, half * relative(row))), tone),
        Field::toned(known(share(part)), tone),
        known(if row.wait_ns > 0.0 { time(row.wait_ns) } else { String::new() }).into(),
        marked(time_within(row.total.value_ns, half)).into(),
        known(range(&row.total)).into(),
        marked(time_within(row.mean_ns, half / row.count.max(1) as f64)).into(),
        spread(|d| d.p50_ns).into(),
        spread(|d| d.p99_ns).into(),
        spread(|d| d.p999_ns).into(),
        longest.into(),
        if untimed { "none".into() } else { share(row.timed_share) }.into(),
        callers(names, row).into(),
    ]
}

/// Self time is a part of the total and known as well as it, relatively.
fn relative(row: &ApiRow) -> f64 {
    if row.total.value_ns > 0.0 {
        row.self_ns / row.total.value_ns
    } else {
        1.0
    }
}

/// The larger distance from the value to an end of its interval, ns.
pub(super) fn half_width(total: &Estimate) -> f64 {
    (total.high_ns - total.value_ns).max(total.value_ns - total.low_ns).max(0.0)
}

/// The interval: one number where it is about symmetric, the upper end where it is far away,
/// else both; and both as times where the upper one is beyond twice the value.
pub(super) fn range(total: &Estimate) -> String {
    let (down, up) = (total.value_ns - total.low_ns, total.high_ns - total.value_ns);
    let half = half_width(total);
    if total.exact && half < 0.005 * total.value_ns {
        return String::new();
    }
    if up > total.value_ns {
        let end = |ns: f64| time_within(ns, ns);
        return format!("{}–{}", end(total.low_ns), end(total.high_ns));
    }
    if up <= 2.0 * down.max(0.0) || up < 0.015 * total.value_ns {
        return interval(total.value_ns, half);
    }
    let above = interval(total.value_ns, up).replace('±', "+");
    if up > 5.0 * down {
        return above;
    }
    let below = interval(total.value_ns, down).replace('±', "-");
    format!("{below} {above}")
}

/// The component that calls it most, its share, and how many others there are.
fn callers(names: Lookup, row: &ApiRow) -> String {
    let Some(first) = row.callers.first() else {
        return String::new();
    };
    let name = names.component(first.component);
    match row.callers.len() - 1 {
        0 => name.to_owned(),
        others => {
            format!("{name} {}, +{others}", share(first.count as f64 / row.count.max(1) as f64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value_ns: f64, low_ns: f64, high_ns: f64, exact: bool) -> Estimate {
        Estimate { value_ns, low_ns, high_ns, exact }
    }

    #[test]
    fn an_interval_is_shown_with_both_ends_when_they_differ_much() {
        assert_eq!(range(&estimate(100.0, 96.0, 104.0, false)), "±4%");
        assert_eq!(range(&estimate(100.0, 98.0, 140.0, false)), "+40%");
        assert_eq!(range(&estimate(100.0, 90.0, 140.0, false)), "-10% +40%");
        assert_eq!(range(&estimate(100.0, 100.0, 140.0, false)), "+40%");
        assert_eq!(range(&estimate(100.0, 99.9, 100.1, true)), "");
        assert_eq!(range(&estimate(100.0, 99.9, 100.1, false)), "±<1%");
        assert_eq!(range(&estimate(100.0, 99.0, 9_000.0, false)), "99 ns–9.0 µs");
        assert_eq!(range(&estimate(100.0, 0.0, 250.0, false)), "0 s–250 ns");
    }
}
