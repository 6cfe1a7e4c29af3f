//! The hook's side of the probe's cold calls.

use crate::load::{self, Phase};
use crate::store::lock::Cold;
use crate::store::segment::NoFile;
use crate::store::{events, fold, late, segment, threads};
use core::ptr::null_mut;
use perfvisor_format::{BlockKind, SegmentKind, ThreadState};
use perfvisor_probe::cold::ColdCalls;
use perfvisor_probe::seam::{Entry, OPEN};
use perfvisor_probe::shadow;
use perfvisor_probe::thread::{local, Thread};

/// What `probe::cold` is set to at load.
pub const CALLS: ColdCalls = ColdCalls {
    attach,
    new_block,
    grow_map,
    table_page,
    event_chunk,
    collect,
    special: crate::interpose::special,
    descriptor: crate::descriptors::descriptor,
    unwind_row: crate::unwind_rows::unwind_row,
    restricted: crate::interpose::restrict_silently,
};

/// Live threads, linked by `Thread.next`. Guarded by the cold lock.
static mut LIVE: *mut Thread = null_mut();
/// Private blocks (with a segment, if `base` is set) waiting for a thread.
static mut SPARE: *mut Thread = null_mut();
/// Ended threads kept unfolded.
static mut KEPT: u32 = 0;

/// What is known of a thread that begins.
#[derive(Clone, Copy, Default)]
pub struct Beginning {
    /// Function given to pthread_create.
    pub start: u64,
    /// The user's function behind a wrapper, or 0.
    pub inner: u64,
    /// As in `ThreadRecord::start_pointer`.
    pub pointer: u64,
    /// Return address of the creating call, or 0.
    pub creator_site: u64,
    /// Record index of the creator plus 1; 0 = unknown.
    pub creator: u32,
    /// As in `ThreadRecord::origin`.
    pub origin: u32,
    /// Size of its stack, bytes; 0 = the default.
    pub stack_bytes: u64,
}

extern "C" fn attach(_: u64, _: u64, _: u64) -> u64 {
    let main = crate::kernel::thread_id() == crate::kernel::process_id();
    begin_thread(&Beginning { origin: if main { 1 } else { 2 }, ..Beginning::default() }) as u64
}

/// Makes the calling thread recorded; null when it cannot be.
pub fn begin_thread(beginning: &Beginning) -> *mut Thread {
    if load::phase() == Phase::Forked {
        load::begin_child();
    }
    if load::phase() != Phase::Recording || crate::interpose::thread_is_closed() {
        return null_mut();
    }
    let _cold = Cold::enter();
    // SAFETY: under the cold lock, for the calling thread.
    unsafe {
        let thread = match take_spare() {
            Ok(thread) => thread,
            Err(why) => return lose_thread(why),
        };
        let Some((index, record)) = threads::add() else {
            put_spare(thread);
            return lose_thread(NoFile::Room);
        };
        fill_record(record, beginning);
        record.segment = (*thread).segment_number;
        segment::begin(thread, SegmentKind::Thread, index, 0);
        fill_thread(thread, record, beginning);
        threads::publish(record, ThreadState::Live);
        (*thread).next = LIVE;
        LIVE = thread;
        crate::interpose::mark_thread(thread);
        let local = local();
        (*local).thread = thread;
        (*local).table = (*thread).table;
        crate::audit::watch_thread();
        thread
    }
}

/// Gives the calling thread up, once and for all: to try again at each of its calls would cost it
/// more than being recorded, and count it once a call.
fn lose_thread(why: NoFile) -> *mut Thread {
    crate::interpose::close_thread();
    if let Some(header) = crate::store::process::header() {
        if header.lost_threads == 0 {
            let calls = match late::kept() {
                late::Kept::All => "counted for the whole process only",
                late::Kept::Some => "counted for the whole process only, or as lost",
                late::Kept::None => "counted as lost",
            };
            crate::diag::message(&format!(
                "a thread could not be recorded ({why}); its calls are {calls}"
            ));
        }
        header.lost_threads += 1;
    }
    null_mut()
}

fn fill_record(record: &mut perfvisor_format::ThreadRecord, beginning: &Beginning) {
    // SAFETY: plain system calls.
    unsafe {
        record.tid = libc::gettid() as u32;
        record.pthread = libc::pthread_self() as u64;
    }
    record.start_routine = beginning.start;
    record.start_inner = beginning.inner;
    record.start_pointer = beginning.pointer;
    record.creator_site = beginning.creator_site;
    record.creator = beginning.creator.wrapping_sub(1);
    record.origin = beginning.origin;
    threads::begin(record);
    let (low, high) = stack_bounds(beginning);
    record.stack_low = low;
    record.stack_high = high;
}

/// Bounds of the calling thread's stack. glibc puts a thread's descriptor (pthread_self) at the top
/// of its stack; the main thread's stack ends at the auxiliary vector, near the environment.
fn stack_bounds(beginning: &Beginning) -> (u64, u64) {
    let size = if beginning.stack_bytes != 0 { beginning.stack_bytes } else { default_stack() };
    let here = &raw const size as u64;
    // SAFETY: pthread_self has no preconditions; environ is the process's.
    let high = unsafe {
        if libc::gettid() == libc::getpid() {
            // The kernel puts strings above the stack pointer it starts with.
            (libc::getauxval(libc::AT_EXECFN)).max(here)
        } else {
            libc::pthread_self() as u64
        }
    };
    if here >= high || high - here > size {
        // Not where expected (a forked thread's stack, a foreign runtime): trust only what is near.
        return (here.saturating_sub(64 << 10), here + (64 << 10));
    }
    (high.saturating_sub(size), high)
}

fn default_stack() -> u64 {
    // SAFETY: getrlimit fills the struct.
    unsafe {
        let mut limit: libc::rlimit = core::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_STACK, &mut limit);
        match limit.rlim_cur {
            libc::RLIM_INFINITY => 64 << 20,
            bytes => bytes.max(64 << 10),
        }
    }
}

unsafe fn fill_thread(
    thread: *mut Thread,
    record: &perfvisor_format::ThreadRecord,
    beginning: &Beginning,
) {
    let config = load::config();
    // SAFETY: not yet in use by its thread.
    unsafe {
        (*thread).stack_low = record.stack_low;
        (*thread).stack_high = record.stack_high;
        (*thread).tid = record.tid;
        (*thread).pthread = record.pthread;
        segment::set_max_gap(thread, if config.every_call() { 1 } else { config.max_gap });
        (*thread).slow_limit = config.slow_calls;
        (*thread).events = u32::from(config.events);
        (*thread).group_key = if beginning.inner != 0 { beginning.inner } else { beginning.start };
        if config.events {
            events::next_chunk(thread, config);
        }
    }
}

unsafe fn take_spare() -> Result<*mut Thread, NoFile> {
    // SAFETY: under the cold lock.
    unsafe {
        let mut thread = SPARE;
        if thread.is_null() {
            thread = segment::new_private();
            if thread.is_null() {
                return Err(NoFile::Room);
            }
        } else {
            SPARE = (*thread).next;
        }
        if (*thread).base.is_null() {
            if let Err(why) = segment::attach_file(thread, SegmentKind::Thread) {
                put_spare(thread);
                return Err(why);
            }
        }
        Ok(thread)
    }
}

unsafe fn put_spare(thread: *mut Thread) {
    // SAFETY: under the cold lock; no thread uses it.
    unsafe {
        (*thread).next = SPARE;
        SPARE = thread;
    }
}

/// The calling thread ends: notes it, keeps or folds its segment. Called by the last TSD round.
pub fn end_thread(thread: *mut Thread) {
    let _cold = Cold::enter();
    crate::interpose::close_thread();
    // SAFETY: under the cold lock; the thread's stubs count for the process from here on.
    unsafe {
        unlink_live(thread);
        events::close(thread);
        let index = (*thread).index;
        let Some(record) = threads::get(index) else { return };
        threads::finish(record);
        let (calls, waited) = fold::totals(thread);
        record.calls = calls;
        record.wait_cycles = waited;
        let config = load::config();
        let keep = KEPT < config.keep_threads || config.events;
        if !keep {
            threads::publish(record, ThreadState::Folding);
            let key = (*thread).group_key;
            if let Some(group) = fold::fold(thread, index, key) {
                record.group = group;
                threads::publish(record, ThreadState::Folded);
                fold::close_journal(key);
                segment::recycle(thread);
                segment::reset_private(thread);
                put_spare(thread);
                return;
            }
        }
        KEPT += 1;
        threads::publish(record, ThreadState::Ended);
        segment::seal(thread);
        segment::reset_private(thread);
        put_spare(thread);
    }
}

unsafe fn unlink_live(thread: *mut Thread) {
    // SAFETY: under the cold lock.
    unsafe {
        let mut link = &raw mut LIVE;
        while !(*link).is_null() {
            if *link == thread {
                *link = (*thread).next;
                return;
            }
            link = &raw mut (**link).next;
        }
    }
}

/// Calls `each` with every live thread. The cold lock must be held.
pub fn for_each_live(mut each: impl FnMut(*mut Thread)) {
    // SAFETY: under the cold lock.
    unsafe {
        let mut thread = LIVE;
        while !thread.is_null() {
            each(thread);
            thread = (*thread).next;
        }
    }
}

/// A forked child has none of its parent's threads and must not write to their files.
pub fn forget_all() {
    // SAFETY: in the child only the forking thread runs.
    unsafe {
        LIVE = null_mut();
        SPARE = null_mut();
        KEPT = 0;
    }
    fold::restart();
    segment::restart_numbers();
    crate::descriptors::restart();
}

extern "C" fn new_block(thread: u64, kind: u64, _: u64) -> u64 {
    let Some(kind) = BlockKind::from_raw(kind as u16) else { return 0 };
    if crate::interpose::restricted() {
        return 0;
    }
    let _cold = Cold::enter();
    // SAFETY: the calling thread's.
    unsafe { segment::new_block(thread as *mut Thread, kind) as u64 }
}

extern "C" fn grow_map(thread: u64, _: u64, _: u64) -> u64 {
    if crate::interpose::restricted() {
        return 0;
    }
    let _cold = Cold::enter();
    // SAFETY: the calling thread's.
    u64::from(unsafe { segment::grow_map(thread as *mut Thread) })
}

extern "C" fn table_page(thread: u64, page: u64, _: u64) -> u64 {
    if crate::interpose::restricted() {
        return 0;
    }
    let _cold = Cold::enter();
    // SAFETY: the calling thread's, signals blocked.
    u64::from(unsafe { segment::place_table_page(thread as *mut Thread, page as usize) })
}

extern "C" fn event_chunk(thread: u64, _: u64, _: u64) -> u64 {
    if crate::interpose::restricted() {
        return 0;
    }
    let _cold = Cold::enter();
    // SAFETY: the calling thread's, signals blocked.
    u64::from(unsafe { events::next_chunk(thread as *mut Thread, load::config()) })
}

/// Frees entries whose stack slot no longer holds our return address (frames that were unwound on
/// stacks we cannot compare). The slot is read through the kernel: its stack may be gone.
extern "C" fn collect(thread: u64, _: u64, _: u64) -> u64 {
    if crate::interpose::restricted() {
        return 0;
    }
    let _cold = Cold::enter();
    let thread = thread as *mut Thread;
    // SAFETY: the calling thread's, signals blocked; the chain of parents ends in null.
    unsafe {
        let mut link = &raw mut (*thread).top;
        while !(*link).is_null() {
            let entry = *link;
            if (*entry).state == OPEN && holds_return(entry) {
                link = &raw mut (*entry).parent;
            } else {
                *link = (*entry).parent;
                shadow::release(thread, entry);
            }
        }
    }
    0
}

fn holds_return(entry: *const Entry) -> bool {
    let mut value = 0u64;
    // SAFETY: process_vm_readv checks the address; both vectors describe 8 bytes.
    unsafe {
        let to = libc::iovec { iov_base: (&raw mut value).cast(), iov_len: 8 };
        let from = libc::iovec { iov_base: (*entry).slot as *mut _, iov_len: 8 };
        if libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) != 8 {
            return *libc::__errno_location() != libc::EFAULT;
        }
    }
    value == shadow::return_address()
}
