//! `syscalls.pv`: process-wide counters of system calls by number.
//!
//! The probe and the trampoline count there without asking, so all of it is mapped from the start. Where
//! no file can be had (a full disk, a limit) they count nowhere: such calls are few, and made by threads
//! that are not recorded, of which the report tells.

use super::{file, process};
use core::sync::atomic::{AtomicPtr, Ordering};
use perfvisor_format::{
    FileHeader, FileKind, SyscallTable, SYSCALLS_FILE_BYTES, SYSCALLS_HEADER_BYTES,
    SYSCALL_TABLE_BYTES,
};

unsafe extern "C" {
    static perfvisor_syscall_own: AtomicPtr<u64>;
    static perfvisor_syscall_unplaced: AtomicPtr<u64>;
}

/// Where the audit counts what was missed, or null.
static MISSED: AtomicPtr<u64> = AtomicPtr::new(core::ptr::null_mut());

/// Makes the file; without it nothing is counted there.
pub fn create() {
    let (Some(path), Some(id)) = (process::path("syscalls.pv"), process::identity()) else {
        return;
    };
    let Some((mapping, fd)) = file::create(&path, SYSCALLS_FILE_BYTES, 0, file::PAGE) else {
        return;
    };
    // SAFETY: the descriptor and the mapping are ours; the tables lie inside it.
    unsafe {
        libc::close(fd);
        if !file::populate(mapping.base, 0, SYSCALLS_FILE_BYTES) {
            libc::munmap(mapping.base.cast(), SYSCALLS_FILE_BYTES);
            libc::unlink(path.as_ptr());
            return;
        }
        let bytes = SYSCALLS_HEADER_BYTES as u16;
        let head =
            FileHeader::new(FileKind::Syscalls, bytes, id.pid, id.generation, 0, id.image_id);
        file::put_header(&mapping, &head);
        let table = |which: SyscallTable| {
            let at = SYSCALLS_HEADER_BYTES + which as usize * SYSCALL_TABLE_BYTES;
            mapping.base.add(at).cast::<u64>()
        };
        // Release pairs with whoever counts: the file is whole before it is found.
        perfvisor_syscall_own.store(table(SyscallTable::Own), Ordering::Release);
        perfvisor_syscall_unplaced.store(table(SyscallTable::Unplaced), Ordering::Release);
        MISSED.store(table(SyscallTable::Missed), Ordering::Release);
    }
}

/// Counts a call that the audit found to be missed.
pub fn missed(number: usize) {
    let table = MISSED.load(Ordering::Acquire);
    if !table.is_null() {
        let number = number.min(perfvisor_format::SYSCALL_NUMBERS - 1);
        // SAFETY: a table of SYSCALL_NUMBERS words that stays mapped.
        unsafe { core::sync::atomic::AtomicU64::from_ptr(table.add(number)) }
            .fetch_add(1, Ordering::Relaxed);
    }
}

/// A forked child counts no more in its parent's file.
pub fn forget() {
    // SAFETY: aligned words of the trampoline's, only changed atomically.
    unsafe {
        perfvisor_syscall_own.store(core::ptr::null_mut(), Ordering::Release);
        perfvisor_syscall_unplaced.store(core::ptr::null_mut(), Ordering::Release);
    }
    MISSED.store(core::ptr::null_mut(), Ordering::Release);
}
