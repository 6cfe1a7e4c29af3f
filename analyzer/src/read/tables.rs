//! `threads.pv` and `late.pv`: fixed records, one after the other.

use super::header::{read_member_header, ImageIdentity};
use super::{Damage, Mapped, ReadError};
use perfvisor_format::{FileKind, ThreadRecord, ThreadState, MAX_SITES, THREAD_HEADER_BYTES};
use std::path::Path;

/// One thread, as recorded.
#[derive(Clone, Copy, Debug)]
pub struct ThreadEntry {
    /// Index of its record.
    pub index: u32,
    /// State when it was read.
    pub state: ThreadState,
    /// The record.
    pub record: ThreadRecord,
}

/// All of `threads.pv`.
#[derive(Clone, Debug, Default)]
pub struct ThreadsFile {
    /// Records in use.
    pub threads: Vec<ThreadEntry>,
    /// Damaged places.
    pub damages: Vec<Damage>,
}

/// Unused records in a row after which the rest of the file is taken for unused. Records are
/// handed out in order, so only threads that begin at this moment leave gaps.
const FREE_RUN_END: usize = 4096;

/// Reads `root/name`.
///
/// # Errors
/// When the file cannot be opened, or its head is damaged, foreign, newer or of another image.
pub fn read_threads(
    root: &Path,
    name: &str,
    identity: ImageIdentity,
) -> Result<ThreadsFile, ReadError> {
    let file = Mapped::open(root, name)?;
    read_member_header(&file, FileKind::Threads, identity)?;
    let mut result = ThreadsFile::default();
    let mut free = 0;
    let mut offset = THREAD_HEADER_BYTES;
    for index in 0u32.. {
        // The commit word first; the rest of the record is complete behind it.
        let Some(raw) = file.half_word(offset) else { break };
        let Some(state) = ThreadState::from_raw(raw) else {
            result.damages.push(file.damage(offset, "a thread state of 0 to 4", raw.to_string()));
            offset += ThreadRecord::BYTES;
            continue;
        };
        if state == ThreadState::Free {
            free += 1;
            if free >= FREE_RUN_END {
                break;
            }
        } else {
            free = 0;
            let bytes = file.copy(offset, ThreadRecord::BYTES);
            match bytes.and_then(|bytes| ThreadRecord::read(&bytes, 0)) {
                Some(record) => result.threads.push(ThreadEntry { index, state, record }),
                None => result.damages.push(file.damage(
                    offset,
                    format!("a thread record of {} bytes", ThreadRecord::BYTES),
                    format!("{} bytes", file.size_bytes() - offset),
                )),
            }
        }
        offset += ThreadRecord::BYTES;
    }
    Ok(result)
}

/// Reads `late.pv`: (site, calls), only where there are some.
///
/// # Errors
/// When the file cannot be opened, or its head is damaged, foreign, newer or of another image.
pub fn read_late(
    root: &Path,
    name: &str,
    identity: ImageIdentity,
) -> Result<Vec<(u32, u64)>, ReadError> {
    let file = Mapped::open(root, name)?;
    read_member_header(&file, FileKind::Late, identity)?;
    let words = file.size_bytes().saturating_sub(THREAD_HEADER_BYTES) / 8;
    let count = words.min(MAX_SITES) as u32;
    Ok((0..count)
        .filter_map(|site| {
            let calls = file.word(THREAD_HEADER_BYTES + 8 * site as usize)?;
            (calls != 0).then_some((site, calls))
        })
        .collect())
}
