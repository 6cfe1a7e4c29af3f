//! Writes the trace: the library that lives in other people's processes.
//!
//! The data's way in: `load` runs when the loader maps us, reads `config`, opens the `store`, asks
//! `patch` to lead every slot that crosses components to a stub. From then on calls come through
//! `shim-c` into `perfvisor-probe` and into the thread's mapped segment; this crate is only met at
//! cold moments: a new thread, a full block, dlopen, fork, exec, exit (`cold`, `interpose`).
//!
//! What may not happen here: no exit, abort or panic; no write to the host's stdout; no file
//! descriptor kept open; errno, signal mask and environment stay as they were; no use of the host's
//! malloc (the host may be in it). All cold work runs with signals blocked and under one lock.
//!
//! The standard library is not linked: its thread-locals alone would take more than the 64 bytes of
//! static TLS that are ours (`tests/tests/artifact.rs`), and parts of it enter the host's malloc.
#![cfg_attr(not(test), no_std)]

#[macro_use]
extern crate alloc;

mod allocator;
mod audit;
mod cold;
mod config;
mod descriptors;
mod diag;
mod environment;
mod exports;
mod files;
mod interpose;
mod kernel;
mod load;
#[cfg(not(test))]
mod panic;
mod patch;
mod store;
mod unwind_rows;
