//! `e<INDEX>.pv`: chunks of events, one mapped at a time.

use super::file;
use super::process;
use crate::config::Config;
use core::ptr::null_mut;
use perfvisor_format::{EventChunkHeader, FileHeader, FileKind, EVENT_CHUNK_BYTES};
use perfvisor_probe::thread::Thread;

/// Bytes before the first chunk.
const HEADER: usize = 4096;

/// Closes the current chunk and opens the next; false when there is no room (events are lost).
///
/// A flight recorder goes round: it takes the oldest chunk again, which is within the limit.
///
/// # Safety
/// `thread` is the calling thread's, under the cold lock with signals blocked.
pub unsafe fn next_chunk(thread: *mut Thread, config: &Config) -> bool {
    // SAFETY: contract handed on.
    unsafe {
        close(thread);
        let most = (config.events_limit / EVENT_CHUNK_BYTES as u64).max(2);
        let sequence = (*thread).event_sequence;
        if config.flight_ns == 0 && sequence >= most {
            return false;
        }
        let position = sequence % most;
        let Some(chunk) = map_chunk((*thread).index, position, sequence < most) else {
            return false;
        };
        let chunk = chunk.cast::<EventChunkHeader>();
        (*chunk).committed = 0;
        (*chunk).thread_index = u64::from((*thread).index);
        (*chunk).last_tsc = 0;
        (*chunk).lost_before = (*(*thread).segment).lost_events;
        (*chunk).sequence = sequence + 1;
        (*thread).event_sequence = sequence + 1;
        (*thread).event_chunk = chunk;
        (*thread).event = chunk.cast::<u8>().add(EventChunkHeader::BYTES);
        (*thread).event_end = chunk.cast::<u8>().add(EVENT_CHUNK_BYTES);
        true
    }
}

/// Maps the chunk at `position` of thread record `index`, with its disk blocks allocated.
fn map_chunk(index: u32, position: u64, fresh: bool) -> Option<*mut u8> {
    let path = process::path(&format!("e{index}.pv"))?;
    let offset = HEADER as u64 + position * EVENT_CHUNK_BYTES as u64;
    let end = offset + EVENT_CHUNK_BYTES as u64;
    if end > file::size_limit() {
        return None;
    }
    let fd = file::open(&path, true);
    if fd < 0 {
        return None;
    }
    // SAFETY: descriptor and mapping are ours.
    unsafe {
        // fallocate gives the chunk its blocks at once: no SIGBUS later. Where a file system cannot
        // (EOPNOTSUPP), populate asks page by page.
        let sized = !fresh
            || libc::fallocate(fd, 0, 0, end as i64) == 0
            || (*libc::__errno_location() == libc::EOPNOTSUPP
                && libc::ftruncate(fd, end as i64) == 0);
        let mut mapped = libc::MAP_FAILED;
        if sized {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            mapped = libc::mmap(
                null_mut(),
                EVENT_CHUNK_BYTES,
                access,
                libc::MAP_SHARED,
                fd,
                offset as i64,
            );
        }
        if mapped != libc::MAP_FAILED && position == 0 && fresh {
            write_header(fd, index);
        }
        libc::close(fd);
        if mapped == libc::MAP_FAILED {
            return None;
        }
        file::no_readahead(mapped.cast(), EVENT_CHUNK_BYTES);
        Some(mapped.cast())
    }
}

fn write_header(fd: i32, index: u32) {
    let Some(id) = process::identity() else { return };
    let header =
        FileHeader::new(FileKind::Events, HEADER as u16, id.pid, id.generation, index, id.image_id);
    let bytes = header.as_bytes();
    // SAFETY: a write of a live buffer to our own descriptor.
    unsafe { libc::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), 0) };
}

/// Closes the current chunk, if any.
///
/// # Safety
/// As for [`next_chunk`].
pub unsafe fn close(thread: *mut Thread) {
    // SAFETY: the chunk was mapped by `map_chunk`.
    unsafe {
        let chunk = (*thread).event_chunk;
        if chunk.is_null() {
            return;
        }
        (*chunk).last_tsc = perfvisor_probe::clock::now();
        libc::munmap(chunk.cast(), EVENT_CHUNK_BYTES);
        (*thread).event_chunk = null_mut();
        (*thread).event = null_mut();
        (*thread).event_end = null_mut();
    }
}
