//! When the process's components are looked at, and by whom.
//!
//! One thread at a time, and none waits for another: a thread inside dlopen holds the loader's lock
//! and may come here from a constructor, while the scanning thread may need the loader's lock. Who
//! finds a scan going on tries again at its next hooked call.

use super::{got, sites};
use crate::store::lock::Quiet;
use core::sync::atomic::{AtomicBool, Ordering};

static BUSY: AtomicBool = AtomicBool::new(false);

struct Scan;

impl Scan {
    fn begin() -> Option<Self> {
        // Acquire pairs with the Release in `drop`: the registry is whole.
        BUSY.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok().map(|_| Self)
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}

/// Patches what has come and forgets what has gone; false when another thread is at it.
pub fn scan_now() -> bool {
    let _quiet = Quiet::enter();
    let Some(_scan) = Scan::begin() else { return false };
    got::scan(crate::load::config());
    true
}

/// The stub for what dlsym found, or `address` itself when it may not be wrapped (now).
pub fn wrap_now(caller: usize, name: &[u8], address: usize) -> usize {
    let _quiet = Quiet::enter();
    let Some(_scan) = Scan::begin() else { return address };
    // What dlsym found may lie in a component that came since the last scan.
    got::scan(crate::load::config());
    got::wrap_pointer(caller, name, address)
}

/// Puts every patched slot back.
pub fn restore_now() {
    let _quiet = Quiet::enter();
    if let Some(_scan) = Scan::begin() {
        got::restore_all();
    }
}

/// Writes components and sites again, into a forked child's own image.
pub fn rewrite_all() {
    got::rewrite();
    sites::rewrite();
}

/// A forked child: a scan that another thread of the parent was making will never end here.
pub fn forget_scan() {
    BUSY.store(false, Ordering::Release);
}
