//! `e<INDEX>.pv`: chunks of events of one thread.

use super::header::{read_member_header, ImageIdentity};
use super::{Damage, Mapped, ReadError};
use perfvisor_format::{Event, EventChunkHeader, FileKind, EVENT_CHUNK_BYTES, EVENT_LONG};
use std::path::Path;

/// Where chunk 0 begins.
const FIRST_CHUNK: usize = 4096;
/// Bytes of events in a chunk.
const CHUNK_ROOM: usize = EVENT_CHUNK_BYTES - EventChunkHeader::BYTES;

/// One call, its extension resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Entry time stamp, cycles.
    pub start_tsc: u64,
    /// Cycles.
    pub duration: u64,
    /// Site id.
    pub site: u32,
    /// Depth of open timed calls, capped at 255.
    pub depth: u8,
}

/// A chunk that was begun.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    /// Its number in the file.
    pub position: usize,
    /// Its head.
    pub header: EventChunkHeader,
    /// Committed bytes of events, cut to what is there.
    pub bytes: usize,
}

/// An event file with its list of chunks, oldest first.
pub struct EventFile {
    file: Mapped,
    /// Chunks that were begun, by sequence.
    pub chunks: Vec<Chunk>,
    /// Damaged places.
    pub damages: Vec<Damage>,
}

/// Opens `root/name`, the events of thread record `thread_index`, and lists its chunks.
///
/// # Errors
/// When the file cannot be opened, or its head is damaged, foreign, newer or of another image.
pub fn open_events(
    root: &Path,
    name: &str,
    identity: ImageIdentity,
    thread_index: u32,
) -> Result<EventFile, ReadError> {
    let file = Mapped::open(root, name)?;
    let header = read_member_header(&file, FileKind::Events, identity)?;
    if header.index != thread_index {
        return Err(file.error(
            28,
            format!("events of thread record {thread_index}"),
            header.index.to_string(),
        ));
    }
    let mut chunks = Vec::new();
    let mut damages = Vec::new();
    for position in 0.. {
        let at = FIRST_CHUNK + position * EVENT_CHUNK_BYTES;
        if at >= file.size_bytes() {
            break;
        }
        // The commit word before the rest, as the writer's Release store asks.
        let committed = file.word(at + std::mem::offset_of!(EventChunkHeader, committed));
        let head = file.copy(at, EventChunkHeader::BYTES);
        let head = head.and_then(|bytes| EventChunkHeader::read(&bytes, 0));
        let (Some(committed), Some(header)) = (committed, head) else {
            damages.push(file.damage(
                at,
                "a chunk head",
                format!("{} bytes", file.size_bytes() - at),
            ));
            break;
        };
        // A copy with the number of chunk 0 was cut short: chunk 0 still holds all of it.
        let is_live = chunks.first().is_some_and(|live: &Chunk| {
            live.position == 0 && live.header.sequence == header.sequence
        });
        if header.sequence == 0 || (position > 0 && is_live) {
            continue;
        }
        if header.thread_index != u64::from(thread_index) {
            damages.push(file.damage(
                at + 24,
                format!("a chunk of thread record {thread_index}"),
                header.thread_index.to_string(),
            ));
            continue;
        }
        let there = CHUNK_ROOM.min(file.size_bytes() - at - EventChunkHeader::BYTES);
        let wanted = usize::try_from(committed).unwrap_or(usize::MAX);
        if wanted > there || wanted % Event::BYTES != 0 {
            damages.push(file.damage(
                at + 8,
                format!("at most {there} committed bytes in steps of {}", Event::BYTES),
                committed.to_string(),
            ));
        }
        let bytes = wanted.min(there) / Event::BYTES * Event::BYTES;
        chunks.push(Chunk { position, header, bytes });
    }
    chunks.sort_by_key(|chunk| chunk.header.sequence);
    Ok(EventFile { file, chunks, damages })
}

/// What reading one chunk gave beside its events.
#[derive(Clone, Debug, Default)]
pub struct ChunkResult {
    /// Events visited.
    pub events: u64,
    /// The chunk was reused by the writer while it was read: its events were not visited.
    pub overwritten: bool,
    /// A damaged place.
    pub damage: Option<Damage>,
}

impl EventFile {
    /// Name relative to the trace directory.
    pub fn name(&self) -> &str {
        self.file.name()
    }

    /// Calls `visit` for each event of `chunk`, in order of return. `buffer` is scratch room.
    pub fn visit(
        &self,
        chunk: &Chunk,
        buffer: &mut Vec<u8>,
        mut visit: impl FnMut(EventRecord),
    ) -> ChunkResult {
        let at = FIRST_CHUNK + chunk.position * EVENT_CHUNK_BYTES;
        let mut result = ChunkResult::default();
        let copied = self.file.copy_into(at + EventChunkHeader::BYTES, chunk.bytes, buffer);
        // A flight recorder may have begun this chunk anew while it was copied.
        if copied.is_none() || self.file.word(at) != Some(chunk.header.sequence) {
            result.overwritten = true;
            return result;
        }
        let mut events = buffer.chunks_exact(Event::BYTES);
        while let Some(raw) = events.next() {
            let start_tsc = first_word(raw);
            let rest = u64::from_le_bytes([
                raw[8], raw[9], raw[10], raw[11], raw[12], raw[13], raw[14], raw[15],
            ]);
            let (short, packed) = (rest as u32, (rest >> 32) as u32);
            let mut duration = u64::from(short);
            if short == EVENT_LONG {
                let Some(extension) = events.next() else {
                    let end = at + EventChunkHeader::BYTES + chunk.bytes;
                    result.damage = Some(self.file.damage(
                        end,
                        "the true duration of the last event",
                        "the chunk's end",
                    ));
                    return result;
                };
                duration = first_word(extension);
            }
            result.events += 1;
            visit(EventRecord {
                start_tsc,
                duration,
                site: packed & 0x00ff_ffff,
                depth: (packed >> 24) as u8,
            });
        }
        result
    }
}

fn first_word(raw: &[u8]) -> u64 {
    u64::from_le_bytes([raw[0], raw[1], raw[2], raw[3], raw[4], raw[5], raw[6], raw[7]])
}
