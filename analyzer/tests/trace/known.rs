//! What the model says of traces whose truth is known.

use crate::folder::Folder;
use crate::sample;
use perfvisor::analysis::{findings, FindingKind};
use perfvisor::model::{ApiRow, GroupId, ImageEnd, Profile};
use perfvisor::read::{dump, DumpFilter};

fn profile(files: &[(String, Vec<u8>)]) -> Profile {
    let folder = Folder::new(files);
    let profile = folder.load().expect("a readable trace");
    assert_eq!(profile.losses.damages, []);
    profile
}

fn group(profile: &Profile, name: &str) -> GroupId {
    let at = profile.groups.iter().position(|group| group.name == name);
    GroupId(at.unwrap_or_else(|| panic!("a group {name}")) as u32)
}

fn row<'a>(profile: &'a Profile, of: &str, api: &str) -> &'a ApiRow {
    let of = group(profile, of);
    let rows = profile.api_rows.iter();
    let mut rows = rows.filter(|row| row.group == of);
    rows.find(|row| profile.apis[row.api.index()].name == api).expect("a row of the API")
}

fn near(found: f64, expected: f64, share: f64) -> bool {
    (found - expected).abs() <= share * expected.abs()
}

#[test]
fn counts_times_and_intervals_of_the_workers() {
    let profile = profile(&sample::workers());
    let workers = "app+0x2000";
    let malloc = row(&profile, workers, "malloc");
    assert_eq!((malloc.count, malloc.timed), (400, 8));
    assert!(near(malloc.total.value_ns, 400.0 * 50.0, 0.001), "{malloc:?}");
    assert!(!malloc.total.exact && malloc.total.high_ns >= malloc.total.value_ns + 8_000.0);
    assert!(near(malloc.unseen_max_ns, 8_000.0, 1e-9));

    let compute = row(&profile, workers, "work::compute");
    assert_eq!((compute.count, compute.timed), (40, 40));
    assert!(compute.total.exact && near(compute.total.value_ns, 40e6, 0.001), "{compute:?}");
    assert!(near(compute.mean_ns, 1e6, 0.001));
    let p99 = compute.distribution.expect("timed calls").p99_ns;
    assert!(near(p99, 1e6, 0.03), "{p99}");

    // 4 contended locks of 25 ms and 996 free ones of 15 ns in each of four threads.
    let lock = row(&profile, workers, "pthread_mutex_lock");
    assert_eq!(lock.count, 4_000);
    assert!(near(lock.total.value_ns, 400e6 + 4.0 * 996.0 * 15.0, 0.001), "{lock:?}");
    assert!(near(lock.wait_ns, 400e6, 0.001), "{lock:?}");
    let p50 = lock.distribution.expect("timed calls").p50_ns;
    assert!(near(p50, 15.0, 0.05), "{p50}");
    assert_eq!(lock.callers[0].count, 4_000);
}

#[test]
fn threads_groups_and_the_straggler() {
    let profile = profile(&sample::workers());
    let workers = &profile.groups[group(&profile, "app+0x2000").index()];
    assert_eq!((workers.threads.len(), workers.folded_threads, workers.calls), (4, 1, 4_440));
    let straggler = &profile.threads[workers.straggler.expect("a straggler").index()];
    assert_eq!((straggler.tid, straggler.name.as_str()), (103, "w3"));
    // Alive for 700 ms, of which it waited 100 ms.
    assert!(near(straggler.exec_ns, 600e6, 1e-6), "{straggler:?}");
    assert!(near(straggler.wait_by_kind_ns["mutex"], 100e6, 1e-6));
    let found = findings(&profile);
    assert!(found.iter().any(|f| f.kind == FindingKind::Imbalance));
    assert!(found.iter().any(|f| f.kind == FindingKind::LockContention));
}

#[test]
fn locks_name_holders_and_slow_calls_their_lock() {
    let profile = profile(&sample::workers());
    let lock = profile.wait_objects.iter().find(|o| o.kind == "mutex").expect("the mutex");
    assert_eq!((lock.object, lock.waits), (sample::MUTEX, 16));
    let holder = lock.holders[0].thread.expect("a known holder");
    assert_eq!(profile.threads[holder.index()].tid, 101);
    let slow = profile.slow_calls.first().expect("a slow call");
    assert_eq!((slow.start_ns, slow.holder), (300_000_000, Some(holder)));
    assert_eq!(slow.called_from, "app+0x777");
    assert_eq!(slow.object, sample::MUTEX);
    assert!(slow.wait_object.is_some() && slow.node.is_some());
    let joined = profile.wait_objects.iter().find(|o| o.kind == "join").expect("the join");
    assert_eq!(profile.threads[joined.joined.expect("a thread").index()].tid, 103);
}

#[test]
fn late_calls_belong_to_the_site_but_to_no_group() {
    let profile = profile(&sample::workers());
    let site = profile.sites.iter().find(|site| site.late != 0).expect("a late site");
    assert_eq!((site.late, site.count), (5, 405));
    assert_eq!(profile.losses.late_calls, 5);
    assert_eq!(profile.coverage.calls, 3 + 4_440 + 5);
    let flow: u64 = profile.flow.iter().map(|edge| edge.count).sum();
    assert_eq!(flow, 3 + 4_440);
}

#[test]
fn a_fold_in_progress_counts_each_call_once() {
    let profile = profile(&sample::folding());
    let workers = "app+0x2000";
    // compute: both threads in the group; malloc: 100 before the fold and 100 of the thread;
    // lock: each its own 1000.
    assert_eq!(row(&profile, workers, "work::compute").count, 20);
    assert_eq!(row(&profile, workers, "malloc").count, 200);
    assert_eq!(row(&profile, workers, "pthread_mutex_lock").count, 2_000);
    assert_eq!(profile.losses.folds_in_progress, 1);
    assert_eq!(profile.images[0].end, ImageEnd::KilledOrRunning);
}

#[test]
fn events_are_summed_in_sequence_with_their_losses() {
    let profile = profile(&sample::events());
    let events = &profile.events;
    assert_eq!((events.files, events.chunks, events.events, events.lost), (1, 2, 200, 6));
    assert_eq!((events.first_ns, events.last_ns, events.max_depth), (0, 3_000_300_005, 2));
    assert!(near(events.rows[0].total_ns, 3e9, 1e-9), "{:?}", events.rows[0]);
    assert_eq!(events.rows[1].count, 199);
    assert!(near(events.rows[1].distribution.p50_ns, 40.0, 0.03));
}

#[test]
fn a_call_alone_took_as_long_as_its_row_says() {
    let profile = profile(&sample::one_call());
    let compute = row(&profile, "main", "work::compute");
    // 1000 probes of 40 cycles, 20 ns each.
    assert!(near(compute.total.value_ns, 380_000.0, 1e-6), "{compute:?}");
    let times = compute.distribution.expect("a timed call");
    for ns in [times.min_ns, times.p50_ns, times.p99_ns, times.max_ns, compute.mean_ns] {
        assert!(near(ns, compute.total.value_ns, 1e-6), "{compute:?}");
    }
    assert!(times.max_ns <= compute.total.high_ns);
    assert!(near(profile.slow_calls[0].duration_ns, 380_000.0, 1e-5));
}

#[test]
fn programs_are_called_as_they_were_started_and_forks_as_their_parents() {
    let profile = profile(&sample::renamed());
    let names: Vec<&str> = profile.images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["link", "link"]);
    assert_eq!(profile.components[0].name, "link");
    assert_eq!(profile.groups.len(), 1);
    // Parent and child worked as long as each other, but not for each other.
    assert_eq!(profile.groups[0].compared_threads, 0);
}

#[test]
fn dump_tells_every_kind_of_record_as_text_and_as_json() {
    let folder = Folder::new(&sample::workers());
    let mut text = Vec::new();
    dump(folder.path(), &mut text, &DumpFilter::default()).expect("a readable trace");
    let text = String::from_utf8(text).expect("text");
    for kind in ["process", "component", "site", "thread", "count", "cell", "slow", "wait", "late"]
    {
        assert!(text.contains(&format!("p100.0 {kind} ")), "{kind}");
    }
    let filter = DumpFilter {
        json_lines: true,
        kinds: vec!["count".into()],
        limit: Some(2),
        ..DumpFilter::default()
    };
    let mut json = Vec::new();
    dump(folder.path(), &mut json, &filter).expect("a readable trace");
    let lines: Vec<serde_json::Value> = json
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["calls"], 3);
}
