//! What is wrong with the recording itself: losses, damage, thin or empty recordings.

use super::words;
use super::{Evidence, Finding, FindingKind, Grade, Place};
use crate::model::{ImageEnd, ImageId, Profile};
use perfvisor_format::glob;
use std::collections::BTreeSet;

/// Damaged places that are spelled out.
const DAMAGES_SHOWN: usize = 3;
/// A run that calls less than this is called thin.
const THIN_CALLS: u64 = 100;
/// Share of slots left alone from which coverage is a finding.
const MUCH_SKIPPED: f64 = 0.2;

/// The settings that hold globs, and what these match.
const FILTERS: [(&str, &str); 4] = [
    ("PERFVISOR_INCLUDE_API", "API"),
    ("PERFVISOR_EXCLUDE_API", "API"),
    ("PERFVISOR_INCLUDE_COMPONENT", "component"),
    ("PERFVISOR_EXCLUDE_COMPONENT", "component"),
];

/// All findings about the recording.
pub fn find(profile: &Profile) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(lost(profile));
    findings.extend(damaged(profile));
    findings.extend(cut_short(profile));
    findings.extend(thin(profile));
    findings.extend(coverage(profile));
    findings.extend(idle_globs(profile));
    findings
}

fn finding(kind: FindingKind, grade: Grade, title: String, text: String) -> Finding {
    Finding {
        grade,
        kind,
        title,
        text,
        evidence: Vec::new(),
        place: Place::default(),
        weight_ns: 0.0,
    }
}

fn lost(profile: &Profile) -> Option<Finding> {
    let losses = &profile.losses;
    let rows = [
        ("call", losses.lost_calls, "made while nothing could keep it: counts are too low"),
        ("thread", losses.lost_threads, "not recorded"),
        ("record", losses.lost_records, "of components, sites or messages not written"),
        ("timed call", losses.lost_cells, "without a cell: counted, time missing"),
        ("slow call", losses.lost_slow_calls, "not kept whole, but in the sums"),
        ("wait", losses.lost_waits, "not attributed to what was waited for, but in the sums"),
        ("event", losses.lost_events, "not kept"),
        (
            "fold",
            losses.folds_in_progress,
            "cut short: times of that many threads may be half counted",
        ),
    ];
    let rows: Vec<_> = rows.into_iter().filter(|(_, n, _)| *n != 0).collect();
    if rows.is_empty() {
        return None;
    }
    let text: Vec<String> =
        rows.iter().map(|(name, n, why)| format!("{} {why}", words::count(*n, name))).collect();
    // What is missing from the exemplars alone does not touch counts and sums.
    let harmless = rows.iter().all(|(name, _, _)| ["slow call", "wait", "event"].contains(name));
    let grade = if harmless { Grade::Note } else { Grade::Recording };
    let names: Vec<String> = rows.iter().map(|(name, _, _)| format!("{name}s")).collect();
    let title = format!("lost: {}", names.join(", "));
    let mut found = finding(FindingKind::Loss, grade, title, text.join("; ") + ".");
    found.evidence = rows
        .iter()
        .map(|(name, n, _)| Evidence::new(format!("{name}s"), *n as f64, "records"))
        .collect();
    Some(found)
}

fn damaged(profile: &Profile) -> Option<Finding> {
    let losses = &profile.losses;
    let all: Vec<String> = losses
        .unreadable_images
        .iter()
        .chain(&losses.damages)
        .map(std::string::ToString::to_string)
        .collect();
    if all.is_empty() {
        return None;
    }
    let mut text = all.iter().take(DAMAGES_SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if all.len() > DAMAGES_SHOWN {
        text += &format!("; and {} more", all.len() - DAMAGES_SHOWN);
    }
    text += ". What lies in these places is missing from all figures.";
    let places = words::count(all.len() as u64, "damaged place");
    let title = match losses.unreadable_images.len() as u64 {
        0 => format!("the trace has {places}"),
        n => format!("the trace has {places}; {} unreadable", words::count(n, "process image")),
    };
    let mut found = finding(FindingKind::Loss, Grade::Recording, title, text);
    found.evidence = vec![Evidence::new("damaged places", all.len() as f64, "places")];
    Some(found)
}

fn cut_short(profile: &Profile) -> Option<Finding> {
    let cut: Vec<usize> = (0..profile.images.len())
        .filter(|&at| profile.images[at].end == ImageEnd::KilledOrRunning)
        .collect();
    let first = *cut.first()?;
    let image = &profile.images[first];
    let title = match cut.len() {
        1 => format!("{} (pid {}) did not end by itself", image.name, image.pid),
        n => format!("{n} process images did not end by themselves"),
    };
    let text =
        "Killed by a signal, or still running: all committed calls are here; the CPU time of \
                its live threads is unknown and calls still open have no time."
            .to_owned();
    let mut found = finding(FindingKind::Loss, Grade::Note, title, text);
    found.place.image = Some(ImageId(first as u32));
    found.evidence = vec![Evidence::new("images", cut.len() as f64, "images")];
    Some(found)
}

/// What the hook said of the first thread it could not record: the reason, in its own words.
pub fn threads_lost_because(profile: &Profile) -> Option<&str> {
    let messages = profile.images.iter().flat_map(|image| &image.messages);
    messages.filter_map(|(_, text)| reason_of(text)).next()
}

fn reason_of(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("a thread could not be recorded (")?;
    rest.split_once("); ").map(|(reason, _)| reason)
}

/// Why so little was recorded, most certain reason first.
fn thin(profile: &Profile) -> Option<Finding> {
    let coverage = &profile.coverage;
    if coverage.calls >= THIN_CALLS || profile.syscalls.count() >= THIN_CALLS {
        return None;
    }
    let filtered: u64 =
        coverage.skips.iter().filter(|s| s.reason == "filtered").map(|s| s.slots).sum();
    let own: u64 =
        coverage.skips.iter().filter(|s| s.reason == "call to itself").map(|s| s.slots).sum();
    let killed = profile.images.iter().all(|i| i.end == ImageEnd::KilledOrRunning);
    let only = |component: &crate::model::Component| component.hook || component.loader;
    let alone = profile.components.iter().filter(|c| !only(c)).count() <= 1;
    let lost_threads = profile.losses.lost_threads;
    let reason = if lost_threads != 0 {
        format!(
            "{} could not be recorded: {}.",
            words::count(lost_threads, "thread"),
            threads_lost_because(profile).unwrap_or("no memory, disk space or file")
        )
    } else if coverage.slots_found == 0 && alone {
        "No component but the executable was seen: a static program calls no library, so there is \
         nothing to hook."
            .to_owned()
    } else if filtered != 0 && coverage.slots_patched == 0 {
        format!("The include and exclude filters left nothing: {filtered} slots are filtered.")
    } else if coverage.slots_patched == 0 && own != 0 {
        format!("No slot leads to another component; {own} lead to their own (see --self-calls).")
    } else if coverage.slots_patched == 0 {
        "No slot was patched: nothing crosses from one component to another, or no page could be \
         written (see the skipped slots)."
            .to_owned()
    } else if let Some(image) = profile.images.iter().find(|image| image.exec_unrecorded) {
        format!(
            "{} was replaced by {}, which recorded nothing.",
            image.name,
            image.exec_path.as_deref().unwrap_or("a program unknown")
        )
    } else if killed {
        "The program was killed (or replaced) right after it began.".to_owned()
    } else if filtered != 0 {
        format!("The program called almost nothing that the filters let through ({filtered} slots are filtered).")
    } else {
        format!(
            "The program ran for {} and hardly called any library: it is short, or it computes in \
             its own code.",
            words::time(profile.run.wall_ns as f64)
        )
    };
    let title = match coverage.calls {
        0 => "nothing was recorded".to_owned(),
        calls => format!("only {} recorded", words::count(calls, "call")),
    };
    let mut found = finding(FindingKind::ThinRecording, Grade::Recording, title, reason);
    found.evidence = vec![
        Evidence::new("calls", coverage.calls as f64, "calls"),
        Evidence::new("slots patched", coverage.slots_patched as f64, "slots"),
        Evidence::new("slots found", coverage.slots_found as f64, "slots"),
    ];
    Some(found)
}

fn coverage(profile: &Profile) -> Option<Finding> {
    let coverage = &profile.coverage;
    let missing = coverage.slots_found.saturating_sub(coverage.slots_patched);
    let share = missing as f64 / coverage.slots_found.max(1) as f64;
    if share < MUCH_SKIPPED || coverage.calls < THIN_CALLS {
        return None;
    }
    let reasons: Vec<String> = coverage
        .skips
        .iter()
        .take(DAMAGES_SHOWN)
        .map(|skip| {
            let component = profile.components.get(skip.component.index());
            let name = component.map_or("unknown", |component| component.name.as_str());
            format!("{} of {name}: {}", skip.slots, skip.reason)
        })
        .collect();
    let title =
        format!("{missing} of {} slots to other components are not hooked", coverage.slots_found);
    let text = match reasons.is_empty() {
        true => "No reason is recorded.".to_owned(),
        false => format!("Most of them: {}.", reasons.join("; ")),
    };
    let mut found = finding(FindingKind::Coverage, Grade::Note, title, text);
    found.evidence = vec![Evidence::new("share not hooked", share, "ratio")];
    Some(found)
}

/// Globs of the filters that chose nothing: a misspelt one is as silent as one that was not needed.
fn idle_globs(profile: &Profile) -> Option<Finding> {
    let apis: Vec<&str> = profile.apis.iter().map(|api| api.symbol.as_str()).collect();
    let skipped = profile.coverage.skipped_names.iter().map(String::as_str);
    let apis: Vec<&str> = apis.into_iter().chain(skipped).collect();
    let components: Vec<&str> = profile.components.iter().map(|c| c.name.as_str()).collect();
    let mut idle = BTreeSet::new();
    for (key, value) in profile.images.iter().flat_map(|image| &image.settings) {
        let (names, what) = match FILTERS.iter().find(|(variable, _)| variable == key) {
            Some((_, "component")) => (&components, "component"),
            Some((_, what)) => (&apis, *what),
            None => continue,
        };
        for glob in value.split(',').map(str::trim).filter(|glob| !glob.is_empty()) {
            if !names.iter().any(|name| glob::matches(glob.as_bytes(), name.as_bytes())) {
                let flag = key.trim_start_matches("PERFVISOR_").to_lowercase().replace('_', "-");
                idle.insert(format!("{glob} of --{flag} matches no {what}"));
            }
        }
    }
    if idle.is_empty() {
        return None;
    }
    let title = format!("{} of the filters chose nothing", words::count(idle.len() as u64, "glob"));
    let list: Vec<String> = idle.into_iter().collect();
    let text = format!(
        "{}. Globs match whole names: symbols of APIs, file names of components.",
        list.join("; ")
    );
    let mut found = finding(FindingKind::Coverage, Grade::Recording, title, text);
    found.evidence = vec![Evidence::new("globs without a match", list.len() as f64, "globs")];
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::samples;
    use crate::model::{Api, Damage, SkipRow};

    fn whole() -> Profile {
        let mut profile = samples::four_workers([1.0; 4]);
        profile.images[0].end = ImageEnd::Exit;
        profile
    }

    #[test]
    fn a_whole_recording_has_nothing_to_say() {
        assert_eq!(find(&whole()), []);
    }

    #[test]
    fn losses_are_graded_by_what_they_touch() {
        let mut profile = whole();
        profile.losses.lost_slow_calls = 3;
        assert_eq!(find(&profile)[0].grade, Grade::Note);
        profile.losses.lost_calls = 1;
        let found = find(&profile);
        assert_eq!(found[0].grade, Grade::Recording);
        assert!(found[0].text.contains("1 call made"), "{}", found[0].text);
    }

    #[test]
    fn globs_that_chose_nothing_are_named() {
        let mut profile = whole();
        profile.apis.push(Api { symbol: "read".into(), ..Api::default() });
        let globs = "re*,no_such_*".to_owned();
        profile.images[0].settings = vec![("PERFVISOR_INCLUDE_API".into(), globs)];
        let found = find(&profile);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.starts_with("no_such_* of --include-api matches no API."));
        profile.coverage.skipped_names.insert("no_such_luck".into());
        assert_eq!(find(&profile), []);
    }

    #[test]
    fn damage_says_where() {
        let mut profile = whole();
        profile.losses.damages.push(Damage {
            file: "p1.0/t0.pv".into(),
            offset_bytes: 64,
            expected: "a".into(),
            found: "b".into(),
        });
        assert!(find(&profile)[0].text.starts_with("p1.0/t0.pv: offset 64: expected a, found b"));
    }

    #[test]
    fn lost_threads_give_the_reason_the_hook_gave() {
        let mut profile = whole();
        profile.coverage.calls = 7;
        profile.losses.lost_threads = 1;
        assert!(find(&profile)[1].text.contains("no memory, disk space or file"));
        let said = "a thread could not be recorded (the limit is low); its calls are lost";
        profile.images[0].messages.push((0, said.into()));
        assert_eq!(find(&profile)[1].text, "1 thread could not be recorded: the limit is low.");
    }

    #[test]
    fn an_empty_recording_gives_its_reason() {
        let mut profile = whole();
        profile.coverage.calls = 0;
        assert!(find(&profile)[0].text.contains("hardly called"));
        profile.images[0].end = ImageEnd::KilledOrRunning;
        assert!(find(&profile)[1].text.contains("killed"));
        profile.coverage.slots_patched = 0;
        profile.coverage.skips.push(SkipRow {
            component: Default::default(),
            reason: "filtered".into(),
            slots: 9,
            ..SkipRow::default()
        });
        assert!(find(&profile)[1].text.contains("9 slots are filtered"));
        profile.coverage.skips.clear();
        profile.coverage.slots_found = 0;
        assert!(find(&profile)[1].text.contains("static"));
    }
}
