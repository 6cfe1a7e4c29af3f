//! Sentences on the recording of system calls, said the same way in every report of them.

use super::errno::errno_name;
use super::lookup::Lookup;
use super::units::{bytes, count, plural, share, time};
use crate::analysis::{sum_all, TargetLine};
use crate::model::{syscall_name, Profile, SlowSyscall, SyscallOutside, SyscallSums, TargetKind};

/// Names that are listed before "and more".
const NAMES_SHOWN: usize = 6;

/// All calls in a few words: how many, how long, how many failed.
pub fn totals(sums: &SyscallSums) -> Vec<String> {
    let mut said = vec![plural(sums.count, "system call")];
    if sums.timed != 0 {
        let about = if sums.time().is_some_and(|time| time.exact) { "" } else { "~" };
        said.push(format!("{about}{} executing", time(sums.exec_ns())));
        if sums.waited_ns() > 0.0 {
            said.push(format!("{about}{} waiting", time(sums.waited_ns())));
        }
    }
    if sums.errors != 0 {
        said.push(format!("{} failed", count(sums.errors)));
    }
    if sums.bytes != 0 {
        said.push(format!("{} moved", bytes(sums.bytes)));
    }
    said
}

/// Errors by errno, most first: `EAGAIN 12, ENOENT 3`.
pub fn errnos(sums: &SyscallSums) -> String {
    let mut by_errno: Vec<(u16, u64)> = sums.errnos.iter().map(|(&e, &n)| (e, n)).collect();
    by_errno.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let known = by_errno.iter().fold(0u64, |sum, (_, n)| sum.saturating_add(*n));
    let mut words: Vec<String> =
        by_errno.iter().map(|(errno, n)| format!("{} {}", errno_name(*errno), count(*n))).collect();
    if known < sums.errors {
        words.push(format!("others {}", count(sums.errors - known)));
    }
    words.join(", ")
}

/// One sentence for each thing that is missing of the system calls.
pub fn losses(profile: &Profile) -> Vec<String> {
    let losses = &profile.syscalls.losses;
    let mut said = Vec::new();
    let mut lost = |number: u64, what: &str, meaning: &str| {
        if number > 0 {
            said.push(format!("{} {meaning}", plural(number, what)));
        }
    };
    lost(losses.lost_cells, "system call", "had no room: counted, but in no thread and not timed.");
    lost(losses.lost_objects, "use", "of files, sockets or futexes by system calls had no room.");
    lost(losses.lost_slow, "slow system call", "found no room: their list is not complete.");
    let missed = listed(profile, |o| o.missed);
    if let Some((calls, names)) = missed {
        said.push(format!("{} seen by the audit alone: {names}.", plural(calls, "system call")));
    }
    said
}

/// How much of the system calls was seen; empty when they were not recorded.
pub fn coverage(profile: &Profile) -> Vec<String> {
    let syscalls = &profile.syscalls;
    if syscalls.is_empty() {
        let off = !profile.images.is_empty() && profile.images.iter().all(|i| i.mode.no_syscalls);
        return if off { vec!["System calls: not recorded (--only apis).".into()] } else { vec![] };
    }
    let mut said = vec![sites(profile)];
    said.extend(left_alone(profile));
    if let Some((calls, names)) = listed(profile, |o| o.unplaced) {
        let calls = plural(calls, "system call");
        said.push(format!("In no thread: {calls} ({names}); counted, but not timed."));
    }
    let all = sum_all(&syscalls.rows);
    if all.noted != 0 {
        said.push(format!(
            "Told by a note which untimed API made them: {} of {} ({}).",
            count(all.noted),
            plural(all.count, "system call"),
            share(part(all.noted, all.count))
        ));
    }
    if syscalls.audited && syscalls.outside.iter().all(|o| o.missed == 0) {
        said.push("The audit found no system call that was not seen.".into());
    }
    said
}

fn sites(profile: &Profile) -> String {
    let syscalls = &profile.syscalls;
    let names = Lookup::new(profile);
    let (found, patched) = syscalls.coverage.iter().fold((0u64, 0u64), |(found, patched), row| {
        (found.saturating_add(row.found), patched.saturating_add(row.patched))
    });
    let parts: Vec<String> = syscalls
        .coverage
        .iter()
        .take(NAMES_SHOWN)
        .map(|row| {
            let name = names.component(Some(row.component));
            format!("{name} {} of {}", count(row.patched), count(row.found))
        })
        .collect();
    let more = match syscalls.coverage.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(", {more} more components"),
    };
    format!(
        "System calls: {} seen at {} of {} places that make them ({}{more}).",
        count(syscalls.count()),
        count(patched),
        count(found),
        parts.join(", ")
    )
}

fn left_alone(profile: &Profile) -> Option<String> {
    let names = Lookup::new(profile);
    let parts: Vec<String> = profile
        .syscalls
        .coverage
        .iter()
        .filter(|row| !row.skipped.is_empty())
        .take(NAMES_SHOWN)
        .map(|row| {
            let reasons: Vec<String> = row
                .skipped
                .iter()
                .map(|(reason, addresses)| format!("{reason} ({})", count(addresses.len() as u64)))
                .collect();
            format!("in {} {}", names.component(Some(row.component)), reasons.join(", "))
        })
        .collect();
    (!parts.is_empty()).then(|| format!("Such places left alone: {}.", parts.join("; ")))
}

/// The sum of one table of calls outside of rows, and the names with most of it.
fn listed(profile: &Profile, pick: fn(&SyscallOutside) -> u64) -> Option<(u64, String)> {
    let mut by_number = std::collections::BTreeMap::new();
    for outside in &profile.syscalls.outside {
        let sum: &mut u64 = by_number.entry(outside.number).or_default();
        *sum = sum.saturating_add(pick(outside));
    }
    let mut rows: Vec<(u32, u64)> = by_number.into_iter().filter(|(_, n)| *n != 0).collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let all = rows.iter().fold(0u64, |sum, (_, n)| sum.saturating_add(*n));
    let mut words: Vec<String> = rows
        .iter()
        .take(NAMES_SHOWN)
        .map(|(number, n)| format!("{} {}", syscall_name(*number), count(*n)))
        .collect();
    if rows.len() > NAMES_SHOWN {
        words.push(format!("{} more", rows.len() - NAMES_SHOWN));
    }
    (all != 0).then(|| (all, words.join(", ")))
}

/// What seeing them cost; `None` when nothing was measured.
pub fn overhead(profile: &Profile) -> Option<String> {
    let cost = profile.syscalls.overhead;
    let probes_ns = cost.timed_ns + cost.counted_ns;
    (probes_ns + cost.patch_ns > 0.0).then(|| {
        format!(
            "Cost of system calls (estimated): {} to time them, {} to count them; finding and \
             changing the code took {} (elapsed, in all processes).",
            time(cost.timed_ns),
            time(cost.counted_ns),
            time(cost.patch_ns)
        )
    })
}

fn part(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// What a futex operation is called; its number where it has no name here.
pub fn futex_operation(operation: u32) -> String {
    const NAMES: [&str; 14] = [
        "wait",
        "wake",
        "fd",
        "requeue",
        "cmp_requeue",
        "wake_op",
        "lock_pi",
        "unlock_pi",
        "trylock_pi",
        "wait_bitset",
        "wake_bitset",
        "wait_requeue_pi",
        "cmp_requeue_pi",
        "lock_pi2",
    ];
    NAMES.get(operation as usize).map_or_else(|| operation.to_string(), |name| (*name).to_owned())
}

/// What a slow system call returned: a number, an address or an error's name.
pub fn result_text(call: &SlowSyscall) -> String {
    match (call.errno(), call.result) {
        (Some(errno), _) => errno_name(errno),
        (None, result) if (0..1 << 40).contains(&result) => result.to_string(),
        (None, result) => format!("{result:#x}"),
    }
}

/// What a slow system call was made on; empty when it is not known.
pub fn on_target(profile: &Profile, call: &SlowSyscall) -> String {
    let target = call.target.and_then(|id| profile.syscalls.targets.get(id.index()));
    target.map_or_else(String::new, |target| match target.name.as_str() {
        "" => format!("{} {:#x}", target.kind.text(), target.object),
        name => format!("{} {name}", target.kind.text()),
    })
}

/// What a target is called.
pub fn target_text(line: &TargetLine) -> String {
    let name = match (line.name.as_str(), line.object) {
        ("", 0) => String::new(),
        ("", object) if line.kind == TargetKind::Futex => format!("{object:#x}"),
        ("", object) => format!("#{object}"),
        (name, _) => name.to_owned(),
    };
    if line.objects > 1 {
        format!("{name} ({} times)", line.objects)
    } else {
        name
    }
}
