//! What the probe must know of a site, by site id; filled by the hook before a slot is patched.

use perfvisor_format::MAX_SITES;

/// First site id whose stub looks at a mutex word (blocked if not 0).
pub const MUTEX_FIRST: usize = 15360;
/// First site id whose stub looks at a rwlock for reading (blocked if bit 1).
pub const READ_FIRST: usize = 15616;
/// First site id whose stub looks at a rwlock for writing (blocked if any bit but 0).
pub const WRITE_FIRST: usize = 15744;
/// First site id whose stub looks at a semaphore (blocked if 0).
pub const ZERO_FIRST: usize = 15872;

/// The API blocks: always timed where it can.
pub const ALWAYS_TIMED: u8 = 1;
/// Never on the shadow stack: counted and passed on by tail jump.
pub const COUNT_ONLY: u8 = 2;
/// Something cold happens at its entry (exec, exit, dlopen …).
pub const SPECIAL: u8 = 4;
/// An entry of the C++ or C stack switchers was called: stacks are not one per thread any more.
pub const SWITCHES_STACK: u8 = 8;

/// The API is `syscall`: its first argument says what it does.
pub const BY_NUMBER: u8 = 16;

/// Calls of it were seen to make system calls.
pub const MAKES_SYSTEM_CALLS: u8 = 32;

/// No argument names what is waited for.
pub const NO_OBJECT: u8 = 255;

/// Properties of one site, 4 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SiteInfo {
    /// `ALWAYS_TIMED | COUNT_ONLY | SPECIAL | SWITCHES_STACK | BY_NUMBER`.
    pub flags: u8,
    /// WaitKind.
    pub wait: u8,
    /// Index of the argument that names what is waited for.
    pub object: u8,
    /// Which special thing, if `SPECIAL`.
    pub special: u8,
}

/// The table. Written by the hook (single writer, before the stub can be reached).
pub static mut SITE_INFO: [SiteInfo; MAX_SITES] =
    [SiteInfo { flags: 0, wait: 0, object: NO_OBJECT, special: 0 }; MAX_SITES];

/// Properties of `site`.
///
/// # Safety
/// `site < MAX_SITES`.
#[inline(always)]
pub unsafe fn info(site: usize) -> SiteInfo {
    // SAFETY: in range by contract; entries are written before their stub is reachable.
    unsafe { (&raw const SITE_INFO).cast::<SiteInfo>().add(site).read() }
}

/// System calls that calls of each site made themselves, about: threads that race lose some.
static mut SYSTEM_CALLS: [u32; MAX_SITES] = [0; MAX_SITES];

/// Adds `count` system calls that calls of `site` made.
///
/// # Safety
/// `site < MAX_SITES`.
#[inline(always)]
pub unsafe fn add_system_calls(site: usize, count: u32) {
    // SAFETY: in range by contract; a word that is only looked at.
    unsafe {
        let word = (&raw mut SYSTEM_CALLS).cast::<u32>().add(site);
        word.write_volatile(word.read_volatile().saturating_add(count));
    }
}

/// Whether one in 32 of `calls` calls of `site` made a system call, or more: then more of them are timed,
/// see `pace`. `malloc`, which asks for memory now and then, is none of these.
///
/// # Safety
/// As for [`add_system_calls`].
#[inline(always)]
pub unsafe fn often_makes_system_calls(site: usize, calls: u64) -> bool {
    // SAFETY: as above.
    let made = unsafe { (&raw const SYSTEM_CALLS).cast::<u32>().add(site).read_volatile() };
    made != 0 && u64::from(made) * 32 >= calls
}

/// Notes that a call of `site` made a system call.
///
/// # Safety
/// `site < MAX_SITES`.
#[inline(always)]
pub unsafe fn makes_system_calls(site: usize) {
    // SAFETY: in range by contract. Other bits never change once the stub is reachable, and this one is
    // only ever set: a plain byte is enough for threads that race to set it.
    unsafe {
        let info = (&raw mut SITE_INFO).cast::<SiteInfo>().add(site);
        let flags = &raw mut (*info).flags;
        if flags.read_volatile() & MAKES_SYSTEM_CALLS == 0 {
            flags.write_volatile(flags.read_volatile() | MAKES_SYSTEM_CALLS);
        }
    }
}

/// Whether the lock word says that the call would block now. True for sites without a check.
///
/// # Safety
/// `first_argument` is what the host passed to the API: the API itself reads it at once.
#[inline(always)]
pub unsafe fn would_block(site: usize, first_argument: u64) -> bool {
    if site < MUTEX_FIRST || first_argument == 0 {
        return true;
    }
    // SAFETY: the stub of this site has read the same word just before.
    let word = unsafe { (first_argument as *const u32).read_volatile() };
    match site {
        ZERO_FIRST.. => word == 0,
        WRITE_FIRST.. => word & !1 != 0,
        READ_FIRST.. => word & 2 != 0,
        _ => word != 0,
    }
}
