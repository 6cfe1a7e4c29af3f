//! `e<INDEX>.pv`: the events of a thread. Chunk 0 is mapped and written in place; when it is full it is
//! copied behind the others and begun anew.
//!
//! Mapping each chunk where it stays would spare the copy, but a page fault on a file page costs three
//! times what the kernel takes to append a page (measured: 3 100 and 1 030 ns on ext4, that is 12 and
//! 4 ns an event). What SIGKILL leaves is the same: chunk 0 belongs to the file.

use super::file;
use super::process;
use crate::config::Config;
use alloc::ffi::CString;
use core::ptr::null_mut;
use perfvisor_format::{EventChunkHeader, FileHeader, FileKind, EVENT_CHUNK_BYTES};
use perfvisor_probe::thread::Thread;

/// Bytes before chunk 0.
const HEADER: usize = 4096;

/// Makes room for events: begins chunk 0, or puts the full one behind the others and begins it anew;
/// false when there is no room (events are lost, the full chunk stays).
///
/// A flight recorder goes round: it writes over the oldest chunk, which is within the limit.
///
/// # Safety
/// `thread` is the calling thread's, under the cold lock with signals blocked.
pub unsafe fn next_chunk(thread: *mut Thread, config: &Config) -> bool {
    // SAFETY: contract handed on; the chunk is mapped while it is the thread's.
    unsafe {
        let Some(path) = process::path(&format!("e{}.pv", (*thread).index)) else { return false };
        let mut chunk = (*thread).event_chunk;
        if chunk.is_null() {
            let Some(fresh) = begin_file(&path, (*thread).index) else {
                // Not null: the probe goes on asking, and counting what is lost.
                (*thread).event = core::ptr::dangling_mut();
                (*thread).event_end = (*thread).event;
                return false;
            };
            chunk = fresh;
            (*chunk).thread_index = u64::from((*thread).index);
        } else {
            (*chunk).last_tsc = perfvisor_probe::clock::now();
            let most = (config.events_limit / EVENT_CHUNK_BYTES as u64).max(2);
            // Chunk 0 has its place within the limit, too.
            let copies = most - 1;
            let done = (*chunk).sequence - 1;
            if (config.flight_ns == 0 && done >= copies) || !keep(&path, chunk, 1 + done % copies) {
                return false;
            }
        }
        let lost = (*(*thread).segment).lost_events;
        (*chunk).committed = 0;
        (*chunk).last_tsc = 0;
        (*chunk).lost_before = lost - (*thread).event_losses_told;
        (*chunk).sequence += 1;
        (*thread).event_losses_told = lost;
        (*thread).event_chunk = chunk;
        (*thread).event = chunk.cast::<u8>().add(EventChunkHeader::BYTES);
        (*thread).event_end = chunk.cast::<u8>().add(EVENT_CHUNK_BYTES);
        true
    }
}

/// Creates the file of thread record `index` and maps its chunk 0, all of it populated.
fn begin_file(path: &CString, index: u32) -> Option<*mut EventChunkHeader> {
    let bytes = HEADER + EVENT_CHUNK_BYTES;
    let (mapping, fd) = file::create(path, bytes, 0, file::PAGE)?;
    // SAFETY: descriptor and mapping are ours; the header's page is unmapped once it is written.
    unsafe {
        libc::close(fd);
        let id = process::identity();
        let (Some(id), true) = (id, file::populate(mapping.base, 0, bytes)) else {
            libc::munmap(mapping.base.cast(), bytes);
            libc::unlink(path.as_ptr());
            return None;
        };
        let kind = FileKind::Events;
        let header =
            FileHeader::new(kind, HEADER as u16, id.pid, id.generation, index, id.image_id);
        file::put_header(&mapping, &header);
        libc::munmap(mapping.base.cast(), HEADER);
        Some(mapping.base.add(HEADER).cast())
    }
}

/// Copies the full chunk to `position` of the file; false when it did not go there whole. A reader
/// takes chunk 0, not its copy, as long as their numbers are the same.
unsafe fn keep(path: &CString, chunk: *const EventChunkHeader, position: u64) -> bool {
    let offset = HEADER as u64 + position * EVENT_CHUNK_BYTES as u64;
    if offset + EVENT_CHUNK_BYTES as u64 > file::size_limit() {
        return false;
    }
    let fd = file::open(path, false);
    if fd < 0 {
        return false;
    }
    // SAFETY: a whole chunk of ours and our own descriptor.
    unsafe {
        let written = libc::pwrite(fd, chunk.cast(), EVENT_CHUNK_BYTES, offset as i64);
        libc::close(fd);
        written == EVENT_CHUNK_BYTES as isize
    }
}

/// Ends the current chunk, if any. It stays where it is.
///
/// # Safety
/// As for [`next_chunk`].
pub unsafe fn close(thread: *mut Thread) {
    // SAFETY: the chunk was mapped by `begin_file`.
    unsafe {
        let chunk = (*thread).event_chunk;
        (*thread).event = null_mut();
        (*thread).event_end = null_mut();
        (*thread).event_chunk = null_mut();
        if !chunk.is_null() {
            (*chunk).last_tsc = perfvisor_probe::clock::now();
            libc::munmap(chunk.cast(), EVENT_CHUNK_BYTES);
        }
    }
}
