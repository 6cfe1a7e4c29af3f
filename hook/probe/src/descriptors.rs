//! What each descriptor of the process leads to, as far as it was learnt.
//!
//! A word holds a kind and an object id, 0 = not known. Calls that make, replace or close a descriptor
//! forget its word; the next call that uses it asks the hook (`cold::ColdCalls::descriptor`), which
//! learns it from the kernel. Each change raises a version, which the fast way compares.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use perfvisor_format::ObjectKind;

/// Descriptors from here on are not told apart.
pub const DESCRIPTORS: usize = 1 << 16;

static WORDS: [AtomicU32; DESCRIPTORS] = [const { AtomicU32::new(0) }; DESCRIPTORS];

unsafe extern "C" {
    static perfvisor_descriptor_version: AtomicU64;
}

/// A kind and an object id in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Descriptor(pub u32);

impl Descriptor {
    /// Of an object `id` below 2²⁴.
    pub const fn new(id: u32, kind: ObjectKind) -> Self {
        Self((id & 0xff_ffff) | (kind as u32) << 24)
    }

    /// The object's id; 0 = not known.
    pub const fn id(self) -> u32 {
        self.0 & 0xff_ffff
    }

    /// Whether reading and writing through it may wait for somebody else.
    pub const fn waits(self) -> bool {
        const KINDS: u32 = 1 << ObjectKind::Socket as u32
            | 1 << ObjectKind::Pipe as u32
            | 1 << ObjectKind::EventFd as u32
            | 1 << ObjectKind::Tty as u32
            | 1 << ObjectKind::TimerFd as u32
            | 1 << ObjectKind::SignalFd as u32
            | 1 << ObjectKind::Notify as u32;
        KINDS & (1 << (self.0 >> 24 & 31)) != 0
    }
}

#[inline(always)]
fn word(descriptor: u64) -> Option<&'static AtomicU32> {
    WORDS.get(descriptor as u32 as usize)
}

/// What is known of `descriptor`.
#[inline(always)]
pub fn known(descriptor: u64) -> Descriptor {
    // Relaxed: a word is whole; who races with a close gets either meaning.
    Descriptor(word(descriptor).map_or(0, |word| word.load(Ordering::Relaxed)))
}

/// Notes what `descriptor` leads to.
pub fn learn(descriptor: u64, what: Descriptor) {
    if let Some(word) = word(descriptor) {
        word.store(what.0, Ordering::Relaxed);
    }
}

/// The current version; what was known of descriptors at another one may be wrong.
#[inline(always)]
pub fn version() -> u64 {
    // SAFETY: an aligned word of the trampoline's, only changed atomically.
    unsafe { (*(&raw const perfvisor_descriptor_version)).load(Ordering::Relaxed) }
}

/// Forgets the descriptors of a range.
pub fn forget(first: u64, last: u64) {
    let mut at = first as u32 as usize;
    while at < DESCRIPTORS && at as u64 <= last as u32 as u64 {
        if let Some(word) = WORDS.get(at) {
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
        at += 1;
    }
    // SAFETY: as in `version`. Release: who sees the new version sees the words forgotten.
    unsafe { (*(&raw const perfvisor_descriptor_version)).fetch_add(1, Ordering::Release) };
}

const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;

/// Forgets what a call that returned `result` changed.
#[inline(always)]
pub fn changed_by(number: u32, args: &[u64; 6], result: i64) {
    match number {
        // close; connect, bind, listen: the name is another now.
        3 | 42 | 49 | 50 => forget(args[0], args[0]),
        // dup2, dup3.
        33 | 292 => forget(args[1], args[1]),
        // close_range, unless it only marks them.
        436 if args[2] & 4 == 0 => forget(args[0], args[1].min(u64::from(u32::MAX))),
        // accept, accept4: the peer's address stands in the host's memory if it asked for it.
        43 | 288 if result >= 0 => {
            forget(result as u64, result as u64);
            if args[1] != 0 && args[2] != 0 {
                let named = crate::cold::calls().named;
                crate::cold::call(named, result as u64, args.as_ptr() as u64, 0);
            }
        }
        // open, dup, socket, creat, inotify_init, openat, signalfd, timerfd_create, eventfd, signalfd4,
        // eventfd2, epoll_create, epoll_create1, inotify_init1, memfd_create, openat2; fcntl to duplicate.
        2 | 32 | 41 | 85 | 213 | 253 | 257 | 282 | 283 | 284 | 289..=291 | 294 | 319 | 437
            if result >= 0 =>
        {
            forget(result as u64, result as u64);
        }
        72 if (args[1] == F_DUPFD || args[1] == F_DUPFD_CLOEXEC) && result >= 0 => {
            forget(result as u64, result as u64);
        }
        _ => {}
    }
}
