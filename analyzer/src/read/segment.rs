//! A segment: the counter table and the arena of one thread (`t<N>.pv`) or group (`g<N>.pv`).

use super::header::{read_member_header, ImageIdentity};
use super::process::committed_end;
use super::syscalls::{link_syscalls, SyscallEntry};
use super::{Damage, Mapped, ReadError};
use perfvisor_format::{
    BlockHeader, BlockKind, Cell, FileHeader, FileKind, SegmentHeader, SegmentKind, SiteState,
    SlowCall, SlowSyscall, SyscallCell, SyscallObject, WaitEdge, ARENA_OFFSET, ARENA_UNIT,
    MAX_SITES, OCTAVES, SUB_BUCKETS, TABLE_OFFSET,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of a histogram chunk.
const CHUNK_BYTES: usize = SUB_BUCKETS * 4;

/// A cell and the reference by which others name it.
#[derive(Clone, Copy, Debug)]
pub struct CellEntry {
    /// Reference, units of 64 bytes from the start of the file.
    pub reference: u32,
    /// The cell.
    pub cell: Cell,
    /// Position of its parent in [`Segment::cells`]; `None` for a root.
    pub parent: Option<u32>,
}

/// The histogram chunks of one block.
struct HistogramBlock {
    first: u32,
    bytes: Vec<u8>,
}

/// All of a segment that was committed when it was read.
pub struct Segment {
    /// File, relative to the trace directory.
    pub file: String,
    /// Its head.
    pub header: SegmentHeader,
    /// Exact counts: (site, calls), only where there are some, by site.
    pub counts: Vec<(u32, u64)>,
    /// Site states, in the order of the file (a fold's journal counts them so).
    pub states: Vec<SiteState>,
    /// Cells.
    pub cells: Vec<CellEntry>,
    /// Slow calls.
    pub slow_calls: Vec<SlowCall>,
    /// Wait edges.
    pub waits: Vec<WaitEdge>,
    /// System calls.
    pub syscalls: Vec<SyscallEntry>,
    /// What system calls did to descriptors and futexes.
    pub syscall_objects: Vec<SyscallObject>,
    /// Slow system calls.
    pub slow_syscalls: Vec<SlowSyscall>,
    /// Damaged places.
    pub damages: Vec<Damage>,
    histograms: Vec<HistogramBlock>,
}

/// What a segment is expected to be.
#[derive(Clone, Copy, Debug)]
pub struct SegmentOwner {
    /// Of a thread or of a group.
    pub kind: SegmentKind,
    /// Thread record index or group number.
    pub index: u32,
}

/// Reads `root/name`, which must belong to `owner` in image `identity`. The table's words are read
/// for `known_sites` (ascending) and for sites that have a state: the rest of it is a hole.
///
/// # Errors
/// When the file cannot be opened, its heads are damaged, foreign or newer, or it is another's.
/// Damaged blocks and cells are listed in the result instead.
pub fn read_segment(
    root: &Path,
    name: &str,
    identity: ImageIdentity,
    owner: SegmentOwner,
    known_sites: &[u32],
) -> Result<Segment, ReadError> {
    let file = Mapped::open(root, name)?;
    read_member_header(&file, FileKind::Segment, identity)?;
    let at = FileHeader::BYTES;
    let committed_at = at + std::mem::offset_of!(SegmentHeader, committed);
    let short = || file.error(at, "a segment head", format!("{} bytes", file.size_bytes()));
    let committed = file.word(committed_at).ok_or_else(short)?;
    let bytes = file.copy(at, SegmentHeader::BYTES).ok_or_else(short)?;
    let header = SegmentHeader::read(&bytes, 0).ok_or_else(short)?;
    if header.kind != owner.kind as u32 {
        return Err(file.error(
            at,
            format!("segment kind {} ({:?})", owner.kind as u32, owner.kind),
            header.kind.to_string(),
        ));
    }
    if header.thread_index != owner.index {
        return Err(file.error(
            at + 4,
            format!("the segment of {:?} {}", owner.kind, owner.index),
            header.thread_index.to_string(),
        ));
    }
    let mut segment = Segment {
        file: name.to_owned(),
        header,
        counts: Vec::new(),
        states: Vec::new(),
        cells: Vec::new(),
        slow_calls: Vec::new(),
        waits: Vec::new(),
        syscalls: Vec::new(),
        syscall_objects: Vec::new(),
        slow_syscalls: Vec::new(),
        damages: Vec::new(),
        histograms: Vec::new(),
    };
    let end = committed_end(&file, committed_at, committed, ARENA_OFFSET, &mut segment.damages);
    segment.read_blocks(&file, end);
    // After the states: a base read before its word can only be behind it.
    segment.read_counts(&file, owner, known_sites);
    segment.link_parents(&file);
    link_syscalls(&mut segment, &file, owner.kind);
    Ok(segment)
}

impl Segment {
    /// Weighted counts of `cell`'s histogram, one call of `visit` per filled bucket:
    /// (octave, bucket, calls).
    pub fn histogram(&self, cell: &Cell, visit: impl FnMut(usize, usize, u64)) {
        self.buckets(cell.histogram_shift, &cell.histogram, visit);
    }

    /// The same of a system call's cell.
    pub fn syscall_histogram(&self, cell: &SyscallCell, visit: impl FnMut(usize, usize, u64)) {
        self.buckets(cell.histogram_shift, &cell.histogram, visit);
    }

    fn buckets(
        &self,
        shift: u32,
        references: &[u32; OCTAVES],
        mut visit: impl FnMut(usize, usize, u64),
    ) {
        // A shift of 64 and more cannot be meant; the values it would give are gone anyway.
        let shift = shift.min(40);
        for (octave, &reference) in references.iter().enumerate() {
            let Some(chunk) = self.chunk(reference) else { continue };
            for (sub, raw) in chunk.chunks_exact(4).enumerate() {
                let count = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
                if count != 0 {
                    visit(octave, sub, u64::from(count) << shift);
                }
            }
        }
    }

    fn chunk(&self, reference: u32) -> Option<&[u8]> {
        if reference == 0 {
            return None;
        }
        let after = self.histograms.partition_point(|block| block.first <= reference);
        let block = self.histograms.get(after.checked_sub(1)?)?;
        let offset = (reference - block.first) as usize * ARENA_UNIT;
        if !offset.is_multiple_of(CHUNK_BYTES) {
            return None;
        }
        block.bytes.get(offset..offset + CHUNK_BYTES)
    }

    /// Position of the cell that `reference` names.
    pub fn cell_at(&self, reference: u32) -> Option<u32> {
        let at = self.cells.binary_search_by_key(&reference, |entry| entry.reference).ok()?;
        u32::try_from(at).ok()
    }

    /// The system call's cell that `reference` names.
    pub fn syscall_at(&self, reference: u32) -> Option<&SyscallEntry> {
        let at = self.syscalls.binary_search_by_key(&reference, |entry| entry.reference).ok()?;
        self.syscalls.get(at)
    }

    fn read_blocks(&mut self, file: &Mapped, end: usize) {
        let mut at = ARENA_OFFSET;
        while at < end {
            match self.read_block(file, at, end) {
                Ok(next) => at = next,
                Err(damage) => {
                    self.damages.push(damage);
                    return;
                }
            }
        }
    }

    /// Reads the block at `at`; gives where the next begins.
    fn read_block(&mut self, file: &Mapped, at: usize, end: usize) -> Result<usize, Damage> {
        let used_at = at + std::mem::offset_of!(BlockHeader, used);
        let head = file
            .half_word(used_at)
            .and_then(|used| Some((used, file.copy(at, BlockHeader::BYTES)?)))
            .and_then(|(used, bytes)| Some((used, BlockHeader::read(&bytes, 0)?)));
        let Some((used, head)) = head else {
            return Err(file.damage(
                at,
                "a block head",
                format!("{} bytes", file.size_bytes() - at),
            ));
        };
        if head.tag != BlockHeader::TAG {
            let expected = format!("block tag {:#010x}", BlockHeader::TAG);
            return Err(file.damage(at + 12, expected, format!("{:#010x}", head.tag)));
        }
        let bytes = head.bytes as usize;
        if bytes < BlockHeader::BYTES || !bytes.is_multiple_of(ARENA_UNIT) || bytes > end - at {
            let expected = format!("a block of 64 to {} bytes in steps of 64", end - at);
            return Err(file.damage(at + 8, expected, bytes.to_string()));
        }
        let next = at + bytes;
        // A kind of a later minor version: its size is known, its content is not ours.
        let Some(kind) = BlockKind::from_raw(head.kind) else { return Ok(next) };
        let room = (bytes - BlockHeader::BYTES) / kind.element_bytes();
        let mut used = used as usize;
        if used > room {
            let expected = format!("at most {room} elements in use");
            self.damages.push(file.damage(used_at, expected, used.to_string()));
            used = room;
        }
        let first = at + BlockHeader::BYTES;
        if let Some(elements) = file.copy(first, used * kind.element_bytes()) {
            self.take_elements(kind, first, elements);
        }
        Ok(next)
    }

    fn take_elements(&mut self, kind: BlockKind, first: usize, bytes: Vec<u8>) {
        let size = kind.element_bytes();
        let offsets = (0..bytes.len() / size).map(|i| i * size);
        match kind {
            BlockKind::Sites => {
                self.states.extend(offsets.filter_map(|o| SiteState::read(&bytes, o)));
            }
            BlockKind::Cells => self.cells.extend(offsets.filter_map(|o| {
                let reference = u32::try_from((first + o) / ARENA_UNIT).ok()?;
                Some(CellEntry { reference, cell: Cell::read(&bytes, o)?, parent: None })
            })),
            BlockKind::Histograms => {
                if let Ok(first) = u32::try_from(first / ARENA_UNIT) {
                    self.histograms.push(HistogramBlock { first, bytes });
                }
            }
            BlockKind::SlowCalls => {
                self.slow_calls.extend(offsets.filter_map(|o| SlowCall::read(&bytes, o)));
            }
            BlockKind::Waits => {
                self.waits.extend(offsets.filter_map(|o| WaitEdge::read(&bytes, o)));
            }
            BlockKind::Syscalls => self.syscalls.extend(offsets.filter_map(|o| {
                let reference = u32::try_from((first + o) / ARENA_UNIT).ok()?;
                let cell = SyscallCell::read(&bytes, o)?;
                Some(SyscallEntry { reference, cell, count: 0, path: None })
            })),
            BlockKind::SyscallObjects => {
                let objects = offsets.filter_map(|o| SyscallObject::read(&bytes, o));
                self.syscall_objects.extend(objects);
            }
            BlockKind::SlowSyscalls => {
                self.slow_syscalls.extend(offsets.filter_map(|o| SlowSyscall::read(&bytes, o)));
            }
        }
    }

    fn read_counts(&mut self, file: &Mapped, owner: SegmentOwner, known_sites: &[u32]) {
        let mut bases: BTreeMap<u32, u64> = known_sites.iter().map(|&site| (site, 0)).collect();
        for (order, state) in self.states.iter().enumerate() {
            if state.site as usize >= MAX_SITES {
                let expected = format!("a site below {MAX_SITES} in site state {order}");
                self.damages.push(file.damage(ARENA_OFFSET, expected, state.site.to_string()));
            } else {
                bases.insert(state.site, state.base_count);
            }
        }
        for (site, base) in bases {
            let since = match owner.kind {
                SegmentKind::Group => 0,
                SegmentKind::Thread => self.since(file, site, base),
            };
            let count = base.saturating_add(u64::from(since));
            if count != 0 {
                self.counts.push((site, count));
            }
        }
    }

    /// Calls of `site` since its `base` was taken, by the table.
    fn since(&mut self, file: &Mapped, site: u32, base: u64) -> u32 {
        let offset = TABLE_OFFSET + 8 * site as usize;
        let Some(word) = file.word(offset) else { return 0 };
        let since = since_base(word, base);
        // A kill in the middle of rearming leaves the word up to one gap behind its base, which is
        // then the exact count; further behind is damage.
        if since.wrapping_neg() <= LARGEST_GAP {
            return 0;
        }
        if since > u32::MAX / 2 {
            let expected = format!("a counter ahead of its base {base}");
            self.damages.push(file.damage(offset, expected, format!("{word:#018x}")));
            return 0;
        }
        since
    }

    /// Finds each cell's parent; a parent must be one call shorter, so that no circle can be.
    fn link_parents(&mut self, file: &Mapped) {
        for at in 0..self.cells.len() {
            let CellEntry { reference, cell, .. } = self.cells[at];
            if cell.parent == 0 {
                continue;
            }
            let parent = self.cell_at(cell.parent);
            match parent {
                Some(p) if self.cells[p as usize].cell.depth < cell.depth => {
                    self.cells[at].parent = parent;
                }
                _ => self.damages.push(file.damage(
                    reference as usize * ARENA_UNIT,
                    "the reference of a parent cell one call shorter",
                    format!("{:#x}", cell.parent),
                )),
            }
        }
    }
}

/// Most calls one rearming can add: twice the largest gap a setting allows.
pub const LARGEST_GAP: u32 = 2 << 20;

/// Calls since `base` was taken, by the table word (FORMAT.md, "Counting").
pub fn since_base(word: u64, base: u64) -> u32 {
    let remaining = word as u32;
    let armed = (word >> 32) as u32;
    armed.wrapping_sub(remaining).wrapping_sub(base as u32)
}
