//! What the analyzer promises for every directory, whatever the bytes in it are.

use perfvisor::analysis::findings;
use perfvisor::model::{load, Profile};
use perfvisor::read::{dump, DumpFilter, ReadError};
use perfvisor::report::{text, TextOptions};
use std::path::Path;

/// Reads the trace in `root` raw and as a profile, and draws it; the profile, if it could be read.
///
/// # Panics
/// When a promise is broken.
pub fn examine(root: &Path) -> Result<Profile, ReadError> {
    // No kinds at all are all but events.
    for kinds in [Vec::new(), vec!["event".into()]] {
        let filter = DumpFilter { kinds, ..DumpFilter::default() };
        let _ = dump(root, &mut std::io::sink(), &filter);
    }
    let result = load(root);
    match &result {
        Ok(profile) => check(profile),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    result
}

/// Everything a profile and its text promise.
fn check(profile: &Profile) {
    let share = |value: f64| assert!((0.0..=1.0).contains(&value), "{value}");
    let time = |value: f64| assert!(value.is_finite() && value >= 0.0, "{value}");
    for row in &profile.api_rows {
        share(row.timed_share);
        assert!(row.group.index() < profile.groups.len() && row.api.index() < profile.apis.len());
        let total = &row.total;
        for value in [total.value_ns, total.low_ns, total.high_ns, row.self_ns, row.wait_ns] {
            time(value);
        }
        assert!(total.low_ns <= total.value_ns && total.value_ns <= total.high_ns, "{total:?}");
    }
    for (at, node) in profile.call_nodes.iter().enumerate() {
        assert!(node.parent.is_none_or(|parent| parent.index() < at));
        time(node.total.value_ns);
    }
    for row in &profile.syscalls.rows {
        let sums = &row.sums;
        share(sums.timed_share());
        share(sums.error_share());
        time(sums.exec_ns());
        time(sums.waited_ns());
        assert!(sums.waited_ns() <= sums.total_ns() && sums.unknown <= sums.count);
        assert!(row.node.is_none_or(|node| node.index() < profile.call_nodes.len()));
        for (ns, _) in sums.durations() {
            time(ns);
        }
        time(sums.variation().unwrap_or(0.0));
    }
    for row in &profile.syscalls.uses {
        time(row.total_ns - row.wait_ns);
        assert!(row.target.index() < profile.syscalls.targets.len());
    }
    for thread in &profile.threads {
        time(thread.exec_ns);
        time(thread.wait_ns);
    }
    for edge in &profile.flow {
        time(edge.total_ns);
    }
    let options = TextOptions { tree: true, threads: true, top: 0, ..TextOptions::default() };
    let drawn = text(profile, &findings(profile), &options);
    let steers = |c: char| c.is_control() && c != '\n';
    assert!(!drawn.contains(steers), "a name reached the terminal as it came: {drawn:?}");
}
