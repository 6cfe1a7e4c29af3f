//! Which run a directory belongs to: the file `run.id`, and `PERFVISOR_RUN` in the environment.
//!
//! All processes of a run write into one directory, and nothing else may: a report on two runs is of
//! neither. The first process (or `perfvisor run`) draws an id and writes it into the directory. A
//! process is of that run if it was given the id, or if it or one it descends from is recorded there:
//! the environment stays the host's own. Who has another id, or none of these in a directory that holds
//! anything, is refused.

use super::process;
use crate::environment::variable;
use crate::files::{self, Errno};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

/// The variable that holds the run's id.
const VARIABLE: &core::ffi::CStr = c"PERFVISOR_RUN";
/// The file that holds it.
const FILE: &[u8] = b"run.id";
/// Looks at a file that somebody is just writing, one a millisecond.
const MOST_LOOKS: u32 = 100;

/// Processes above this one that are looked for.
const MOST_ABOVE: u32 = 64;

/// Whether this process may write into its directory.
pub enum Entry {
    /// It is of the directory's run.
    Member,
    /// It is not, and no process it starts will be.
    Stranger(String),
}

static BEGUN_BY_US: AtomicBool = AtomicBool::new(false);

/// Whether this process began the run.
pub fn is_our_begin() -> bool {
    // Relaxed: written and read by the constructor.
    BEGUN_BY_US.load(Ordering::Relaxed)
}

/// Makes the directory `out` if it is missing and enters its run, or begins it.
pub fn enter(out: &[u8]) -> Result<Entry, String> {
    let root = process::make_root(out)?;
    let given = variable(VARIABLE).filter(|id| !id.is_empty());
    if given.is_none() && is_descendant(&root) {
        return Ok(Entry::Member);
    }
    let id = given.map_or_else(new_id, <[u8]>::to_vec);
    let shown = String::from_utf8_lossy(out).into_owned();
    match enter_as(&root, &id).map_err(|e| format!("{shown}/run.id: {e}"))? {
        None => Ok(Entry::Member),
        Some(why) => {
            Ok(Entry::Stranger(format!("{shown} {why}; name a new directory in PERFVISOR_OUT")))
        }
    }
}

/// Whether this process (before an exec), or one of those above it, has an image in the directory.
fn is_descendant(root: &[u8]) -> bool {
    let Ok(directory) = files::c_path(root) else { return false };
    // SAFETY: getpid has no preconditions.
    let mut pid = unsafe { libc::getpid() } as u32;
    for _ in 0..MOST_ABOVE {
        let image = format!("p{pid}.");
        match files::any_entry(&directory, |name| name.starts_with(image.as_bytes())) {
            Ok(true) => return true,
            Ok(false) => {}
            Err(_) => return false,
        }
        match parent_of(pid) {
            Some(parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
    false
}

/// The parent of a process, from its `/proc/PID/stat`: the second field behind the name.
fn parent_of(pid: u32) -> Option<u32> {
    let path = files::c_path(format!("/proc/{pid}/stat").into_bytes()).ok()?;
    let stat = String::from_utf8_lossy(&files::read(&path).ok()?).into_owned();
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn new_id() -> Vec<u8> {
    let mut id = perfvisor_probe::clock::now();
    // SAFETY: getrandom fills 8 bytes; without entropy the time stamp remains.
    unsafe { libc::getrandom((&raw mut id).cast(), 8, libc::GRND_NONBLOCK) };
    format!("{id:016x}").into_bytes()
}

/// Enters or begins run `id` in the directory `root`, which ends with a slash. Why not, if not.
fn enter_as(root: &[u8], id: &[u8]) -> Result<Option<&'static str>, Errno> {
    let directory = files::c_path(root)?;
    let file = files::c_path([root, FILE].concat())?;
    let mut strange = false;
    for _ in 0..MOST_LOOKS {
        match files::read(&file) {
            Ok(found) if found.trim_ascii_end() == id => return Ok(None),
            Ok(found) if !found.is_empty() => return Ok(Some("holds another run")),
            // Whoever made it has not written it yet.
            Ok(_) => pause(),
            // Nobody's: other files are those of a stranger, unless its run began between the looks.
            Err(Errno(libc::ENOENT)) if strange => return Ok(Some("holds other files")),
            Err(Errno(libc::ENOENT)) => {
                strange = files::any_entry(&directory, |name| name != FILE)?;
                if !strange && files::write_new(&file, &[id, b"\n"].concat())? {
                    BEGUN_BY_US.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(Some("holds a run that never began (its run.id is empty)"))
}

fn pause() {
    let millisecond = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // SAFETY: reads the local.
    unsafe { libc::nanosleep(&millisecond, core::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::enter_as;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_directory_is_of_the_run_that_found_it_empty() {
        let place = std::env::temp_dir().join(format!("run-id-{}", std::process::id()));
        let fresh = |name: &str| {
            let path = place.join(name);
            std::fs::create_dir_all(&path).expect("a directory");
            let root = [path.as_os_str().as_bytes(), b"/"].concat();
            (path, root)
        };
        let (path, root) = fresh("empty");
        assert_eq!(enter_as(&root, b"one"), Ok(None));
        std::fs::create_dir(path.join("p1.0")).expect("an image");
        assert_eq!(enter_as(&root, b"one"), Ok(None));
        assert_eq!(enter_as(&root, b"on"), Ok(Some("holds another run")));
        assert_eq!(std::fs::read(path.join("run.id")).expect("the id"), b"one\n");
        let (path, root) = fresh("foreign");
        std::fs::write(path.join("notes"), "mine").expect("a file");
        assert_eq!(enter_as(&root, b"one"), Ok(Some("holds other files")));
        assert!(!path.join("run.id").exists());
        let (path, root) = fresh("never begun");
        std::fs::write(path.join("run.id"), "").expect("a file");
        assert!(enter_as(&root, b"one").is_ok_and(|why| why.is_some()));
        std::fs::remove_dir_all(&place).expect("removed");
    }
}
