//! Where the trace lives: mapped files of one process image. FORMAT.md is the contract.
//!
//! `file` maps and grows without keeping a descriptor; `process` appends records; `threads` keeps
//! thread records; `segment` gives a thread its memory and file; `fold` adds ended threads to their
//! group; `late` counts what no thread can; `events` hands out chunks. All run under [`lock::Cold`].

pub mod events;
pub mod file;
pub mod fold;
mod fold_syscalls;
pub mod late;
pub mod lock;
pub mod process;
pub mod run;
pub mod segment;
pub mod syscalls;
pub mod threads;

pub use process::{add_slots, write_component, write_skip, write_unload};
