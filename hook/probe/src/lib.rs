//! The hot path: what runs at the entry and the exit of a timed call.
//!
//! What may not happen here: no allocation, no lock, no system call, no libc call (not even a
//! memcpy: it would clobber the upper halves of the host's vector arguments), no panic, no
//! thread-local of Rust's. Whatever needs one of these is cold and goes through [`cold::call`],
//! which saves every register first and leaves this crate by a function pointer.
//!
//! ```text
//! stub: countdown of (thread, site) -= 1 ── ≥ 0 ─→ target (counted, that is all)
//!                                   └─ < 0 ─→ entry ─→ target ─→ exit
//! entry: guard → count → shadow entry → call path's cell → time stamp
//! exit:  time stamp → guard → cell, histogram → slow call → event → pace of the next gap
//! ```
#![no_std]
#![allow(clippy::missing_safety_doc)] // each unsafe fn states its one contract: a live Thread

pub mod buffer;
pub mod clock;
pub mod cold;
pub mod descriptors;
pub mod entry;
pub mod every;
pub mod exit;
pub mod guard;
pub mod notes;
pub mod numbers;
pub mod pace;
pub mod path;
pub mod seam;
pub mod shadow;
pub mod sites;
pub mod sync;
pub mod syscall;
pub mod thread;
pub mod unwind;
