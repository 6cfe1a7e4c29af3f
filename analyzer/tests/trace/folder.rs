//! A trace directory that goes when the test ends.

use crate::writer::write_files;
use perfvisor::model::{load, Profile};
use perfvisor::read::ReadError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own.
pub struct Folder(PathBuf);

impl Folder {
    /// A folder with `files`.
    pub fn new(files: &[(String, Vec<u8>)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number must be its own.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("perfvisor-trace-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        write_files(&path, files);
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The profile of the trace in it.
    pub fn load(&self) -> Result<Profile, ReadError> {
        load(&self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed is the temporary directory's to clean.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
