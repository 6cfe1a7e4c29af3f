//! How a call comes to us: slots of the global offset table, rewritten to lead to stubs.
//!
//! ```text
//! elf      which objects are loaded           policy    how each API may be hooked
//! symbols  what they define and ask for       filter    which call sites the user wants
//! scope    where the loader would look        slots     the decision on one slot
//! insn     which slots are only called        page      the store
//! calls    which bytes are such a call        redirect  calls led past their slots
//! functions, length  how to know that         near      where they are led to
//! settled  whether the loader is done with it loaded    what was done to which component
//! ranges   which component an address is in   sites     stubs and call-site numbers
//! got      the order of all this               exclusive a lock that is never waited for
//! syscall_sites  the same for system calls     scan      when it happens, and by whom
//! ```
//!
//! What may not happen here, and why:
//!
//! - *No panic.* Every table read here was written by somebody else; a panic would end the host.
//!   Reads are checked against mapped segments and a doubt means: leave the slot alone.
//! - *No dlopen, dlsym or dlclose.* The loader's list lock is held during a scan and those take
//!   its other lock first. Symbols are looked up by `symbols.rs` instead.
//! - *No page writable and executable at once*, and none left with another protection than it had.
//! - *No slot whose pointer may be looked at.* A GLOB_DAT slot is hooked only when `insn.rs` has
//!   shown that code does nothing but call it.
//! - *No code changed but one byte of a proven call*, and only of calls through a slot whose pointer
//!   is looked at: `redirect.rs`. A debugger and a program that reads its own code see that byte;
//!   `PERFVISOR_REWRITE_CALLS=0` leaves it as it is. System calls are led away by a jump in place of one
//!   instruction before each: `syscall_sites`. Nothing else here writes to code.
//! - *No change of a call's meaning.* A lazy slot is bound to exactly what the loader would bind
//!   it to, or left to the loader. What cannot be called through is counted only or left alone.
//! - *Our own slots are never patched*, so what this library calls is the real thing.

mod calls;
pub mod elf;
mod exclusive;
pub mod filter;
mod functions;
pub mod got;
pub mod insn;
mod length;
mod loaded;
mod near;
pub mod page;
pub mod policy;
mod policy_rows;
pub mod ranges;
mod redirect;
mod scan;
pub mod scope;
mod settled;
pub mod sites;
pub mod slots;
pub mod symbols;
mod syscall_sites;

pub use scan::{forget_scan, restore_now, rewrite_all, scan_now, wrap_now};

#[cfg(test)]
mod tests;
