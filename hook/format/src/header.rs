//! The 64 bytes with which every file of a trace begins.

use crate::plain;

/// First eight bytes of every file of a trace.
pub const MAGIC: [u8; 8] = *b"PERFVSR\0";
/// A reader refuses another major version.
pub const VERSION_MAJOR: u16 = 1;
/// A reader accepts a higher minor version and ignores what it does not know.
pub const VERSION_MINOR: u16 = 1;
/// Reads as this value only on a machine of the writer's byte order.
pub const ENDIAN_TAG: u32 = 0x0102_0304;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum FileKind {
    /// `process.pv`: who ran, its components, sites, skipped slots, messages.
    Process = 1,
    /// `threads.pv`: one record per thread ever seen.
    Threads = 2,
    /// `t*.pv` (a live or kept thread) or `g*.pv` (a folded thread group): cells.
    Segment = 3,
    /// `e*.pv`: chunks of events of one thread.
    Events = 4,
    /// `late.pv`: process-wide counters, one u64 a site, for calls no thread could count.
    Late = 5,
    /// `syscalls.pv`: process-wide counters of system calls, one u64 a number, see
    /// [`crate::SyscallTable`].
    Syscalls = 6,
}

impl FileKind {
    /// The kind written as `raw`, if this version knows it.
    pub fn from_raw(raw: u16) -> Option<Self> {
        Some(match raw {
            1 => Self::Process,
            2 => Self::Threads,
            3 => Self::Segment,
            4 => Self::Events,
            5 => Self::Late,
            6 => Self::Syscalls,
            _ => return None,
        })
    }
}

/// The common head of all files.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FileHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION_MAJOR`] of the writer.
    pub version_major: u16,
    /// [`VERSION_MINOR`] of the writer.
    pub version_minor: u16,
    /// A [`FileKind`].
    pub kind: u16,
    /// Bytes before the file's first record.
    pub header_bytes: u16,
    /// [`ENDIAN_TAG`].
    pub endian_tag: u32,
    /// Process id in the writer's pid namespace.
    pub pid: u32,
    /// How many images (exec) this pid ran before in this trace.
    pub generation: u32,
    /// Thread index, group index, or 0.
    pub index: u32,
    /// Random per process image: all files of one image carry the same.
    pub image_id: u64,
    /// CRC-32 of the 40 bytes before it.
    pub crc: u32,
    /// Zero.
    pub reserved: [u32; 5],
}
plain!(FileHeader, 64);

impl FileHeader {
    /// A header with its checksum, for file `kind`.
    pub fn new(
        kind: FileKind,
        header_bytes: u16,
        pid: u32,
        generation: u32,
        index: u32,
        image_id: u64,
    ) -> Self {
        let mut header = Self {
            magic: MAGIC,
            version_major: VERSION_MAJOR,
            version_minor: VERSION_MINOR,
            kind: kind as u16,
            header_bytes,
            endian_tag: ENDIAN_TAG,
            pid,
            generation,
            index,
            image_id,
            crc: 0,
            reserved: [0; 5],
        };
        header.crc = header.expected_crc();
        header
    }

    /// The checksum the 40 bytes before `crc` ask for.
    pub fn expected_crc(&self) -> u32 {
        crate::crc32(&self.as_bytes()[..40])
    }
}
