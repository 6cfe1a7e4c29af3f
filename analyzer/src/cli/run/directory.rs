//! The directory of the trace: fresh, writable and with room, before anything is run.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::super::{Failure, EXIT_OURS};

/// Less free room than this is a full disk: a trace of one small process needs about as much.
const LEAST_FREE_BYTES: u64 = 4 << 20;
/// Names tried when the one of this process id is taken by an earlier run.
const MOST_NAMES: u32 = 1000;
/// The file that says which run a directory belongs to: the hook of any other refuses it.
const RUN_ID: &str = "run.id";

/// Where the trace goes.
#[derive(Debug)]
pub struct Directory {
    /// Absolute path: the program may change its working directory.
    pub path: PathBuf,
    /// What tells the processes of this run from others that find the directory named in their
    /// environment: it stands in [`RUN_ID`] and in `PERFVISOR_RUN`.
    pub run_id: String,
    /// We made it.
    new: bool,
}

impl Directory {
    fn at(path: PathBuf, new: bool) -> Self {
        Self { path, run_id: new_id(), new }
    }

    /// Leaves nothing behind when nothing was run.
    pub fn abandon(&self) {
        let _ = fs::remove_file(self.path.join(RUN_ID));
        if self.new {
            // Fails, rightly, if somebody put something there.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// The directory asked for, else a new one named after `command` in the working directory.
pub fn prepare(asked: Option<&Path>, command: &OsStr) -> Result<Directory, Failure> {
    let directory = match asked {
        Some(path) => given(path)?,
        None => fresh(command)?,
    };
    let marked = check_room(&directory.path).and_then(|()| {
        fs::write(directory.path.join(RUN_ID), format!("{}\n", directory.run_id))
            .map_err(|error| refuse(&directory.path, format_args!("cannot write there: {error}")))
    });
    marked.inspect_err(|_| directory.abandon())?;
    Ok(directory)
}

fn new_id() -> String {
    let mut id = u64::from(std::process::id()) << 32;
    // SAFETY: getrandom fills the 8 bytes; without entropy the process id remains.
    unsafe { libc::getrandom((&raw mut id).cast(), 8, libc::GRND_NONBLOCK) };
    format!("{id:016x}")
}

fn refuse(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("output directory {}: {why}", path.display())).with_code(EXIT_OURS)
}

fn given(path: &Path) -> Result<Directory, Failure> {
    let absolute = std::path::absolute(path).map_err(|error| refuse(path, error))?;
    match fs::read_dir(&absolute) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(refuse(path, "exists and is not empty")
                    .advise("choose another with -o, or remove it first"));
            }
            Ok(Directory::at(absolute, false))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(&absolute).map_err(|error| refuse(path, error))?;
            Ok(Directory::at(absolute, true))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(refuse(path, "exists and is not a directory"))
        }
        Err(error) => Err(refuse(path, error)),
    }
}

fn fresh(command: &OsStr) -> Result<Directory, Failure> {
    let here = env::current_dir().map_err(|error| {
        Failure::new(format!("the working directory: {error}")).with_code(EXIT_OURS)
    })?;
    let mut stem = OsString::from("perfvisor-");
    stem.push(Path::new(command).file_name().unwrap_or(OsStr::new("run")));
    stem.push(format!("-{}", std::process::id()));
    for attempt in 1..=MOST_NAMES {
        let mut name = stem.clone();
        if attempt > 1 {
            name.push(format!("-{attempt}"));
        }
        let path = here.join(name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(Directory::at(path, true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(refuse(&path, error).advise("choose a writable place with -o DIR"));
            }
        }
    }
    Err(refuse(&here.join(stem), "exists, with all names after it")
        .advise("remove old traces or choose another with -o"))
}

/// Makes sure that files can be made there and that the disk is not full.
pub fn check_room(path: &Path) -> Result<(), Failure> {
    let probe = path.join(".perfvisor-probe");
    let written = fs::File::create(&probe).and_then(|mut file| file.write_all(&[0; 4096]));
    let _ = fs::remove_file(&probe);
    written.map_err(|error| refuse(path, format_args!("cannot write there: {error}")))?;
    match free_bytes(path) {
        Some(free) if free < LEAST_FREE_BYTES => Err(refuse(
            path,
            format_args!(
                "its disk is full ({free} bytes free, at least {LEAST_FREE_BYTES} needed)"
            ),
        )
        .advise("free some room or choose another disk with -o DIR")),
        _ => Ok(()),
    }
}

/// Bytes free for us on the file system of `path`; `None` when it does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: name is NUL-terminated; statvfs writes into the local, for which zeroes are valid.
    unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(name.as_ptr(), &mut found) == 0 && found.f_blocks > 0)
            .then(|| found.f_bavail.saturating_mul(found.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_directory_and_a_file_are_refused_and_a_new_one_is_removed_again() {
        let base = env::temp_dir().join(format!("perfvisor-dir-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let command = OsStr::new("x");
        let made = prepare(Some(&base.join("a/b")), command).unwrap();
        assert!(made.path.is_absolute() && made.path.is_dir());
        let id = fs::read_to_string(made.path.join(RUN_ID)).unwrap();
        assert!(id.trim_end() == made.run_id && id.len() == 17, "{id}");
        made.abandon();
        assert!(!made.path.exists());
        fs::write(base.join("a/file"), "").unwrap();
        let used = prepare(Some(&base.join("a")), command).unwrap_err();
        assert!(used.code == 125 && used.text.contains("not empty"), "{used}");
        let file = prepare(Some(&base.join("a/file")), command).unwrap_err();
        assert!(file.text.contains("not a directory"), "{file}");
        fs::remove_dir_all(&base).unwrap();
    }
}
