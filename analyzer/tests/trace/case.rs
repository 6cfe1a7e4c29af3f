//! A trace as one string of bytes: what a fuzzer changes and `analyzer/fuzz/corpus` holds.
//!
//! Byte 0 holds flags: bit 0 asks that checksums be made right, so that changed bytes behind them
//! are read at all. Pieces follow up to the end, each of a file's number in [`NAMES`] (1 byte), an
//! offset in it (3 bytes, little-endian), a length (2 bytes, little-endian) and so many bytes. What
//! no piece covers is zero; a file ends where its farthest piece does; a length beyond the end is
//! cut. So every string is some trace, and holes cost nothing.

use perfvisor_format::{crc32, FileHeader, RecordHeader, PROCESS_HEADER_BYTES};

/// Files of a trace, named relative to its directory.
pub type Files = Vec<(String, Vec<u8>)>;

/// Flag: make checksums right.
pub const MEND: u8 = 1;
/// Offsets are taken modulo this: three chunks of events have room, and no file takes long to write.
const LARGEST_OFFSET: usize = 4 << 20;
/// Bytes before a piece's content.
const PIECE_HEAD: usize = 6;

/// The files there can be: enough for two images, threads, groups, events and what `run` leaves.
pub const NAMES: [&str; 17] = [
    "run.json",
    "p100.0/process.pv",
    "p100.0/threads.pv",
    "p100.0/late.pv",
    "p100.0/t0.pv",
    "p100.0/t1.pv",
    "p100.0/t2.pv",
    "p100.0/t3.pv",
    "p100.0/g0.pv",
    "p100.0/g1.pv",
    "p100.0/e0.pv",
    "p100.0/e1.pv",
    "p100.1/process.pv",
    "p100.1/threads.pv",
    "p100.1/t0.pv",
    "p100.1/g0.pv",
    "p100.0/syscalls.pv",
];

/// The files that `case` stands for.
pub fn decode(case: &[u8]) -> Files {
    let Some((flags, mut rest)) = case.split_first() else { return Files::new() };
    let mut contents: [Option<Vec<u8>>; NAMES.len()] = [const { None }; NAMES.len()];
    while let Some((head, behind)) = rest.split_first_chunk::<PIECE_HEAD>() {
        let [file, o0, o1, o2, l0, l1] = *head;
        let offset = u32::from_le_bytes([o0, o1, o2, 0]) as usize % LARGEST_OFFSET;
        let length = usize::from(u16::from_le_bytes([l0, l1])).min(behind.len());
        let (piece, next) = behind.split_at(length);
        let bytes = contents[usize::from(file) % NAMES.len()].get_or_insert_with(Vec::new);
        if bytes.len() < offset + length {
            bytes.resize(offset + length, 0);
        }
        bytes[offset..offset + length].copy_from_slice(piece);
        rest = next;
    }
    let named = NAMES.iter().zip(contents);
    let mut files: Files =
        named.filter_map(|(name, bytes)| Some(((*name).to_owned(), bytes?))).collect();
    if flags & MEND != 0 {
        files.iter_mut().for_each(|(name, bytes)| mend(name, bytes));
    }
    files
}

/// Makes the checksums of a file's head and of its records those of what stands there.
fn mend(name: &str, bytes: &mut [u8]) {
    const CRC: usize = std::mem::offset_of!(FileHeader, crc);
    if name.ends_with(".pv") && bytes.len() >= FileHeader::BYTES {
        let crc = crc32(&bytes[..CRC]);
        bytes[CRC..CRC + 4].copy_from_slice(&crc.to_le_bytes());
    }
    if !name.ends_with("process.pv") {
        return;
    }
    let mut at = PROCESS_HEADER_BYTES;
    while let Some(head) = RecordHeader::read(bytes, at) {
        let payload = at + RecordHeader::BYTES..at.saturating_add(head.bytes as usize);
        if head.tag != RecordHeader::TAG || bytes.get(payload.clone()).is_none() {
            at += 8;
            continue;
        }
        let crc = crc32(&bytes[payload.clone()]);
        let place = at + std::mem::offset_of!(RecordHeader, crc);
        bytes[place..place + 4].copy_from_slice(&crc.to_le_bytes());
        at = payload.end.next_multiple_of(8);
    }
}
