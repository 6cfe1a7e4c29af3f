//! The log of `strace -f`, counted: the oracle of what a process asks of the kernel.
//!
//! The hook makes system calls of its own, in the same threads. It blocks all signals before and
//! puts the mask back after, which strace shows: that tells its calls from the program's without
//! asking the recording that is to be checked.

use std::collections::BTreeMap;

/// Counts by name of system call.
pub type Counts = BTreeMap<String, u64>;

/// What a log holds from the moment the hook is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oracle {
    /// Calls of the program, and those of the hook that it makes without blocking signals.
    pub program: Counts,
    /// Calls of the hook, those between the making of its table and its being ready as well.
    pub recorder: Counts,
    /// Threads and processes.
    pub tasks: u64,
}

/// What one thread is doing.
enum State {
    /// The hook is not yet ready in this image; counts its calls once its table exists.
    Loading { table: bool },
    /// A new thread or process of a recorded one: what it does first belongs to whom its first
    /// change of the signal mask says.
    Begun(Counts),
    /// The program runs.
    Program,
    /// The hook runs; signals were blocked so many times.
    Recorder(u32),
}

/// A line's call: its name and its result.
fn call(text: &str) -> Option<(&str, &str)> {
    let (name, _) = text.split_once('(')?;
    let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty();
    let (_, result) = text.rsplit_once(" = ")?;
    named.then_some((name, result))
}

/// Whether a line begins (true) or ends (false) what the hook does; `None` = neither.
fn bracket(text: &str) -> Option<bool> {
    let arguments = text.strip_prefix("rt_sigprocmask(SIG_SETMASK, ")?;
    let (new, old) = arguments.split_once("],")?;
    if new == "~[" {
        return Some(true);
    }
    // All but the two that nobody can block: the mask of whoever asked for all.
    old.trim_start().starts_with("~[KILL STOP],").then_some(false)
}

/// Counts the calls of a log of `strace -f -o LOG` that have returned, from when the hook is ready:
/// where it lets go of the signals for the first time.
///
/// A call that the kernel takes up again by itself is one call: strace shows `? ERESTARTSYS` and
/// the call anew; or `? ERESTART_RESTARTBLOCK` and then `restart_syscall`, which no program makes.
#[must_use]
pub fn counted(log: &str) -> Oracle {
    let mut oracle = Oracle::default();
    let mut states: BTreeMap<&str, State> = BTreeMap::new();
    let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
    let mut ready = false;
    for line in log.lines() {
        let Some((pid, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        let state = states.entry(pid).or_insert_with(|| match ready {
            false => State::Loading { table: false },
            true => State::Begun(Counts::new()),
        });
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, begun);
            continue;
        }
        let resumed = text.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"));
        let whole = match resumed {
            Some((name, rest)) => {
                let begun = unfinished.remove(pid).map_or(format!("{name}("), str::to_owned);
                begun.trim_end().to_owned() + rest
            }
            None => text.to_owned(),
        };
        if let Some((name, result)) = call(&whole) {
            ready |= step(state, &whole, name, result, &mut oracle);
        }
    }
    oracle.tasks = states.len() as u64;
    for state in states.into_values() {
        if let State::Begun(counts) = state {
            add(&mut oracle.program, counts);
        }
    }
    oracle
}

fn add(to: &mut Counts, counts: Counts) {
    for (name, count) in counts {
        *to.entry(name).or_default() += count;
    }
}

/// One call of a thread; true when it shows the hook ready.
fn step(state: &mut State, text: &str, name: &str, result: &str, oracle: &mut Oracle) -> bool {
    let bracket = bracket(text);
    if let (State::Begun(counts), Some(begins)) = (&mut *state, bracket) {
        let whose = if begins { &mut oracle.program } else { &mut oracle.recorder };
        add(whose, std::mem::take(counts));
        *state = if begins { State::Program } else { State::Recorder(1) };
    }
    match (&mut *state, bracket) {
        (State::Program, Some(true)) => *state = State::Recorder(1),
        (State::Recorder(depth), Some(true)) => *depth += 1,
        _ => {}
    }
    let again = result.starts_with('?') && !result.contains("RESTARTBLOCK");
    if name != "restart_syscall" && !again {
        let counts = match state {
            State::Loading { table: false } => None,
            State::Begun(counts) => Some(counts),
            State::Program => Some(&mut oracle.program),
            State::Loading { table: true } | State::Recorder(_) => Some(&mut oracle.recorder),
        };
        if let Some(counts) = counts {
            *counts.entry(name.into()).or_default() += 1;
        }
    }
    if name == "execve" && result == "0" && !matches!(state, State::Loading { .. }) {
        *state = State::Loading { table: false };
    }
    match (&mut *state, bracket) {
        // Nested work lets go to the mask of the work around it.
        (State::Loading { table: true }, Some(false)) if !text.contains("(SIG_SETMASK, ~[") => {
            *state = State::Program;
            return true;
        }
        (State::Loading { table }, _) => *table |= text.contains("/syscalls.pv"),
        (State::Recorder(1), Some(false)) => *state = State::Program,
        (State::Recorder(depth), Some(false)) => *depth -= 1,
        _ => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
10 execve(\"/bin/x\", [\"x\"], 0x7f /* 3 vars */) = 0
10 openat(AT_FDCWD, \"early\", O_RDONLY) = 3
10 rt_sigprocmask(SIG_SETMASK, ~[], [], 8) = 0
10 openat(AT_FDCWD, \"trace/p1.0/syscalls.pv\", O_RDONLY) = 3
10 mmap(NULL, 32768, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f
10 rt_sigprocmask(SIG_SETMASK, ~[KILL STOP], ~[KILL STOP], 8) = 0
10 rt_sigprocmask(SIG_SETMASK, [], ~[KILL STOP], 8) = 0
10 read(3, \"\"..., 10)         = 10
10 rt_sigprocmask(SIG_SETMASK, ~[],  <unfinished ...>
11 getppid()                   = 1
10 <... rt_sigprocmask resumed>[], 8) = 0
10 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f
10 rt_sigprocmask(SIG_SETMASK, [],  <unfinished ...>
12 getppid()                   = 10
10 <... rt_sigprocmask resumed>~[KILL STOP], 8) = 0
12 rt_sigprocmask(SIG_SETMASK, [USR1], ~[KILL STOP], 8) = 0
12 getpid()                    = 12
10 read(4,  <unfinished ...>
11 rt_sigprocmask(SIG_BLOCK, ~[], [], 8) = 0
11 rt_sigprocmask(SIG_SETMASK, ~[], ~[KILL STOP], 8) = 0
11 rt_sigprocmask(SIG_SETMASK, ~[KILL STOP], ~[KILL STOP], 8) = 0
10 <... read resumed>\"\"..., 1) = 1
11 recvfrom(3, 0x1, 1, 0, NULL, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
11 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=10, si_uid=0} ---
11 recvfrom(3, \"\"..., 1, 0, NULL, NULL) = 1
11 nanosleep({tv_sec=1, tv_nsec=0}, 0x1) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)
11 restart_syscall(<... resuming interrupted nanosleep ...>) = 0
11 rt_sigprocmask(SIG_SETMASK, ~[], [], 8) = 0
11 rt_sigprocmask(SIG_SETMASK, [], ~[KILL STOP], 8) = 0
11 execve(\"/bin/y\", [\"y\"], 0x7f /* 3 vars */) = 0
11 openat(AT_FDCWD, \"early\", O_RDONLY) = -1 ENOENT (No such file or directory)
13 pause( <unfinished ...>
10 exit_group(0)               = ?
10 +++ exited with 0 +++
";

    fn counts<const N: usize>(of: [(&str, u64); N]) -> Counts {
        of.map(|(name, count)| (name.to_string(), count)).into()
    }

    #[test]
    fn calls_are_told_apart_by_who_made_them() {
        let oracle = counted(LOG);
        let program = [
            ("execve", 1),
            ("getpid", 1),
            ("getppid", 1),
            ("nanosleep", 1),
            ("read", 2),
            ("recvfrom", 1),
            ("rt_sigprocmask", 1),
        ];
        assert_eq!(oracle.program, counts(program));
        // A child that begins inside of the hook's work goes on with it.
        let recorder = [("getppid", 1), ("mmap", 2), ("rt_sigprocmask", 9)];
        assert_eq!(oracle.recorder, counts(recorder));
        assert_eq!(oracle.tasks, 4);
    }
}
