//! What we were given at `execve`, before Rust's runtime changed it.
//!
//! The runtime ignores SIGPIPE and opens `/dev/null` on closed descriptors 0 to 2 before `main`.
//! A program run under us must start as it would have without us, so a constructor (which runs
//! before the runtime) notes both.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);
static CLOSED: AtomicU8 = AtomicU8::new(0);

#[used]
#[link_section = ".init_array"]
static CAPTURE: extern "C" fn() = capture;

extern "C" fn capture() {
    // SAFETY: sigaction and fcntl only read the state of this process into locals; both are
    // allowed before main. A zeroed sigaction is a valid value.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action) == 0 {
            SIGPIPE_IGNORED.store(action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
        }
        for fd in 0..3 {
            if libc::fcntl(fd, libc::F_GETFD) == -1 {
                CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
            }
        }
    }
}

/// How SIGPIPE stood: `SIG_IGN` or `SIG_DFL`.
pub fn sigpipe() -> libc::sighandler_t {
    if SIGPIPE_IGNORED.load(Ordering::Relaxed) {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    }
}

/// The descriptors among 0 to 2 that were closed.
pub fn closed_descriptors() -> impl Iterator<Item = i32> {
    let closed = CLOSED.load(Ordering::Relaxed);
    (0..3).filter(move |fd| closed & (1 << fd) != 0)
}
