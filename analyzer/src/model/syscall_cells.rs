//! Folds the system calls of one segment into [`SyscallParts`].

use super::ids::{GroupId, ImageId, SiteId, ThreadId};
use super::segments::Context;
use super::syscall_sums::{bias, SyscallSums};
use super::syscalls::SyscallLosses;
use crate::read::{Segment, SyscallEntry};
use perfvisor_format::{
    SlowSyscall as RawSlow, SyscallObject as RawObject, SyscallObjectKind, SYSCALL_ENTRY_ONLY,
    SYSCALL_WAITS,
};
use std::collections::HashMap;

/// Slow calls kept per (group, number): the longest.
const SLOW_KEPT: usize = 64;

/// One cell, its path told by sites.
#[derive(Clone, Debug)]
pub struct RowPart {
    /// The image.
    pub image: ImageId,
    /// The group.
    pub group: GroupId,
    /// The thread; `None` = folded.
    pub thread: Option<ThreadId>,
    /// Path, root first.
    pub path: Vec<SiteId>,
    /// Number.
    pub number: u32,
    /// Seen only when it begins.
    pub entry_only: bool,
    /// Its sums.
    pub sums: SyscallSums,
}

/// What system calls are made on: image, kind, id or address.
pub type TargetKey = (ImageId, u32, u64);

/// One object's row.
#[derive(Clone, Debug)]
pub struct UsePart {
    /// What it is.
    pub key: TargetKey,
    /// The group.
    pub group: GroupId,
    /// The thread; `None` = folded.
    pub thread: Option<ThreadId>,
    /// The record.
    pub raw: RawObject,
    /// Estimated time, ns.
    pub total_ns: f64,
    /// Of it waited, ns.
    pub wait_ns: f64,
    /// Longest call, ns.
    pub max_ns: f64,
}

/// A slow call with what names it.
#[derive(Clone, Debug)]
pub struct SlowPart {
    /// The image.
    pub image: ImageId,
    /// The thread, where known.
    pub thread: Option<ThreadId>,
    /// Path, root first.
    pub path: Vec<SiteId>,
    /// The record, its duration without the probe's own time.
    pub raw: RawSlow,
}

/// The system calls of some segments.
#[derive(Clone, Debug, Default)]
pub struct SyscallParts {
    /// Cells.
    pub rows: Vec<RowPart>,
    /// Objects.
    pub uses: Vec<UsePart>,
    /// Slow calls by (group, number).
    pub slow: HashMap<(GroupId, u32), Vec<SlowPart>>,
    /// Losses.
    pub losses: SyscallLosses,
}

impl SyscallParts {
    /// Adds those of other segments.
    pub fn merge(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.uses.extend(other.uses);
        for ((group, number), slow) in other.slow {
            for call in slow {
                self.keep_slow(group, number, call);
            }
        }
        let add = |sum: &mut u64, value: u64| *sum = sum.saturating_add(value);
        add(&mut self.losses.lost_cells, other.losses.lost_cells);
        add(&mut self.losses.lost_objects, other.losses.lost_objects);
        add(&mut self.losses.lost_slow, other.losses.lost_slow);
    }

    fn keep_slow(&mut self, group: GroupId, number: u32, slow: SlowPart) {
        let kept = self.slow.entry((group, number)).or_default();
        kept.push(slow);
        if kept.len() >= 2 * SLOW_KEPT {
            trim(kept);
        }
    }

    /// Cuts the slow calls to what is kept.
    pub fn trim_slow(&mut self) {
        self.slow.values_mut().for_each(trim);
    }
}

fn trim(kept: &mut Vec<SlowPart>) {
    kept.sort_by(|a, b| {
        let place = |s: &SlowPart| (s.raw.start_tsc, s.image, s.thread);
        b.raw.duration.cmp(&a.raw.duration).then(place(a).cmp(&place(b)))
    });
    kept.truncate(SLOW_KEPT);
}

/// Adds the system calls of `segment`. A thread that is being folded (`folding`) has given some of
/// its cells to the group already: those say where they went.
pub fn add_syscalls(
    segment: &Segment,
    context: Context<'_>,
    folding: bool,
    parts: &mut SyscallParts,
) {
    let header = &segment.header;
    let losses = &mut parts.losses;
    losses.lost_cells = losses.lost_cells.saturating_add(header.lost_syscall_cells);
    losses.lost_objects = losses.lost_objects.saturating_add(header.lost_syscall_objects);
    losses.lost_slow = losses.lost_slow.saturating_add(header.lost_slow_syscalls);
    let Context { image, group, thread, .. } = context;
    for entry in &segment.syscalls {
        if entry.count == 0 || (folding && entry.cell.folded_into != 0) {
            continue;
        }
        parts.rows.push(RowPart {
            image,
            group,
            thread,
            path: path(segment, entry, context),
            number: entry.cell.number,
            entry_only: entry.cell.flags & SYSCALL_ENTRY_ONLY != 0,
            sums: SyscallSums::of_cell(segment, entry, context.header, context.clock),
        });
    }
    for raw in &segment.syscall_objects {
        if raw.count != 0 && SyscallObjectKind::from_raw(raw.kind).is_some() {
            parts.uses.push(use_of(segment, raw, context));
        }
    }
    for raw in &segment.slow_syscalls {
        let entry = segment.syscall_at(raw.cell);
        let mut raw = *raw;
        raw.duration = raw.duration.saturating_sub(u64::from(context.header.syscall_bias_cycles));
        let thread = thread.or_else(|| {
            let record = raw.thread_index_1.checked_sub(1)?;
            context.records.get(&(image, record)).copied()
        });
        let path = entry.map(|entry| path(segment, entry, context)).unwrap_or_default();
        parts.keep_slow(group, raw.number, SlowPart { image, thread, path, raw });
    }
}

/// The sites of the path a call was made in, root first.
fn path(segment: &Segment, entry: &SyscallEntry, context: Context<'_>) -> Vec<SiteId> {
    let mut path = Vec::new();
    let mut at = entry.path;
    // Depth falls with each step (checked when parents were linked), so this ends.
    while let Some(cell) = at {
        let entry = &segment.cells[cell as usize];
        path.push(context.map.site(entry.cell.site).site);
        at = entry.parent;
    }
    path.reverse();
    path
}

/// An object's times. It does not keep how many calls its timed ones stand for: where they stand
/// for more than themselves, they stand for all.
fn use_of(segment: &Segment, raw: &RawObject, context: Context<'_>) -> UsePart {
    let (bias, _) = bias(context.header);
    let timed = raw.timed.min(raw.count) as f64;
    let represented = if raw.weighted_sum > raw.sum { raw.count as f64 } else { timed };
    let measured = (raw.sum as f64 - bias * timed).max(0.0);
    let weighted = (raw.weighted_sum as f64 - bias * represented).max(measured);
    let ns = |cycles: f64| context.clock.span_ns(cycles);
    let waits = segment.syscall_at(raw.cell).map_or(0, |entry| entry.cell.flags) & SYSCALL_WAITS;
    let kept = if raw.sum == 0 { 0.0 } else { (measured / raw.sum as f64).min(1.0) };
    let waited = if waits == 0 { raw.wait_sum as f64 * kept } else { weighted };
    UsePart {
        key: (context.image, raw.kind, raw.object),
        group: context.group,
        thread: context.thread,
        raw: *raw,
        total_ns: ns(weighted),
        wait_ns: ns(waited.min(weighted)),
        max_ns: ns((raw.max as f64 - bias).max(0.0)),
    }
}
