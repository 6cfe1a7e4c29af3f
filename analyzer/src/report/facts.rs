//! Sentences on the recording itself, said the same way in the text and on the page.

use super::lookup::Lookup;
use super::units::{bytes, count, plural, share, time};
use crate::analysis::{threads_lost_because, Finding, FindingKind};
use crate::model::{Damage, Image, ImageEnd, Profile};
use std::collections::HashSet;

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
        (_, Some(signal)) => format!("killed by signal {signal}"),
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
    for image in
        profile.images.iter().filter(|image| image.end == ImageEnd::KilledOrRunning).take(5)
    {
        said.push(format!(
            "{} (pid {}) did not end by itself: killed, or still running. All it committed is here.",
            image.name, image.pid
        ));
    }
    said
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
    let mut said = vec![format!(
        "Seen: {} of {} slots that lead to another component ({}); {} of {} call sites were used.",
        count(coverage.slots_patched),
        count(coverage.slots_found),
        share(part(coverage.slots_patched, coverage.slots_found)),
        count(coverage.sites_called),
        count(coverage.sites),
    )];
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
        said.push(format!(
            "Counted: every call. Timed: {} of {} ({}); times of the others are estimated from these.",
            count(coverage.timed_calls),
            count(coverage.calls),
            share(part(coverage.timed_calls, coverage.calls)),
        ));
    }
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

/// One sentence on what recording cost; `None` when nothing was measured.
pub fn overhead(profile: &Profile) -> Option<String> {
    let cost = &profile.overhead;
    let sum = cost.timed_ns + cost.counted_ns + cost.load_ns;
    if sum <= 0.0 {
        return None;
    }
    let part = match cost.share {
        Some(part) => format!("about {} of the program's CPU time", share(part)),
        None => "an unknown part of the CPU time".into(),
    };
    Some(format!(
        "Cost (estimated): {part}: {} to time calls, {} to count them, {} to start up.",
        time(cost.timed_ns),
        time(cost.counted_ns),
        time(cost.load_ns)
    ))
}

/// Why a recording has no call at all, unless a finding says it already.
pub fn empty_because(profile: &Profile, findings: &[Finding]) -> Option<String> {
    if profile.coverage.calls > 0
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
    use crate::report::sample;

    #[test]
    fn sums_of_damaged_numbers_stop_at_the_largest() {
        let mut profile = sample::profile();
        (profile.run.user_ns, profile.run.system_ns) = (Some(u64::MAX), Some(u64::MAX));
        profile.run.max_rss_kib = Some(u64::MAX);
        let said = summary(&profile).join("; ");
        assert!(said.contains("CPU") && said.contains("resident"), "{said}");
    }
}
