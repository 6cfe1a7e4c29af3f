//! What can be wrong with a trace, always with its place.

use std::path::PathBuf;
use thiserror::Error;

/// Why a trace, or one file of it, cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The directory holds no trace.
    #[error("{}: not a perfvisor trace: expected a directory p<PID>.<GEN> with a process.pv, found {found}", path.display())]
    NoTrace {
        /// The directory.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A file was written by a newer perfvisor than this reader.
    #[error("{}: offset {offset}: expected format version {expected}.x, found {found}: read it with the perfvisor that wrote it, or a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Offset in bytes.
        offset: u64,
        /// This reader's major version.
        expected: u16,
        /// The file's version.
        found: String,
    },
    /// A file is damaged or foreign.
    #[error("{}: offset {offset}: expected {expected}, found {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Offset in bytes.
        offset: u64,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
}
