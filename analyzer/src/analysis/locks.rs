//! Locks that threads waited for, with their holders.

use super::words;
use super::{Evidence, Finding, FindingKind, Grade, Place};
use crate::model::{Profile, WaitObject, WaitObjectId};

/// Findings shown at most.
const MOST: usize = 10;
/// Least share of the threads' lifetime for a finding, and for a major one.
const MINOR_SHARE: f64 = 0.005;
const MAJOR_SHARE: f64 = 0.05;
/// Kinds of objects that one thread withholds from another.
const LOCKS: [&str; 4] = ["mutex", "rwlock (read)", "rwlock (write)", "spin lock"];

/// One finding per lock that cost much.
pub fn find(profile: &Profile) -> Vec<Finding> {
    let lifetime_ns: f64 = profile.groups.iter().map(|group| group.lifetime_ns).sum();
    profile
        .wait_objects
        .iter()
        .enumerate()
        .filter(|(_, object)| LOCKS.contains(&object.kind.as_str()))
        // A thread alone contends with nobody, whatever its lock's word said.
        .filter(|(_, object)| {
            profile.images.get(object.image.index()).is_none_or(|image| image.threads != 1)
        })
        .filter(|(_, object)| object.wait_ns >= MINOR_SHARE * lifetime_ns.max(1.0))
        .take(MOST)
        .map(|(at, object)| finding(profile, WaitObjectId(at as u32), object, lifetime_ns))
        .collect()
}

fn finding(profile: &Profile, id: WaitObjectId, lock: &WaitObject, lifetime_ns: f64) -> Finding {
    let name = match &lock.label {
        Some(label) => format!("{} {label}", lock.kind),
        None => format!("{} {:#x}", lock.kind, lock.object),
    };
    let threads = lock.waiters.len() as u64;
    let mut text = format!(
        "{} waited {} in all, {} on average, {} at most.",
        words::count(threads, "thread"),
        words::time(lock.wait_ns),
        words::time(lock.wait_ns / lock.waits.max(1) as f64),
        words::time(lock.max_ns)
    );
    if let Some(holder) = lock.holders.first() {
        let who = match holder.thread {
            Some(thread) => {
                let group = profile.threads[thread.index()].group;
                format!("{} of {}", words::thread(profile, thread), words::group(profile, group))
            }
            None => format!("tid {}", holder.tid),
        };
        text += &format!(
            " {} of that time it was held by {who}: look at what that thread does under the lock.",
            words::percent(holder.wait_ns, lock.wait_ns)
        );
    }
    let waiter = lock.waiters.first();
    let share = lock.wait_ns / lifetime_ns.max(1.0);
    let api = lock.sites.first().and_then(|share| profile.sites[share.site.index()].api);
    Finding {
        grade: if share >= MAJOR_SHARE { Grade::Major } else { Grade::Minor },
        kind: FindingKind::LockContention,
        title: format!(
            "{name}: {} cost {}, {} of all threads' lifetime",
            words::count(lock.waits, "wait"),
            words::time(lock.wait_ns),
            words::percent(lock.wait_ns, lifetime_ns)
        ),
        text,
        evidence: vec![
            Evidence::new("time waited", lock.wait_ns, "ns"),
            Evidence::new("waits", lock.waits as f64, "calls"),
            Evidence::new("longest wait", lock.max_ns, "ns"),
            Evidence::new("waiters", threads as f64, "threads"),
            Evidence::new("holders", lock.holders.len() as f64, "threads"),
        ],
        place: Place {
            image: Some(lock.image),
            group: waiter.map(|waiter| waiter.group),
            thread: lock.holders.first().and_then(|holder| holder.thread),
            api,
            wait_object: Some(id),
            ..Place::default()
        },
        weight_ns: lock.wait_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::samples;

    #[test]
    fn the_lock_and_its_holder_are_named() {
        let findings = find(&samples::contended_mutex("mutex"));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].title.starts_with("mutex 0x5000"), "{}", findings[0].title);
        assert!(findings[0].text.contains("tid 100 of worker"), "{}", findings[0].text);
    }

    #[test]
    fn waiting_for_a_condition_is_no_contention() {
        assert!(find(&samples::contended_mutex("condition")).is_empty());
    }
}
