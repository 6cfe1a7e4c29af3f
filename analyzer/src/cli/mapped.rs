//! Which files the processes of this machine have mapped.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether a process that lets us look maps a file whose path is `wanted`.
pub fn by_somebody(wanted: impl Fn(&str) -> bool) -> bool {
    processes().is_none_or(|mut all| all.any(|process| maps(&process, &wanted).unwrap_or(false)))
}

/// Whether a process that began after us maps a file whose path is `wanted`, or may do so: one of
/// this user that does not let us look counts as one that does.
pub fn by_somebody_younger(wanted: impl Fn(&str) -> bool) -> bool {
    let Some(own) = begin(Path::new("/proc/self")) else { return true };
    processes().is_none_or(|mut all| {
        all.any(|process| {
            // Who is gone by now maps nothing.
            begin(&process).is_some_and(|begin| begin >= own)
                && maps(&process, &wanted).unwrap_or_else(|| is_ours(&process))
        })
    })
}

/// The folders of all processes; `None` when /proc cannot be read.
fn processes() -> Option<impl Iterator<Item = PathBuf>> {
    let entries = fs::read_dir("/proc").ok()?;
    Some(
        entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
            .map(|entry| entry.path()),
    )
}

/// When a process began, in the kernel's clock ticks.
fn begin(process: &Path) -> Option<u64> {
    let stat = fs::read(process.join("stat")).ok()?;
    // Field 22 of proc(5), counted behind the command, which may hold any bytes.
    let stat = String::from_utf8_lossy(&stat);
    stat.rsplit(')').next()?.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Whether a process maps a `wanted` file; `None` when it does not let us look.
fn maps(process: &Path, wanted: &impl Fn(&str) -> bool) -> Option<bool> {
    match fs::read(process.join("maps")) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            // The path is all from the first slash on: nothing before it has one.
            let mut paths = text.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
            Some(paths.any(wanted))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Some(false),
        Err(_) => None,
    }
}

/// Whether a process we may not look into is of our user: such a one has made itself undumpable,
/// and /proc then gives its files to root.
fn is_ours(process: &Path) -> bool {
    let Ok(status) = fs::read_to_string(process.join("status")) else { return false };
    let Ok(own) = fs::metadata("/proc/self") else { return true };
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    ids.split_whitespace().any(|id| id.parse() == Ok(own.uid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_s_own_executable_is_mapped_and_nothing_is_not() {
        let own = std::env::current_exe().unwrap();
        assert!(by_somebody(|path| Path::new(path) == own));
        assert!(by_somebody_younger(|path| Path::new(path) == own));
        assert!(!by_somebody(|path| path.ends_with("/no such file")));
        assert_eq!(maps(Path::new("/proc/nobody"), &|_: &str| true), Some(false));
        assert!(begin(Path::new("/proc/1")) < begin(Path::new("/proc/self")));
    }
}
