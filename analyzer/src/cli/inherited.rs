//! What we were given at `execve`, before Rust's runtime changed it.
//!
//! The runtime ignores SIGPIPE and opens `/dev/null` on closed descriptors 0 to 2 before `main`;
//! we ignore SIGXFSZ, so that a limit on file size is an error we can report. A program run under
//! us must start as it would have without us, so a constructor (which runs before the runtime)
//! notes how all this was.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// The signals whose disposition changes, and whether each was ignored.
static IGNORED: [(i32, AtomicBool); 2] =
    [(libc::SIGPIPE, AtomicBool::new(false)), (libc::SIGXFSZ, AtomicBool::new(false))];
static CLOSED: AtomicU8 = AtomicU8::new(0);

#[used]
#[link_section = ".init_array"]
static CAPTURE: extern "C" fn() = capture;

extern "C" fn capture() {
    // SAFETY: sigaction and fcntl only read the state of this process into locals; both are
    // allowed before main. A zeroed sigaction is a valid value.
    unsafe {
        for (signal, ignored) in &IGNORED {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(*signal, std::ptr::null(), &mut action) == 0 {
                ignored.store(action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
            }
        }
        for fd in 0..3 {
            if libc::fcntl(fd, libc::F_GETFD) == -1 {
                CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
            }
        }
    }
}

/// Lets a write beyond the limit on file size fail instead of killing us.
pub fn ignore_file_size_signal() {
    // SAFETY: changes one disposition of this process, which `restore_signals` gives back.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Gives the dispositions back. Async-signal-safe: it runs between fork and exec.
pub fn restore_signals() {
    for (signal, ignored) in &IGNORED {
        let ignored = ignored.load(Ordering::Relaxed);
        let action = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: sets a disposition that needs no handler; signal is async-signal-safe.
        unsafe {
            libc::signal(*signal, action);
        }
    }
}

/// The descriptors among 0 to 2 that were closed.
pub fn closed_descriptors() -> impl Iterator<Item = i32> {
    let closed = CLOSED.load(Ordering::Relaxed);
    (0..3).filter(move |fd| closed & (1 << fd) != 0)
}
