//! Starts the program as if we were not there, and waits for it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::super::inherited;
use super::signals::{self, Blocked};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By exit.
    Exit(u8),
    /// By a signal.
    Signal(i32),
}

/// What is known of the program's whole life.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Wall clock at its start, ns since 1970.
    pub start_realtime_ns: u64,
    /// From start to end, ns.
    pub wall_ns: u64,
    /// User CPU time of it and the children it waited for, ns.
    pub user_ns: u64,
    /// System CPU time likewise, ns.
    pub system_ns: u64,
    /// Largest resident set of one process, KiB.
    pub max_rss_kib: u64,
}

/// Runs `path` under the name `command`; returns with the signals still blocked. Fails when it
/// cannot be started.
pub fn run(
    path: &Path,
    command: &OsStr,
    arguments: &[OsString],
    environment: &[(&'static str, Option<OsString>)],
) -> io::Result<(Outcome, Blocked)> {
    // Changed here and not through Command, which would sort the environment and drop malformed
    // entries: the program must find it as it was. Nothing of ours reads it from here on, and no
    // other thread runs yet.
    for (name, value) in environment {
        match value {
            Some(value) => std::env::set_var(name, value),
            None => std::env::remove_var(name),
        }
    }
    let mut blocked = Blocked::new();
    let start_realtime_ns =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let start = Instant::now();
    let mut starter = Command::new(path);
    starter.arg0(command).args(arguments);
    let for_child = &blocked as *const Blocked as usize;
    // SAFETY: the closure runs in the child between fork and exec and makes async-signal-safe
    // calls only. `blocked` outlives spawn, and the child has its own copy of that memory.
    unsafe {
        starter.pre_exec(move || {
            (*(for_child as *const Blocked)).in_child();
            for fd in inherited::closed_descriptors() {
                libc::close(fd);
            }
            Ok(())
        });
    }
    let pid = starter.spawn()?.id() as i32;
    let outcome = wait(pid, &mut blocked, start, start_realtime_ns);
    Ok((outcome, blocked))
}

/// Passes signals on until the program has ended.
fn wait(pid: i32, blocked: &mut Blocked, start: Instant, start_realtime_ns: u64) -> Outcome {
    let mut asked_to_stop = false;
    loop {
        let arrived = blocked.next();
        match arrived.signal {
            libc::SIGCHLD => {
                while let Some((status, usage)) = changed(pid) {
                    if libc::WIFSTOPPED(status) {
                        follow_stop(pid, libc::WSTOPSIG(status), asked_to_stop);
                        asked_to_stop = false;
                    } else if !libc::WIFCONTINUED(status) {
                        return outcome(status, &usage, start, start_realtime_ns);
                    }
                }
            }
            libc::SIGTSTP if arrived.sender.is_none() => asked_to_stop = true,
            signal => {
                // What the program sent to its own group it meant for others.
                if arrived.sender.is_some_and(|sender| sender != pid) {
                    signals::send(pid, signal);
                }
            }
        }
    }
}

/// Stops with the program when its stop is job control. A plain SIGSTOP, unless it answers Ctrl-Z,
/// came from somebody who will continue the program alone: we would sleep for ever.
fn follow_stop(pid: i32, signal: i32, asked_to_stop: bool) {
    let job_control = matches!(signal, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
    if job_control || asked_to_stop {
        signals::stop_ourselves();
        signals::send(pid, libc::SIGCONT);
    }
}

/// The next change of state of the program, if there is one: status and resources used.
fn changed(pid: i32) -> Option<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: wait4 writes the status and the usage into locals; zeroes are a valid rusage.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let options = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
        (libc::wait4(pid, &mut status, options, &mut usage) == pid).then_some((status, usage))
    }
}

fn outcome(status: i32, usage: &libc::rusage, start: Instant, start_realtime_ns: u64) -> Outcome {
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    let ended = if libc::WIFSIGNALED(status) {
        Ended::Signal(libc::WTERMSIG(status))
    } else {
        Ended::Exit(libc::WEXITSTATUS(status) as u8)
    };
    Outcome {
        ended,
        start_realtime_ns,
        wall_ns: start.elapsed().as_nanos() as u64,
        user_ns: ns(usage.ru_utime),
        system_ns: ns(usage.ru_stime),
        max_rss_kib: usage.ru_maxrss as u64,
    }
}
