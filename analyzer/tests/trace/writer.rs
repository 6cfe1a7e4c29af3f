//! Writes trace directories of known content: the format's other half, for tests and benches.

use perfvisor_format::*;
use std::fs;
use std::path::Path;

/// A structure of zeros.
macro_rules! zeroed {
    ($t:ty) => {
        <$t>::read(&[0u8; <$t>::BYTES], 0).expect("as many bytes as it has")
    };
}

// Behind the macro, which it uses.
pub mod syscalls;

/// Sequence, events lost before, events as (start ns, duration ns, site, depth).
pub type Chunk = (u64, u64, Vec<(u64, u64, u32, u8)>);
/// Parent's number, cell, and its timed calls as (cycles, weight).
type CellParts = (Option<usize>, Cell, Vec<(u64, u64)>);

/// One process image to be.
pub struct ImageWriter {
    pid: u32,
    generation: u32,
    /// Head, free to be changed before `finish`.
    pub header: ProcessHeader,
    /// Minor version of the format that the files claim to have.
    pub version_minor: u16,
    records: Vec<u8>,
    threads: Vec<(ThreadState, ThreadRecord)>,
    files: Vec<(String, Vec<u8>)>,
}

const IMAGE_ID: u64 = 0x1234_5678_9abc_def0;
/// Cycles in one ns.
pub const PER_NS: u64 = 2;
/// When the image began, cycles.
pub const START_TSC: u64 = 1_000_000;

/// The time stamp `ns` after the start.
pub fn tsc(ns: u64) -> u64 {
    START_TSC + ns * PER_NS
}

impl ImageWriter {
    /// An image that began at `START_TSC` and ended 1 s later by exit(0).
    pub fn new(pid: u32) -> Self {
        let mut header = zeroed!(ProcessHeader);
        header.parent_pid = 1;
        header.end_kind = EndKind::Exit as u32;
        header.start_tsc = START_TSC;
        header.start_monotonic_ns = 5_000;
        header.start_realtime_ns = 1_700_000_000_000_000_000;
        header.end_tsc = tsc(1_000_000_000);
        header.end_monotonic_ns = 1_000_005_000;
        header.tsc_hz_hint = PER_NS * 1_000_000_000;
        header.timed_bias_cycles = 10;
        header.timed_bias_error_cycles = 1;
        header.timed_cost_16 = 40 * 16;
        header.counted_cost_16 = 16;
        header.slots_found = 4;
        header.slots_patched = 4;
        let (records, threads, files) = (Vec::new(), Vec::new(), Vec::new());
        let mut image =
            Self { pid, generation: 0, header, version_minor: 0, records, threads, files };
        for (key, value) in [("exe", "/gone/app"), ("argv0", "app"), ("hostname", "host")] {
            image.setting(key, value);
        }
        image
    }

    fn file_header(&self, kind: FileKind, index: u32) -> FileHeader {
        let mut head = FileHeader::new(kind, 4096, self.pid, self.generation, index, IMAGE_ID);
        head.version_minor = self.version_minor;
        head.crc = head.expected_crc();
        head
    }

    fn record(&mut self, kind: RecordKind, payload: &[u8]) {
        let mut head = zeroed!(RecordHeader);
        head.bytes = (RecordHeader::BYTES + payload.len()) as u32;
        head.kind = kind as u16;
        head.crc = crc32(payload);
        head.tag = RecordHeader::TAG;
        self.records.extend_from_slice(head.as_bytes());
        self.records.extend_from_slice(payload);
        self.records.resize(self.records.len().next_multiple_of(8), 0);
    }

    /// A setting.
    pub fn setting(&mut self, key: &str, value: &str) {
        let mut payload = Vec::new();
        text(&mut payload, key);
        text(&mut payload, value);
        self.record(RecordKind::Setting, &payload);
    }

    /// A message at `ns`.
    pub fn message(&mut self, ns: u64, message: &str) {
        let mut payload = tsc(ns).to_le_bytes().to_vec();
        text(&mut payload, message);
        self.record(RecordKind::Message, &payload);
    }

    /// A component of 1 MiB at `base`.
    pub fn component(&mut self, id: u32, flags: u32, base: u64, path: &str) {
        let mut payload = Vec::new();
        payload.extend_from_slice(&id.to_le_bytes());
        payload.extend_from_slice(&flags.to_le_bytes());
        for word in [base, base, base + (1 << 20), START_TSC] {
            payload.extend_from_slice(&word.to_le_bytes());
        }
        text(&mut payload, path);
        text(&mut payload, "\u{1}\u{2}");
        self.record(RecordKind::Component, &payload);
    }

    /// A site.
    pub fn site(&mut self, id: u32, caller: u32, target: u32, wait: WaitKind, name: &str) {
        let mut payload = Vec::new();
        for word in [id, caller, target] {
            payload.extend_from_slice(&word.to_le_bytes());
        }
        payload.extend_from_slice(&[SiteHow::JumpSlot as u8, wait as u8, 0, 0]);
        payload.extend_from_slice(&[0; 16]);
        text(&mut payload, name);
        text(&mut payload, "");
        self.record(RecordKind::Site, &payload);
    }

    /// A skipped slot.
    pub fn skip(&mut self, caller: u32, reason: SkipReason, name: &str) {
        let mut payload = caller.to_le_bytes().to_vec();
        payload.extend_from_slice(&(reason as u32).to_le_bytes());
        text(&mut payload, name);
        self.record(RecordKind::Skip, &payload);
    }

    /// A thread that lives from `from_ns` to `to_ns` (0 = to the end of the image); its index.
    pub fn thread(
        &mut self,
        state: ThreadState,
        from_ns: u64,
        to_ns: u64,
        change: impl FnOnce(&mut ThreadRecord),
    ) -> u32 {
        let index = self.threads.len() as u32;
        let mut record = zeroed!(ThreadRecord);
        record.tid = self.pid + index;
        record.segment = index;
        record.group = u32::MAX;
        record.creator = if index == 0 { u32::MAX } else { 0 };
        record.origin = u32::from(index == 0);
        record.pthread = 0x7000_0000 + u64::from(index);
        record.start_tsc = tsc(from_ns);
        record.start_monotonic_ns = 5_000 + from_ns;
        if to_ns != 0 {
            record.end_tsc = tsc(to_ns);
            record.end_monotonic_ns = 5_000 + to_ns;
        }
        record.user_ns = 1_000_000;
        record.system_ns = 100_000;
        record.voluntary_switches = 3;
        record.involuntary_switches = 1;
        change(&mut record);
        self.threads.push((state, record));
        index
    }

    /// The segment of thread `index`.
    pub fn thread_segment(&mut self, index: u32, segment: &SegmentWriter) {
        let number = self.threads[index as usize].1.segment;
        let head = self.file_header(FileKind::Segment, index);
        let bytes = segment.bytes(&head, SegmentKind::Thread, index);
        self.files.push((format!("t{number}.pv"), bytes));
    }

    /// The segment of group `number`.
    pub fn group_segment(&mut self, number: u32, segment: &SegmentWriter) {
        let head = self.file_header(FileKind::Segment, number);
        let bytes = segment.bytes(&head, SegmentKind::Group, number);
        self.files.push((format!("g{number}.pv"), bytes));
    }

    /// Calls that no thread counted: (site, calls).
    pub fn late(&mut self, late: &[(u32, u64)]) {
        let mut bytes = page(&self.file_header(FileKind::Late, 0));
        for &(site, calls) in late {
            let at = 4096 + 8 * site as usize;
            bytes.resize(bytes.len().max(at + 8), 0);
            bytes[at..at + 8].copy_from_slice(&calls.to_le_bytes());
        }
        self.files.push(("late.pv".into(), bytes));
    }

    /// Chunks of events of thread `index`: (sequence, lost before, events as (start, duration,
    /// site, depth) in ns).
    pub fn events(&mut self, index: u32, chunks: &[Chunk]) {
        let mut bytes = page(&self.file_header(FileKind::Events, index));
        for (at, (sequence, lost_before, events)) in chunks.iter().enumerate() {
            let mut body = Vec::new();
            for &(start_ns, duration_ns, site, depth) in events {
                let duration = duration_ns * PER_NS + 10;
                let long = duration >= u64::from(EVENT_LONG);
                body.extend_from_slice(&tsc(start_ns).to_le_bytes());
                let short = if long { EVENT_LONG } else { duration as u32 };
                body.extend_from_slice(&short.to_le_bytes());
                body.extend_from_slice(&(site | u32::from(depth) << 24).to_le_bytes());
                if long {
                    body.extend_from_slice(&duration.to_le_bytes());
                    body.extend_from_slice(&[0; 8]);
                }
            }
            let mut head = zeroed!(EventChunkHeader);
            head.sequence = *sequence;
            head.committed = body.len() as u64;
            head.thread_index = u64::from(index);
            head.lost_before = *lost_before;
            bytes.resize(4096 + at * EVENT_CHUNK_BYTES, 0);
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&body);
        }
        self.files.push((format!("e{index}.pv"), bytes));
    }

    /// All files of the image, named relative to the trace directory.
    pub fn files(mut self) -> Vec<(String, Vec<u8>)> {
        self.header.committed = (PROCESS_HEADER_BYTES + self.records.len()) as u64;
        let mut process = page(&self.file_header(FileKind::Process, 0));
        process[64..64 + ProcessHeader::BYTES].copy_from_slice(self.header.as_bytes());
        process.extend_from_slice(&self.records);
        let mut threads = page(&self.file_header(FileKind::Threads, 0));
        for (state, record) in &self.threads {
            let mut record = *record;
            record.state = *state as u32;
            threads.extend_from_slice(record.as_bytes());
        }
        let mut files =
            vec![("process.pv".to_owned(), process), ("threads.pv".to_owned(), threads)];
        files.append(&mut self.files);
        let folder = format!("p{}.{}", self.pid, self.generation);
        files.into_iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes)).collect()
    }
}

/// Writes `files` below `root`.
pub fn write_files(root: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a writable folder");
        fs::write(path, bytes).expect("a writable file");
    }
}

fn page(head: &FileHeader) -> Vec<u8> {
    let mut bytes = head.as_bytes().to_vec();
    bytes.resize(4096, 0);
    bytes
}

fn text(payload: &mut Vec<u8>, text: &str) {
    payload.extend_from_slice(&(text.len() as u32).to_le_bytes());
    payload.extend_from_slice(text.as_bytes());
}

/// A segment to be.
pub struct SegmentWriter {
    /// Head, free to be changed.
    pub header: SegmentHeader,
    states: Vec<(SiteState, u64)>,
    cells: Vec<CellParts>,
    slow: Vec<(usize, SlowCall)>,
    waits: Vec<WaitEdge>,
    syscalls: syscalls::SyscallsWriter,
}

impl Default for SegmentWriter {
    fn default() -> Self {
        let (states, cells, slow, waits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (header, syscalls) = (zeroed!(SegmentHeader), syscalls::SyscallsWriter::default());
        Self { header, states, cells, slow, waits, syscalls }
    }
}

impl SegmentWriter {
    /// `count` calls of `site`, of which the last `behind` came after the site was rearmed.
    pub fn count(&mut self, site: u32, count: u64, behind: u64, unseen_max_ns: u64) {
        let mut state = zeroed!(SiteState);
        state.site = site;
        state.gap = 1;
        state.base_count = count - behind;
        state.unseen_max = unseen_max_ns * PER_NS;
        self.states.push((state, count));
        self.header.site_limit = self.header.site_limit.max(u64::from(site) + 1);
    }

    /// A call path: `site` called from the path `parent`; its number.
    pub fn cell(&mut self, parent: Option<usize>, site: u32) -> usize {
        let mut cell = zeroed!(Cell);
        cell.site = site;
        cell.min = u64::MAX;
        cell.depth = parent.map_or(1, |parent| self.cells[parent].1.depth + 1);
        self.cells.push((parent, cell, Vec::new()));
        self.cells.len() - 1
    }

    /// Timed calls of a path as the probe writes them: each stands for `weight` calls, took
    /// `duration_ns` (the probe's bias of 10 cycles is added), `below_ns` of it in calls below,
    /// and waited `wait_ns`.
    pub fn timed(
        &mut self,
        cell: usize,
        weight: u64,
        durations_ns: &[u64],
        below_ns: u64,
        wait_ns: u64,
    ) {
        let (_, cell, histogram) = &mut self.cells[cell];
        for &ns in durations_ns {
            let d = ns * PER_NS + 10;
            let below = if below_ns == 0 { 0 } else { below_ns * PER_NS + 10 };
            cell.timed += 1;
            cell.represented += weight;
            cell.sum += d;
            cell.weighted_sum += weight * d;
            cell.weighted_self += (weight * d) as i64 - (weight * below) as i64;
            cell.weighted_wait += weight * wait_ns * PER_NS;
            cell.wait_sum += if below_ns == 0 { wait_ns * PER_NS } else { 0 };
            cell.min = cell.min.min(d);
            cell.max = cell.max.max(d);
            let factor = (weight * weight - weight) as f64;
            cell.variance_0 += factor;
            cell.variance_1 += factor * d as f64;
            cell.variance_2 += factor * (d * d) as f64;
            histogram.push((d, weight));
            self.header.timed += 1;
        }
    }

    /// A slow call of a path.
    pub fn slow(
        &mut self,
        cell: usize,
        start_ns: u64,
        ns: u64,
        change: impl FnOnce(&mut SlowCall),
    ) {
        let mut slow = zeroed!(SlowCall);
        slow.site = self.cells[cell].1.site;
        slow.start_tsc = tsc(start_ns);
        slow.duration = ns * PER_NS + 10;
        slow.threshold = 1_000;
        slow.wait_site = u32::MAX;
        change(&mut slow);
        self.cells[cell].1.slow_seen += 1;
        self.cells[cell].1.slow_sum += slow.duration;
        self.slow.push((cell, slow));
    }

    /// Waits of `site` for `object`, held by `holder`.
    pub fn wait(
        &mut self,
        site: u32,
        kind: WaitKind,
        object: u64,
        holder: u32,
        count: u64,
        ns: u64,
    ) {
        let mut edge = zeroed!(WaitEdge);
        edge.site = site;
        edge.holder_tid = holder;
        edge.object = object;
        edge.count = count;
        edge.sum = ns * PER_NS;
        edge.max = ns * PER_NS / count;
        edge.max_tsc = tsc(500_000_000);
        edge.kind = kind as u16;
        self.waits.push(edge);
    }

    fn bytes(&self, head: &FileHeader, kind: SegmentKind, index: u32) -> Vec<u8> {
        let mut bytes = page(head);
        bytes.resize(ARENA_OFFSET, 0);
        let states = self.states.iter().map(|(state, count)| {
            let mut state = *state;
            if kind == SegmentKind::Group {
                state.base_count = *count;
            }
            state.as_bytes().to_vec()
        });
        block(&mut bytes, BlockKind::Sites, states.collect());
        if kind == SegmentKind::Thread {
            for (state, count) in &self.states {
                // armed − remaining = count, in halves of 32 bits.
                let (armed, remaining) = (*count as u32 + 7, 7u32);
                let word = u64::from(armed) << 32 | u64::from(remaining);
                let at = TABLE_OFFSET + 8 * state.site as usize;
                bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        let timed: Vec<&[(u64, u64)]> = self.cells.iter().map(|cell| &cell.2[..]).collect();
        let histograms = histograms(&mut bytes, &timed);
        let cells_at = bytes.len() + BlockHeader::BYTES;
        let reference = |cell: usize| ((cells_at + cell * Cell::BYTES) / ARENA_UNIT) as u32;
        let cells = self.cells.iter().zip(histograms).map(|((parent, cell, _), octaves)| {
            let mut cell = *cell;
            cell.parent = parent.map_or(0, reference);
            cell.histogram = octaves;
            cell.as_bytes().to_vec()
        });
        block(&mut bytes, BlockKind::Cells, cells.collect());
        let slow = self.slow.iter().map(|(cell, slow)| {
            let mut slow = *slow;
            slow.cell = reference(*cell);
            slow.as_bytes().to_vec()
        });
        block(&mut bytes, BlockKind::SlowCalls, slow.collect());
        block(
            &mut bytes,
            BlockKind::Waits,
            self.waits.iter().map(|w| w.as_bytes().to_vec()).collect(),
        );
        self.syscalls.append(&mut bytes, kind, reference);
        let mut header = self.header;
        header.kind = kind as u32;
        header.thread_index = index;
        header.committed = bytes.len() as u64;
        bytes[64..64 + SegmentHeader::BYTES].copy_from_slice(header.as_bytes());
        bytes
    }
}

/// Appends the histograms of cells, given as (cycles, weight); the references of their chunks.
fn histograms(bytes: &mut Vec<u8>, cells: &[&[(u64, u64)]]) -> Vec<[u32; OCTAVES]> {
    let mut chunks = Vec::new();
    let mut places = Vec::new();
    for calls in cells {
        let mut octaves = std::collections::BTreeMap::new();
        for &(value, weight) in *calls {
            let Bucket { octave, sub } = bucket_of(value);
            octaves.entry(octave).or_insert([0u32; SUB_BUCKETS])[sub] += weight as u32;
        }
        let first = chunks.len();
        places.push(octaves.keys().zip(first..).map(|(&o, at)| (o, at)).collect::<Vec<_>>());
        chunks.extend(
            octaves.values().map(|c| c.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>()),
        );
    }
    let first = block(bytes, BlockKind::Histograms, chunks);
    let reference = |chunk: usize| ((first + chunk * 128) / ARENA_UNIT) as u32;
    let references = places.iter().map(|places| {
        let mut octaves = [0; OCTAVES];
        places.iter().for_each(|&(octave, chunk)| octaves[octave] = reference(chunk));
        octaves
    });
    references.collect()
}

/// Appends a block; where its first element stands.
fn block(bytes: &mut Vec<u8>, kind: BlockKind, elements: Vec<Vec<u8>>) -> usize {
    let first = bytes.len() + BlockHeader::BYTES;
    if elements.is_empty() {
        return first;
    }
    let mut head = zeroed!(BlockHeader);
    head.kind = kind as u16;
    head.capacity = elements.len() as u16;
    head.used = elements.len() as u32;
    head.bytes = (BlockHeader::BYTES + elements.len() * kind.element_bytes()) as u32;
    head.tag = BlockHeader::TAG;
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend(elements.into_iter().flatten());
    first
}
