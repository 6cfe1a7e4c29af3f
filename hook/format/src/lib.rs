//! The trace contract: every byte the hook writes and the analyzer reads.
//!
//! `FORMAT.md` beside this crate is the specification; this crate is its executable form. What may
//! not happen here: no allocation, no I/O, no pointer into a live process, no type whose layout is
//! not asserted at compile time. Evolution: append fields into reserved space and raise
//! [`VERSION_MINOR`]; anything else raises [`VERSION_MAJOR`].
#![no_std]

mod cell;
pub mod glob;
mod header;
mod histogram;
pub mod quantity;
mod record;
mod segment;
mod syscall;
mod syscall_rows;
mod syscall_table;
mod thread;

pub use cell::{Cell, SiteState, SlowCall, WaitEdge, CELL_FLAG_COLLAPSED};
pub use header::{FileHeader, FileKind, ENDIAN_TAG, MAGIC, VERSION_MAJOR, VERSION_MINOR};
pub use histogram::{bucket_bounds, bucket_of, Bucket, OCTAVES, SUB_BUCKETS};
pub use record::{
    crc32, EndKind, ObjectKind, ProcessHeader, RecordHeader, RecordKind, SiteHow, SkipReason,
    SyscallSkip, WaitKind, PROCESS_HEADER_BYTES,
};
pub use segment::{
    BlockHeader, BlockKind, Event, EventChunkHeader, SegmentHeader, SegmentKind, ARENA_OFFSET,
    ARENA_UNIT, EVENT_CHUNK_BYTES, EVENT_LONG, MAX_SITES, SEGMENT_HEADER_BYTES, TABLE_BYTES,
    TABLE_OFFSET,
};
pub use syscall::{
    SlowSyscall, SyscallCell, SyscallObject, SyscallObjectKind, SyscallTable, ERRNOS,
    SYSCALLS_FILE_BYTES, SYSCALLS_HEADER_BYTES, SYSCALL_ENTRY_ONLY, SYSCALL_NUMBERS,
    SYSCALL_TABLE_BYTES, SYSCALL_WAITS,
};
pub use syscall_table::{syscall, syscalls, SyscallCategory, SyscallInfo};
pub use thread::{ThreadRecord, ThreadState, THREAD_HEADER_BYTES};

/// Implements a checked read of a plain-old-data structure from untrusted bytes.
macro_rules! plain {
    ($t:ty, $size:expr) => {
        const _: () = assert!(core::mem::size_of::<$t>() == $size);
        const _: () = assert!(core::mem::align_of::<$t>() <= 8);
        impl $t {
            /// Size of the structure on disk, in bytes.
            pub const BYTES: usize = $size;
            /// Copies the structure out of `bytes` at `offset`; `None` when it does not fit.
            pub fn read(bytes: &[u8], offset: usize) -> Option<Self> {
                let end = offset.checked_add(Self::BYTES)?;
                let source = bytes.get(offset..end)?;
                // SAFETY: the slice holds exactly BYTES bytes, every bit pattern is a valid value
                // (integers and floats only), and read_unaligned asks for no alignment.
                Some(unsafe { core::ptr::read_unaligned(source.as_ptr().cast::<Self>()) })
            }
            /// The bytes of the structure as they stand in a file.
            pub fn as_bytes(&self) -> &[u8] {
                // SAFETY: the structure is repr(C) without padding (asserted by its size), so all
                // BYTES bytes are initialised and live as long as `self`.
                unsafe {
                    core::slice::from_raw_parts(core::ptr::from_ref(self).cast::<u8>(), Self::BYTES)
                }
            }
        }
    };
}
pub(crate) use plain;
