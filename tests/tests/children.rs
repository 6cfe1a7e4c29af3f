//! Forked and exec'd children are followed, or not when the user says so; background children too.

use e2e::{program, Perfvisor, Recording, Scratch, Testapp};

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

#[test]
fn bash_leaves_its_children_alone_when_asked() {
    // It exports getenv, setenv and unsetenv of its own.
    let script = "ls -d /; sh -c 'ls -d /'; env | grep -c -e PERFVISOR_ -e perfvisor_hook";
    let recording = Perfvisor::program(&program("bash", "bash"))
        .flags(&["--no-follow"])
        .args(&["-c", script])
        .record();
    assert_eq!(recording.outcome.stdout, "/\n/\n0\n", "{:?}", recording.outcome);
    assert_eq!(images(&recording), 1);
}

/// The replaced images of a report that left nothing behind: (program, what it was replaced by).
fn unrecorded(recording: &Recording) -> Vec<(String, String)> {
    let report = recording.report();
    let images = report.table("images").iter();
    let found: Vec<_> = images
        .filter(|image| image["exec_unrecorded"] == true)
        .map(|image| (text(&image["name"]), text(&image["exec_path"])))
        .collect();
    assert_eq!(report.json["losses"]["unrecorded_execs"], found.len(), "{found:?}");
    let said = recording.report_text(&[]).ok().stdout;
    for (name, path) in &found {
        assert!(said.contains("was replaced by"), "{name} {path}: {said}");
    }
    found
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

#[test]
fn a_program_that_did_not_load_the_hook_is_missed_aloud() {
    let recording = Perfvisor::testapp("exec_kinds").record();
    assert_eq!(unrecorded(&recording), [], "every exec was recorded");
    let shell = || Perfvisor::program(&program("sh", "dash"));
    let recording = shell().args(&["-c", "exec env -i sh -c 'exit 3'"]).record();
    assert_eq!(recording.outcome.code(), Some(3));
    let found = unrecorded(&recording);
    assert!(found.len() == 1 && found[0].0 == "env" && found[0].1.ends_with("sh"), "{found:?}");
    let app = Testapp::variant("heap", &["-static"]);
    let path = app.path().to_str().expect("path in UTF-8");
    let recording = shell().args(&["-c", &format!("exec {path}")]).record();
    assert_eq!(recording.outcome.code(), Some(0));
    assert_eq!(unrecorded(&recording).len(), 1);
    // What nobody wanted to follow is not missed.
    let recording = shell().flags(&["--no-follow"]).args(&["-c", "exec ls -d /"]).record();
    assert_eq!(unrecorded(&recording), []);
}

#[test]
fn a_child_that_may_not_read_the_hook_is_not_told_to_load_it() {
    // SAFETY: geteuid has no conditions.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not root: there are no privileges to drop");
        return;
    }
    // A cache that others may not enter, as root's home usually is.
    let home = Scratch::new("private-cache");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(home.path(), mode).expect("mode");
    let script = "ls -d /; id -u; echo ${LD_PRELOAD-none}";
    let drops = ["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", script];
    let run = |preload: &str| {
        let cache = home.path().to_str().expect("path in UTF-8");
        let app = Perfvisor::program(&program("setpriv", "util-linux")).args(&drops);
        app.env("XDG_CACHE_HOME", cache).env("LD_PRELOAD", preload).record()
    };
    let recording = run("");
    assert_eq!(recording.outcome.stdout, "/\n65534\nnone\n", "{:?}", recording.outcome);
    assert_eq!(recording.outcome.stderr, "");
    assert_eq!(unrecorded(&recording), [("setpriv".to_owned(), "bash".to_owned())]);
    let said = recording.report_text(&[]).ok().stdout;
    assert!(said.contains("LD_PRELOAD was left"), "{said}");
    // What else was to be preloaded still is.
    let other = run("libc.so.6");
    assert_eq!(other.outcome.stdout, "/\n65534\nlibc.so.6\n", "{:?}", other.outcome);
}
