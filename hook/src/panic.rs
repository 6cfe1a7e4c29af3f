//! How a panic of ours ends. There should be none; but without the standard library somebody must
//! say it.
//!
//! Our frames cannot be unwound, locks may be held and a table may be half written, so there is no
//! way back into the host. Of the ways out, abort hurts least: parking the thread, or ending it
//! alone, would leave our locks held and hang the host without a word, perhaps for good, where
//! whoever watches over it would have restarted a dead one. An abort is seen at once, leaves a core
//! that shows the place, and what was committed to the trace stays readable. A failed allocation
//! ends here, too.

use crate::load::{set_phase, Phase};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    // Nothing here may allocate or lock: the panic may have come from the heap or under a lock. And
    // a panic while telling of one is not told.
    if !PANICKED.swap(true, Ordering::Relaxed) {
        // The host's handler for SIGABRT still runs: no thread or image is begun in it.
        set_phase(Phase::Off);
        let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
        let why = info.message();
        crate::diag::last_words(
            2,
            format_args!("a fault of its own ends this process: {why} ({file}:{line})"),
        );
    }
    // SAFETY: abort has no preconditions.
    unsafe { libc::abort() }
}

// What the compiled parts of `core` and `alloc` name and the standard library would bring. An
// unwinder that meets one of their frames is told to go on (8 is _URC_CONTINUE_UNWIND), so that it
// never enters the clean-up that would end in _Unwind_Resume. Hidden: the host has its own of both.
core::arch::global_asm!(
    ".pushsection .text.perfvisor_personality,\"ax\",@progbits",
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality,@function",
    "rust_eh_personality:",
    "mov eax, 8",
    "ret",
    ".size rust_eh_personality, . - rust_eh_personality",
    ".globl _Unwind_Resume",
    ".hidden _Unwind_Resume",
    ".type _Unwind_Resume,@function",
    "_Unwind_Resume:",
    "ud2",
    ".size _Unwind_Resume, . - _Unwind_Resume",
    ".popsection",
);
