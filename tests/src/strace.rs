//! The log of `strace -f`, counted: the oracle of what a process asks of the kernel.

use std::collections::{BTreeMap, BTreeSet};

/// Counts by name of system call.
pub type Counts = BTreeMap<String, u64>;

/// One line of a log.
enum Line<'a> {
    /// A call that has returned; its result is what follows `= `.
    Returned(&'a str, &'a str),
    /// A call that has begun and returns on a later line, or never.
    Begun,
    /// A signal, an end, or what is not understood.
    Other,
}

fn line(text: &str) -> Line<'_> {
    let resumed = text.strip_prefix("<... ");
    let name = match resumed {
        Some(rest) => rest.split(' ').next(),
        None => text.split_once('(').map(|(name, _)| name),
    };
    let named = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let Some(name) = name.filter(named).filter(|name| !name.is_empty()) else { return Line::Other };
    if text.ends_with("<unfinished ...>") {
        return Line::Begun;
    }
    // strace aligns what follows the arguments.
    match text.rsplit_once(" = ") {
        Some((_, result)) => Line::Returned(name, result),
        None => Line::Other,
    }
}

/// The calls of a log of `strace -f -o LOG` that have returned, from the first line of each
/// program image for which `ready` holds (which is not counted itself).
///
/// A call that the kernel takes up again by itself is one call: strace shows `? ERESTARTSYS` and
/// the call anew; or `? ERESTART_RESTARTBLOCK` and then `restart_syscall`, which no program makes.
#[must_use]
pub fn counted(log: &str, ready: impl Fn(&str) -> bool) -> Counts {
    let mut counts = Counts::new();
    let (mut known, mut waiting) = (BTreeSet::new(), BTreeSet::new());
    let mut any = false;
    for whole in log.lines() {
        let Some((pid, text)) = whole.split_once(' ') else { continue };
        let text = text.trim_start();
        // Threads and children of an image that is being recorded are so from their first call.
        if known.insert(pid) && !any {
            waiting.insert(pid);
        }
        if waiting.contains(pid) {
            if ready(text) {
                waiting.remove(pid);
                any = true;
            }
            continue;
        }
        match line(text) {
            Line::Returned("execve", "0") => {
                *counts.entry("execve".into()).or_default() += 1;
                waiting.insert(pid);
            }
            Line::Returned(name, result) => {
                let again = result.starts_with('?') && !result.contains("RESTARTBLOCK");
                if name != "restart_syscall" && !again {
                    *counts.entry(name.into()).or_default() += 1;
                }
            }
            Line::Begun | Line::Other => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
10 execve(\"/bin/x\", [\"x\"], 0x7f /* 3 vars */) = 0
10 openat(AT_FDCWD, \"early\", O_RDONLY) = 3
10 ready(1)                    = 0
10 read(3, \"\"..., 10)         = 10
10 read(4,  <unfinished ...>
11 getppid()                   = 1
10 <... read resumed>\"\"..., 1) = 1
11 recvfrom(3, 0x1, 1, 0, NULL, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
11 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=10, si_uid=0} ---
11 recvfrom(3, \"\"..., 1, 0, NULL, NULL) = 1
11 nanosleep({tv_sec=1, tv_nsec=0}, 0x1) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)
11 restart_syscall(<... resuming interrupted nanosleep ...>) = 0
11 execve(\"/bin/y\", [\"y\"], 0x7f /* 3 vars */) = 0
11 openat(AT_FDCWD, \"early\", O_RDONLY) = -1 ENOENT (No such file or directory)
11 ready(1)                    = 0
11 openat(AT_FDCWD, \"late\", O_RDONLY) = -1 ENOENT (No such file or directory)
12 pause( <unfinished ...>
11 exit_group(0)               = ?
11 +++ exited with 0 +++
";

    #[test]
    fn what_has_returned_after_the_beginning_is_counted() {
        let counts = counted(LOG, |text| text.starts_with("ready("));
        let wanted = [
            ("execve", 1),
            ("getppid", 1),
            ("nanosleep", 1),
            ("openat", 1),
            ("read", 2),
            ("recvfrom", 1),
        ];
        let wanted: Counts = wanted.map(|(name, count)| (name.to_string(), count)).into();
        assert_eq!(counts, wanted);
    }
}
