//! Forked and exec'd children are followed, or not when the user says so; background children too.

use e2e::{program, Perfvisor, Recording};

/// How many process images the trace holds.
fn images(recording: &Recording) -> usize {
    recording.report().table("images").len()
}

#[test]
fn every_fork_is_an_image_of_its_own() {
    let recording = Perfvisor::testapp("forks").record();
    let processes = usize::try_from(recording.truth.get("processes", "all")).expect("a count");
    assert_eq!(images(&recording), processes);
    let report = recording.report();
    let forked = report.table("images").iter().filter(|image| image["forked"] == true).count();
    assert_eq!(forked, processes - 1);
}

#[test]
fn every_exec_is_an_image_of_its_own() {
    let recording = Perfvisor::testapp("exec_self").record();
    let report = recording.report();
    let images = report.table("images");
    assert_eq!(images.len(), 4, "{images:#?}");
    let pid = &images[0]["pid"];
    assert!(images.iter().all(|image| image["pid"] == *pid), "exec keeps the process id");
    let ended: Vec<_> = images.iter().filter_map(|image| image["end"].as_str()).collect();
    assert_eq!(ended.iter().filter(|end| **end == "exec").count(), 3, "{ended:?}");
}

#[test]
fn a_daemon_is_recorded_after_its_parent_is_gone() {
    let recording = Perfvisor::testapp("daemonize").record();
    assert_eq!(recording.report().calls("daemonize", "leaf"), 12_345);
}

#[test]
fn children_are_left_alone_when_asked() {
    let recording = Perfvisor::testapp("spawn").flags(&["--no-follow"]).record();
    assert_eq!(recording.outcome.stdout, "from a pipe\nbad 0\n");
    let report = recording.report();
    let names: Vec<_> = report.table("images").iter().map(|image| image["name"].clone()).collect();
    assert!(names.iter().all(|name| name == "spawn"), "{names:?}");
}

#[test]
fn a_shell_pipeline_is_followed() {
    let recording = Perfvisor::program(&program("sh", "dash"))
        .args(&["-c", "seq 1 2000 | sort -r | head -3; exit 7"])
        .record();
    assert_eq!(recording.outcome.code(), Some(7));
    assert_eq!(recording.outcome.stdout, "999\n998\n997\n");
    let report = recording.report();
    let names: Vec<_> =
        report.table("images").iter().filter_map(|image| image["name"].as_str()).collect();
    for name in ["seq", "sort", "head"] {
        assert!(names.contains(&name), "{name} not in {names:?}");
    }
}
