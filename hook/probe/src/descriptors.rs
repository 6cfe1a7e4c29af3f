//! What each descriptor of the process leads to, as far as it was learnt.
//!
//! A word holds a kind and an object id, 0 = not known. Calls that make, replace or close a descriptor
//! forget its word; the next call that moves data through it asks the hook
//! (`cold::ColdCalls::descriptor`), which learns it from the kernel. To learn a file costs some 2 µs,
//! which is more than opening it: so what was opened by one path once is remembered by that path, and
//! taken to be the same the next time. The same holds for a listener's connections from one host.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use perfvisor_format::ObjectKind;

/// Descriptors from here on are not told apart.
pub const DESCRIPTORS: usize = 1 << 16;
/// Paths and peers remembered.
const NAMES: usize = 4096;
/// Longest path that is remembered.
const PATH_BYTES: usize = 1024;

unsafe extern "C" {
    /// In the assembly, which looks at it before a call.
    static perfvisor_descriptors: [AtomicU32; DESCRIPTORS + 1];
}

/// Names by which descriptors were made that are not known yet: hashes of paths.
static PENDING: [AtomicU64; DESCRIPTORS] = [const { AtomicU64::new(0) }; DESCRIPTORS];
/// Hashes of names, and what they led to. Written by several threads at once at worst, so a word carries
/// no proof of its hash: a pair that was mixed up names an object by another's name, once.
static HASHES: [AtomicU64; NAMES] = [const { AtomicU64::new(0) }; NAMES];
static NAMED: [AtomicU32; NAMES] = [const { AtomicU32::new(0) }; NAMES];
/// Changes of the working directory: relative paths mean something else since.
static DIRECTORY: AtomicU64 = AtomicU64::new(0);

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
    // SAFETY: a table of atomics that lives as long as the process.
    let words = unsafe { &perfvisor_descriptors };
    words.get(..DESCRIPTORS)?.get(descriptor as u32 as usize)
}

/// What is known of `descriptor`.
#[inline(always)]
pub fn known(descriptor: u64) -> Descriptor {
    // Relaxed: a word is whole; who races with a close gets either meaning.
    Descriptor(word(descriptor).map_or(0, |word| word.load(Ordering::Relaxed)))
}

/// Notes what `descriptor` leads to, and its name with it if it was made by one.
pub fn learn(descriptor: u64, what: Descriptor) {
    let (Some(word), Some(pending)) = (word(descriptor), PENDING.get(descriptor as u32 as usize))
    else {
        return;
    };
    word.store(what.0, Ordering::Relaxed);
    let hash = pending.swap(0, Ordering::Relaxed);
    if hash != 0 && what.id() != 0 {
        let at = hash as usize % NAMES;
        if let (Some(key), Some(value)) = (HASHES.get(at), NAMED.get(at)) {
            key.store(0, Ordering::Relaxed);
            value.store(what.0, Ordering::Release);
            key.store(hash, Ordering::Release);
        }
    }
}

/// Forgets the descriptors of a range.
pub fn forget(first: u64, last: u64) {
    let mut at = first as u32 as usize;
    while at < DESCRIPTORS && at as u64 <= last as u32 as u64 {
        if let (Some(word), Some(pending)) = (word(at as u64), PENDING.get(at)) {
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
            if pending.load(Ordering::Relaxed) != 0 {
                pending.store(0, Ordering::Relaxed);
            }
        }
        at += 1;
    }
}

/// Forgets all names: their objects are not in this image's file.
pub fn forget_names() {
    let mut at = 0;
    while let Some(key) = HASHES.get(at) {
        key.store(0, Ordering::Relaxed);
        at += 1;
    }
}

/// A descriptor was made by the name that `hash` stands for: it is what that led to before, or it is to be
/// remembered when it is learnt. Whether it is known.
#[inline(always)]
fn made(descriptor: u64, hash: u64) -> bool {
    forget(descriptor, descriptor);
    let at = hash as usize % NAMES;
    let (Some(key), Some(value)) = (HASHES.get(at), NAMED.get(at)) else { return false };
    // Acquire pairs with the Release in `learn`: the word is there when the hash is.
    if key.load(Ordering::Acquire) == hash {
        if let Some(word) = word(descriptor) {
            word.store(value.load(Ordering::Relaxed), Ordering::Relaxed);
            return true;
        }
    }
    if let Some(pending) = PENDING.get(descriptor as u32 as usize) {
        pending.store(hash, Ordering::Relaxed);
    }
    false
}

/// FNV-1a over a C string that the kernel has just read; 0 = too long to remember.
#[inline(always)]
unsafe fn hash_path(path: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut at = 0;
    while at < PATH_BYTES {
        // SAFETY: up to its NUL by contract.
        let byte = unsafe { (path as *const u8).add(at).read() };
        if byte == 0 {
            return hash | 1;
        }
        if at == 0 && byte != b'/' {
            hash ^= DIRECTORY.load(Ordering::Relaxed) << 8 | 1;
        }
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    0
}

/// The same over the host part of an internet address; 0 = it is none.
#[inline(always)]
unsafe fn hash_peer(address: u64, length: u64) -> u64 {
    // SAFETY: the kernel has just written both; a host that gave less room than an address of its family
    // takes would not read it either.
    unsafe {
        let length = (length as *const u32).read_unaligned();
        let (from, to) = match ((address as *const u16).read_unaligned(), length) {
            (2, 16..) => (4, 8),
            (10, 28..) => (8, 24),
            _ => return 0,
        };
        let mut hash = 0x8422_2325_cbf2_9ce4u64;
        let mut at = from;
        while at < to {
            let byte = (address as *const u8).add(at).read();
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            at += 1;
        }
        hash | 1
    }
}

/// Whether each call of `number` must come here ([`changed_by`]): those that end what a descriptor led to, and
/// those that name what they make. Others that make one may be missed, because it was closed before.
pub const fn changes(number: u32) -> bool {
    matches!(number, 2 | 3 | 33 | 42 | 43 | 49 | 50 | 80 | 81 | 85 | 257 | 288 | 292 | 436 | 437)
}

const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;

/// Forgets what a call that returned `result` changed, and names what it made where it can.
///
/// # Safety
/// `args` are those of a call that the kernel has just made: what they point to was read or written by it.
#[inline(always)]
pub unsafe fn changed_by(number: u32, args: &[u64; 6], result: i64) {
    const AT_FDCWD: i32 = -100;
    match number {
        // close; connect, bind, listen: the name is another now.
        3 | 42 | 49 | 50 => forget(args[0], args[0]),
        // dup2, dup3.
        33 | 292 => forget(args[1], args[1]),
        // chdir, fchdir.
        80 | 81 => {
            DIRECTORY.fetch_add(1, Ordering::Relaxed);
        }
        // close_range, unless it only marks them.
        436 if args[2] & 4 == 0 => forget(args[0], args[1].min(u64::from(u32::MAX))),
        _ if result < 0 => {}
        // SAFETY: the path that was opened.
        2 | 85 => named(result, unsafe { hash_path(args[0]) }),
        257 | 437 if args[0] as i32 == AT_FDCWD => {
            // SAFETY: as above.
            named(result, unsafe { hash_path(args[1]) });
        }
        // accept, accept4: the peer's address stands in the host's memory if it asked for it.
        43 | 288 if args[1] != 0 && args[2] != 0 => {
            // SAFETY: as above.
            let peer = unsafe { hash_peer(args[1], args[2]) };
            let listener = u64::from(known(args[0]).0);
            named(result, if listener == 0 { 0 } else { peer ^ listener << 32 });
        }
        // dup, socket, accept, inotify_init, openat, signalfd, timerfd_create, eventfd, accept4, signalfd4,
        // eventfd2, epoll_create, epoll_create1, inotify_init1, memfd_create, openat2; fcntl to duplicate.
        32 | 41 | 43 | 213 | 253 | 257 | 282..=284 | 288..=291 | 294 | 319 | 437 => {
            forget(result as u64, result as u64);
        }
        72 if args[1] == F_DUPFD || args[1] == F_DUPFD_CLOEXEC => {
            forget(result as u64, result as u64);
        }
        _ => {}
    }
}

#[inline(always)]
fn named(descriptor: i64, hash: u64) {
    if hash == 0 {
        forget(descriptor as u64, descriptor as u64);
    } else {
        made(descriptor as u64, hash);
    }
}
