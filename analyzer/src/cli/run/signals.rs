//! Signals while a program runs under us: what came to us alone goes on to it, what the terminal
//! sent to the whole group it has got already.
//!
//! We stay in the program's process group and in front of it for the shell. All signals of
//! interest are blocked and taken one by one with `sigwaitinfo`, so no handler runs and no
//! signal is missed. The kernel says who sent one: `si_code` above zero is the kernel (Ctrl-C,
//! Ctrl-Z, hang-up), else a process sent it, to us.

use std::mem::MaybeUninit;

/// A signal that came.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Its number.
    pub signal: i32,
    /// The process that sent it; `None` when the kernel did.
    pub sender: Option<i32>,
}

/// Signals that were blocked while a program runs, and how the mask was before.
pub struct Blocked {
    taken: libc::sigset_t,
    before: libc::sigset_t,
    child_action: libc::sigaction,
}

/// Signals that are never taken: they cannot be, they are our own faults, or they concern the
/// thread that made them.
const LEFT_ALONE: &[i32] = &[
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGABRT,
    libc::SIGPIPE,
    libc::SIGXCPU,
    libc::SIGXFSZ,
];

impl Blocked {
    /// Blocks all signals that are passed on, and makes sure that the child can be waited for.
    pub fn new() -> Self {
        // SAFETY: the sets and the action are locals that the calls fill in; only this process's
        // mask and its disposition of SIGCHLD change, which `in_child` and `drop` restore.
        unsafe {
            let mut taken = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigfillset(taken.as_mut_ptr());
            for signal in LEFT_ALONE {
                libc::sigdelset(taken.as_mut_ptr(), *signal);
            }
            let taken = taken.assume_init();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigprocmask(libc::SIG_BLOCK, &taken, &mut before);
            // A parent that ignores SIGCHLD would make the kernel throw the exit status away.
            let mut child_action: libc::sigaction = std::mem::zeroed();
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGCHLD, &default, &mut child_action);
            Self { taken, before, child_action }
        }
    }

    /// Gives a new process the mask and dispositions that we were given. Only async-signal-safe
    /// calls: it runs between fork and exec.
    pub fn in_child(&self) {
        super::super::inherited::restore_signals();
        // SAFETY: restores saved values; sigaction and sigprocmask are async-signal-safe.
        unsafe {
            libc::sigaction(libc::SIGCHLD, &self.child_action, std::ptr::null_mut());
            libc::sigprocmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }

    /// Waits for the next signal.
    pub fn next(&self) -> Arrived {
        loop {
            // SAFETY: zeroes are a valid siginfo; sigwaitinfo fills it in when it returns a
            // signal, and si_pid is read only for codes that carry it.
            unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                let signal = libc::sigwaitinfo(&self.taken, &mut info);
                if signal > 0 {
                    let sender = (info.si_code <= 0).then(|| info.si_pid());
                    return Arrived { signal, sender };
                }
            }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: as above; what is still pending was meant for the program, which is gone.
        unsafe {
            let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while libc::sigtimedwait(&self.taken, std::ptr::null_mut(), &none) > 0 {}
            libc::sigaction(libc::SIGCHLD, &self.child_action, std::ptr::null_mut());
            libc::sigprocmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}

/// Sends `signal` to process `pid`. A process that is gone is no failure.
pub fn send(pid: i32, signal: i32) {
    // SAFETY: kill has no memory preconditions.
    unsafe {
        libc::kill(pid, signal);
    }
}

/// Stops this process as the program stopped, so that the shell takes the terminal back.
pub fn stop_ourselves() {
    // SAFETY: raise has no memory preconditions; it returns when somebody continues us.
    unsafe {
        libc::raise(libc::SIGSTOP);
    }
}

/// Ends this process by `signal`, as the program ended, without a core file of our own.
pub fn die_by(signal: i32) -> ! {
    // SAFETY: changes limits, dispositions and mask of this process only, right before it ends.
    unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::signal(signal, libc::SIG_DFL);
        let mut only = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(only.as_mut_ptr());
        libc::sigaddset(only.as_mut_ptr(), signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, only.as_ptr(), std::ptr::null_mut());
        libc::raise(signal);
    }
    // Process 1 of a container survives its own signals.
    std::process::exit(128 + signal)
}
