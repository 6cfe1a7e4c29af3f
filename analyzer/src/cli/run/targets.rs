//! Where the reports go: made sure of before the program runs, which may take hours.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::settings::Settings;
use super::super::{view, Failure, EXIT_OURS};

/// The settings that name a file to write.
const KEYS: [&str; 3] = ["report", "html", "json"];

/// Fails when a report that was asked for could not be written. Leaves nothing behind.
pub fn check(settings: &Settings) -> Result<(), Failure> {
    for key in KEYS {
        let path = settings.path(key).filter(|path| view::is_file(key, path));
        if let Some((path, Err(error))) = path.map(|path| (path.clone(), writable(&path))) {
            let text = format!("--{key} {}: cannot write there: {error}", path.display());
            return Err(Failure::new(text).with_code(EXIT_OURS));
        }
    }
    Ok(())
}

fn writable(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        Ok(found) if found.is_file() => OpenOptions::new().append(true).open(path).map(drop),
        // To open a pipe would wait for its reader, or end what it reads.
        Ok(_) => accessible(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link to nothing is in the way of `create_new`, not of the report.
            if fs::symlink_metadata(path).is_ok() {
                return Ok(());
            }
            OpenOptions::new().write(true).create_new(true).open(path)?;
            fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

fn accessible(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a NUL-terminated path.
    match unsafe { libc::access(name.as_ptr(), libc::W_OK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
