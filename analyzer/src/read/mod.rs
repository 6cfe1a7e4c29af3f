//! From bytes to records.
//!
//! What may not happen here: no panic, whatever the bytes are; no trust in a length, reference or
//! count before it is checked; no meaning (that is `model`). Damage is data: it is listed with
//! file, offset, expected and found, and the rest is still read.

mod error;

pub use error::ReadError;

use std::io::Write;
use std::path::Path;

/// What [`dump`] writes.
#[derive(Clone, Debug, Default)]
pub struct DumpFilter {
    /// One JSON object a line instead of text.
    pub json_lines: bool,
    /// Only images of this pid.
    pub pid: Option<u32>,
    /// Only these kinds of records (`component`, `site`, `skip`, `setting`, `message`, `fork`,
    /// `exec`, `thread`, `segment`, `count`, `cell`, `slow`, `wait`, `event`); empty = all but events.
    pub kinds: Vec<String>,
    /// Stop after so many records.
    pub limit: Option<u64>,
}

/// Writes the raw records of the trace in `directory` to `out`.
///
/// # Errors
/// When nothing of the trace can be read or `out` cannot be written.
pub fn dump(directory: &Path, _out: &mut dyn Write, _filter: &DumpFilter) -> Result<(), ReadError> {
    Err(ReadError::NoTrace { path: directory.to_path_buf(), found: "nothing".into() })
}
