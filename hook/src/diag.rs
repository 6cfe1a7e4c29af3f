//! Our own messages: raw writes to fd 2 and records in the trace. Never stdio, never stdout.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Messages written to fd 2 at most; the trace keeps counting.
const MOST: u32 = 8;

static QUIET: AtomicBool = AtomicBool::new(false);
static SAID: AtomicU32 = AtomicU32::new(0);

/// Keeps fd 2 clean (PERFVISOR_QUIET).
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Tells the user something they should know, once per call, at most a few times a process.
pub fn message(text: &str) {
    crate::store::process::write_message(text);
    if QUIET.load(Ordering::Relaxed) || SAID.fetch_add(1, Ordering::Relaxed) >= MOST {
        return;
    }
    let mut line = Vec::with_capacity(text.len() + 16);
    line.extend_from_slice(b"perfvisor: ");
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    // SAFETY: a write of a live buffer; a closed or full fd 2 only loses the line.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}
