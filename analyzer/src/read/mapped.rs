//! One file of a trace, mapped read-only; bytes are copied out before anyone looks at them.
//!
//! A recorded process may be writing the file at this moment, so no reference into the mapping
//! ever exists: words are loaded atomically and structures are parsed from copies. Writers only
//! let files grow, so the length taken when the file is mapped stays readable.

use super::{Damage, ReadError};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicU8, Ordering};

/// Whether the file lies in memory. There a read fault on a hole needs a page, and where none is left
/// the reader would die of SIGBUS.
fn on_tmpfs(file: &File) -> bool {
    // SAFETY: fstatfs fills the struct for a descriptor that `file` keeps open.
    unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        libc::fstatfs(file.as_raw_fd(), &mut stat) == 0 && stat.f_type == libc::TMPFS_MAGIC
    }
}

/// The file's data, holes left out, in anonymous memory.
fn copy_of(file: &File, len: usize) -> std::io::Result<MmapRaw> {
    let mut copy = MmapOptions::new().len(len).map_anon()?;
    let mut at = 0;
    while at < len {
        // SAFETY: lseek on a descriptor that `file` keeps open; it moves a position nobody uses.
        let data = unsafe { libc::lseek(file.as_raw_fd(), at as i64, libc::SEEK_DATA) };
        let Ok(data) = usize::try_from(data) else { break };
        // SAFETY: as above.
        let hole = unsafe { libc::lseek(file.as_raw_fd(), data as i64, libc::SEEK_HOLE) };
        let end = usize::try_from(hole).unwrap_or(len).min(len);
        if data >= end {
            break;
        }
        file.read_exact_at(&mut copy[data..end], data as u64)?;
        at = end;
    }
    Ok(copy.into())
}

/// A mapped file.
pub struct Mapped {
    path: PathBuf,
    name: String,
    map: Option<MmapRaw>,
    len: usize,
}

impl Mapped {
    /// Maps `root/name`.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped.
    pub fn open(root: &Path, name: &str) -> Result<Self, ReadError> {
        let path = root.join(name);
        let io = |source| ReadError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(ReadError::Damaged {
                path,
                offset: 0,
                expected: "a regular file".into(),
                found: "something else".into(),
            });
        }
        let len = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        // An empty file cannot be mapped, and has nothing to say.
        let map = match len {
            0 => None,
            _ if on_tmpfs(&file) => Some(copy_of(&file, len).map_err(io)?),
            _ => Some(MmapOptions::new().len(len).map_raw_read_only(&file).map_err(io)?),
        };
        Ok(Self { path, name: name.to_owned(), map, len })
    }

    /// Bytes in the file.
    pub fn size_bytes(&self) -> usize {
        self.len
    }

    /// Name relative to the trace directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An error at `offset` of this file.
    pub fn error(
        &self,
        offset: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> ReadError {
        ReadError::Damaged {
            path: self.path.clone(),
            offset: offset as u64,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The error for a file of a newer format.
    pub fn newer(&self, offset: usize, found: String) -> ReadError {
        ReadError::Newer {
            path: self.path.clone(),
            offset: offset as u64,
            expected: perfvisor_format::VERSION_MAJOR,
            found,
        }
    }

    /// A damage at `offset` of this file.
    pub fn damage(
        &self,
        offset: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Damage {
        Damage {
            file: self.name.clone(),
            offset_bytes: offset as u64,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// Start of `len` bytes at `offset`, when they are inside the file.
    fn at(&self, offset: usize, len: usize) -> Option<*const u8> {
        let end = offset.checked_add(len)?;
        if end > self.len {
            return None;
        }
        // SAFETY: `offset` is at most `len`, the mapping's length (checked above).
        self.map.as_ref().map(|map| unsafe { map.as_ptr().add(offset) })
    }

    /// The 8-byte word at `offset`, which must be a multiple of 8. Pairs with the writer's
    /// Release store: what was written before the word is visible afterwards.
    pub fn word(&self, offset: usize) -> Option<u64> {
        if !offset.is_multiple_of(8) {
            return None;
        }
        let at = self.at(offset, 8)?;
        // SAFETY: the word is inside the mapping and aligned (mappings begin on a page); the
        // mapping lives as long as `self`; other processes may store to it, which atomics allow.
        Some(unsafe { AtomicU64::from_ptr(at.cast_mut().cast()) }.load(Ordering::Acquire))
    }

    /// The 4-byte word at `offset`, which must be a multiple of 4; see [`Mapped::word`].
    pub fn half_word(&self, offset: usize) -> Option<u32> {
        if !offset.is_multiple_of(4) {
            return None;
        }
        let at = self.at(offset, 4)?;
        // SAFETY: as in `word`.
        Some(unsafe { AtomicU32::from_ptr(at.cast_mut().cast()) }.load(Ordering::Acquire))
    }

    /// Copies `len` bytes at `offset` (a multiple of 8) into `buffer`, replacing what it held.
    /// `None` when they are not all inside the file.
    pub fn copy_into(&self, offset: usize, len: usize, buffer: &mut Vec<u8>) -> Option<()> {
        if !offset.is_multiple_of(8) {
            return None;
        }
        let at = self.at(offset, len)?;
        buffer.clear();
        buffer.resize(len, 0);
        let mut words = buffer.chunks_exact_mut(8);
        let mut done = 0;
        for word in &mut words {
            // SAFETY: `done + 8` is at most `len`, so the word is inside the mapping; it is
            // aligned because `offset` and the mapping are.
            let value = unsafe { AtomicU64::from_ptr(at.add(done).cast_mut().cast()) }
                .load(Ordering::Relaxed);
            word.copy_from_slice(&value.to_ne_bytes());
            done += 8;
        }
        for byte in words.into_remainder() {
            // SAFETY: `done` is less than `len`; single bytes are always aligned.
            *byte = unsafe { AtomicU8::from_ptr(at.add(done).cast_mut()) }.load(Ordering::Relaxed);
            done += 1;
        }
        Some(())
    }

    /// A copy of `len` bytes at `offset` (a multiple of 8); `None` when not all are in the file.
    pub fn copy(&self, offset: usize, len: usize) -> Option<Vec<u8>> {
        // Checked before the buffer is made, so that a wild length allocates nothing.
        self.at(offset, len)?;
        let mut buffer = Vec::new();
        self.copy_into(offset, len, &mut buffer)?;
        Some(buffer)
    }
}
