//! What must be stood in for, and nothing more: threads' begin and end, fork, exec and exit, dlopen
//! and dlsym, and the two functions that show a stack.
//!
//! Nothing here is an exported symbol: slots that lead to the libc function are led to the stand-in
//! (`stand_in`), or the function's site is marked special and `special` runs at its entry.

pub mod calibrate;
pub mod process;
mod reach;
pub mod start_routine;
pub mod thread;

use core::sync::atomic::{AtomicBool, Ordering};
use perfvisor_probe::seam::Frame;
use perfvisor_probe::thread::{idle_table, local, Thread};

pub use thread::{close_thread, mark_thread, thread_is_closed};

/// What happens at the entry of a special site; 0 is nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Special {
    /// Nothing.
    None = 0,
    /// Components may come or go: look again at this thread's next hooked call.
    Loader = 1,
    /// exec with the process's environment: note it.
    Exec = 2,
    /// _exit and its kin: the last chance to write.
    ExitNow = 3,
    /// exit: remember the status.
    Exit = 4,
    /// pthread_setname_np.
    SetName = 5,
    /// prctl: names and seccomp.
    Prctl = 6,
    /// syscall(): seccomp.
    Syscall = 7,
    /// execve and its kin: the same with the environment as third argument.
    ExecWith = 8,
    /// execveat: the same, each argument one place further on.
    ExecAt = 9,
}

/// What is special about `name`.
pub fn special_of(name: &[u8]) -> Special {
    match name {
        b"dlopen" | b"dlmopen" | b"dlclose" => Special::Loader,
        b"execv" | b"execvp" | b"execl" | b"execlp" | b"execle" => Special::Exec,
        b"execve" | b"execvpe" | b"fexecve" => Special::ExecWith,
        b"execveat" => Special::ExecAt,
        b"_exit" | b"_Exit" | b"quick_exit" => Special::ExitNow,
        b"exit" => Special::Exit,
        b"pthread_setname_np" => Special::SetName,
        b"prctl" => Special::Prctl,
        b"syscall" => Special::Syscall,
        _ => Special::None,
    }
}

/// The host installed a seccomp filter: the hook makes no system call any more that the program
/// might not make itself. Threads that begin later are counted for the process only.
static RESTRICTED: AtomicBool = AtomicBool::new(false);

/// Whether system calls of our own are off limits.
pub fn restricted() -> bool {
    RESTRICTED.load(Ordering::Relaxed)
}

/// The same, seen at the system call itself: nothing may be said any more.
pub extern "C" fn restrict_silently(_: u64, _: u64, _: u64) -> u64 {
    RESTRICTED.store(true, Ordering::Relaxed);
    perfvisor_probe::cold::RECORDING.store(false, Ordering::Relaxed);
    0
}

fn restrict() {
    if !RESTRICTED.swap(true, Ordering::Relaxed) {
        crate::diag::message(
            "the program restricts its system calls (seccomp): threads that begin from here on \
             are counted for the whole process only",
        );
        // Relaxed is enough: a thread that misses it makes the calls it would have made before.
        perfvisor_probe::cold::RECORDING.store(false, Ordering::Relaxed);
    }
}

/// Runs at the entry of a special site, and of any site when the thread owes a scan.
pub extern "C" fn special(thread: u64, site: u64, frame: u64) -> u64 {
    let thread = thread as *mut Thread;
    // SAFETY: the probe hands over its own frame and the calling thread's state (or null).
    unsafe {
        if !thread.is_null() && (*thread).rescan != 0 && !restricted() {
            if crate::patch::scan_now() {
                (*thread).rescan = 0;
            } else {
                ask_again(thread);
            }
        }
        let info = perfvisor_probe::sites::info(site as usize);
        if info.flags & perfvisor_probe::sites::SPECIAL == 0 {
            return 0;
        }
        let args = &mut (*(frame as *mut Frame)).args;
        at_entry(info.special, thread, args);
    }
    0
}

unsafe fn at_entry(what: u8, thread: *mut Thread, args: &mut [u64; 6]) {
    const LOADER: u8 = Special::Loader as u8;
    const EXEC: u8 = Special::Exec as u8;
    const EXIT_NOW: u8 = Special::ExitNow as u8;
    const EXIT: u8 = Special::Exit as u8;
    const SET_NAME: u8 = Special::SetName as u8;
    const PRCTL: u8 = Special::Prctl as u8;
    const SYSCALL: u8 = Special::Syscall as u8;
    const EXEC_WITH: u8 = Special::ExecWith as u8;
    const EXEC_AT: u8 = Special::ExecAt as u8;
    // SAFETY: arguments are the host's own, of the function it calls.
    unsafe {
        match what {
            LOADER if !thread.is_null() => ask_again(thread),
            EXEC => process::at_exec(args[0], None),
            EXEC_WITH => process::at_exec(args[0], Some(&mut args[2])),
            EXEC_AT => process::at_exec(args[1], Some(&mut args[3])),
            EXIT_NOW => process::at_exit_now(args[0] as u32),
            EXIT => process::at_exit(args[0] as u32),
            SET_NAME => thread::at_set_name(args[0], args[1]),
            PRCTL if args[0] == libc::PR_SET_NAME as u64 => thread::at_own_name(args[1]),
            PRCTL if args[0] == libc::PR_SET_SECCOMP as u64 => restrict(),
            SYSCALL if args[0] == libc::SYS_seccomp as u64 => restrict(),
            _ => {}
        }
    }
}

/// Leads the thread's next hooked call, whichever it is, into the probe, where it scans.
unsafe fn ask_again(thread: *mut Thread) {
    // SAFETY: the calling thread's words.
    unsafe {
        (*thread).rescan = 1;
        (*local()).table = idle_table();
    }
}

macro_rules! real {
    ($($name:ident),*) => { unsafe extern "C" { $(static mut $name: *mut core::ffi::c_void;)* } };
}
real!(
    perfvisor_real_dlsym,
    perfvisor_real_dlvsym,
    perfvisor_real_pthread_create,
    perfvisor_real_thrd_create,
    perfvisor_real_backtrace,
    perfvisor_real_unwind_backtrace,
    perfvisor_real_unwind_get_ip
);

unsafe extern "C" {
    fn perfvisor_dlsym();
    fn perfvisor_dlvsym();
    fn perfvisor_pthread_create();
    fn perfvisor_thrd_create();
    fn perfvisor_backtrace();
    fn perfvisor_unwind_backtrace();
}

/// What a slot for `name`, bound to `target`, leads to: the stand-in where there is one. Two targets
/// of one name (another library brings its own) cannot share a stand-in: the second stays as it is.
pub fn stand_in(name: &[u8], target: usize) -> usize {
    // SAFETY: the pointers are written under the scan lock, before a slot leads to the stand-in.
    unsafe {
        let (real, stand_in) = match name {
            b"dlsym" => (&raw mut perfvisor_real_dlsym, perfvisor_dlsym as *const () as usize),
            b"dlvsym" => (&raw mut perfvisor_real_dlvsym, perfvisor_dlvsym as *const () as usize),
            b"pthread_create" => (
                &raw mut perfvisor_real_pthread_create,
                perfvisor_pthread_create as *const () as usize,
            ),
            b"thrd_create" => {
                (&raw mut perfvisor_real_thrd_create, perfvisor_thrd_create as *const () as usize)
            }
            b"backtrace" => {
                (&raw mut perfvisor_real_backtrace, perfvisor_backtrace as *const () as usize)
            }
            b"_Unwind_Backtrace" if has_get_ip(target) => (
                &raw mut perfvisor_real_unwind_backtrace,
                perfvisor_unwind_backtrace as *const () as usize,
            ),
            _ => return target,
        };
        if (*real).is_null() {
            *real = target as *mut core::ffi::c_void;
        }
        if *real as usize == target {
            stand_in
        } else {
            target
        }
    }
}

/// Finds the `_Unwind_GetIP` that belongs to the `_Unwind_Backtrace` at `target`, for the stand-in.
///
/// Not linked: the host may have no libgcc_s, or another unwinder whose frames that cannot read.
fn has_get_ip(target: usize) -> bool {
    // SAFETY: written under the scan lock, before a slot leads to the stand-in.
    unsafe {
        if perfvisor_real_unwind_get_ip.is_null() {
            let found = crate::patch::scope::sibling(target, b"_Unwind_GetIP").unwrap_or(0);
            perfvisor_real_unwind_get_ip = found as *mut core::ffi::c_void;
        }
        !perfvisor_real_unwind_get_ip.is_null()
    }
}

/// Prepares thread ends and forks.
pub fn init() {
    thread::init();
    process::init();
}

unsafe extern "C" {
    static __ehdr_start: u8;
    static etext: u8;
}

/// Whether `address` is code of this library.
#[no_mangle]
pub extern "C" fn perfvisor_is_own_code(address: usize) -> i32 {
    let low = &raw const __ehdr_start as usize;
    let high = &raw const etext as usize;
    i32::from(address >= low && address < high)
}

/// Wraps what dlsym found, if it is a function that may be hooked.
///
/// # Safety
/// `name` is the C string the host gave to dlsym.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_wrap_pointer(
    caller: usize,
    name: *const core::ffi::c_char,
    address: usize,
) -> usize {
    if crate::load::phase() != crate::load::Phase::Recording || restricted() {
        return address;
    }
    // SAFETY: the real dlsym has read the same string.
    let name = unsafe { core::ffi::CStr::from_ptr(name) };
    crate::patch::wrap_now(caller, name.to_bytes(), address)
}
