//! What the page is told: the profile with names in place of ids, cut to what a browser can draw.

use super::rows::{CallRow, FlowData, Group, TreeRow};
use super::system_calls::SystemCalls;
use super::waited::{Object, Slow};
use crate::analysis::Finding;
use crate::model::{Image, Profile, ThreadGroup};
use crate::report::facts;
use crate::report::lookup::Lookup;
use crate::report::names::command_line;
use crate::report::syscall_facts;
use crate::report::units::{bytes, count, plural, share, time};
use serde::Serialize;

/// Everything the page's script reads.
#[derive(Serialize)]
pub struct Page<'a> {
    /// What ran.
    pub command: String,
    summary: Vec<String>,
    wall: u64,
    losses: Vec<String>,
    empty: Option<String>,
    coverage: Vec<String>,
    overhead: Option<String>,
    messages: Vec<(u64, &'a str)>,
    processes: Vec<Process<'a>>,
    cards: Vec<Card>,
    findings: &'a [Finding],
    groups: Vec<Group>,
    calls: Vec<CallRow<'a>>,
    tree: Vec<TreeRow<'a>>,
    flow: FlowData<'a>,
    slow: Vec<Slow<'a>>,
    slow_cut: usize,
    objects: Vec<Object<'a>>,
    no_lock: String,
    objects_cut: usize,
    system_calls: Option<SystemCalls<'a>>,
    footer: String,
}

/// Processes that the page carries.
const PROCESSES: usize = 500;

/// One process image.
#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    name: &'a str,
    command: String,
    start: u64,
    lived: u64,
    cpu: u64,
    threads: u64,
    calls: u64,
    end: String,
}

impl<'a> Process<'a> {
    fn new(image: &'a Image) -> Self {
        Self {
            pid: image.pid,
            name: &image.name,
            command: if image.forked { "(forked)".into() } else { command_line(&image.argv) },
            start: image.start_ns,
            lived: image.end_ns.saturating_sub(image.start_ns),
            cpu: image.user_ns.saturating_add(image.system_ns),
            threads: image.threads,
            calls: image.calls,
            end: facts::image_end(image),
        }
    }
}

/// One number of the overview.
#[derive(Serialize)]
struct Card {
    label: &'static str,
    value: String,
    note: String,
}

impl<'a> Page<'a> {
    /// What the page shows of `profile`.
    pub fn new(profile: &'a Profile, findings: &'a [Finding]) -> Self {
        let names = Lookup::new(profile);
        let run = &profile.run;
        let command =
            if run.command.is_empty() { run.directory.clone() } else { command_line(&run.command) };
        let (slow, slow_cut) = Slow::all(profile, names);
        let (objects, objects_cut) = Object::all(profile, names);
        Self {
            command,
            summary: facts::summary(profile),
            wall: run.wall_ns,
            losses: facts::losses(profile),
            empty: facts::empty_because(profile, findings),
            coverage: [facts::coverage(profile), syscall_facts::coverage(profile)].concat(),
            overhead: overhead(profile),
            messages: profile
                .images
                .iter()
                .flat_map(|image| &image.messages)
                .map(|(at, text)| (*at, text.as_str()))
                .take(50)
                .collect(),
            processes: profile.images.iter().take(PROCESSES).map(Process::new).collect(),
            cards: cards(profile),
            findings,
            groups: Group::all(profile, names),
            calls: profile.api_rows.iter().map(|row| CallRow::new(profile, names, row)).collect(),
            tree: TreeRow::all(profile, names),
            flow: FlowData::new(profile, names),
            slow,
            slow_cut,
            objects,
            no_lock: facts::no_lock(profile),
            objects_cut,
            system_calls: SystemCalls::new(profile, names),
            footer: format!(
                "Drawn by perfvisor {} from {}.",
                env!("CARGO_PKG_VERSION"),
                run.directory
            ),
        }
    }
}

/// What recording cost, the system calls besides.
fn overhead(profile: &Profile) -> Option<String> {
    let facts = [facts::overhead(profile), syscall_facts::overhead(profile)];
    let said: Vec<String> = facts.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(" "))
}

fn cards(profile: &Profile) -> Vec<Card> {
    let coverage = &profile.coverage;
    let part = |of: u64, all: u64| if all == 0 { 0.0 } else { of as f64 / all as f64 };
    let mut cards = vec![Card {
        label: "Wall time",
        value: time(profile.run.wall_ns as f64),
        note: profile.run.max_rss_kib.map_or_else(String::new, |kib| {
            format!("{} resident at most", bytes(kib.saturating_mul(1024)))
        }),
    }];
    cards.extend(thread_cards(profile));
    cards.extend([
        Card {
            label: "Calls between components",
            value: crate::report::units::compact_count(coverage.calls),
            note: format!("{} of them timed", share(part(coverage.timed_calls, coverage.calls))),
        },
        Card {
            label: "Seen",
            value: share(part(coverage.slots_patched, coverage.slots_found)),
            note: format!("of {} slots to other components", count(coverage.slots_found)),
        },
    ]);
    if let Some(cost) = profile.overhead.share {
        cards.push(Card {
            label: "Cost of recording",
            value: share(cost),
            note: "of the CPU time, estimated, start-up not counted".into(),
        });
    }
    cards
}

/// Where the threads' time went. A wait may use a CPU too, so the three may sum to more than it.
fn thread_cards(profile: &Profile) -> [Card; 3] {
    let sum = |of: fn(&ThreadGroup) -> f64| profile.groups.iter().map(of).sum::<f64>();
    let lived = sum(|group| group.lifetime_ns).max(1.0);
    let (wait, off) = (sum(|group| group.wait_ns), sum(|group| group.off_cpu_ns));
    let cpu = sum(|group| group.user_ns.saturating_add(group.system_ns) as f64);
    let threads = profile.threads.len() as u64;
    let unknown: u64 = profile.groups.iter().map(|group| group.cpu_unknown).sum();
    let known = |ns: f64| match unknown {
        0 => time(ns),
        n if n >= threads => "unknown".into(),
        _ => format!("≥{}", time(ns)),
    };
    [
        Card {
            label: "Threads on a CPU",
            value: known(cpu),
            note: format!("summed over {}", plural(threads, "thread")),
        },
        Card {
            label: "Threads waiting",
            value: time(wait),
            note: format!("in calls that were seen, {} of all thread time", share(wait / lived)),
        },
        Card {
            label: "Threads off-CPU otherwise",
            value: known(off),
            note: "ready to run, or blocked where nothing is seen".into(),
        },
    ]
}
