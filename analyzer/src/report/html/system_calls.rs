//! What the page is told of system calls.

use crate::analysis::{
    categories, lines_by_key, sort_lines, syscall_lines, target_lines, SyscallKey, SyscallLine,
    SyscallSort, SyscallsBy, TargetLine,
};
use crate::model::{
    category_text, syscall_category, syscall_name, ApiId, Profile, SyscallSums, TimeBars,
};
use crate::report::lookup::Lookup;
use crate::report::syscall_facts::{errnos, on_target, result_text};
use serde::Serialize;

/// Rows of each table that the page carries; the numbers of those left out stand beside them.
const CARRIED: usize = 500;

/// The section's tables.
#[derive(Serialize)]
pub struct SystemCalls<'a> {
    apis: Vec<Api<'a>>,
    apis_cut: usize,
    groups: Vec<Group>,
    targets: Vec<Target>,
    targets_cut: usize,
    slow: Vec<Slow<'a>>,
    slow_cut: usize,
}

/// Numbers of some calls; times are null when none was timed.
#[derive(Serialize)]
struct Numbers {
    count: u64,
    exec: Option<f64>,
    wait: Option<f64>,
    exact: bool,
    p50: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
    bytes: u64,
    errors: u64,
    errnos: String,
}

/// An API and its system calls.
#[derive(Serialize)]
struct Api<'a> {
    name: &'a str,
    component: &'a str,
    calls: u64,
    #[serde(flatten)]
    numbers: Numbers,
    parts: Vec<Part>,
}

/// One system call of an API, or one category of a group.
#[derive(Serialize)]
struct Part {
    name: String,
    category: &'static str,
    bars: (u32, Vec<u64>),
    #[serde(flatten)]
    numbers: Numbers,
}

#[derive(Serialize)]
struct Group {
    name: String,
    parts: Vec<Part>,
}

/// A file, peer or futex.
#[derive(Serialize)]
struct Target {
    kind: &'static str,
    name: String,
    count: u64,
    exec: f64,
    wait: f64,
    max: f64,
    exact: bool,
    bytes: u64,
    errors: u64,
}

#[derive(Serialize)]
struct Slow<'a> {
    name: String,
    took: f64,
    at: u64,
    result: String,
    on: String,
    thread: String,
    api: &'a str,
}

impl Numbers {
    fn new(sums: &SyscallSums) -> Self {
        let known = |ns: f64| (sums.timed != 0).then_some(ns);
        let spread = sums.distribution();
        Self {
            count: sums.count,
            exec: known(sums.exec_ns()),
            wait: known(sums.waited_ns()),
            exact: sums.time().is_some_and(|time| time.exact),
            p50: spread.map(|spread| spread.p50_ns),
            p99: spread.map(|spread| spread.p99_ns),
            max: known(sums.max_ns()),
            bytes: sums.bytes,
            errors: sums.errors,
            errnos: errnos(sums),
        }
    }
}

impl Part {
    fn new(name: String, category: &'static str, sums: &SyscallSums) -> Self {
        let TimeBars { first, calls, .. } = sums.bars();
        Self { name, category, bars: (first, calls), numbers: Numbers::new(sums) }
    }

    fn of_line(line: &SyscallLine) -> Self {
        let category = category_text(syscall_category(line.number));
        Self::new(syscall_name(line.number).into_owned(), category, &line.sums)
    }
}

impl<'a> SystemCalls<'a> {
    /// The tables; `None` where none were recorded.
    pub fn new(profile: &'a Profile, names: Lookup<'a>) -> Option<Self> {
        if profile.syscalls.is_empty() {
            return None;
        }
        let mut lines = syscall_lines(profile, SyscallsBy::Api, true, |_| true);
        sort_lines(&mut lines, SyscallSort::Time);
        let apis = lines_by_key(&lines);
        let targets = target_lines(profile, false, |_| true);
        let slow = &profile.syscalls.slow;
        Some(Self {
            apis_cut: apis.len().saturating_sub(CARRIED),
            apis: apis
                .iter()
                .take(CARRIED)
                .map(|(row, lines)| api(profile, names, row, lines))
                .collect(),
            groups: groups(profile, names),
            targets_cut: targets.len().saturating_sub(CARRIED),
            targets: targets.iter().take(CARRIED).map(target).collect(),
            slow_cut: slow.len().saturating_sub(CARRIED),
            slow: slow
                .iter()
                .take(CARRIED)
                .map(|call| Slow {
                    name: syscall_name(call.number).into_owned(),
                    took: call.duration_ns,
                    at: call.start_ns,
                    result: result_text(call),
                    on: on_target(profile, call),
                    thread: call
                        .thread
                        .map_or_else(|| names.group(call.group), |id| names.thread(id)),
                    api: call.api.map_or("", |api| names.api(Some(api))),
                })
                .collect(),
        })
    }
}

fn api<'a>(
    profile: &Profile,
    names: Lookup<'a>,
    row: &SyscallLine,
    lines: &[&SyscallLine],
) -> Api<'a> {
    let (name, component, calls) = match row.key {
        SyscallKey::Api(Some(id)) => {
            (names.api(Some(id)), names.api_component(Some(id)), calls(profile, id))
        }
        SyscallKey::Unplaced => ("(no thread)", "", 0),
        _ => ("(no API)", "", 0),
    };
    Api {
        name,
        component,
        calls,
        numbers: Numbers::new(&row.sums),
        parts: lines.iter().map(|line| Part::of_line(line)).collect(),
    }
}

fn calls(profile: &Profile, api: ApiId) -> u64 {
    let rows = profile.api_rows.iter().filter(|row| row.api == api);
    rows.map(|row| row.count).fold(0, u64::saturating_add)
}

fn groups(profile: &Profile, names: Lookup<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut last = None;
    for ((id, category), sums) in categories(profile, |_| true) {
        if last != Some(id) {
            groups.push(Group { name: names.group(id), parts: Vec::new() });
            last = Some(id);
        }
        let name = category_text(category);
        if let Some(group) = groups.last_mut() {
            group.parts.push(Part::new(name.to_owned(), name, &sums));
        }
    }
    groups
}

fn target(line: &TargetLine) -> Target {
    Target {
        kind: line.kind.text(),
        name: crate::report::syscall_facts::target_text(line),
        count: line.count,
        exec: line.exec_ns,
        wait: line.wait_ns,
        max: line.max_ns,
        exact: line.timed == line.count,
        bytes: line.bytes,
        errors: line.errors,
    }
}
