//! Versions of the hook library that are no longer used: each update of Perfvisor leaves one behind.
//!
//! A process that maps one would not miss the file, but the programs it starts later would: their
//! loader looks for it anew. So only what was not used for long and is mapped by nobody goes.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::mapped;

/// Versions kept whatever their age, besides the one in use.
const KEPT: usize = 2;
/// Unused for less than this, a version stays.
const LEAST_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How exactly the last use is known: one write a day, not one a run.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How the files that are ours begin: libraries, and what an unpacking that died left.
const OURS: [&str; 2] = ["libperfvisor_hook-", ".new-"];

/// Notes that `path` is in use.
pub fn note_use(path: &Path) {
    let Ok(found) = fs::metadata(path) else { return };
    let now = SystemTime::now();
    if found.modified().is_ok_and(|at| age(at, now) > NOTED_EVERY) {
        // Where it cannot be noted, the time of the last access speaks for it.
        let _ = File::open(path).and_then(|file| file.set_modified(now));
    }
}

/// Removes old versions from `directory`; never `current`. What cannot be removed stays.
pub fn remove(directory: &Path, current: &str) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_old_version(&entry.file_name(), current))
        .filter_map(|entry| Some((last_use(&entry.metadata().ok()?)?, entry.path())))
        .collect();
    found.sort();
    let now = SystemTime::now();
    let most = found.len().saturating_sub(KEPT);
    for (at, path) in found.into_iter().take(most) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let same = |mapped: &str| mapped.rsplit('/').next() == Some(&*name);
        if age(at, now) > LEAST_AGE && !mapped::by_somebody(same) {
            let _ = fs::remove_file(path);
        }
    }
}

fn is_old_version(name: &OsStr, current: &str) -> bool {
    let name = name.to_string_lossy();
    name != current && OURS.iter().any(|beginning| name.starts_with(beginning))
}

/// The loader reads the file, which most file systems note once a day; we note our own uses.
fn last_use(found: &Metadata) -> Option<SystemTime> {
    let modified = found.modified().ok()?;
    Some(found.accessed().map_or(modified, |accessed| accessed.max(modified)))
}

fn age(at: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(at).unwrap_or_default()
}
