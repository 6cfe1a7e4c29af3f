//! The system calls of a written trace.

use super::*;

/// Cycles that the probe's time stamps add to a timed system call.
pub const SYSCALL_BIAS: u64 = 40;

/// A cell: number of its path, the cell, its count, its timed calls as (cycles, weight).
type Parts = (Option<usize>, SyscallCell, u64, Vec<(u64, u64)>);

/// The system calls of a segment to be.
#[derive(Default)]
pub struct SyscallsWriter {
    cells: Vec<Parts>,
    objects: Vec<(usize, SyscallObject)>,
    slow: Vec<(usize, SlowSyscall)>,
}

impl SegmentWriter {
    /// `count` calls of system call `number` made in the API path `path`; its number.
    pub fn syscall(
        &mut self,
        path: Option<usize>,
        number: u32,
        count: u64,
        change: impl FnOnce(&mut SyscallCell),
    ) -> usize {
        let mut cell = zeroed!(SyscallCell);
        cell.number = number;
        cell.min = u64::MAX;
        cell.gap = 1;
        // All but the last call were counted when the word was last rearmed.
        cell.base_count = count.saturating_sub(1);
        change(&mut cell);
        self.syscalls.cells.push((path, cell, count, Vec::new()));
        self.syscalls.cells.len() - 1
    }

    /// Timed ones of its calls, each standing for `weight`; `waited` if they waited.
    pub fn syscall_timed(&mut self, at: usize, weight: u64, durations_ns: &[u64], waited: bool) {
        let (_, cell, _, histogram) = &mut self.syscalls.cells[at];
        for &ns in durations_ns {
            let d = ns * PER_NS + SYSCALL_BIAS;
            cell.timed += 1;
            cell.represented += weight;
            cell.sum += d;
            cell.weighted_sum += weight * d;
            cell.wait_sum += if waited { d } else { 0 };
            cell.min = cell.min.min(d);
            cell.max = cell.max.max(d);
            let factor = (weight * weight - weight) as f64;
            cell.variance_0 += factor;
            cell.variance_1 += factor * d as f64;
            cell.variance_2 += factor * (d * d) as f64;
            histogram.push((d, weight));
        }
    }

    /// What the calls of cell `of` did to an object; all `timed_ns` were timed.
    pub fn object(
        &mut self,
        of: usize,
        kind: SyscallObjectKind,
        object: u64,
        timed_ns: &[u64],
        change: impl FnOnce(&mut SyscallObject),
    ) {
        let mut row = zeroed!(SyscallObject);
        row.kind = kind as u32;
        row.object = object;
        row.number = self.syscalls.cells[of].1.number;
        row.count = timed_ns.len() as u64;
        row.timed = row.count;
        row.sum = timed_ns.iter().map(|ns| ns * PER_NS + SYSCALL_BIAS).sum();
        row.weighted_sum = row.sum;
        row.max = timed_ns.iter().max().map_or(0, |ns| ns * PER_NS + SYSCALL_BIAS);
        row.max_tsc = tsc(500_000_000);
        change(&mut row);
        self.syscalls.objects.push((of, row));
    }

    /// A slow call of cell `of`.
    pub fn slow_syscall(
        &mut self,
        of: usize,
        start_ns: u64,
        ns: u64,
        change: impl FnOnce(&mut SlowSyscall),
    ) {
        let mut slow = zeroed!(SlowSyscall);
        slow.number = self.syscalls.cells[of].1.number;
        slow.start_tsc = tsc(start_ns);
        slow.duration = ns * PER_NS + SYSCALL_BIAS;
        slow.threshold = 2_000;
        change(&mut slow);
        let cell = &mut self.syscalls.cells[of].1;
        cell.slow_seen += 1;
        cell.slow_sum += slow.duration;
        self.syscalls.slow.push((of, slow));
    }
}

impl SyscallsWriter {
    /// Appends the blocks; `path` gives the reference of an API path's cell.
    pub fn append(&self, bytes: &mut Vec<u8>, kind: SegmentKind, path: impl Fn(usize) -> u32) {
        if self.cells.is_empty() {
            return;
        }
        let timed: Vec<&[(u64, u64)]> = self.cells.iter().map(|cell| &cell.3[..]).collect();
        let histograms = histograms(bytes, &timed);
        let first = bytes.len() + BlockHeader::BYTES;
        let reference = |at: usize| ((first + at * SyscallCell::BYTES) / ARENA_UNIT) as u32;
        let cells = self.cells.iter().zip(histograms).map(|((of, cell, count, _), octaves)| {
            let mut cell = *cell;
            cell.path = of.map_or(0, &path);
            cell.histogram = octaves;
            if kind == SegmentKind::Group {
                cell.base_count = *count;
            } else {
                // armed − remaining = count, in halves of 32 bits.
                cell.word = u64::from(*count as u32 + 3) << 32 | 3;
            }
            cell.as_bytes().to_vec()
        });
        let cells = cells.collect();
        block(bytes, BlockKind::Syscalls, cells);
        let objects = self.objects.iter().map(|(of, object)| {
            let mut object = *object;
            object.cell = reference(*of);
            object.as_bytes().to_vec()
        });
        block(bytes, BlockKind::SyscallObjects, objects.collect());
        let slow = self.slow.iter().map(|(of, slow)| {
            let mut slow = *slow;
            slow.cell = reference(*of);
            slow.as_bytes().to_vec()
        });
        block(bytes, BlockKind::SlowSyscalls, slow.collect());
    }
}

impl ImageWriter {
    /// A component's `syscall` instructions.
    pub fn syscall_sites(&mut self, component: u32, found: u32, patched: u32, entry_only: u32) {
        let words = [component, found, patched, entry_only];
        let payload: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.record(RecordKind::SyscallSites, &payload);
    }

    /// An instruction left alone.
    pub fn syscall_skipped(&mut self, component: u32, reason: SyscallSkip, address: u64) {
        let mut payload = component.to_le_bytes().to_vec();
        payload.extend_from_slice(&(reason as u32).to_le_bytes());
        payload.extend_from_slice(&address.to_le_bytes());
        self.record(RecordKind::SyscallSkipped, &payload);
    }

    /// What a descriptor led to.
    pub fn object(&mut self, id: u32, kind: ObjectKind, name: &str) {
        let mut payload = id.to_le_bytes().to_vec();
        payload.extend_from_slice(&(kind as u32).to_le_bytes());
        payload.extend_from_slice(&tsc(1_000_000).to_le_bytes());
        text(&mut payload, name);
        self.record(RecordKind::Object, &payload);
    }

    /// Calls that are in no cell: (table, number, calls).
    pub fn syscall_totals(&mut self, totals: &[(SyscallTable, u32, u64)]) {
        let mut bytes = page(&self.file_header(FileKind::Syscalls, 0));
        bytes.resize(SYSCALLS_FILE_BYTES, 0);
        for &(table, number, calls) in totals {
            let table = SYSCALLS_HEADER_BYTES + table as usize * SYSCALL_TABLE_BYTES;
            let at = table + 8 * number as usize;
            bytes[at..at + 8].copy_from_slice(&calls.to_le_bytes());
        }
        self.files.push(("syscalls.pv".into(), bytes));
    }
}
