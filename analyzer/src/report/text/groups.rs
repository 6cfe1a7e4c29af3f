//! Thread groups: who ran, for how long, and how unequally.

use super::Page;
use crate::model::{GroupId, ThreadGroup, ThreadId};
use crate::report::style::Tone;
use crate::report::table::{Column, Field, Table};
use crate::report::units::{count, plural, ratio, share, time};

/// Imbalance (longest ÷ mean exec time) from which on it is worth a look.
const UNEQUAL: f64 = 1.25;

pub(super) fn draw(page: &mut Page) {
    let profile = page.profile;
    if profile.groups.is_empty() {
        return;
    }
    let call = if profile.syscalls.is_empty() { "library call" } else { "library or system call" };
    let caption = format!(
        "Threads that began in the same function. wait: blocked in a {call} \
         that was seen; exec: not so; off-CPU: the part of exec (at least) without a CPU, ready to \
         run or blocked where nothing is seen; max/mean and CV: how unequal the exec times of members are that share work, those \
         of one process or workers forked by one (1.00× and 0% = equal)."
    );
    page.section("THREAD GROUPS", &caption);
    let mut table = Table::new(vec![
        Column::name("group", 0, 24),
        Column::number("threads", 0),
        Column::number("exec", 0),
        Column::number("off-CPU", 1),
        Column::number("wait", 0),
        Column::number("wait%", 3),
        Column::word("waits for", 4),
        Column::number("user", 2),
        Column::number("system", 2),
        Column::number("max/mean", 1),
        Column::number("CV", 5),
        Column::number("calls", 3),
        Column::word("straggler", 1),
    ]);
    let wanted: Vec<(GroupId, &ThreadGroup)> = wanted_groups(page).collect();
    if wanted.is_empty() {
        page.paragraph(Tone::Plain, 2, "No thread group passes the filters.");
        return;
    }
    let shown = page.options.rows(wanted.len());
    for &(id, group) in wanted.iter().take(shown) {
        table.row(row(page, id, group));
    }
    page.table(&table);
    page.rest(wanted.len() - shown, "group");
    let unknown: u64 = wanted.iter().map(|(_, group)| group.cpu_unknown).sum();
    if unknown > 0 {
        let text = format!(
            "CPU time is missing for {} (killed or still running): ≥ marks such sums.",
            plural(unknown, "thread")
        );
        page.paragraph(Tone::Faint, 2, &text);
    }
    if page.options.threads {
        draw_threads(page, &wanted);
    }
}

/// Groups that pass the filter, in the profile's order.
pub(super) fn wanted_groups<'a>(
    page: &Page<'a>,
) -> impl Iterator<Item = (GroupId, &'a ThreadGroup)> {
    let filter = page.filter;
    page.profile.groups.iter().enumerate().filter_map(move |(at, group)| {
        let id = GroupId(at as u32);
        filter.group(id).then_some((id, group))
    })
}

fn row(page: &Page, id: GroupId, group: &ThreadGroup) -> Vec<Field> {
    let several = group.compared_threads > 1;
    let unequal = several && group.max_over_mean >= UNEQUAL;
    let tone = if unequal { Tone::Notice } else { Tone::Plain };
    let lifetime = group.lifetime_ns.max(1.0);
    let cpu = |ns: u64| match group.cpu_unknown {
        0 => time(ns as f64),
        unknown if unknown as usize >= group.threads.len() => String::new(),
        _ => format!("≥{}", time(ns as f64)),
    };
    vec![
        Field::toned(page.names.group(id), Tone::Strong),
        count(group.threads.len() as u64).into(),
        time(group.exec_ns).into(),
        off_cpu(group),
        time(group.wait_ns).into(),
        share(group.wait_ns / lifetime).into(),
        main_wait(group).into(),
        cpu(group.user_ns).into(),
        cpu(group.system_ns).into(),
        Field::toned(if several { ratio(group.max_over_mean) } else { String::new() }, tone),
        Field::toned(
            if several { share(group.coefficient_of_variation) } else { String::new() },
            tone,
        ),
        count(group.calls).into(),
        Field::toned(straggler(page, group), tone),
    ]
}

/// Off-CPU time within exec time, marked where it is not known of all members.
fn off_cpu(group: &ThreadGroup) -> Field {
    let tone = Tone::of_share(group.off_cpu_ns / group.lifetime_ns.max(1.0));
    match group.cpu_unknown {
        0 => Field::toned(time(group.off_cpu_ns), tone),
        unknown if unknown as usize >= group.threads.len() => Field::default(),
        _ => Field::toned(format!("≥{}", time(group.off_cpu_ns)), tone),
    }
}

/// The kind of wait with most time, and its share when it is not all.
fn main_wait(group: &ThreadGroup) -> String {
    let longest = group.wait_by_kind_ns.iter().max_by(|a, b| a.1.total_cmp(b.1));
    match longest {
        Some((kind, &ns)) if ns > 0.0 => {
            format!("{kind} {}", share((ns / group.wait_ns.max(ns)).min(1.0)))
        }
        _ => String::new(),
    }
}

fn straggler(page: &Page, group: &ThreadGroup) -> String {
    let thread = group.straggler.and_then(|id| Some((id, page.profile.threads.get(id.index())?)));
    thread.map_or_else(String::new, |(id, thread)| {
        let at =
            group.threads.binary_search(&id).map_or(String::new(), |at| format!("#{} ", at + 1));
        format!("{at}tid {}", thread.tid)
    })
}

/// Every thread of each group.
fn draw_threads(page: &mut Page, groups: &[(GroupId, &ThreadGroup)]) {
    page.section("THREADS", "Each thread of each group, longest exec time first.");
    let mut table = Table::new(vec![
        Column::name("thread", 0, 14),
        Column::number("tid", 0),
        Column::name("name", 3, 8),
        Column::number("began", 3),
        Column::number("lived", 2),
        Column::number("exec", 0),
        Column::number("off-CPU", 1),
        Column::number("wait", 0),
        Column::number("user", 1),
        Column::number("system", 1),
        Column::number("calls", 2),
        Column::number("switches", 4),
        Column::function("most time in", 5, 16),
        Column::name("created by", 6, 12),
    ]);
    let mut hidden = 0;
    for (_, group) in groups {
        let mut members: Vec<ThreadId> = group.threads.clone();
        let exec = |id: &ThreadId| {
            page.profile.threads.get(id.index()).map_or(0.0, |thread| thread.exec_ns)
        };
        members.sort_by(|a, b| exec(b).total_cmp(&exec(a)).then(a.cmp(b)));
        let shown = page.options.rows(members.len());
        hidden += members.len() - shown;
        for &id in members.iter().take(shown) {
            table.row(thread_row(page, id));
        }
    }
    page.table(&table);
    page.rest(hidden, "thread");
}

fn thread_row(page: &Page, id: ThreadId) -> Vec<Field> {
    let Some(thread) = page.profile.threads.get(id.index()) else {
        return vec![Field::default(); 14];
    };
    let known = |ns: Option<u64>| ns.map_or_else(String::new, |ns| time(ns as f64));
    let switches = match (thread.voluntary_switches, thread.involuntary_switches) {
        (Some(own), Some(forced)) => format!("{}+{}", count(own), count(forced)),
        _ => String::new(),
    };
    let top = thread.top_sites.first().map_or("", |&(site, ..)| page.names.site(site));
    vec![
        page.names.member(id).into(),
        thread.tid.to_string().into(),
        thread.name.as_str().into(),
        time(thread.start_ns as f64).into(),
        time(thread.lifetime_ns as f64).into(),
        time(thread.exec_ns).into(),
        thread.off_cpu_ns.map_or_else(String::new, time).into(),
        time(thread.wait_ns).into(),
        known(thread.user_ns).into(),
        known(thread.system_ns).into(),
        count(thread.calls).into(),
        switches.into(),
        top.into(),
        thread.creator_site.clone().unwrap_or_default().into(),
    ]
}
