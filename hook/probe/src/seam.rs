//! Layouts shared with `shim-c/src/trampoline_x86_64.S`, asserted here against its `.set` lines.

use crate::thread::Thread;

/// What the trampoline saved of the caller: vector and integer argument registers.
#[repr(C, align(16))]
pub struct Frame {
    /// xmm0–7.
    pub xmm: [[u8; 16]; 8],
    /// rdi rsi rdx rcx r8 r9.
    pub args: [u64; 6],
    /// rax: number of vector registers of a variadic call.
    pub rax: u64,
    /// r10: static chain.
    pub r10: u64,
    /// Out: where the trampoline goes.
    pub target: u64,
    /// Scratch of the trampoline.
    pub scratch: u64,
}

/// A shadow entry is in use (see [`Entry::state`]).
pub const OPEN: u8 = 1;
/// A shadow entry whose call returned where its thread could not be told (another thread, a fork).
pub const DONE: u8 = 2;
/// A shadow entry is free.
pub const FREE: u8 = 0;

/// Where a timed call is accounted, and for how many calls it stands.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct Place {
    /// Reference of the cell of its call path.
    pub cell: u32,
    /// Site id.
    pub site: u32,
    /// Reference of the site's state in the segment.
    pub site_state: u32,
    /// Calls this one stands for.
    pub weight: u32,
}

/// One pending timed call. `return_address` and `saved_rbx` are what an unwinder reads through rbx.
#[repr(C, align(64))]
pub struct Entry {
    /// The caller's return address.
    pub return_address: u64,
    /// The caller's rbx.
    pub saved_rbx: u64,
    /// Stack slot that held the return address.
    pub slot: u64,
    /// Entry time stamp.
    pub start: u64,
    /// Owner.
    pub thread: *mut Thread,
    /// The open entry below this one, or null; of a free entry the next free one.
    pub parent: *mut Entry,
    /// Where it belongs.
    pub place: Place,
    /// `FREE`, `OPEN` or `DONE`.
    pub state: u8,
    /// WaitKind of the API.
    pub wait: u8,
    /// Depth of open timed calls.
    pub depth: u16,
    /// Holder of the lock when the call began; 0 = unknown.
    pub holder: u32,
    /// Scaled time of timed calls below.
    pub below: u64,
    /// Scaled time waited below.
    pub wait_below: u64,
    /// Longest wait below, cycles.
    pub longest: u64,
    /// What the call waits for.
    pub object: u64,
    /// First six integer arguments.
    pub args: [u64; 6],
    /// Object of the longest wait below.
    pub longest_object: u64,
    /// Its site.
    pub longest_site: u32,
    /// Its holder.
    pub longest_holder: u32,
    /// Its kind.
    pub longest_kind: u16,
    /// Calls since the last timed one, this one included; 0 = timed out of turn.
    pub calls: u32,
    /// Zero.
    pub reserved: u64,
}

const _: () = {
    assert!(core::mem::size_of::<Frame>() == 208);
    assert!(core::mem::offset_of!(Frame, args) == 128);
    assert!(core::mem::offset_of!(Frame, rax) == 176);
    assert!(core::mem::offset_of!(Frame, target) == 192);
    assert!(core::mem::offset_of!(Entry, return_address) == 0);
    assert!(core::mem::offset_of!(Entry, saved_rbx) == 8);
    assert!(core::mem::size_of::<Entry>() == 192);
};
