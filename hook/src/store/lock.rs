//! The one lock of cold work, and what cold work keeps as it was: errno and the signal mask.
//!
//! The lock is recursive, so that a store function may be called both from cold work that holds it
//! and from a scan that does not. It is never held while the dynamic loader is called: a thread
//! inside dlopen may wait for it.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// 0 free, 1 held, 2 held and waited for.
static LOCK: AtomicU32 = AtomicU32::new(0);
/// Address of the holder's thread-local words; 0 = nobody.
static OWNER: AtomicUsize = AtomicUsize::new(0);
static DEPTH: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    fn pthread_setcancelstate(state: i32, old: *mut i32) -> i32;
}

/// PTHREAD_CANCEL_DISABLE of glibc.
const CANCEL_DISABLE: i32 = 1;

/// System calls of this thread are the hook's own, until this is dropped. Only while signals are blocked: a
/// handler's are not.
struct Own;

impl Own {
    /// From here on.
    fn enter() -> Self {
        // SAFETY: the calling thread's own word; a handler in between leaves it as it was.
        unsafe { (*perfvisor_probe::thread::local()).quiet += 1 };
        Self
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { (*perfvisor_probe::thread::local()).quiet -= 1 };
    }
}

/// Signals are blocked (unless a seccomp filter might forbid that), cancellation is off and errno is kept
/// until this is dropped.
///
/// Our own open() is a cancellation point: were cancellation on, a cancelled thread would leave from the
/// middle of cold work, holding the lock. That does not stop a cancellation signal which was sent just
/// before (glibc 2.36 asks only whether the *type* is asynchronous, and it is in open() and pwrite()), and
/// pthread_sigmask never blocks that signal. So the kernel is asked itself.
pub struct Quiet {
    /// Signals blocked before; `None` where the process restricts its system calls.
    mask: Option<u64>,
    errno: i32,
    cancel: i32,
    /// Dropped before signals come in again.
    own: Option<Own>,
}

impl Quiet {
    /// Blocks all signals.
    pub fn enter() -> Self {
        // SAFETY: errno's address is the thread's; both sets are locals of ours.
        unsafe {
            let errno = *libc::__errno_location();
            let mut cancel = 0;
            pthread_setcancelstate(CANCEL_DISABLE, &mut cancel);
            let mask = (!crate::interpose::restricted()).then(|| set_mask(u64::MAX));
            Self { mask, errno, cancel, own: Some(Own::enter()) }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.own = None;
        // SAFETY: restores what `enter` saved on this thread.
        unsafe {
            if let Some(mask) = self.mask {
                set_mask(mask);
            }
            *libc::__errno_location() = self.errno;
            // Last: a pending cancellation of the asynchronous kind happens in here.
            pthread_setcancelstate(self.cancel, core::ptr::null_mut());
        }
    }
}

/// Blocks just the signals of `mask` (bit n − 1 for signal n), those of glibc's own included; returns
/// what was blocked before.
fn set_mask(mask: u64) -> u64 {
    let mut before = 0u64;
    // SAFETY: both sets are eight bytes, as the kernel's are on x86-64.
    unsafe {
        let (how, size) = (libc::SIG_SETMASK as usize, core::mem::size_of::<u64>());
        let args = [how, &raw const mask as usize, &raw mut before as usize, size];
        crate::kernel::call(libc::SYS_rt_sigprocmask, args);
    }
    before
}

/// The lock is held until this is dropped.
pub struct Held;

/// Takes the lock, again if this thread holds it.
pub fn hold() -> Held {
    acquire();
    Held
}

impl Drop for Held {
    fn drop(&mut self) {
        release();
    }
}

/// Cold work: signals blocked, errno kept, lock held.
pub struct Cold {
    _held: Held,
    _quiet: Quiet,
}

impl Cold {
    /// Begins cold work.
    pub fn enter() -> Self {
        let quiet = Quiet::enter();
        Self { _held: hold(), _quiet: quiet }
    }
}

/// Takes the lock without touching signals: around fork, whose mask belongs to the host.
pub fn acquire() {
    let me = perfvisor_probe::thread::local() as usize;
    // Relaxed: only this thread ever stores its own address.
    if OWNER.load(Ordering::Relaxed) == me {
        DEPTH.fetch_add(1, Ordering::Relaxed);
        return;
    }
    // Acquire pairs with the Release in `release`.
    if LOCK.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        while LOCK.swap(2, Ordering::Acquire) != 0 {
            futex(libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, 2);
        }
    }
    OWNER.store(me, Ordering::Relaxed);
    DEPTH.store(1, Ordering::Relaxed);
}

/// Gives the lock back, if this was the outermost hold.
pub fn release() {
    if DEPTH.fetch_sub(1, Ordering::Relaxed) != 1 {
        return;
    }
    OWNER.store(0, Ordering::Relaxed);
    // Release pairs with the Acquire in `acquire`.
    if LOCK.swap(0, Ordering::Release) == 2 {
        futex(libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
    }
}

fn futex(operation: i32, value: u32) {
    // SAFETY: the word is a static; no timeout.
    unsafe {
        libc::syscall(libc::SYS_futex, LOCK.as_ptr(), operation, value, core::ptr::null::<u8>());
    }
}
