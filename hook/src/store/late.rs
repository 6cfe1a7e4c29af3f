//! `late.pv`: one counter a site for calls that no thread can count.
//!
//! The probe counts there without asking, so all of it is mapped from the start. What a limit on
//! file sizes or a full disk keeps out of the file stays in memory, and becomes `lost_calls` when
//! the process ends: such calls are not in any count, and the report says how many they are.

use super::file;
use super::process;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use perfvisor_format::{FileHeader, FileKind, MAX_SITES};

/// The whole: a page for the header, then a word a site.
const BYTES: usize = file::PAGE + MAX_SITES * 8;

/// Bytes of the mapping that are the file's; the rest is memory.
static IN_FILE: AtomicUsize = AtomicUsize::new(0);

/// Where the process counts what its threads cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the file.
    All,
    /// In the file as far as it reaches.
    Some,
    /// In memory only.
    None,
}

/// How much the file takes.
pub fn kept() -> Kept {
    match IN_FILE.load(Ordering::Relaxed) {
        0 => Kept::None,
        BYTES => Kept::All,
        _ => Kept::Some,
    }
}

/// Makes the counters; without memory calls of threads that cannot count are counted as nothing.
pub fn create() {
    IN_FILE.store(0, Ordering::Relaxed);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping, over the front of which only the file's own pages are moved; LATE is
    // read by the probe, null or valid.
    unsafe {
        let base = libc::mmap(null_mut(), BYTES, access, flags, -1, 0);
        if base == libc::MAP_FAILED {
            return;
        }
        let limit = usize::try_from(file::size_limit()).unwrap_or(usize::MAX);
        let bytes = BYTES.min(limit & !(file::PAGE - 1));
        if bytes > file::PAGE && move_file(base.cast(), bytes) {
            IN_FILE.store(bytes, Ordering::Relaxed);
        }
        perfvisor_probe::cold::LATE = base.cast::<u8>().add(file::PAGE).cast();
    }
}

/// Makes the file and moves it over the front of the mapping at `base`; false when there is no room.
unsafe fn move_file(base: *mut u8, bytes: usize) -> bool {
    let (Some(path), Some(id)) = (process::path("late.pv"), process::identity()) else {
        return false;
    };
    let Some((mapping, fd)) = file::create(&path, bytes, 0, file::PAGE) else { return false };
    // SAFETY: the descriptor and the mapping are ours; `base` has at least `bytes` bytes.
    unsafe {
        libc::close(fd);
        if file::populate(mapping.base, 0, bytes) {
            let (pid, generation) = (id.pid, id.generation);
            let head = FileHeader::new(FileKind::Late, 4096, pid, generation, 0, id.image_id);
            file::put_header(&mapping, &head);
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            let moved = libc::mremap(mapping.base.cast(), bytes, bytes, flags, base);
            if moved != libc::MAP_FAILED {
                return true;
            }
        }
        libc::munmap(mapping.base.cast(), bytes);
        libc::unlink(path.as_ptr());
    }
    false
}

/// Takes the calls out of the counters that no file keeps; each call is taken once.
pub fn take_unkept() -> u64 {
    let in_file = IN_FILE.load(Ordering::Relaxed).max(file::PAGE);
    // SAFETY: LATE is null or has MAX_SITES words.
    unsafe {
        let late = (&raw const perfvisor_probe::cold::LATE).read();
        if late.is_null() || in_file == BYTES {
            return 0;
        }
        // Relaxed: other threads may still count; a call is taken now or stays for the next time.
        let word = |site| AtomicU64::from_ptr(late.add(site)).swap(0, Ordering::Relaxed);
        ((in_file - file::PAGE) / 8..MAX_SITES).map(word).sum()
    }
}
