//! Slow calls that matter, grouped by (group, path), with one exemplar each.
//!
//! A slow call's excess is its time beyond the median of its API in its group. Only kept calls
//! can be grouped; how many were seen in all stands in the evidence.

use super::words;
use super::{Evidence, Finding, FindingKind, Grade, Place};
use crate::model::{GroupId, Profile, SiteId, SlowCall, SlowCallId};
use std::collections::BTreeMap;

/// Findings shown at most.
const MOST: usize = 20;
/// Least excess of a path worth telling, ns.
const LEAST_EXCESS_NS: f64 = 1e5;
/// Least share of the run for a minor and a major finding.
const MINOR_SHARE: f64 = 0.002;
const MAJOR_SHARE: f64 = 0.05;
/// A blocking call that takes this many medians is no tail but the rule of its API.
const LEAST_RATIO: f64 = 4.0;

/// Waits that usually mean "nothing to do": long ones are no outliers of the work.
const IDLE: [&str; 7] = ["poll", "sleep", "condition", "join", "process", "signal", "network"];

#[derive(Default)]
struct Tail {
    calls: Vec<SlowCallId>,
    excess_ns: f64,
}

/// One finding per (group, path) with the largest excess.
pub fn find(profile: &Profile) -> Vec<Finding> {
    let mut tails: BTreeMap<(GroupId, &[SiteId]), Tail> = BTreeMap::new();
    for (at, call) in profile.slow_calls.iter().enumerate() {
        let usual_ns = call.median_ns.unwrap_or(0.0);
        if call.duration_ns < LEAST_RATIO * usual_ns {
            continue;
        }
        let tail = tails.entry((call.group, &call.path)).or_default();
        tail.calls.push(SlowCallId(at as u32));
        tail.excess_ns += call.duration_ns - usual_ns;
    }
    let mut tails: Vec<_> =
        tails.into_iter().filter(|(_, tail)| tail.excess_ns >= LEAST_EXCESS_NS).collect();
    tails.sort_by(|a, b| b.1.excess_ns.total_cmp(&a.1.excess_ns).then(a.0.cmp(&b.0)));
    tails.truncate(MOST);
    tails.into_iter().map(|((group, path), tail)| finding(profile, group, path, &tail)).collect()
}

fn finding(profile: &Profile, group: GroupId, path: &[SiteId], tail: &Tail) -> Finding {
    let id = tail.calls[0];
    let call = &profile.slow_calls[id.index()];
    let share = tail.excess_ns / (profile.run.wall_ns as f64).max(1.0);
    let grade = match share {
        _ if idle(call) => Grade::Note,
        s if s >= MAJOR_SHARE => Grade::Major,
        s if s >= MINOR_SHARE => Grade::Minor,
        _ => Grade::Note,
    };
    let api = words::site(profile, call.site);
    let who = call.thread.map_or("a folded thread".to_owned(), |t| words::thread(profile, t));
    let mut text = format!(
        "The longest took {} at {} in {who}, called from {}",
        words::time(call.duration_ns),
        words::time(call.start_ns as f64),
        call.called_from
    );
    if let Some(median_ns) = call.median_ns {
        text += &format!("; the median here is {}", words::time(median_ns));
    }
    if path.len() > 1 {
        text += &format!("; path {}", words::path(profile, path));
    }
    text += ". ";
    text += &waited(profile, id);
    let mut evidence = vec![
        Evidence::new("slow calls kept", tail.calls.len() as f64, "calls"),
        Evidence::new("excess over the median", tail.excess_ns, "ns"),
        Evidence::new("longest", call.duration_ns, "ns"),
        Evidence::new("waited in the longest", call.wait_ns, "ns"),
    ];
    if let Some(node) = call.node.and_then(|node| profile.call_nodes.get(node.index())) {
        evidence.push(Evidence::new("slow calls seen", node.slow_seen as f64, "calls"));
    }
    Finding {
        grade,
        kind: FindingKind::TailOutlier,
        title: format!(
            "{}: {} of {api} took {} longer than usual",
            words::group(profile, group),
            words::count(tail.calls.len() as u64, "call"),
            words::time(tail.excess_ns)
        ),
        text,
        evidence,
        place: Place {
            image: Some(call.image),
            group: Some(group),
            thread: call.thread,
            api: profile.sites[call.site.index()].api,
            path: path.to_vec(),
            slow_call: Some(id),
            wait_object: call.wait_object,
        },
        weight_ns: tail.excess_ns,
    }
}

/// Most of the call is a wait for something to do.
fn idle(call: &SlowCall) -> bool {
    let kind = call.wait_kind.as_deref().unwrap_or_default();
    IDLE.contains(&kind) && call.wait_ns >= call.duration_ns / 2.0
}

/// What the exemplar waited for.
fn waited(profile: &Profile, id: SlowCallId) -> String {
    let call = &profile.slow_calls[id.index()];
    let Some(kind) = call.wait_kind.as_deref() else {
        return match call.below_ns > call.duration_ns / 2.0 {
            true => format!("{} of it lies in API calls below.", words::time(call.below_ns)),
            false => "It waited for nothing we saw: it computed, faulted or lost its CPU.".into(),
        };
    };
    let mut text = format!("It waited {} ({kind}", words::time(call.wait_ns));
    if call.object != 0 {
        text += &format!(" {:#x}", call.object);
    }
    text += ")";
    match (call.holder, call.holder_tid) {
        (Some(holder), _) => {
            let group = profile.threads[holder.index()].group;
            let (who, of) = (words::thread(profile, holder), words::group(profile, group));
            text += &format!(", held by {who} of {of}");
        }
        (None, Some(tid)) => text += &format!(", held by tid {tid}"),
        (None, None) => {}
    }
    text + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::samples;

    #[test]
    fn calls_of_one_path_are_one_finding_with_the_longest_as_exemplar() {
        let profile = samples::slow_calls(&[80e6, 30e6], 1_000.0);
        let findings = find(&profile);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place.slow_call, Some(SlowCallId(0)));
        assert!(findings[0].title.contains("2 calls of fsync"), "{}", findings[0].title);
        assert_eq!(findings[0].grade, Grade::Major);
    }

    #[test]
    fn waiting_for_work_is_only_noted() {
        let mut profile = samples::slow_calls(&[80e6], 1_000.0);
        profile.slow_calls[0].wait_kind = Some("poll".into());
        assert_eq!(find(&profile)[0].grade, Grade::Note);
    }

    #[test]
    fn calls_near_their_median_are_no_outliers() {
        assert!(find(&samples::slow_calls(&[80e6, 75e6], 70e6)).is_empty());
    }
}
