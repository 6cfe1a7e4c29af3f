//! How many events a second are read and modelled: `cargo bench -p perfvisor --bench events`.
//!
//! Writes a synthetic trace of 16 million events in four threads (256 MiB) into the temporary
//! directory, loads it five times and prints the median.

use perfvisor_format::{
    Event, EventChunkHeader, FileHeader, FileKind, ProcessHeader, ThreadRecord, ThreadState,
    EVENT_CHUNK_BYTES,
};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

const THREADS: u32 = 4;
const EVENTS_A_THREAD: u64 = 4_000_000;
const SITES: u64 = 200;
const ROUNDS: usize = 5;
/// Bytes before the first record of every file.
const PAGE: usize = 4096;

fn main() -> io::Result<()> {
    let root = std::env::temp_dir().join(format!("perfvisor-bench-events-{}", std::process::id()));
    write_trace(&root)?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let profile = perfvisor::model::load(&root).map_err(io::Error::other)?;
        seconds.push(begin.elapsed().as_secs_f64());
        let expected = u64::from(THREADS) * EVENTS_A_THREAD;
        if profile.events.events != expected || !profile.losses.damages.is_empty() {
            return Err(io::Error::other(format!("{:?}", profile.losses)));
        }
    }
    fs::remove_dir_all(&root)?;
    seconds.sort_by(f64::total_cmp);
    let events = (u64::from(THREADS) * EVENTS_A_THREAD) as f64;
    let median = seconds[ROUNDS / 2];
    println!("{events} events in {median:.3} s: {:.1} million a second", events / median / 1e6);
    Ok(())
}

fn page(kind: FileKind, index: u32) -> Vec<u8> {
    let mut bytes = FileHeader::new(kind, PAGE as u16, 1, 0, index, 7).as_bytes().to_vec();
    bytes.resize(PAGE, 0);
    bytes
}

fn zeroed<T>(read: impl Fn(&[u8], usize) -> Option<T>) -> io::Result<T> {
    read(&[0; 512], 0).ok_or_else(|| io::Error::other("a structure of more than 512 bytes"))
}

fn write_trace(root: &Path) -> io::Result<()> {
    let folder = root.join("p1.0");
    fs::create_dir_all(&folder)?;
    let mut header = zeroed(ProcessHeader::read)?;
    header.start_tsc = 1_000;
    header.tsc_hz_hint = 2_000_000_000;
    header.timed_bias_cycles = 20;
    let mut process = page(FileKind::Process, 0);
    process[64..64 + ProcessHeader::BYTES].copy_from_slice(header.as_bytes());
    fs::write(folder.join("process.pv"), process)?;
    let mut threads = page(FileKind::Threads, 0);
    for index in 0..THREADS {
        let mut record = zeroed(ThreadRecord::read)?;
        record.state = ThreadState::Live as u32;
        record.tid = 1 + index;
        record.segment = u32::MAX;
        record.group = u32::MAX;
        record.origin = u32::from(index == 0);
        threads.extend_from_slice(record.as_bytes());
        write_events(&folder.join(format!("e{index}.pv")), index)?;
    }
    fs::write(folder.join("threads.pv"), threads)
}

fn write_events(path: &Path, index: u32) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(&page(FileKind::Events, index))?;
    let room = (EVENT_CHUNK_BYTES - EventChunkHeader::BYTES) / Event::BYTES;
    let (mut random, mut tsc, mut sequence) = (0x9e37_79b9_7f4a_7c15u64, 1_000, 0);
    let mut left = EVENTS_A_THREAD as usize;
    while left > 0 {
        let here = left.min(room);
        sequence += 1;
        let mut chunk = zeroed(EventChunkHeader::read)?;
        chunk.sequence = sequence;
        chunk.committed = (here * Event::BYTES) as u64;
        chunk.thread_index = u64::from(index);
        out.write_all(chunk.as_bytes())?;
        for _ in 0..here {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            tsc += 500;
            let duration = (30 + (random >> 32) % 4_000) as u32;
            let site_and_depth = (random % SITES) as u32 | 1 << 24;
            out.write_all(Event { start_tsc: tsc, duration, site_and_depth }.as_bytes())?;
        }
        let padding = EVENT_CHUNK_BYTES - EventChunkHeader::BYTES - here * Event::BYTES;
        out.write_all(&vec![0; if left == here { 0 } else { padding }])?;
        left -= here;
    }
    out.flush()
}
