//! fork, exec, exit: where one image's trace ends and another's begins.

use crate::load::{self, Phase};
use crate::store::{lock, process};
use alloc::ffi::CString;
use alloc::vec::Vec;
use perfvisor_format::EndKind;
use perfvisor_probe::thread::{idle_table, local};

/// Registers the fork handlers. Ours are the first registered, so a child's own handlers already
/// count into its own image.
pub fn init() {
    // SAFETY: the handlers live as long as the library.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}

unsafe extern "C" fn prepare() {
    lock::acquire();
}

unsafe extern "C" fn parent() {
    if load::phase() == Phase::Recording {
        process::note_fork();
    }
    lock::release();
}

/// The child shares its parent's mapped files: it must not count there.
unsafe extern "C" fn child() {
    // SAFETY: the child's only thread.
    unsafe {
        (*local()).table = idle_table();
        (*local()).thread = core::ptr::null_mut();
        perfvisor_probe::cold::LATE = core::ptr::null_mut();
    }
    let recording = matches!(load::phase(), Phase::Recording | Phase::Forked);
    crate::cold::forget_all();
    super::thread::unmark();
    process::forget();
    crate::patch::forget_scan();
    lock::release();
    if !recording {
        return;
    }
    if load::config().follow && !super::restricted() {
        load::set_phase(Phase::Forked);
    } else {
        load::set_phase(Phase::Off);
        crate::patch::restore_now();
    }
}

/// A vfork child runs in its parent's memory: it must not end its parent's trace.
pub fn is_vfork_child() -> bool {
    // SAFETY: getpid has no preconditions.
    process::identity().is_some_and(|id| id.pid != unsafe { libc::getpid() } as u32)
}

/// exec is about to replace the image.
pub unsafe fn at_exec(path: u64) {
    if load::phase() != Phase::Recording || is_vfork_child() || super::restricted() {
        return;
    }
    let _cold = lock::Cold::enter();
    let path = if path > 4096 {
        // SAFETY: exec's first argument is a C string (fexecve's is an fd: small).
        unsafe { core::ffi::CStr::from_ptr(path as *const core::ffi::c_char) }.to_bytes()
    } else {
        b""
    };
    load::finish(EndKind::Exec, None);
    process::write_exec(path);
}

/// _exit and its kin end the process at once.
pub fn at_exit_now(status: u32) {
    load::finish(EndKind::Exited, Some(status));
}

/// exit runs handlers first; the end is noted by our destructor.
pub fn at_exit(status: u32) {
    if let (Phase::Recording, false, Some(header)) =
        (load::phase(), is_vfork_child(), process::header())
    {
        header.exit_status = status;
    }
}

/// `--no-follow`: children must not find us in their environment. Ours is taken out of LD_PRELOAD,
/// and PERFVISOR_* goes.
pub fn hide_from_children() {
    let own = own_path();
    if let Some(value) = crate::config::variable(c"LD_PRELOAD") {
        let rest: Vec<&[u8]> = value
            .split(|&byte| byte == b':' || byte == b' ')
            .filter(|part| !part.is_empty() && Some(*part) != own.as_deref())
            .collect();
        let joined = rest.join(&b':');
        // SAFETY: the constructor runs before the program's threads; setenv copies.
        unsafe {
            match CString::new(joined) {
                Ok(text) if !text.is_empty() => {
                    libc::setenv(c"LD_PRELOAD".as_ptr(), text.as_ptr(), 1);
                }
                _ => {
                    libc::unsetenv(c"LD_PRELOAD".as_ptr());
                }
            }
        }
    }
    for name in [
        c"PERFVISOR_OUT",
        c"PERFVISOR_EXACT",
        c"PERFVISOR_EVENTS",
        c"PERFVISOR_FLIGHT_RECORDER",
        c"PERFVISOR_EVENTS_LIMIT",
        c"PERFVISOR_SELF_CALLS",
        c"PERFVISOR_REWRITE_CALLS",
        c"PERFVISOR_INCLUDE_COMPONENT",
        c"PERFVISOR_EXCLUDE_COMPONENT",
        c"PERFVISOR_INCLUDE_API",
        c"PERFVISOR_EXCLUDE_API",
        c"PERFVISOR_FOLLOW",
        c"PERFVISOR_KEEP_THREADS",
        c"PERFVISOR_MAX_GAP",
        c"PERFVISOR_SLOW_CALLS",
        c"PERFVISOR_QUIET",
    ] {
        // SAFETY: as above.
        unsafe { libc::unsetenv(name.as_ptr()) };
    }
}

fn own_path() -> Option<Vec<u8>> {
    // SAFETY: dladdr fills the struct for an address of ours.
    unsafe {
        let mut info: libc::Dl_info = core::mem::zeroed();
        if libc::dladdr(own_path as *const () as *const _, &mut info) == 0 {
            return None;
        }
        Some(core::ffi::CStr::from_ptr(info.dli_fname).to_bytes().to_vec())
    }
}
