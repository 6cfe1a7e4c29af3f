//! Layouts shared with `shim-c/src/syscall_x86_64.S`, asserted here against its `.set` lines.

use super::fast::Fast;
use crate::seam::Entry;
use crate::thread::{Local, Thread};
use crate::unwind::Walk;
use perfvisor_format::{SyscallCell, SyscallObject};

/// What the assembly saved around a system call.
#[repr(C, align(16))]
pub struct SyscallFrame {
    /// xmm0–15.
    pub xmm: [[u8; 16]; 16],
    /// rdi rsi rdx r10 r8 r9.
    pub args: [u64; 6],
    /// What the kernel returned in rax.
    pub result: i64,
    /// The number asked for.
    pub number: u64,
    /// Number of the place the call is made at.
    pub site: u64,
    /// Time stamp before the instruction; of a failed untimed call its object or 0.
    pub start: u64,
    /// Time stamp behind it.
    pub end: u64,
    /// The host's stack pointer.
    pub sp: u64,
    /// The cell that counted it already, or null.
    pub cell: *mut SyscallCell,
    /// Zero.
    pub reserved: u64,
}

impl SyscallFrame {
    /// Where a walk up the host's stack begins. The assembly keeps the address behind the instruction and the
    /// host's rbp below the red zone.
    ///
    /// # Safety
    /// `frame` is the assembly's own.
    #[inline(always)]
    pub unsafe fn walk(frame: *const Self) -> Walk {
        // SAFETY: by contract: resume address, thunk and 128 bytes; and one push below all that is held.
        unsafe {
            let sp = (*frame).sp;
            Walk {
                address: ((sp - RESUME_BELOW) as *const u64).read_volatile(),
                sp,
                rbp: ((sp - HELD_BELOW - 8) as *const u64).read_volatile(),
            }
        }
    }
}

/// Bytes below the host's stack pointer at which the address behind the instruction stands.
const RESUME_BELOW: u64 = 128 + 16;

/// Bytes below the host's stack pointer at which the assembly holds its words while a call runs.
pub const HELD_BELOW: u64 = 128 + 48;

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(offset_of!(Thread, guard) == 24);
    assert!(offset_of!(Thread, top) == 48);
    assert!(crate::thread::FAST_AT == 53248);
    assert!(offset_of!(Entry, place) == 48);
    assert!(offset_of!(Local, quiet) == 16);
    assert!(offset_of!(Local, selector) == 24);
    assert!(offset_of!(Fast, sp) == 0);
    assert!(offset_of!(Fast, top) == 8);
    assert!(offset_of!(Fast, note) == 16);
    assert!(offset_of!(Fast, others) == 24);
    assert!(offset_of!(Fast, slot) == 32);
    assert!(offset_of!(Fast, return_address) == 40);
    assert!(offset_of!(Fast, cell) == 48);
    assert!(offset_of!(Fast, object) == 56);
    assert!(offset_of!(Fast, argument) == 64);
    assert!(offset_of!(Fast, word) == 72);
    assert!(crate::descriptors::DESCRIPTORS == 65536);
    assert!(offset_of!(Fast, site) == 80);
    assert!(offset_of!(Fast, top_cell) == 84);
    assert!(size_of::<Fast>() == 128);
    assert!(offset_of!(SyscallCell, word) == 16);
    assert!(offset_of!(SyscallCell, bytes) == 112);
    assert!(offset_of!(SyscallObject, count) == 24);
    assert!(offset_of!(SyscallObject, bytes) == 40);
    assert!(offset_of!(SyscallFrame, args) == 256);
    assert!(offset_of!(SyscallFrame, result) == 304);
    assert!(offset_of!(SyscallFrame, number) == 312);
    assert!(offset_of!(SyscallFrame, site) == 320);
    assert!(offset_of!(SyscallFrame, start) == 328);
    assert!(offset_of!(SyscallFrame, end) == 336);
    assert!(offset_of!(SyscallFrame, sp) == 344);
    assert!(offset_of!(SyscallFrame, cell) == 352);
    assert!(size_of::<SyscallFrame>() == 368);
};
