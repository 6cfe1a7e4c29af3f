//! Cuts the files of a finished run to what is in them.
//!
//! The hook makes a file as long as it may ever get and leaves the rest a hole; where a thread ends
//! or the program is killed nobody shortens it, because the ending thread would pay for it. Holes
//! cost no disk but the time of whoever copies the trace without knowing of them.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use perfvisor::read::{image_folders, ImageFolder};
use perfvisor_format::{
    FileHeader, FileKind, ProcessHeader, SegmentHeader, ThreadRecord, MAGIC, PROCESS_HEADER_BYTES,
    THREAD_HEADER_BYTES, VERSION_MAJOR,
};

use super::super::mapped;

/// Less than this in all is not worth a look at every process of the machine.
const WORTH_BYTES: u64 = 1 << 20;
/// Files are cut at multiples of this: a reader that maps one sees whole pages.
const PAGE: u64 = 4096;
/// Bytes of unused thread records after which the rest of the file is taken for unused, as by the
/// reader.
const UNUSED_END: usize = 1 << 20;

/// A file and the length it needs.
struct Cut {
    path: PathBuf,
    length: u64,
    saved: u64,
}

/// Cuts all files of the run in `directory`, unless a process of the run still lives: a store beyond
/// the end of a file would kill it. All of them began after us. What cannot be cut stays as it is.
pub fn trim(directory: &Path) {
    let Ok(folders) = image_folders(directory) else { return };
    let cuts: Vec<Cut> =
        folders.iter().flat_map(files).filter_map(|name| cut(directory.join(name))).collect();
    if cuts.iter().map(|cut| cut.saved).sum::<u64>() < WORTH_BYTES {
        return;
    }
    // By the folder's name: a process may know the directory by another path (chroot, mounts).
    let names: HashSet<&str> = folders.iter().map(|folder| folder.name.as_str()).collect();
    let is_ours = |path: &str| {
        let mut parts = path.rsplit('/');
        let file = parts.next().unwrap_or_default();
        file.contains(".pv") && parts.next().is_some_and(|folder| names.contains(folder))
    };
    if mapped::by_somebody_younger(is_ours) {
        return;
    }
    for cut in cuts {
        let _ = OpenOptions::new()
            .write(true)
            .open(&cut.path)
            .and_then(|file| file.set_len(cut.length));
    }
}

/// The files of an image that may end in a hole; those of events are as long as they are.
fn files(folder: &ImageFolder) -> Vec<String> {
    let numbered = |letter: char, numbers: &[u32]| {
        numbers.iter().map(|number| format!("{letter}{number}.pv")).collect::<Vec<_>>()
    };
    let mut names = vec!["process.pv".to_owned(), "threads.pv".to_owned()];
    names.extend(numbered('t', &folder.thread_files));
    names.extend(numbered('g', &folder.group_files));
    names.into_iter().map(|name| format!("{}/{name}", folder.name)).collect()
}

fn cut(path: PathBuf) -> Option<Cut> {
    let file = File::open(&path).ok()?;
    let now = file.metadata().ok()?.len();
    let length = used(&file, now).ok()??.next_multiple_of(PAGE);
    let saved = now.checked_sub(length)?;
    Some(Cut { path, length, saved })
}

/// Bytes of the trace in a file of `length` bytes; `None` when its head does not say, so that a
/// damaged file stays as it is for whoever looks into it.
fn used(file: &File, length: u64) -> io::Result<Option<u64>> {
    let mut head = [0; PAGE as usize];
    file.read_exact_at(&mut head, 0)?;
    let Some(header) = FileHeader::read(&head, 0) else { return Ok(None) };
    if header.magic != MAGIC
        || header.version_major != VERSION_MAJOR
        || header.crc != header.expected_crc()
    {
        return Ok(None);
    }
    let at = FileHeader::BYTES;
    let (used, least) = match FileKind::from_raw(header.kind) {
        Some(FileKind::Segment) => {
            let segment = SegmentHeader::read(&head, at);
            (segment.map(|segment| segment.committed), perfvisor_format::ARENA_OFFSET)
        }
        Some(FileKind::Process) => {
            let process = ProcessHeader::read(&head, at);
            (process.map(|process| process.committed), PROCESS_HEADER_BYTES)
        }
        Some(FileKind::Threads) => (Some(records_end(file, length)?), THREAD_HEADER_BYTES),
        _ => (None, 0),
    };
    Ok(used.filter(|used| (least as u64..=length).contains(used)))
}

/// End of the last thread record in use.
fn records_end(file: &File, length: u64) -> io::Result<u64> {
    let mut end = THREAD_HEADER_BYTES as u64;
    let mut chunk = vec![0; UNUSED_END];
    let mut at = end;
    while at < length {
        let bytes = chunk.len().min((length - at) as usize);
        file.read_exact_at(&mut chunk[..bytes], at)?;
        let Some(last) = chunk[..bytes].iter().rposition(|byte| *byte != 0) else { break };
        end = at + (last as u64 + 1).next_multiple_of(ThreadRecord::BYTES as u64);
        at += bytes as u64;
    }
    Ok(end.min(length))
}
