//! Reads what describes a run: its images, their process heads, tables and thread records.

use crate::read::{
    image_folders, read_late, read_process, read_run_file, read_syscalls, read_threads, Damage,
    ImageFolder, ProcessFile, ReadError, RunFile, SyscallTotals, ThreadEntry,
};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// One image's description.
pub struct ImageData {
    /// Its folder.
    pub folder: ImageFolder,
    /// Its `process.pv`.
    pub process: ProcessFile,
    /// Its thread records in use.
    pub threads: Vec<ThreadEntry>,
    /// Its `late.pv`: (site, calls).
    pub late: Vec<(u32, u64)>,
    /// Its `syscalls.pv`.
    pub syscalls: Vec<SyscallTotals>,
    /// Damaged places so far.
    pub damages: Vec<Damage>,
}

/// A run's description.
pub struct Gathered {
    /// The trace directory.
    pub root: PathBuf,
    /// What `perfvisor run` left.
    pub run: Option<RunFile>,
    /// Readable images, oldest first.
    pub images: Vec<ImageData>,
    /// Images without a readable `process.pv`.
    pub unreadable: Vec<Damage>,
    /// Damage outside of images.
    pub damages: Vec<Damage>,
}

/// Reads the description of the run in `root`.
///
/// # Errors
/// When `root` cannot be listed or holds no readable image.
pub fn gather(root: &Path) -> Result<Gathered, ReadError> {
    let folders = image_folders(root)?;
    if folders.is_empty() {
        return Err(ReadError::NoTrace {
            path: root.to_path_buf(),
            found: "no such directory in it".into(),
        });
    }
    let results: Vec<Result<ImageData, ReadError>> =
        folders.into_par_iter().map(|folder| read_image(root, folder)).collect();
    let mut images = Vec::new();
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(image) => images.push(image),
            Err(error) => errors.push(error),
        }
    }
    if images.is_empty() {
        return match errors.into_iter().next() {
            Some(error) => Err(error),
            None => Err(ReadError::NoTrace { path: root.to_path_buf(), found: "none".into() }),
        };
    }
    images.sort_by_key(|image| {
        (image.process.header.start_realtime_ns, image.folder.pid, image.folder.generation)
    });
    let (run, damages) = match read_run_file(root) {
        Ok(run) => (run, Vec::new()),
        Err(error) => (None, vec![error.into_damage(root)]),
    };
    let unreadable = errors.into_iter().map(|error| error.into_damage(root)).collect();
    Ok(Gathered { root: root.to_path_buf(), run, images, unreadable, damages })
}

fn read_image(root: &Path, folder: ImageFolder) -> Result<ImageData, ReadError> {
    let process = read_process(root, &format!("{}/process.pv", folder.name))?;
    let identity = process.identity();
    let mut damages = process.damages.clone();
    let threads = match read_threads(root, &format!("{}/threads.pv", folder.name), identity) {
        Ok(file) => {
            damages.extend(file.damages);
            file.threads
        }
        Err(error) => {
            damages.push(error.into_damage(root));
            Vec::new()
        }
    };
    let mut late = Vec::new();
    if folder.has_late {
        match read_late(root, &format!("{}/late.pv", folder.name), identity) {
            Ok(found) => late = found,
            Err(error) => damages.push(error.into_damage(root)),
        }
    }
    let mut syscalls = Vec::new();
    if folder.has_syscalls {
        match read_syscalls(root, &format!("{}/syscalls.pv", folder.name), identity) {
            Ok((found, damaged)) => {
                syscalls = found;
                damages.extend(damaged);
            }
            Err(error) => damages.push(error.into_damage(root)),
        }
    }
    Ok(ImageData { folder, process, threads, late, syscalls, damages })
}
