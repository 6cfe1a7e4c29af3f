//! Whether executing a file gains privileges, which makes the loader ignore LD_PRELOAD.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What executing `path` gains over us, in words; `None` when nothing. Follows the kernel: the
/// bits and capabilities count only where they change something, not on a nosuid file system and
/// not when no_new_privs is set.
pub fn gained_by_executing(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: the ids have no preconditions; prctl(PR_GET_NO_NEW_PRIVS) takes zeroes and returns a
    // flag; name is NUL-terminated and statvfs writes into the local, for which zeroes are valid.
    let (user, group, inert) = unsafe {
        let mut mount: libc::statvfs = std::mem::zeroed();
        let nosuid =
            libc::statvfs(name.as_ptr(), &mut mount) == 0 && mount.f_flag & libc::ST_NOSUID != 0;
        let no_new = libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
        (libc::getuid(), libc::getgid(), nosuid || no_new)
    };
    if inert {
        return None;
    }
    let mode = found.mode();
    if mode & libc::S_ISUID != 0 && found.uid() != user {
        return Some(format!("setuid: it runs as user {}", found.uid()));
    }
    // Without the group's execute bit, setgid meant mandatory locking and gains nothing.
    if mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 && found.gid() != group {
        return Some(format!("setgid: it runs as group {}", found.gid()));
    }
    // Root has the capabilities anyway; the loader is told of no change.
    (user != 0 && has_capabilities(&name)).then(|| "it has file capabilities".to_owned())
}

fn has_capabilities(path: &CString) -> bool {
    let attribute = c"security.capability";
    // SAFETY: both names are NUL-terminated; with size 0 nothing is written.
    unsafe { libc::getxattr(path.as_ptr(), attribute.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}
