//! Sentences on the recording itself, said the same way in the text and on the page.

use super::lookup::Lookup;
use super::names::quoted;
use super::syscall_facts;
use super::units::{bytes, count, plural, share, time};
use crate::analysis::{threads_lost_because, Finding, FindingKind};
use crate::model::{Damage, Image, ImageEnd, Profile, ThreadGroup};
use std::collections::HashSet;

/// Part of the thread time off-CPU from which on lock waits may hide in it.
const MUCH_OFF_CPU: f64 = 0.05;

/// The run in a few words each.
pub fn summary(profile: &Profile) -> Vec<String> {
    let run = &profile.run;
    let mut facts = vec![format!("{} wall", time(run.wall_ns as f64))];
    let (user, system) = cpu(profile);
    let both = user.saturating_add(system);
    if both > 0 {
        facts.push(format!(
            "{} CPU ({} user, {} system)",
            time(both as f64),
            time(user as f64),
            time(system as f64)
        ));
    }
    facts.push(match (run.exit_code, run.signal) {
        (_, Some(signal)) => format!("killed by {}", signal_name(signal)),
        (Some(code), None) => format!("exit status {code}"),
        (None, None) => "end not seen".into(),
    });
    let processes: HashSet<u32> = profile.images.iter().map(|image| image.pid).collect();
    facts.push(format!(
        "{} in {}",
        plural(profile.threads.len() as u64, "thread"),
        plural(processes.len() as u64, "process")
    ));
    facts.push(format!("{} between components", plural(profile.coverage.calls, "call")));
    if !profile.syscalls.is_empty() {
        facts.push(plural(profile.syscalls.count(), "system call"));
    }
    if let Some(kib) = run.max_rss_kib {
        facts.push(format!("{} resident at most", bytes(kib.saturating_mul(1024))));
    }
    facts
}

/// How a process image ended, in a word or two.
pub fn image_end(image: &Image) -> String {
    match (image.end, image.exit_status) {
        (ImageEnd::Exit, Some(status)) => format!("exit {status}"),
        (ImageEnd::Exit, None) => "exit".into(),
        (ImageEnd::ImmediateExit, Some(status)) => format!("_exit {status}"),
        (ImageEnd::ImmediateExit, None) => "_exit".into(),
        (ImageEnd::Exec, _) if image.exec_unrecorded => "exec, unrecorded".into(),
        (ImageEnd::Exec, _) => "exec".into(),
        (ImageEnd::KilledOrRunning, _) => "not seen".into(),
    }
}

/// User and system time of the run, ns: measured by `run`, else summed over images.
fn cpu(profile: &Profile) -> (u64, u64) {
    match (profile.run.user_ns, profile.run.system_ns) {
        (Some(user), Some(system)) => (user, system),
        _ => profile.images.iter().fold((0u64, 0u64), |(user, system), image| {
            (user.saturating_add(image.user_ns), system.saturating_add(image.system_ns))
        }),
    }
}

/// One sentence for each thing that is missing.
pub fn losses(profile: &Profile) -> Vec<String> {
    let losses = &profile.losses;
    let mut said = Vec::new();
    let mut lost = |number: u64, what: &str, meaning: &str| {
        if number > 0 {
            said.push(format!("{} {meaning}", plural(number, what)));
        }
    };
    lost(
        losses.lost_calls,
        "call",
        "could be kept nowhere (no memory, disk or file): not in any count.",
    );
    let why = threads_lost_because(profile).unwrap_or("no memory, disk space or file");
    lost(losses.lost_threads, "thread", &format!("could not be recorded ({why})."));
    lost(losses.lost_records, "record", "of the process file not written: names may be missing.");
    lost(losses.lost_cells, "timed call", "had no room for their time: counted, but not timed.");
    lost(
        losses.lost_slow_calls,
        "slow call",
        "found no room: lists of slow calls are not complete.",
    );
    lost(losses.lost_waits, "wait", "not attributed to the lock or file waited for.");
    lost(losses.lost_events, "event", "not kept: no room, or --events-limit was reached.");
    lost(
        losses.folds_in_progress,
        "thread",
        "cut short while being summed: its times may be half counted.",
    );
    lost(
        losses.late_calls,
        "call",
        "counted outside any thread (very early or late in its life): in no group.",
    );
    said.extend(unrecorded_execs(profile));
    said.extend(damages(profile));
    said.extend(syscall_facts::losses(profile));
    said.extend(cut_short(profile));
    said
}

/// One sentence for each damaged place, as far as there is room.
pub fn damages(profile: &Profile) -> Vec<String> {
    let losses = &profile.losses;
    let mut said = Vec::new();
    for damage in losses.unreadable_images.iter().take(5) {
        said.push(format!("A process could not be read: {}", damage_text(damage)));
    }
    for damage in losses.damages.iter().take(5) {
        said.push(format!("Damaged: {}", damage_text(damage)));
    }
    let more =
        losses.damages.len().saturating_sub(5) + losses.unreadable_images.len().saturating_sub(5);
    if more > 0 {
        said.push(format!("{} more (--json names them).", plural(more as u64, "damaged place")));
    }
    said
}

/// Programs that are told apart, and processes of one that are named.
const CUT_SHORT_SHOWN: usize = 5;

/// One sentence per program with processes that did not end by themselves.
fn cut_short(profile: &Profile) -> Vec<String> {
    // The only signal that is known is that of the command itself.
    let first = profile.images.first().map(|image| image.pid);
    let mut rows: Vec<(&str, Option<i32>, Vec<u32>)> = Vec::new();
    for image in profile.images.iter().filter(|image| image.end == ImageEnd::KilledOrRunning) {
        let signal = profile.run.signal.filter(|_| Some(image.pid) == first);
        match rows.iter_mut().find(|(name, known, _)| *name == image.name && *known == signal) {
            Some((_, _, pids)) => pids.push(image.pid),
            None => rows.push((&image.name, signal, vec![image.pid])),
        }
    }
    let more: usize = rows.iter().skip(CUT_SHORT_SHOWN).map(|(_, _, pids)| pids.len()).sum();
    let mut said: Vec<String> = rows
        .iter()
        .take(CUT_SHORT_SHOWN)
        .map(|(name, signal, pids)| {
            let mut list: Vec<String> =
                pids.iter().take(CUT_SHORT_SHOWN).map(u32::to_string).collect();
            if pids.len() > CUT_SHORT_SHOWN {
                list.push("…".into());
            }
            let list = list.join(", ");
            let (who, were, end) = match pids.len() {
                1 => (format!("{name} (pid {list})"), "was", "itself"),
                n => {
                    let who = format!("{} of {name} (pids {list})", plural(n as u64, "process"));
                    (who, "were", "themselves")
                }
            };
            match signal {
                Some(number) => {
                    let signal = signal_name(*number);
                    format!("{who} {were} killed by {signal}. All that was committed is here.")
                }
                None => format!(
                    "{who} did not end by {end}: killed by a signal that was not seen (SIGPIPE, \
                     where a reader was done first), or still running. All that was committed is \
                     here."
                ),
            }
        })
        .collect();
    if more > 0 {
        let more = plural(more as u64, "process");
        said.push(format!("Cut short as well: {more} of other programs (--json names them)."));
    }
    said
}

/// `signal 9 (SIGKILL)`.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    format!("signal {number} ({name})")
}

/// Which programs were replaced by something that recorded nothing.
fn unrecorded_execs(profile: &Profile) -> Vec<String> {
    let replaced: Vec<&Image> =
        profile.images.iter().filter(|image| image.exec_unrecorded).collect();
    let mut said: Vec<String> = replaced
        .iter()
        .take(5)
        .map(|image| {
            format!(
                "{} (pid {}) was replaced by {}, which recorded nothing: it is static or setuid, \
                 was started without LD_PRELOAD, or may not read the hook library.",
                image.name,
                image.pid,
                image.exec_path.as_deref().unwrap_or("a program unknown")
            )
        })
        .collect();
    if replaced.len() > 5 {
        said.push(format!(
            "{} more, likewise (--json names them).",
            plural(replaced.len() as u64 - 5, "program")
        ));
    }
    said
}

fn damage_text(damage: &Damage) -> String {
    format!(
        "{} at byte {}: expected {}, found {}",
        damage.file, damage.offset_bytes, damage.expected, damage.found
    )
}

/// Sentences on which calls are seen, timed, and not.
pub fn coverage(profile: &Profile) -> Vec<String> {
    let coverage = &profile.coverage;
    let part = |of: u64, all: u64| if all == 0 { 0.0 } else { of as f64 / all as f64 };
    let mut said = Vec::new();
    if only_syscalls(profile) {
        said.push("Calls between components: only those the hook needs (--only syscalls).".into());
    }
    said.push(format!(
        "Seen: {} of {} slots that lead to another component ({}); {} of {} call sites were used.",
        count(coverage.slots_patched),
        count(coverage.slots_found),
        share(part(coverage.slots_patched, coverage.slots_found)),
        count(coverage.sites_called),
        count(coverage.sites),
    ));
    let mut reasons: Vec<(&str, u64)> = Vec::new();
    for skip in &profile.coverage.skips {
        match reasons.iter_mut().find(|(reason, _)| *reason == skip.reason) {
            Some((_, slots)) => *slots = slots.saturating_add(skip.slots),
            None => reasons.push((&skip.reason, skip.slots)),
        }
    }
    reasons.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    if !reasons.is_empty() {
        let words: Vec<String> = reasons
            .iter()
            .map(|(reason, slots)| format!("{} ({})", reason, count(*slots)))
            .collect();
        said.push(format!("Left alone: {}.", words.join(", ")));
    }
    if coverage.calls > 0 {
        said.push(match coverage.timed_calls {
            all if all >= coverage.calls => {
                format!("Counted and timed: every call ({}).", count(coverage.calls))
            }
            some => format!(
                "Counted: every call. Timed: {} of {} ({}); times of the others are estimated from these.",
                count(some),
                count(coverage.calls),
                share(part(some, coverage.calls)),
            ),
        });
    }
    said.extend(events(profile));
    if !coverage.unsymbolised.is_empty() {
        let names = Lookup::new(profile);
        let words: Vec<String> = coverage
            .unsymbolised
            .iter()
            .take(6)
            .map(|item| format!("{} ({})", names.component(Some(item.component)), item.reason))
            .collect();
        let more = coverage.unsymbolised.len().saturating_sub(6);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        said.push(format!("Without function names: {}{more}.", words.join(", ")));
    }
    if profile.losses.abandoned > 0 {
        said.push(format!(
            "{} left without returning (exception, longjmp, thread or process end).",
            plural(profile.losses.abandoned, "call")
        ));
    }
    said
}

/// The kept events and the way to them; `None` where none were asked for.
fn events(profile: &Profile) -> Option<String> {
    let kept = &profile.events;
    if kept.events == 0 {
        let asked = |image: &Image| image.mode.events || image.mode.flight_ns.is_some();
        let none = "Events: none was kept, though the recording asked for them.";
        return profile.images.iter().any(asked).then(|| none.into());
    }
    Some(format!(
        "Events: {} kept, from {} to {} after the start, in {}; all of them: perfvisor dump --kind \
         event {}",
        plural(kept.events, "call"),
        time(kept.first_ns as f64),
        time(kept.last_ns as f64),
        plural(kept.files, "thread"),
        quoted(&profile.run.directory)
    ))
}

/// What recording cost; `None` when nothing was measured.
pub fn overhead(profile: &Profile) -> Option<String> {
    let cost = &profile.overhead;
    let probes_ns = cost.timed_ns + cost.counted_ns;
    if probes_ns + cost.load_ns <= 0.0 {
        return None;
    }
    let cpu = time(cost.cpu_ns);
    let parts =
        format!("{} to time calls, {} to count them", time(cost.timed_ns), time(cost.counted_ns));
    let probes = match cost.share {
        Some(part) => {
            let part = share(part);
            let about = if part.starts_with('<') { "" } else { "about " };
            format!("{about}{part} of the {cpu} of CPU time: {parts}")
        }
        None if cost.cpu_ns > 0.0 => format!(
            "not known: what the hook measured of itself at load would make {}, more than the \
             {cpu} of CPU time that were measured",
            time(probes_ns)
        ),
        None => format!("{parts}, of an unknown CPU time"),
    };
    Some(format!(
        "Cost (estimated): {probes}. Starting up took {} besides (elapsed, in all processes).",
        time(cost.load_ns)
    ))
}

/// Calls between components were not recorded.
fn only_syscalls(profile: &Profile) -> bool {
    !profile.images.is_empty() && profile.images.iter().all(|image| image.mode.no_apis)
}

/// What to say where no wait for a lock is listed: with much time off-CPU, or none known, that no
/// wait was *seen* is all there is to say.
pub fn no_lock(profile: &Profile) -> String {
    if only_syscalls(profile) {
        return "Locks are told apart by the functions that take them, which were not recorded \
                (--only syscalls). Those that sleep are among the futexes."
            .into();
    }
    let sum = |of: fn(&ThreadGroup) -> f64| profile.groups.iter().map(of).sum::<f64>();
    let (off_ns, lived_ns) = (sum(|group| group.off_cpu_ns), sum(|group| group.lifetime_ns));
    let unknown: u64 = profile.groups.iter().map(|group| group.cpu_unknown).sum();
    if off_ns < MUCH_OFF_CPU * lived_ns {
        return match unknown {
            0 => "No thread waited for a lock.".into(),
            _ => "No wait for a lock was seen.".into(),
        };
    }
    let names = Lookup::new(profile);
    let skips = profile.coverage.skips.iter().filter(|skip| !skip.waiting.is_empty());
    let skips: Vec<String> = skips
        .map(|skip| {
            let of = names.component(Some(skip.component));
            format!("{} of {of} ({})", skip.waiting.join(", "), skip.reason)
        })
        .take(4)
        .collect();
    let skips = match skips.is_empty() {
        true => String::new(),
        false => format!(" Not hooked here and able to wait: {}.", skips.join("; ")),
    };
    format!(
        "No wait for a lock was seen. But for {} ({}) of their time threads were neither on a CPU \
         nor in a wait that was seen: a lock that sleeps in a system call of its own (Rust's \
         std::sync::Mutex) does not show here.{skips}",
        time(off_ns),
        share(off_ns / lived_ns.max(1.0))
    )
}

/// Why a recording has no call at all, unless a finding says it already.
pub fn empty_because(profile: &Profile, findings: &[Finding]) -> Option<String> {
    if profile.coverage.calls > 0
        || profile.syscalls.count() > 0
        || findings.iter().any(|finding| finding.kind == FindingKind::ThinRecording)
    {
        return None;
    }
    let coverage = &profile.coverage;
    Some(if profile.images.is_empty() {
        "No process loaded the hook. A static or setuid program does not accept LD_PRELOAD; \
         perfvisor doctor -- CMD says what stands in the way."
            .into()
    } else if coverage.slots_found == 0 {
        "The program has no slot that leads to another component: it is linked statically, or \
         nothing but the loader was mapped when it ended."
            .into()
    } else if coverage.slots_patched == 0 {
        "Slots were found but none was patched: filters exclude them all, or their pages could \
         not be written. The reasons are listed above."
            .into()
    } else {
        "Slots were patched, but no call went through one: the program ended too early, or all \
         its calls stay within one component (--self-calls records those too)."
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventsSummary, SkipRow};
    use crate::report::sample;

    #[test]
    fn sums_of_damaged_numbers_stop_at_the_largest() {
        let mut profile = sample::profile();
        (profile.run.user_ns, profile.run.system_ns) = (Some(u64::MAX), Some(u64::MAX));
        profile.run.max_rss_kib = Some(u64::MAX);
        let said = summary(&profile).join("; ");
        assert!(said.contains("CPU") && said.contains("resident"), "{said}");
    }

    #[test]
    fn processes_cut_short_are_one_line_a_program() {
        let mut profile = sample::profile();
        profile.run.signal = Some(9);
        profile.images[0].end = ImageEnd::KilledOrRunning;
        for pid in 5_001..5_008 {
            let name = "sort".into();
            let end = ImageEnd::KilledOrRunning;
            profile.images.push(Image { pid, name, end, ..Image::default() });
        }
        let said = cut_short(&profile);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("was killed by signal 9 (SIGKILL)"), "{said:?}");
        let sort = "7 processes of sort (pids 5001, 5002, 5003, 5004, 5005, …) did not end by";
        assert!(said[1].starts_with(sort), "{said:?}");
    }

    #[test]
    fn the_cost_is_of_the_cpu_time_and_unknown_where_it_is_more() {
        let mut profile = sample::profile();
        let said = overhead(&profile).expect("a cost");
        assert!(said.contains(": <0.1% of the 3.50 s of CPU time: 1.10 ms to time"), "{said}");
        assert!(said.contains("Starting up took 4.20 ms besides"), "{said}");
        profile.overhead.share = None;
        profile.overhead.timed_ns = 5e9;
        let said = overhead(&profile).expect("a cost");
        assert!(said.contains("not known") && said.contains("more than the 3.50 s"), "{said}");
    }

    #[test]
    fn estimates_are_announced_only_where_there_are_any() {
        let mut profile = sample::profile();
        profile.coverage.timed_calls = profile.coverage.calls;
        let said = coverage(&profile).join(" ");
        assert!(said.contains("Counted and timed: every call (956,780)."), "{said}");
        assert!(!said.contains("estimated"), "{said}");
    }

    #[test]
    fn kept_events_are_told_with_the_way_to_them() {
        let mut profile = sample::profile();
        profile.run.directory = "a trace".into();
        profile.events = EventsSummary {
            files: 2,
            events: 12_345,
            first_ns: 1_000_000,
            last_ns: 2_000_000_000,
            ..EventsSummary::default()
        };
        let said = coverage(&profile).join(" ");
        let want =
            "Events: 12,345 calls kept, from 1.00 ms to 2.00 s after the start, in 2 threads; \
                    all of them: perfvisor dump --kind event 'a trace'";
        assert!(said.contains(want), "{said}");
    }

    #[test]
    fn that_nobody_waited_is_said_only_where_it_is_known() {
        let mut profile = sample::profile();
        profile.groups[0].cpu_unknown = 0;
        assert_eq!(no_lock(&profile), "No thread waited for a lock.");
        profile.groups[0].off_cpu_ns = 3e9;
        profile.coverage.skips.push(SkipRow {
            reason: "address also used as data".into(),
            waiting: vec!["syscall".into()],
            ..SkipRow::default()
        });
        let said = no_lock(&profile);
        assert!(said.starts_with("No wait for a lock was seen. But for 3.00 s (48%)"), "{said}");
        assert!(said.contains("syscall of packer (address also used as data)"), "{said}");
    }
}
