//! Our own heap, so that the host's malloc is never entered: it may be hooked, replaced, or waiting
//! for us.

/// dlmalloc on anonymous mappings.
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Lets the heap survive a fork that happens while another thread is in it.
pub fn init() {
    // SAFETY: called once, at load, before any other thread of ours can allocate.
    unsafe { dlmalloc::enable_alloc_after_fork() };
}
