//! System calls that the hook makes with an instruction of its own, where libc's would pass through the
//! host's recording: around the moments at which the thread begins or ends work of the hook's own
//! (`store::lock::Quiet`), a signal handler of the host's may run, and its calls are the host's.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

unsafe extern "C" {
    static perfvisor_syscall_own: AtomicPtr<u64>;
}

/// Makes system call `number`; what the kernel returned, −4095 to −1 for an error. Counted as the hook's own.
///
/// # Safety
/// As the system call asks of its arguments.
pub unsafe fn call(number: i64, args: [usize; 4]) -> isize {
    // SAFETY: an aligned word; the table behind it has a word for each number and stays mapped.
    unsafe {
        let own = perfvisor_syscall_own.load(Ordering::Acquire);
        if !own.is_null() {
            AtomicU64::from_ptr(own.add(number as usize)).fetch_add(1, Ordering::Relaxed);
        }
    }
    let result: isize;
    // SAFETY: by contract; the kernel changes rax, rcx and r11.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3],
            lateout("rcx") _, lateout("r11") _,
            options(nostack));
    }
    result
}

/// The process's id, whatever libc remembers.
pub fn process_id() -> u32 {
    // SAFETY: no arguments.
    unsafe { call(libc::SYS_getpid, [0; 4]) as u32 }
}

/// The thread's id.
pub fn thread_id() -> u32 {
    // SAFETY: no arguments.
    unsafe { call(libc::SYS_gettid, [0; 4]) as u32 }
}
