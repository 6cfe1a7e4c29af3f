//! A thread's memory: its segment file, its counter table, its private state.
//!
//! ```text
//! file:   | header | counter table (128 KiB) | arena …                     |
//! view 1: | file   | anonymous, page by page replaced by the file's | file |   what stubs count in
//! view 2:          | file's table pages waiting to be moved into view 1 |
//! ```
//! The table begins anonymous because a stub writes to it without asking: a hole of a file on a full
//! disk would be SIGBUS. A page of the file is populated in view 2 first, filled, and then moved.

use super::file::{self, Mapping};
use super::process;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU64, Ordering};
use perfvisor_format::{
    BlockHeader, BlockKind, FileHeader, FileKind, SegmentKind, ARENA_OFFSET, SEGMENT_HEADER_BYTES,
    TABLE_BYTES, TABLE_OFFSET,
};
use perfvisor_probe::every::{Recent, RECENT};
use perfvisor_probe::seam::Entry;
use perfvisor_probe::syscall::{Fast, FAST};
use perfvisor_probe::thread::{MapSlot, Thread, BLOCK_KINDS, FAST_AT};

/// Largest segment file, bytes of address space (sparse): room for some 20 000 call paths.
const LARGEST: usize = 16 << 20;
/// Shadow entries of a thread: more open timed calls than this are only counted.
pub const ENTRIES: usize = 256;
/// log2 of the map's first size.
const MAP_BITS: u32 = 7;
/// The arena is populated in steps of this many bytes.
const STEP: usize = 4096;

/// Anonymous private memory, zeroed; null when there is none.
fn anonymous(bytes: usize) -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping.
    let at = unsafe { libc::mmap(null_mut(), bytes, access, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        null_mut()
    } else {
        at.cast()
    }
}

/// Offsets of the parts of a thread's private block.
const MAP_AT: usize = core::mem::size_of::<Thread>().next_multiple_of(64);
const ENTRIES_AT: usize = (MAP_AT + (16 << MAP_BITS)).next_multiple_of(64);
const FAST_BYTES: usize = FAST * core::mem::size_of::<Fast>();
const _: () = assert!(ENTRIES_AT + ENTRIES * core::mem::size_of::<Entry>() <= FAST_AT);
const RECENT_AT: usize = (FAST_AT + FAST_BYTES).next_multiple_of(4096);
const RECENT_BYTES: usize = RECENT * core::mem::size_of::<Recent>();
const PRIVATE_BYTES: usize = (RECENT_AT + RECENT_BYTES).next_multiple_of(4096);

/// Makes a thread's private block; null when there is no memory.
pub fn new_private() -> *mut Thread {
    let at = anonymous(PRIVATE_BYTES);
    if at.is_null() {
        return null_mut();
    }
    let thread = at.cast::<Thread>();
    // SAFETY: offsets lie inside the block just mapped.
    unsafe {
        (*thread).map = at.add(MAP_AT).cast::<MapSlot>();
        (*thread).map_bits = MAP_BITS;
        (*thread).entries = at.add(ENTRIES_AT).cast();
        (*thread).entry_capacity = ENTRIES as u32;
        reset_private(thread);
    }
    thread
}

/// Makes a private block fit for another thread: nothing open, nothing known.
///
/// # Safety
/// No thread uses `thread`.
pub unsafe fn reset_private(thread: *mut Thread) {
    // SAFETY: the map has 2^map_bits slots.
    unsafe {
        // Entries become spare one by one, so that a shallow thread touches one page of them.
        (*thread).top = null_mut();
        (*thread).spare = null_mut();
        (*thread).fresh = 0;
        if (*thread).map_used != 0 {
            core::ptr::write_bytes((*thread).map, 0, 1 << (*thread).map_bits);
        }
        (*thread).map_used = 0;
        (*thread).wait_edges = 0;
        (*thread).waited = 0;
        (*thread).slow_kept = 0;
        (*thread).guard = 0;
        (*thread).rescan = 0;
        (*thread).end_rounds = 0;
        (*thread).event = null_mut();
        (*thread).event_end = null_mut();
        (*thread).event_chunk = null_mut();
        (*thread).event_losses_told = 0;
        (*thread).event_pause = 0;
        (*thread).random = perfvisor_probe::clock::now() | 1;
        (*thread).recent = null_mut();
        if (*thread).fast_used != 0 {
            core::ptr::write_bytes(thread.cast::<u8>().add(FAST_AT), 0, FAST_BYTES);
            (*thread).fast_used = 0;
        }
        (*thread).syscall_objects = 0;
        (*thread).slow_syscalls_kept = 0;
    }
}

/// Sets how often calls of `thread` are timed; with 1, every call.
///
/// # Safety
/// `thread` is a private block that no thread uses.
pub unsafe fn set_max_gap(thread: *mut Thread, max_gap: u32) {
    // SAFETY: RECENT_AT lies inside the private block. Untouched, its pages cost nothing.
    unsafe {
        (*thread).max_gap = max_gap;
        (*thread).recent = null_mut();
        if max_gap == 1 {
            let recent = thread.cast::<u8>().add(RECENT_AT);
            core::ptr::write_bytes(recent, 0, RECENT_BYTES);
            (*thread).recent = recent.cast();
        }
    }
}

static NEXT_SEGMENT: AtomicU64 = AtomicU64::new(0);
static NEXT_GROUP: AtomicU64 = AtomicU64::new(0);

/// Begins numbering anew (a forked child's own image).
pub fn restart_numbers() {
    NEXT_SEGMENT.store(0, Ordering::Relaxed);
    NEXT_GROUP.store(0, Ordering::Relaxed);
}

/// Bytes of the smallest segment that is worth having.
const LEAST: usize = ARENA_OFFSET + 16 * STEP;

/// Why a thread has no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFile {
    /// The process may not make files as large as `LEAST`; the limit.
    Limit(u64),
    /// No memory, no disk space or no file.
    Room,
}

impl core::fmt::Display for NoFile {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Limit(bytes) => write!(
                out,
                "the limit on file sizes is {bytes} bytes, a thread's file takes {LEAST}: raise it \
                 with ulimit -f"
            ),
            Self::Room => write!(out, "no memory, disk space or file"),
        }
    }
}

/// Gives `thread` a new segment file of `kind`, or says why there is none.
///
/// # Safety
/// `thread` is a private block that no thread uses, under the cold lock.
pub unsafe fn attach_file(thread: *mut Thread, kind: SegmentKind) -> Result<(), NoFile> {
    let (counter, letter) = match kind {
        SegmentKind::Thread => (&NEXT_SEGMENT, 't'),
        SegmentKind::Group => (&NEXT_GROUP, 'g'),
    };
    let number = counter.load(Ordering::Relaxed);
    let path = process::path(&format!("{letter}{number}.pv")).ok_or(NoFile::Room)?;
    let limit = file::size_limit();
    let bytes = LARGEST.min(usize::try_from(limit).unwrap_or(usize::MAX) & !(file::PAGE - 1));
    if bytes < LEAST {
        return Err(NoFile::Limit(limit));
    }
    let made = file::create(&path, bytes, TABLE_OFFSET, TABLE_BYTES);
    let (mapping, fd) = made.ok_or(NoFile::Room)?;
    // SAFETY: views of the mapping just made; nobody counts there yet.
    unsafe {
        let ready = match kind {
            SegmentKind::Thread => overlay_table(thread, &mapping, fd),
            SegmentKind::Group => true,
        };
        libc::close(fd);
        if !ready || !file::populate(mapping.base, 0, SEGMENT_HEADER_BYTES) {
            libc::munmap(mapping.base.cast(), mapping.bytes);
            libc::unlink(path.as_ptr());
            return Err(NoFile::Room);
        }
        counter.store(number + 1, Ordering::Relaxed);
        (*thread).base = mapping.base;
        (*thread).mapping_bytes = mapping.bytes as u64;
        (*thread).segment = mapping.base.add(FileHeader::BYTES).cast();
        (*thread).table = mapping.base.add(TABLE_OFFSET).cast();
        (*thread).table_pages = 0;
        (*thread).table_failed = 0;
        (*thread).segment_number = number as u32;
        (*thread).arena_ready = ARENA_OFFSET as u64;
        Ok(())
    }
}

/// Puts anonymous pages over the table of view 1 and makes view 2.
unsafe fn overlay_table(thread: *mut Thread, mapping: &Mapping, fd: i32) -> bool {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: fixed mappings only over our own mapping.
    unsafe {
        let source =
            libc::mmap(null_mut(), TABLE_BYTES, access, libc::MAP_SHARED, fd, TABLE_OFFSET as i64);
        if source == libc::MAP_FAILED {
            return false;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let table = mapping.base.add(TABLE_OFFSET).cast();
        if libc::mmap(table, TABLE_BYTES, access, flags, -1, 0) == libc::MAP_FAILED {
            libc::munmap(source, TABLE_BYTES);
            return false;
        }
        (*thread).table_source = source.cast();
        file::no_readahead(source.cast(), TABLE_BYTES);
    }
    true
}

/// Writes the heads of a segment that begins (again) for `index`.
///
/// # Safety
/// `thread` has a segment file and is not in use.
pub unsafe fn begin(thread: *mut Thread, kind: SegmentKind, index: u32, group: u64) {
    let Some(id) = process::identity() else { return };
    // SAFETY: the header page is populated.
    unsafe {
        let header = FileHeader::new(
            FileKind::Segment,
            SEGMENT_HEADER_BYTES as u16,
            id.pid,
            id.generation,
            index,
            id.image_id,
        );
        let bytes = header.as_bytes();
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), (*thread).base, bytes.len());
        let segment = (*thread).segment;
        core::ptr::write_bytes(segment, 0, 1);
        (*segment).kind = kind as u32;
        (*segment).thread_index = index;
        (*segment).group_start_routine = group;
        (*segment).committed = ARENA_OFFSET as u64;
        (*thread).blocks = [null_mut(); BLOCK_KINDS];
        (*thread).index = index;
    }
}

/// Empties a segment for another thread: what was used becomes zero.
///
/// # Safety
/// `thread` has a segment and no thread uses it.
pub unsafe fn recycle(thread: *mut Thread) {
    // SAFETY: only populated parts are written.
    unsafe {
        for page in 0..TABLE_BYTES / 4096 {
            if (*thread).table_pages & (1 << page) != 0 {
                core::ptr::write_bytes((*thread).table.cast::<u8>().add(page * 4096), 0, 4096);
            }
        }
        let used = (*(*thread).segment).committed as usize;
        (*(*thread).segment).committed = ARENA_OFFSET as u64;
        core::ptr::write_bytes(
            (*thread).base.add(ARENA_OFFSET),
            0,
            used.max(ARENA_OFFSET) - ARENA_OFFSET,
        );
    }
}

/// Unmaps a kept segment; the private block stays. The file keeps its (sparse) length: cutting it
/// costs the ending thread a journal entry of its file system, some 1 ms where disks are slow.
///
/// # Safety
/// As for [`recycle`].
pub unsafe fn seal(thread: *mut Thread) {
    // SAFETY: unmaps what `attach_file` mapped.
    unsafe {
        libc::munmap((*thread).base.cast(), (*thread).mapping_bytes as usize);
        for page in 0..TABLE_BYTES / 4096 {
            // A page moved to view 1 left a hole in view 2, which may be the host's by now.
            if (*thread).table_pages & (1 << page) == 0 {
                libc::munmap((*thread).table_source.add(page * 4096).cast(), 4096);
            }
        }
        (*thread).base = null_mut();
        (*thread).table = null_mut();
        (*thread).segment = null_mut();
    }
}

/// Moves the file's page `page` of the counter table into view 1; false when there is no room.
///
/// # Safety
/// `thread` is the calling thread's; signals are blocked, so no stub of it runs meanwhile.
pub unsafe fn place_table_page(thread: *mut Thread, page: usize) -> bool {
    // SAFETY: page < 32; both views are ours.
    unsafe {
        let source = (*thread).table_source.add(page * 4096);
        let table = (*thread).table.cast::<u8>().add(page * 4096);
        if !file::populate(source, 0, 4096) {
            return false;
        }
        core::ptr::copy_nonoverlapping(table, source, 4096);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        libc::mremap(source.cast(), 4096, 4096, flags, table) != libc::MAP_FAILED
    }
}

/// Elements of a block, by kind: small first, so that a thread that calls ten APIs stays small.
const fn capacity(kind: BlockKind, first: bool) -> usize {
    match kind {
        BlockKind::Cells => 8,
        BlockKind::Histograms => 24,
        BlockKind::Sites => 15,
        BlockKind::SlowCalls => {
            if first {
                4
            } else {
                21
            }
        }
        BlockKind::Waits => 7,
        BlockKind::Syscalls => {
            if first {
                4
            } else {
                9
            }
        }
        BlockKind::SyscallObjects => 7,
        BlockKind::SlowSyscalls => {
            if first {
                3
            } else {
                31
            }
        }
    }
}

/// A new block of `kind`; null when the arena is full or the disk is.
///
/// # Safety
/// `thread` has a segment; it is the calling thread's or nobody's.
pub unsafe fn new_block(thread: *mut Thread, kind: BlockKind) -> *mut BlockHeader {
    // SAFETY: [committed, end) is populated before it is written.
    unsafe {
        let first = (*thread).blocks[kind as usize].is_null();
        let count = capacity(kind, first);
        let bytes = (BlockHeader::BYTES + count * kind.element_bytes()).next_multiple_of(64);
        let at = (*(*thread).segment).committed as usize;
        let end = at + bytes;
        if end > (*thread).mapping_bytes as usize {
            return null_mut();
        }
        if end > (*thread).arena_ready as usize {
            let more = (end - (*thread).arena_ready as usize).next_multiple_of(STEP);
            if !file::populate((*thread).base, (*thread).arena_ready as usize, more) {
                return null_mut();
            }
            (*thread).arena_ready += more as u64;
        }
        let block = (*thread).base.add(at).cast::<BlockHeader>();
        (*block).kind = kind as u16;
        (*block).capacity = count as u16;
        (*block).used = 0;
        (*block).bytes = bytes as u32;
        (*block).tag = BlockHeader::TAG;
        // Release pairs with the reader's Acquire load of the commit word.
        AtomicU64::from_ptr(&raw mut (*(*thread).segment).committed)
            .store(end as u64, Ordering::Release);
        block
    }
}

/// Doubles the thread's map; false when there is no memory.
///
/// # Safety
/// As for [`new_block`].
pub unsafe fn grow_map(thread: *mut Thread) -> bool {
    // SAFETY: old and new map have 2^bits slots; the first map lies in the private block and is
    // left there, later ones are mappings of their own.
    unsafe {
        let bits = (*thread).map_bits;
        let fresh = anonymous(16 << (bits + 1)).cast::<MapSlot>();
        if fresh.is_null() {
            return false;
        }
        let mask = (1usize << (bits + 1)) - 1;
        for index in 0..1usize << bits {
            let slot = *(*thread).map.add(index);
            if slot.key == 0 {
                continue;
            }
            let mut to = (slot.key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (63 - bits)) as usize;
            while (*fresh.add(to & mask)).key != 0 {
                to += 1;
            }
            *fresh.add(to & mask) = slot;
        }
        if bits > MAP_BITS {
            libc::munmap((*thread).map.cast(), 16 << bits);
        }
        (*thread).map = fresh;
        (*thread).map_bits = bits + 1;
    }
    true
}

/// Cuts the file of a live thread, at the end of the process, to what is populated and a little
/// more, which is populated too: destructors still call.
///
/// # Safety
/// `thread` is live, under the cold lock.
pub unsafe fn shorten(thread: *mut Thread) {
    // SAFETY: [arena_ready, end) is populated before the limit moves there.
    unsafe {
        let end = (*thread).arena_ready as usize + 4 * STEP;
        let path = process::path(&format!("t{}.pv", (*thread).segment_number));
        let (Some(path), true) = (path, end < (*thread).mapping_bytes as usize) else { return };
        if file::populate((*thread).base, (*thread).arena_ready as usize, 4 * STEP) {
            (*thread).arena_ready = end as u64;
            (*thread).mapping_bytes = end as u64;
            file::shorten(&path, end);
        }
    }
}
