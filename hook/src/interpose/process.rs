//! fork, exec, exit: where one image's trace ends and another's begins.

use crate::environment;
use crate::load::{self, Phase};
use crate::store::{lock, process};
use alloc::string::String;
use core::ffi::{c_char, CStr};
use core::sync::atomic::{AtomicPtr, Ordering};
use perfvisor_format::EndKind;
use perfvisor_probe::thread::{idle_table, local};

/// Registers the fork handlers. Ours are the first registered, so a child's own handlers already
/// count into its own image.
pub fn init() {
    // SAFETY: the handlers live as long as the library.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}

/// In the high half of `Local::quiet`: the fork itself and what its child calls before its handlers
/// run are the host's, but no thread's memory may take them: the child still maps its parent's.
const FORKING: u64 = 1 << 32;

unsafe extern "C" fn prepare() {
    lock::acquire();
    // SAFETY: the calling thread's own word.
    unsafe { (*local()).quiet += FORKING };
}

unsafe extern "C" fn parent() {
    // SAFETY: as in `prepare`.
    unsafe { (*local()).quiet -= FORKING };
    if load::phase() == Phase::Recording {
        process::note_fork();
    }
    lock::release();
}

/// The child shares its parent's mapped files: it must not count there.
unsafe extern "C" fn child() {
    // SAFETY: the child's only thread.
    unsafe {
        (*local()).quiet -= FORKING;
        (*local()).table = idle_table();
        (*local()).thread = core::ptr::null_mut();
        perfvisor_probe::cold::LATE = core::ptr::null_mut();
    }
    let recording = matches!(load::phase(), Phase::Recording | Phase::Forked);
    crate::cold::forget_all();
    super::thread::unmark();
    process::forget();
    crate::store::syscalls::forget();
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
    // Under seccomp even asking who one is may be forbidden.
    if super::restricted() {
        return false;
    }
    process::identity().is_some_and(|id| id.pid != crate::kernel::process_id())
}

/// exec is about to replace the image. `environment` is where the call's own stands, if it has one.
pub unsafe fn at_exec(path: u64, environment: Option<&mut u64>) {
    if !matches!(load::phase(), Phase::Recording | Phase::Off) || super::restricted() {
        return;
    }
    let _cold = lock::Cold::enter();
    let path = if path > 4096 {
        // SAFETY: exec's path is a C string (fexecve's first argument is an fd: small).
        unsafe { CStr::from_ptr(path as *const c_char) }.to_bytes()
    } else {
        b""
    };
    // SAFETY: handed on.
    let left_out = unsafe { leave_out_if_unreadable(environment) };
    if load::phase() != Phase::Recording || is_vfork_child() {
        return;
    }
    if left_out {
        process::write_message(&format!(
            "exec of {}: the process has no access to the hook library any more, so LD_PRELOAD was \
             left out and nothing is recorded there",
            String::from_utf8_lossy(path)
        ));
    }
    load::finish(EndKind::Exec, None);
    process::write_exec(path);
}

/// Leaves our library out of LD_PRELOAD where the loader could only say on the program's standard
/// error that it cannot open it: the process has dropped the privileges to read it (setpriv, su, a
/// server's worker), or it sees other files (chroot). Nobody else's environment is changed.
unsafe fn leave_out_if_unreadable(given: Option<&mut u64>) -> bool {
    let Some(own) = own_path() else { return false };
    if !super::reach::is_out_of_reach(own) {
        return false;
    }
    match given {
        // execle's environment stands behind its arguments, out of our reach: this is then too much,
        // but harmless. A vfork child's environment is its parent's.
        None if is_vfork_child() => false,
        None => match environment::copy_without(None, own.to_bytes()) {
            Some(copy) => {
                // SAFETY: the copy lives for ever. Who calls execv while others change the
                // environment has lost already.
                unsafe { environment::set(copy) };
                true
            }
            None => false,
        },
        Some(given) => match environment::copy_without(Some(*given as *mut _), own.to_bytes()) {
            Some(copy) => {
                *given = copy as u64;
                true
            }
            None => false,
        },
    }
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

/// `--no-follow`: children must not find us in their environment.
pub fn hide_from_children() {
    if let Some(own) = own_path() {
        environment::hide(own.to_bytes());
    }
}

/// Our path as the loader was given it. Found once: the loader may not be asked under the cold lock.
static OWN_PATH: AtomicPtr<c_char> = AtomicPtr::new(core::ptr::null_mut());

/// Finds out where this library was loaded from.
pub fn find_own_path() {
    // SAFETY: dladdr fills the struct for an address of ours; the name lives as long as we do.
    unsafe {
        let mut info: libc::Dl_info = core::mem::zeroed();
        if libc::dladdr(find_own_path as *const () as *const _, &mut info) != 0 {
            OWN_PATH.store(info.dli_fname.cast_mut(), Ordering::Relaxed);
        }
    }
}

fn own_path() -> Option<&'static CStr> {
    let path = OWN_PATH.load(Ordering::Relaxed);
    // SAFETY: null or the loader's own C string.
    (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) })
}
