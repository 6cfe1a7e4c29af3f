//! What a call of `syscall(2)` asks for, told by its first argument: locks of Rust's standard library
//! and of many others wait in it, and some numbers must not be called through.

use crate::seam::Frame;
use perfvisor_format::WaitKind;

/// How a call of `syscall` is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Comes back once, soon.
    Plain,
    /// May wait: what for, and the argument that names it.
    Waits(WaitKind, u8),
    /// Comes back twice or never: must be passed on by tail jump.
    Leaves,
}

const POLL: u64 = 7;
const RT_SIGRETURN: u64 = 15;
const SELECT: u64 = 23;
const NANOSLEEP: u64 = 35;
/// clone, fork, vfork, execve and exit stand side by side.
const CLONE: u64 = 56;
const EXIT: u64 = 60;
const FUTEX: u64 = 202;
const CLOCK_NANOSLEEP: u64 = 230;
const EXIT_GROUP: u64 = 231;
const EPOLL_WAIT: u64 = 232;
const PSELECT6: u64 = 270;
const PPOLL: u64 = 271;
const EPOLL_PWAIT: u64 = 281;
const EXECVEAT: u64 = 322;
const IO_URING_ENTER: u64 = 426;
const CLONE3: u64 = 435;
const EPOLL_PWAIT2: u64 = 441;
const FUTEX_WAITV: u64 = 449;
const FUTEX_WAIT: u64 = 455;

/// The operations of futex(2) that wait: WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2.
const FUTEX_WAITS: u64 = 1 | 1 << 6 | 1 << 9 | 1 << 11 | 1 << 13;

/// Takes a call apart.
///
/// # Safety
/// `frame` is the trampoline's frame of a call of `syscall`.
pub unsafe fn request(frame: *const Frame) -> Request {
    // SAFETY: live by contract.
    let (number, operation) = unsafe { ((*frame).args[0], (*frame).args[2]) };
    of(number, operation)
}

fn of(number: u64, operation: u64) -> Request {
    match number {
        RT_SIGRETURN | CLONE..=EXIT | EXIT_GROUP | EXECVEAT | CLONE3 => Request::Leaves,
        FUTEX => {
            let operation = operation & 0x7f;
            if operation < 64 && FUTEX_WAITS & (1 << operation) != 0 {
                Request::Waits(WaitKind::Futex, 1)
            } else {
                Request::Plain
            }
        }
        FUTEX_WAITV | FUTEX_WAIT => Request::Waits(WaitKind::Futex, 1),
        POLL | SELECT | PSELECT6 | PPOLL => Request::Waits(WaitKind::Poll, u8::MAX),
        EPOLL_WAIT | EPOLL_PWAIT | EPOLL_PWAIT2 | IO_URING_ENTER => {
            Request::Waits(WaitKind::Poll, 1)
        }
        NANOSLEEP | CLOCK_NANOSLEEP => Request::Waits(WaitKind::Sleep, u8::MAX),
        _ => Request::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_whether_the_call_waits_or_leaves() {
        const PRIVATE: u64 = 128;
        assert_eq!(of(202, PRIVATE), Request::Waits(WaitKind::Futex, 1));
        assert_eq!(of(202, PRIVATE | 9 | 256), Request::Waits(WaitKind::Futex, 1));
        assert_eq!(of(202, PRIVATE | 1), Request::Plain);
        assert_eq!(of(202, 0x7f), Request::Plain);
        assert_eq!(of(39, 0), Request::Plain);
        for leaves in [15, 56, 57, 58, 59, 60, 231, 322, 435] {
            assert_eq!(of(leaves, 0), Request::Leaves);
        }
        assert_eq!(of(281, 0), Request::Waits(WaitKind::Poll, 1));
    }
}
