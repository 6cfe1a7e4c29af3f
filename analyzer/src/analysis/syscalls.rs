//! System calls added up by what a reader asks for: by API, process, thread group, thread, or what
//! they were made on. Waiting and executing stay apart in every sum.

use crate::model::{
    syscall_category, syscall_name, ApiId, GroupId, ImageId, Profile, SyscallRow, SyscallSums,
    SyscallTarget, SyscallTargetId, SyscallUse, TargetKind, ThreadId,
};
use perfvisor_format::SyscallCategory;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// What a row of a table of system calls is about, besides the system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyscallsBy {
    /// The API in which it was made.
    #[default]
    Api,
    /// Nothing: one row per system call.
    Syscall,
    /// The process.
    Process,
    /// The thread group.
    Group,
    /// The thread.
    Thread,
    /// The file, peer, pipe, … or futex.
    Target,
}

/// Order of the rows of such a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyscallSort {
    /// Time executing or time waited, whichever is longer.
    #[default]
    Time,
    /// Time waited.
    Wait,
    /// Number of calls.
    Calls,
    /// Number of errors.
    Errors,
    /// Bytes moved.
    Bytes,
    /// Longest call.
    Max,
    /// Name, from A to Z.
    Name,
}

/// Who made the calls of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyscallKey {
    /// Anybody.
    All,
    /// An API; `None` = outside of any.
    Api(Option<ApiId>),
    /// A process image.
    Process(ImageId),
    /// A thread group.
    Group(GroupId),
    /// A thread; `None` = the folded members of the group.
    Thread(GroupId, Option<ThreadId>),
    /// Nobody that is known: calls that no thread's cells hold.
    Unplaced,
}

/// One row of a table of system calls.
#[derive(Clone, Debug, PartialEq)]
pub struct SyscallLine {
    /// Who made the calls.
    pub key: SyscallKey,
    /// The system call's number.
    pub number: u32,
    /// They are seen only when they begin.
    pub entry_only: bool,
    /// What they sum up to.
    pub sums: SyscallSums,
}

/// Adds up the rows that `key` gives the same name; those without one are left out.
pub fn sum_by<'a, K: Ord>(
    rows: impl IntoIterator<Item = &'a SyscallRow>,
    key: impl Fn(&SyscallRow) -> Option<K>,
) -> BTreeMap<K, SyscallSums> {
    let mut sums: BTreeMap<K, SyscallSums> = BTreeMap::new();
    for row in rows {
        if let Some(key) = key(row) {
            sums.entry(key).or_default().merge(&row.sums);
        }
    }
    sums
}

/// All `rows` together.
pub fn sum_all<'a>(rows: impl IntoIterator<Item = &'a SyscallRow>) -> SyscallSums {
    sum_by(rows, |_| Some(())).into_values().next().unwrap_or_default()
}

/// The rows of `profile` that are `wanted`, by system call and what is asked for; with `outside`
/// also the calls that no thread's cells hold, which no filter knows. In the order of their keys.
pub fn syscall_lines(
    profile: &Profile,
    by: SyscallsBy,
    outside: bool,
    wanted: impl Fn(&SyscallRow) -> bool,
) -> Vec<SyscallLine> {
    let rows = || profile.syscalls.rows.iter().filter(|row| wanted(row));
    let key = |row: &SyscallRow| match by {
        SyscallsBy::Api => SyscallKey::Api(row.api),
        SyscallsBy::Syscall | SyscallsBy::Target => SyscallKey::All,
        SyscallsBy::Process => SyscallKey::Process(row.image),
        SyscallsBy::Group => SyscallKey::Group(row.group),
        SyscallsBy::Thread => SyscallKey::Thread(row.group, row.thread),
    };
    let mut sums = sum_by(rows(), |row| Some((key(row), row.number)));
    if outside {
        for o in profile.syscalls.outside.iter().filter(|o| o.unplaced != 0) {
            let key = match by {
                SyscallsBy::Syscall | SyscallsBy::Target => SyscallKey::All,
                SyscallsBy::Process => SyscallKey::Process(o.image),
                _ => SyscallKey::Unplaced,
            };
            sums.entry((key, o.number)).or_default().add_unplaced(o.unplaced);
        }
    }
    let entry_only = sum_by(rows().filter(|row| row.entry_only), |row| Some(row.number));
    let line = |((key, number), sums)| SyscallLine {
        key,
        number,
        entry_only: entry_only.contains_key(&number),
        sums,
    };
    sums.into_iter().map(line).collect()
}

/// Lines of one key together, with the sum of them, most time first; the lines keep their order.
pub fn lines_by_key(lines: &[SyscallLine]) -> Vec<(SyscallLine, Vec<&SyscallLine>)> {
    let mut by_key: BTreeMap<SyscallKey, Vec<&SyscallLine>> = BTreeMap::new();
    for line in lines {
        by_key.entry(line.key).or_default().push(line);
    }
    let sum = |(&key, lines): (&SyscallKey, &Vec<&SyscallLine>)| {
        let mut sums = SyscallSums::default();
        lines.iter().for_each(|line| sums.merge(&line.sums));
        SyscallLine { key, number: 0, entry_only: false, sums }
    };
    let mut rows: Vec<SyscallLine> = by_key.iter().map(sum).collect();
    sort_lines(&mut rows, SyscallSort::Time);
    rows.into_iter()
        .map(|row| {
            let lines = by_key.remove(&row.key).unwrap_or_default();
            (row, lines)
        })
        .collect()
}

/// Puts the lines in order, most first.
pub fn sort_lines(lines: &mut [SyscallLine], sort: SyscallSort) {
    let weight = |sums: &SyscallSums| sums.exec_ns().max(sums.waited_ns());
    let order = |a: &SyscallSums, b: &SyscallSums| match sort {
        SyscallSort::Time => weight(b).total_cmp(&weight(a)),
        SyscallSort::Wait => b.waited_ns().total_cmp(&a.waited_ns()),
        SyscallSort::Calls => b.count.cmp(&a.count),
        SyscallSort::Errors => b.errors.cmp(&a.errors),
        SyscallSort::Bytes => b.bytes.cmp(&a.bytes),
        SyscallSort::Max => b.max_ns().total_cmp(&a.max_ns()),
        SyscallSort::Name => Ordering::Equal,
    };
    lines.sort_by(|a, b| {
        let name = || syscall_name(a.number).cmp(&syscall_name(b.number));
        let calls = b.sums.count.cmp(&a.sums.count);
        let tie = if sort == SyscallSort::Name { Ordering::Equal } else { calls };
        order(&a.sums, &b.sums).then(tie).then_with(name).then(a.key.cmp(&b.key))
    });
}

/// What was done to one file, peer or futex by one system call (and futex operation).
#[derive(Clone, Debug, PartialEq)]
pub struct TargetLine {
    /// What it is.
    pub kind: TargetKind,
    /// Its name; empty when it has none.
    pub name: String,
    /// Its image and its id or address; of several of one name the first.
    pub image: ImageId,
    /// See `image`.
    pub object: u64,
    /// Objects of this name: a file is one each time it is opened.
    pub objects: u64,
    /// The system call; `None` = all together.
    pub number: Option<u32>,
    /// The futex operation; `None` = all together, or no futex.
    pub operation: Option<u32>,
    /// Exact number of calls.
    pub count: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Bytes moved, exact.
    pub bytes: u64,
    /// Calls timed.
    pub timed: u64,
    /// Estimated time executing, ns.
    pub exec_ns: f64,
    /// Estimated time waited, ns.
    pub wait_ns: f64,
    /// Longest timed call, ns.
    pub max_ns: f64,
}

/// What makes two targets one for a reader: kind and name, else image and id or address.
type TargetName<'a> = (TargetKind, &'a str, Option<(ImageId, u64)>);

fn target_name(target: &SyscallTarget) -> TargetName<'_> {
    // A futex's address means something in its image alone, whatever it is called.
    let own = target.name.is_empty() || target.kind == TargetKind::Futex;
    (target.kind, &target.name, own.then_some((target.image, target.object)))
}

/// The uses that are `wanted`, by target; with `each` by system call and futex operation too. Most
/// time (executing or waiting, whichever is longer) first.
pub fn target_lines(
    profile: &Profile,
    each: bool,
    wanted: impl Fn(&SyscallUse) -> bool,
) -> Vec<TargetLine> {
    type Key<'a> = (TargetName<'a>, Option<(u32, u32)>);
    let mut lines: BTreeMap<Key<'_>, (TargetLine, BTreeSet<SyscallTargetId>)> = BTreeMap::new();
    for row in profile.syscalls.uses.iter().filter(|row| wanted(row)) {
        let Some(target) = profile.syscalls.targets.get(row.target.index()) else { continue };
        let call = each.then_some((row.number, row.operation));
        let (line, objects) = lines
            .entry((target_name(target), call))
            .or_insert_with(|| (new_line(target, call), BTreeSet::new()));
        objects.insert(row.target);
        line.objects = objects.len() as u64;
        add_use(line, row);
    }
    let mut lines: Vec<TargetLine> = lines.into_values().map(|(line, _)| line).collect();
    let weight = |line: &TargetLine| line.exec_ns.max(line.wait_ns);
    lines.sort_by(|a, b| {
        let place = |line: &TargetLine| (line.image, line.object, line.number, line.operation);
        weight(b)
            .total_cmp(&weight(a))
            .then(b.count.cmp(&a.count))
            .then_with(|| a.name.cmp(&b.name))
            .then(place(a).cmp(&place(b)))
    });
    lines
}

fn new_line(target: &SyscallTarget, call: Option<(u32, u32)>) -> TargetLine {
    TargetLine {
        kind: target.kind,
        name: target.name.clone(),
        image: target.image,
        object: target.object,
        objects: 0,
        number: call.map(|(number, _)| number),
        operation: call
            .map(|(_, operation)| operation)
            .filter(|_| target.kind == TargetKind::Futex),
        count: 0,
        errors: 0,
        bytes: 0,
        timed: 0,
        exec_ns: 0.0,
        wait_ns: 0.0,
        max_ns: 0.0,
    }
}

fn add_use(line: &mut TargetLine, row: &SyscallUse) {
    let add = |sum: &mut u64, value: u64| *sum = sum.saturating_add(value);
    add(&mut line.count, row.count);
    add(&mut line.errors, row.errors);
    add(&mut line.bytes, row.bytes);
    add(&mut line.timed, row.timed);
    line.wait_ns += row.wait_ns;
    line.exec_ns += (row.total_ns - row.wait_ns).max(0.0);
    line.max_ns = line.max_ns.max(row.max_ns);
}

/// The system calls of each thread group by category, as [`sum_by`].
pub fn categories(
    profile: &Profile,
    wanted: impl Fn(&SyscallRow) -> bool,
) -> BTreeMap<(GroupId, SyscallCategory), SyscallSums> {
    let rows = profile.syscalls.rows.iter().filter(|row| wanted(row));
    sum_by(rows, |row| Some((row.group, syscall_category(row.number))))
}
