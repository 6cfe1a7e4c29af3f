//! From bytes to records.
//!
//! What may not happen here: no panic, whatever the bytes are; no trust in a length, reference or
//! count before it is checked; no meaning (that is `model`). Damage is data: it is listed with
//! file, offset, expected and found, and the rest is still read.

mod dump;
mod dump_syscalls;
mod error;
mod events;
mod header;
mod mapped;
mod payload;
mod process;
mod segment;
mod syscalls;
mod tables;
mod tree;

pub use dump::{dump, DumpFilter};
pub use error::{plain, Damage, ReadError};
pub use events::{open_events, Chunk, ChunkResult, EventFile, EventRecord};
pub use header::{read_header, read_member_header, ImageIdentity};
pub use mapped::Mapped;
pub use process::{
    read_process, ComponentRecord, ObjectRecord, ProcessFile, Record, SiteRecord,
    SyscallSitesRecord,
};
pub use segment::{read_segment, since_base, CellEntry, Segment, SegmentOwner};
pub use syscalls::{read_syscalls, SyscallEntry, SyscallTotals};
pub use tables::{read_late, read_threads, ThreadEntry, ThreadsFile};
pub use tree::{image_folders, read_run_file, ImageFolder, RunFile};
