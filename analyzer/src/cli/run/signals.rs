//! Signals while a program runs under us: what came to us alone goes on to it, what the terminal
//! sent to the whole group it has got already.
//!
//! We stay in the program's process group and in front of it for the shell. All signals of
//! interest are blocked and taken one by one with `sigwaitinfo`, so no handler runs and no
//! signal is missed. The kernel says who sent one: `si_code` above zero is the kernel (Ctrl-C,
//! Ctrl-Z, hang-up), else a process sent it, to us.
//!
//! After the program's end the signals stay blocked until we end ([`Blocked::hold`]): `timeout` and
//! the terminal send what ends the program to the whole group, some of it twice, and it must not
//! cost the report of a run that it ended. Whoever insists is heard: the third request to end ends
//! us, and so does any that comes more than [`GRACE`] after the program's end.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// How long after the program's end a request to end us is taken for one that was meant for it;
/// requests further apart than this are not counted together.
const GRACE: Duration = Duration::from_secs(2);
/// Requests closer together than this are one: `timeout` signals us and then our group.
const BURST: Duration = Duration::from_millis(100);
/// The request that ends us at once.
const LAST_REQUEST: u32 = 3;

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
    requests: Requests,
}

/// Requests to end, each no more than [`GRACE`] after the one before it.
#[derive(Clone, Copy, Debug, Default)]
struct Requests {
    count: u32,
    last: Option<Instant>,
}

impl Requests {
    fn add(&mut self, now: Instant) {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        match since {
            Some(since) if since < BURST => return,
            Some(since) if since <= GRACE => self.count += 1,
            _ => self.count = 1,
        }
        self.last = Some(now);
    }

    /// Whether the newest, which came at `now`, is to be obeyed by us, the program having ended at
    /// `ended`.
    fn insist(&self, now: Instant, ended: Instant) -> bool {
        self.count >= LAST_REQUEST || now.saturating_duration_since(ended) > GRACE
    }
}

/// What a signal would do to us were it not blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Nothing,
    Stops,
    Ends,
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
            Self { taken, before, child_action, requests: Requests::default() }
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
    pub fn next(&mut self) -> Arrived {
        loop {
            // SAFETY: zeroes are a valid siginfo; sigwaitinfo fills it in when it returns a
            // signal, and si_pid is read only for codes that carry it.
            let (signal, sender) = unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                let signal = libc::sigwaitinfo(&self.taken, &mut info);
                (signal, (signal > 0 && info.si_code <= 0).then(|| info.si_pid()))
            };
            if signal > 0 {
                if self.effect(signal) == Effect::Ends {
                    self.requests.add(Instant::now());
                }
                return Arrived { signal, sender };
            }
        }
    }

    /// What `signal` does to a process with the mask and the dispositions that we were given.
    fn effect(&self, signal: i32) -> Effect {
        // SAFETY: reads the saved mask and one disposition; a zeroed action is a valid value.
        let unheard = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut action);
            action.sa_sigaction == libc::SIG_IGN || libc::sigismember(&self.before, signal) == 1
        };
        match signal {
            _ if unheard => Effect::Nothing,
            libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH => Effect::Nothing,
            // The kernel sends these for reads and writes of the terminal, which is ours to write.
            libc::SIGTTIN | libc::SIGTTOU => Effect::Nothing,
            libc::SIGTSTP => Effect::Stops,
            _ => Effect::Ends,
        }
    }

    /// Keeps the signals blocked until this process ends, the program having ended now: a thread
    /// takes them and obeys only who insists. Threads made from here on inherit the mask.
    pub fn hold(self) {
        let ended = Instant::now();
        let keeper = std::thread::Builder::new().name("signals".into());
        // Without a thread the closure is dropped, and with it the mask is as it was: better
        // mortal than deaf.
        let _ = keeper.spawn(move || self.keep(ended));
    }

    fn keep(mut self, ended: Instant) {
        loop {
            let signal = self.next().signal;
            match self.effect(signal) {
                Effect::Nothing => {}
                Effect::Stops => stop_ourselves(),
                Effect::Ends if self.requests.insist(Instant::now(), ended) => die_by(signal),
                Effect::Ends => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_request_or_a_late_one_is_obeyed_and_a_burst_is_one() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let asked = |times: &[u64]| {
            let mut requests = Requests::default();
            times.iter().for_each(|ms| requests.add(at(*ms)));
            requests.insist(at(*times.last().unwrap()), begin)
        };
        assert!(!asked(&[0, 1, 2, 50]));
        assert!(!asked(&[0, 500]));
        assert!(asked(&[0, 500, 1000]));
        assert!(asked(&[2001]));
        let mut spread = Requests::default();
        [0, 3000, 6000].iter().for_each(|ms| spread.add(at(*ms)));
        assert!(!spread.insist(at(6000), at(5999)));
    }
}
