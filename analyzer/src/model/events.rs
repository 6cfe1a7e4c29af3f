//! Event files: folded chunk by chunk, in parallel, into rows per (group, site).

use super::calls::{Distribution, EventRow, EventsSummary};
use super::clock::Clock;
use super::histogram::Histogram;
use super::ids::{GroupId, SiteId};
use super::tables::ImageMap;
use crate::read::{open_events, Chunk, Damage, EventFile, ImageIdentity};
use perfvisor_format::{bucket_of, OCTAVES, SUB_BUCKETS};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Chunks (of 1 MiB) that one task reads: enough that its tables cost nothing.
const CHUNKS_A_TASK: usize = 16;
/// Sites are below 2²⁴ in an event; those a table can hold are dense.
const DENSE_SITES: usize = perfvisor_format::MAX_SITES;

/// One event file and whose it is.
#[derive(Clone, Copy)]
pub struct EventSource<'a> {
    /// The image's folder.
    pub folder: &'a str,
    /// What its files must carry.
    pub identity: ImageIdentity,
    /// Thread record index; the number of the file.
    pub index: u32,
    /// The thread's group.
    pub group: GroupId,
    /// The image's sites.
    pub map: &'a ImageMap,
    /// The image's clock.
    pub clock: &'a Clock,
    /// The probe's own time, cycles.
    pub bias_cycles: u32,
}

/// Events of one site while they are summed, cycles.
struct Dense {
    count: u64,
    total: u64,
    min: u64,
    max: u64,
    buckets: Box<[u32]>,
}

impl Dense {
    fn new() -> Self {
        let buckets = vec![0; OCTAVES * SUB_BUCKETS].into_boxed_slice();
        Self { count: 0, total: 0, min: u64::MAX, max: 0, buckets }
    }
}

/// Events of one (group, site).
struct RowSums {
    count: u64,
    total_ns: f64,
    min_ns: f64,
    max_ns: f64,
    histogram: Histogram,
    bias_sum: f64,
}

#[derive(Default)]
struct EventSums {
    rows: HashMap<(GroupId, SiteId), RowSums>,
    chunks: u64,
    events: u64,
    overwritten: u64,
    first_ns: Option<u64>,
    last_ns: u64,
    max_depth: u8,
    damages: Vec<Damage>,
}

impl EventSums {
    fn merge(mut self, other: Self) -> Self {
        for (key, row) in other.rows {
            self.add_row(key, row);
        }
        self.chunks += other.chunks;
        self.events += other.events;
        self.overwritten += other.overwritten;
        self.first_ns = match (self.first_ns, other.first_ns) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_ns = self.last_ns.max(other.last_ns);
        self.max_depth = self.max_depth.max(other.max_depth);
        self.damages.extend(other.damages);
        self
    }

    fn add_row(&mut self, key: (GroupId, SiteId), row: RowSums) {
        match self.rows.entry(key) {
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(row);
            }
            std::collections::hash_map::Entry::Occupied(mut slot) => {
                let own = slot.get_mut();
                own.count = own.count.saturating_add(row.count);
                own.total_ns += row.total_ns;
                own.min_ns = own.min_ns.min(row.min_ns);
                own.max_ns = own.max_ns.max(row.max_ns);
                own.histogram.merge(&row.histogram);
                own.bias_sum += row.bias_sum;
            }
        }
    }
}

/// Reads all event files of a run. Damage goes to `damages`; the summary counts what was lost before
/// chunks (the segments say more).
pub fn read_events(
    root: &Path,
    sources: &[EventSource<'_>],
    clock: &Clock,
    damages: &mut Vec<Damage>,
) -> EventsSummary {
    let mut summary = EventsSummary::default();
    let mut files: Vec<(EventSource<'_>, EventFile)> = Vec::new();
    for source in sources {
        let name = format!("{}/e{}.pv", source.folder, source.index);
        match open_events(root, &name, source.identity, source.index) {
            Ok(file) => {
                damages.extend(file.damages.iter().cloned());
                let lost = file
                    .chunks
                    .iter()
                    .fold(0u64, |sum, chunk| sum.saturating_add(chunk.header.lost_before));
                summary.lost = summary.lost.saturating_add(lost);
                files.push((*source, file));
            }
            Err(error) => damages.push(error.into_damage(root)),
        }
    }
    summary.files = files.len() as u64;
    let tasks: Vec<(&EventSource<'_>, &EventFile, &[Chunk])> = files
        .iter()
        .flat_map(|(source, file)| {
            file.chunks.chunks(CHUNKS_A_TASK).map(move |chunks| (source, file, chunks))
        })
        .collect();
    let sums = tasks
        .into_par_iter()
        .map(|(source, file, chunks)| read_chunks(source, file, chunks))
        .reduce(EventSums::default, EventSums::merge);
    summary.chunks = sums.chunks;
    summary.events = sums.events;
    summary.first_ns = sums.first_ns.unwrap_or(0);
    summary.last_ns = sums.last_ns;
    summary.max_depth = u32::from(sums.max_depth);
    damages.extend(sums.damages);
    summary.rows = rows(sums.rows, clock);
    summary
}

fn read_chunks(source: &EventSource<'_>, file: &EventFile, chunks: &[Chunk]) -> EventSums {
    let mut sums = EventSums::default();
    let mut dense: Vec<Option<Dense>> = Vec::new();
    dense.resize_with(DENSE_SITES, || None);
    let mut buffer = Vec::new();
    let (mut first, mut last, mut max_depth, mut foreign) = (u64::MAX, 0u64, 0u8, 0u64);
    for chunk in chunks {
        let result = file.visit(chunk, &mut buffer, |event| {
            let Some(slot) = dense.get_mut(event.site as usize) else {
                foreign += 1;
                return;
            };
            let site = slot.get_or_insert_with(Dense::new);
            let duration = event.duration;
            site.count += 1;
            site.total = site.total.saturating_add(duration);
            site.min = site.min.min(duration);
            site.max = site.max.max(duration);
            let bucket = bucket_of(duration);
            let count = &mut site.buckets[bucket.octave * SUB_BUCKETS + bucket.sub];
            *count = count.saturating_add(1);
            first = first.min(event.start_tsc);
            last = last.max(event.start_tsc.saturating_add(duration));
            max_depth = max_depth.max(event.depth);
        });
        sums.chunks += u64::from(!result.overwritten);
        sums.overwritten += u64::from(result.overwritten);
        sums.events += result.events;
        sums.damages.extend(result.damage);
    }
    if foreign != 0 {
        sums.damages.push(Damage {
            file: file.name().to_owned(),
            offset_bytes: 0,
            expected: format!("events of sites below {DENSE_SITES}"),
            found: format!("{foreign} others"),
        });
    }
    sums.max_depth = max_depth;
    if sums.events != 0 {
        sums.first_ns = Some(source.clock.moment_ns(first));
        sums.last_ns = source.clock.moment_ns(last);
    }
    for (local, site) in dense.iter().enumerate() {
        if let Some(site) = site {
            let id = source.map.site(local as u32).site;
            sums.add_row((source.group, id), row_sums(source, site));
        }
    }
    sums
}

fn row_sums(source: &EventSource<'_>, site: &Dense) -> RowSums {
    let bias = f64::from(source.bias_cycles);
    let count = site.count as f64;
    let ns = |cycles: f64| source.clock.span_ns(cycles.max(0.0));
    let mut histogram = Histogram::default();
    for (at, &calls) in site.buckets.iter().enumerate() {
        histogram.add(at / SUB_BUCKETS, at % SUB_BUCKETS, u64::from(calls));
    }
    RowSums {
        count: site.count,
        total_ns: ns(site.total as f64 - bias * count),
        min_ns: ns(site.min as f64 - bias),
        max_ns: ns(site.max as f64 - bias),
        histogram,
        bias_sum: bias * count,
    }
}

fn rows(sums: HashMap<(GroupId, SiteId), RowSums>, clock: &Clock) -> Vec<EventRow> {
    let mut rows: Vec<EventRow> = sums
        .into_iter()
        .map(|((group, site), row)| {
            let bias = row.bias_sum / row.count.max(1) as f64;
            let at = |q: f64| {
                let cycles = row.histogram.quantile(q).unwrap_or(0.0) - bias;
                clock.span_ns(cycles.max(0.0)).clamp(row.min_ns.min(row.max_ns), row.max_ns)
            };
            EventRow {
                group,
                site,
                count: row.count,
                total_ns: row.total_ns,
                distribution: Distribution {
                    min_ns: row.min_ns.min(row.max_ns),
                    p50_ns: at(0.5),
                    p90_ns: at(0.9),
                    p99_ns: at(0.99),
                    p999_ns: at(0.999),
                    max_ns: row.max_ns,
                },
            }
        })
        .collect();
    rows.sort_by(|a, b| {
        b.total_ns.total_cmp(&a.total_ns).then((a.group, a.site).cmp(&(b.group, b.site)))
    });
    rows
}
