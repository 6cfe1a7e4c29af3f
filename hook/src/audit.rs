//! `--syscall-audit`: counts the system calls that are not led to us, by Syscall User Dispatch.
//!
//! Linux (5.11) sends SIGSYS for each system call of a thread that is made outside of one range of
//! addresses, while a byte of the thread says so. The range is this library's code, where all system calls
//! that are led here are made. The handler counts the call as missed and sends the thread to
//! `perfvisor_audited`, which makes it and records it like any other. What must be made in its place
//! (clone, exit, …) is let through by the byte, which the next recorded call sets again.
//!
//! A call costs some microseconds then, and all are timed. Flags are not kept over a call that was missed. A program that blocks SIGSYS while it makes a
//! system call of its own is ended by the kernel, and one that handles SIGSYS itself takes the
//! audit's place: so this is for looking at a program once, not for leaving on.

use crate::store::syscalls;
use core::sync::atomic::Ordering;
use perfvisor_probe::syscall::AUDIT;
use perfvisor_probe::thread::local;

const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
const PR_SYS_DISPATCH_ON: u64 = 1;
/// `si_code` of SIGSYS: dispatched to the user, not forbidden by seccomp.
const SYS_USER_DISPATCH: i32 = 2;
const SA_RESTORER: u64 = 0x0400_0000;

unsafe extern "C" {
    static __ehdr_start: u8;
    static etext: u8;
    fn perfvisor_audited();
    fn perfvisor_audit_restorer();
}

/// The kernel's `struct sigaction`.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Installs the handler; the threads begin one by one. False: this kernel cannot.
pub fn begin() -> bool {
    let action = KernelAction {
        handler: handler as *const () as usize,
        flags: (libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART) as u64 | SA_RESTORER,
        restorer: perfvisor_audit_restorer as *const () as usize,
        mask: 0,
    };
    // SAFETY: the kernel's own structure, whose restorer is ours: libc's would be reported in turn.
    let set = unsafe {
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGSYS, &raw const action, 0usize, 8usize)
    };
    AUDIT.store(set == 0, Ordering::Relaxed);
    set == 0
}

/// The calling thread's system calls are reported from here on.
pub fn watch_thread() {
    if !AUDIT.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the byte is the thread's own and lives as long as it does; the range is this library.
    unsafe {
        let low = &raw const __ehdr_start as u64;
        let bytes = &raw const etext as u64 - low;
        let selector = &raw mut (*local()).selector;
        let command = PR_SET_SYSCALL_USER_DISPATCH;
        let done = libc::prctl(command, PR_SYS_DISPATCH_ON, low, bytes, selector);
        selector.write_volatile(u8::from(done == 0));
    }
}

/// SIGSYS: the thread made a system call that was not led to us.
extern "C" fn handler(_: i32, info: *const libc::siginfo_t, context: *mut libc::ucontext_t) {
    /// Offset of `si_syscall` in the kernel's structure.
    const NUMBER_AT: usize = 24;
    // SAFETY: the kernel's own structures, for this handler.
    unsafe {
        if (*info).si_code != SYS_USER_DISPATCH {
            return;
        }
        let number = info.cast::<u8>().add(NUMBER_AT).cast::<i32>().read();
        if (*local()).quiet == 0 {
            syscalls::missed(number as u32 as usize);
        }
        let registers = &mut (*context).uc_mcontext.gregs;
        let set = |registers: &mut [i64; 23], which: i32, value: i64| {
            if let Some(register) = registers.get_mut(which as usize) {
                *register = value;
            }
        };
        // Behind the instruction; the number stands in rax again.
        let behind = registers.get(libc::REG_RIP as usize).copied().unwrap_or_default();
        set(registers, libc::REG_R11, behind);
        set(registers, libc::REG_RCX, 0);
        set(registers, libc::REG_RAX, i64::from(number));
        set(registers, libc::REG_RIP, perfvisor_audited as *const () as i64);
    }
}
