//! Our own messages: raw writes to fd 2 and records in the trace. Never stdio, never stdout.

use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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
    unsafe { crate::kernel::call(libc::SYS_write, [2, line.as_ptr() as usize, line.len(), 0]) };
}

/// Bytes of the longest last words.
const MOST_LAST: usize = 512;

/// A line cut off at its largest size; needs no heap.
struct Line {
    bytes: [u8; MOST_LAST],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.bytes.iter_mut().skip(self.length);
        self.length += free.zip(text.as_bytes()).map(|(to, from)| *to = *from).count();
        Ok(())
    }
}

/// Tells `fd` why the process ends by our fault: never kept quiet, without heap, lock or trace.
pub fn last_words(fd: i32, words: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; MOST_LAST], length: 0 };
    // A line that is cut off or not finished is still said.
    let _ = writeln!(line, "perfvisor: {words}");
    // SAFETY: a write of a live buffer, the whole of which is initialized.
    unsafe { libc::write(fd, line.bytes.as_ptr().cast(), line.length) };
}

#[cfg(test)]
mod tests {
    use super::{last_words, MOST_LAST};

    fn said(words: &str) -> Vec<u8> {
        // SAFETY: a descriptor of our own, closed once.
        unsafe {
            let fd = libc::memfd_create(c"said".as_ptr(), 0);
            last_words(fd, format_args!("{words}"));
            let path = crate::files::c_path(format!("/proc/self/fd/{fd}"));
            let bytes = path.and_then(|path| crate::files::read(&path));
            libc::close(fd);
            bytes.expect("what was said")
        }
    }

    #[test]
    fn last_words_are_cut_off_not_lost() {
        assert_eq!(said("a fault"), b"perfvisor: a fault\n");
        let long = said(&"x".repeat(2 * MOST_LAST));
        assert_eq!(long.len(), MOST_LAST);
        assert!(long.starts_with(b"perfvisor: xxx") && long.ends_with(b"xxx"));
    }
}
