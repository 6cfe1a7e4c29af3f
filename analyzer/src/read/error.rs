//! What can be wrong with a trace, always with its place.

use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// One damaged place in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// File, relative to the trace directory.
    pub file: String,
    /// Offset in it, bytes.
    pub offset_bytes: u64,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset_bytes, expected, found } = self;
        write!(out, "{file}: offset {offset_bytes}: expected {expected}, found {found}")
    }
}

/// Why a trace, or one file of it, cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("{}: {}", path.display(), plain(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file stands where the trace should.
    #[error("{}: a trace is a directory, this is a file", path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
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

/// The system's answer in words alone: its number helps nobody who reads the words.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

impl ReadError {
    /// The same fact as one of many in a list, its file named relative to `root`.
    pub fn into_damage(self, root: &Path) -> Damage {
        let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
        match self {
            Self::Io { path, source } => Damage {
                file: relative(&path),
                offset_bytes: 0,
                expected: "a readable file".into(),
                found: plain(&source),
            },
            Self::NotADirectory { path } => Damage {
                file: relative(&path),
                offset_bytes: 0,
                expected: "a directory".into(),
                found: "a file".into(),
            },
            Self::NoTrace { path, found } => Damage {
                file: relative(&path),
                offset_bytes: 0,
                expected: "a process.pv".into(),
                found,
            },
            Self::Newer { path, offset, expected, found } => Damage {
                file: relative(&path),
                offset_bytes: offset,
                expected: format!("format version {expected}.x"),
                found,
            },
            Self::Damaged { path, offset, expected, found } => {
                Damage { file: relative(&path), offset_bytes: offset, expected, found }
            }
        }
    }
}
