//! From the system calls of segments to the profile's rows, and what the process file says of them.

use super::clock::Clock;
use super::finish::first_nodes;
use super::gather::Gathered;
use super::ids::{ComponentId, GroupId, ImageId, NodeId, SiteId, SyscallTargetId};
use super::profile::Profile;
use super::sums::Sums;
use super::syscall_cells::{SyscallParts, TargetKey};
use super::syscalls::{
    SlowSyscall, SyscallCoverage, SyscallOutside, SyscallOverhead, SyscallRow, SyscallTarget,
    SyscallUse, TargetKind,
};
use super::tables::Tables;
use super::threads::Naming;
use crate::read::{ObjectRecord, Record};
use perfvisor_format::{ObjectKind, SyscallObjectKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// [`perfvisor_format::ProcessHeader::mode`]: an audit counts what is missed.
const MODE_AUDITED: u64 = 64;

/// Fills [`Profile::syscalls`].
pub fn finish_syscalls(
    profile: &mut Profile,
    gathered: &Gathered,
    sums: &mut Sums,
    clocks: &[Clock],
    naming: &mut Naming<'_>,
) {
    let mut parts = std::mem::take(&mut sums.syscalls);
    parts.trim_slow();
    let places = Places { first: first_nodes(profile), sums };
    profile.syscalls.losses = parts.losses;
    let targets = targets(profile, gathered, &parts, clocks, naming);
    add_uses(profile, &parts, &targets, clocks);
    add_slow(profile, &parts, &targets, clocks, &places);
    add_rows(profile, parts, &places);
    for (at, image) in gathered.images.iter().enumerate() {
        profile.syscalls.audited |= image.process.header.mode & MODE_AUDITED != 0;
        profile.syscalls.outside.extend(image.syscalls.iter().map(|totals| SyscallOutside {
            image: ImageId(at as u32),
            number: totals.number,
            unplaced: totals.unplaced,
            own: totals.own,
            missed: totals.missed,
        }));
    }
    profile.syscalls.coverage = coverage(gathered, naming.tables);
    profile.syscalls.overhead = overhead(profile, gathered, clocks);
}

/// Finds the node of a path of sites.
struct Places<'a> {
    first: HashMap<GroupId, u32>,
    sums: &'a Sums,
}

impl Places<'_> {
    fn node(&self, group: GroupId, path: &[SiteId]) -> Option<NodeId> {
        let node = self.sums.groups.get(&group)?.tree.find(path)?;
        Some(NodeId(self.first.get(&group)? + node))
    }
}

fn add_rows(profile: &mut Profile, parts: SyscallParts, places: &Places<'_>) {
    let mut rows: Vec<SyscallRow> = Vec::with_capacity(parts.rows.len());
    for part in parts.rows {
        let api = part.path.last().and_then(|site| profile.sites[site.index()].api);
        rows.push(SyscallRow {
            image: part.image,
            group: part.group,
            thread: part.thread,
            node: places.node(part.group, &part.path),
            api,
            number: part.number,
            entry_only: part.entry_only,
            sums: part.sums,
        });
    }
    rows.sort_by_key(|row| (row.image, row.group, row.thread, row.node, row.number));
    // Damaged cells may repeat, and two files of folded threads may be of one group.
    rows.dedup_by(|later, row| {
        let place = |r: &SyscallRow| (r.image, r.group, r.thread, r.node, r.api, r.number);
        let same = place(later) == place(row);
        if same {
            row.sums.merge(&later.sums);
            row.entry_only &= later.entry_only;
        }
        same
    });
    profile.syscalls.rows = rows;
}

fn targets(
    profile: &mut Profile,
    gathered: &Gathered,
    parts: &SyscallParts,
    clocks: &[Clock],
    naming: &mut Naming<'_>,
) -> HashMap<TargetKey, SyscallTargetId> {
    let mut known: HashMap<(ImageId, u64), &ObjectRecord> = HashMap::new();
    for (at, image) in gathered.images.iter().enumerate() {
        for (_, record) in &image.process.records {
            if let Record::Object(object) = record {
                known.insert((ImageId(at as u32), u64::from(object.id)), object);
            }
        }
    }
    let mut keys: BTreeSet<TargetKey> = parts.uses.iter().map(|part| part.key).collect();
    for slow in parts.slow.values().flatten().filter(|slow| slow.raw.object != 0) {
        if SyscallObjectKind::from_raw(slow.raw.object_kind).is_some() {
            keys.insert((slow.image, slow.raw.object_kind, slow.raw.object));
        }
    }
    let mut ids = HashMap::new();
    for key in keys {
        let (image, kind, object) = key;
        let futex = kind == SyscallObjectKind::Futex as u32;
        let record = known.get(&(image, object)).filter(|_| !futex);
        let in_component = || naming.tables.maps[image.index()].component_of(object).is_some();
        let name = match record {
            Some(record) => record.name.clone(),
            None if futex && in_component() => naming.place(image, object),
            None => String::new(),
        };
        let descriptor = record.map_or(ObjectKind::Unknown, |record| record.kind);
        ids.insert(key, SyscallTargetId(profile.syscalls.targets.len() as u32));
        profile.syscalls.targets.push(SyscallTarget {
            image,
            kind: if futex { TargetKind::Futex } else { TargetKind::Descriptor(descriptor) },
            object,
            name,
            met_ns: record.map_or(0, |record| clocks[image.index()].moment_ns(record.tsc)),
        });
    }
    ids
}

fn add_uses(
    profile: &mut Profile,
    parts: &SyscallParts,
    targets: &HashMap<TargetKey, SyscallTargetId>,
    clocks: &[Clock],
) {
    let mut uses: Vec<SyscallUse> = Vec::with_capacity(parts.uses.len());
    for part in &parts.uses {
        let Some(&target) = targets.get(&part.key) else { continue };
        let raw = &part.raw;
        uses.push(SyscallUse {
            target,
            group: part.group,
            thread: part.thread,
            number: raw.number,
            operation: raw.operation,
            count: raw.count,
            errors: raw.errors.min(raw.count),
            bytes: raw.bytes,
            timed: raw.timed.min(raw.count),
            total_ns: part.total_ns,
            wait_ns: part.wait_ns,
            max_ns: part.max_ns,
            max_at_ns: clocks[part.key.0.index()].moment_ns(raw.max_tsc),
        });
    }
    uses.sort_by(|a, b| {
        let place = |u: &SyscallUse| (u.target, u.group, u.thread, u.number, u.operation);
        place(a).cmp(&place(b)).then(b.count.cmp(&a.count))
    });
    profile.syscalls.uses = uses;
}

fn add_slow(
    profile: &mut Profile,
    parts: &SyscallParts,
    targets: &HashMap<TargetKey, SyscallTargetId>,
    clocks: &[Clock],
    places: &Places<'_>,
) {
    let mut calls = Vec::new();
    for (&(group, number), kept) in &parts.slow {
        for slow in kept {
            let (raw, clock) = (&slow.raw, &clocks[slow.image.index()]);
            let key = (slow.image, raw.object_kind, raw.object);
            calls.push(SlowSyscall {
                image: slow.image,
                group,
                thread: slow.thread,
                node: places.node(group, &slow.path),
                api: slow.path.last().and_then(|site| profile.sites[site.index()].api),
                number,
                start_ns: clock.moment_ns(raw.start_tsc),
                duration_ns: clock.span_ns(raw.duration as f64),
                threshold_ns: clock.span_ns(raw.threshold as f64),
                args: raw.args,
                result: raw.result,
                target: targets.get(&key).copied().filter(|_| raw.object != 0),
            });
        }
    }
    calls.sort_by(|a, b| {
        let place = |s: &SlowSyscall| (s.start_ns, s.image, s.thread, s.number);
        b.duration_ns.total_cmp(&a.duration_ns).then(place(a).cmp(&place(b)))
    });
    profile.syscalls.slow = calls;
}

fn coverage(gathered: &Gathered, tables: &Tables) -> Vec<SyscallCoverage> {
    let mut rows: BTreeMap<ComponentId, SyscallCoverage> = BTreeMap::new();
    let mut skipped: BTreeMap<(ComponentId, String), BTreeSet<u64>> = BTreeMap::new();
    for (image, map) in gathered.images.iter().zip(&tables.maps) {
        // The last record of a component counts: it may have been loaded again.
        let mut last = BTreeMap::new();
        for (_, record) in &image.process.records {
            match record {
                Record::SyscallSites(sites) => {
                    if let Some(component) = map.component(sites.component) {
                        last.insert(component, *sites);
                    }
                }
                Record::SyscallSkipped(component, reason, address) => {
                    let Some(component) = map.component(*component) else { continue };
                    let reason = match reason {
                        Ok(reason) => reason.text().to_owned(),
                        Err(raw) => format!("reason {raw}"),
                    };
                    skipped.entry((component, reason)).or_default().insert(*address);
                }
                _ => {}
            }
        }
        for (component, sites) in last {
            let row = SyscallCoverage {
                component,
                found: u64::from(sites.found),
                patched: u64::from(sites.patched.min(sites.found)),
                entry_only: u64::from(sites.entry_only),
                skipped: Vec::new(),
            };
            let missing = |row: &SyscallCoverage| row.found - row.patched;
            match rows.get(&component) {
                Some(known) if missing(known) >= missing(&row) => {}
                _ => {
                    rows.insert(component, row);
                }
            }
        }
    }
    for ((component, reason), addresses) in skipped {
        if let Some(row) = rows.get_mut(&component) {
            row.skipped.push((reason, addresses.into_iter().collect()));
        }
    }
    let mut rows: Vec<SyscallCoverage> = rows.into_values().collect();
    rows.sort_by(|a, b| b.found.cmp(&a.found).then(a.component.cmp(&b.component)));
    rows
}

fn overhead(profile: &Profile, gathered: &Gathered, clocks: &[Clock]) -> SyscallOverhead {
    let mut calls = vec![(0u64, 0u64); gathered.images.len()];
    for row in &profile.syscalls.rows {
        let (count, timed) = &mut calls[row.image.index()];
        *count = count.saturating_add(row.sums.count);
        *timed = timed.saturating_add(row.sums.timed);
    }
    let mut overhead = SyscallOverhead::default();
    for ((image, clock), (count, timed)) in gathered.images.iter().zip(clocks).zip(calls) {
        let header = &image.process.header;
        let ns = |sixteenths: u32| clock.span_ns(f64::from(sixteenths) / 16.0);
        overhead.timed_ns += timed as f64 * ns(header.syscall_timed_cost_16);
        let counted = count.saturating_sub(timed) as f64;
        overhead.counted_ns += counted * ns(header.syscall_counted_cost_16);
        overhead.patch_ns += clock.span_ns(header.syscall_patch_cycles as f64);
    }
    overhead
}
