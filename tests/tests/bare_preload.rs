//! The hook without our binary: one run to a directory, and settings that only `run` reads.

use e2e::{hook_path, perfvisor_path, program, run, Outcome, Report, Scratch, Testapp};
use std::path::Path;
use std::process::Command;

/// Runs a shell script with the hook preloaded.
fn preloaded(trace: &Path, script: &str, environment: &[(&str, &str)]) -> Outcome {
    run(Command::new(program("sh", "dash"))
        .args(["-c", script])
        .env("LD_PRELOAD", hook_path())
        .env("PERFVISOR_OUT", trace)
        .envs(environment.iter().copied()))
}

fn report(trace: &Path) -> Report {
    Report::parse(
        &run(Command::new(perfvisor_path()).arg("report").arg("--json").arg(trace)).ok().stdout,
    )
}

fn images(trace: &Path) -> usize {
    report(trace).table("images").len()
}

#[test]
fn a_directory_that_holds_a_run_is_refused_to_another_with_one_line() {
    let scratch = Scratch::new("twice");
    let trace = scratch.join("trace");
    let script = "ls / >/dev/null; (cat /dev/null; true); echo out; exit 3";
    let first = preloaded(&trace, script, &[]);
    assert_eq!((first.code(), &*first.stdout, &*first.stderr), (Some(3), "out\n", ""));
    let before = images(&trace);
    assert!(before >= 3, "children are not recorded: {before}");
    let second = preloaded(&trace, script, &[]);
    assert_eq!((second.code(), &*second.stdout), (Some(3), "out\n"));
    assert_eq!(second.stderr.lines().count(), 1, "{second:?}");
    assert!(second.stderr.contains("nothing is recorded") && second.stderr.contains("another run"));
    assert_eq!(images(&trace), before);
    let quiet = preloaded(&trace, script, &[("PERFVISOR_QUIET", "yes")]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_directory_made_by_run_is_refused_and_foreign_files_stay_alone() {
    let scratch = Scratch::new("of-run");
    let trace = scratch.join("trace");
    let app = Testapp::build("micro");
    run(Command::new(perfvisor_path()).args(["run", "-q", "-o"]).arg(&trace).arg(app.path())).ok();
    let refused = preloaded(&trace, "true", &[]);
    assert!(refused.stderr.contains("another run"), "{refused:?}");
    assert_eq!(images(&trace), 1);
    let own = scratch.join("own");
    std::fs::create_dir(&own).expect("directory");
    std::fs::write(own.join("precious"), "data").expect("file");
    let refused = preloaded(&own, "true", &[]);
    assert!(refused.stderr.contains("other files"), "{refused:?}");
    let names: Vec<_> = std::fs::read_dir(&own).expect("directory").flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn daemons_and_programs_started_one_by_one_can_be_of_one_run() {
    let scratch = Scratch::new("one-run");
    let trace = scratch.join("trace");
    // The child begins when its parent is gone.
    let script = "(sleep 0.3; exec ls / >/dev/null 2>&1) >/dev/null 2>&1 &";
    preloaded(&trace, script, &[]).ok();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let names: Vec<String> = report(&trace)
        .table("images")
        .iter()
        .filter_map(|image| image["name"].as_str().map(str::to_owned))
        .collect();
    assert!(names.iter().any(|name| name == "ls"), "{names:?}");
    let shared = scratch.join("shared");
    for _ in 0..2 {
        let outcome = preloaded(&shared, "true", &[("PERFVISOR_RUN", "mine")]);
        assert_eq!(outcome.ok().stderr, "");
    }
    assert_eq!(images(&shared), 2);
}

#[test]
fn children_that_are_not_followed_find_nothing_of_ours() {
    let scratch = Scratch::new("no-follow");
    let line = [("PERFVISOR_FOLLOW", "0")];
    let bare = preloaded(&scratch.join("bare"), "env", &line).ok();
    assert!(
        !bare.stdout.contains("PERFVISOR_") && !bare.stdout.contains("libperfvisor_hook"),
        "{bare:?}"
    );
    let under_run = run(Command::new(perfvisor_path())
        .args(["run", "-q", "--no-follow", "-o"])
        .arg(scratch.join("run"))
        .args(["--", "sh", "-c", "env"]))
    .ok();
    assert!(!under_run.stdout.contains("PERFVISOR_"), "{under_run:?}");
}

#[test]
fn settings_that_the_hook_does_not_read_are_told_once() {
    let scratch = Scratch::new("unread");
    let settings = [
        ("PERFVISOR_CONFIG", "/etc/perfvisor.toml"),
        ("PERFVISOR_EXAKT", "1"),
        ("PERFVISOR_EVENTS_LIMIT", "64MiB"),
        ("PERFVISOR_EXCLUDE_API", "[a"),
    ];
    let told = preloaded(&scratch.join("told"), "ls / >/dev/null; true", &settings).ok();
    let lines: Vec<&str> = told.stderr.lines().collect();
    let about = |name: &str| lines.iter().filter(|line| line.contains(name)).count();
    assert_eq!(about("PERFVISOR_CONFIG is read by `perfvisor run` only"), 1, "{told:?}");
    assert_eq!(about("PERFVISOR_EXAKT is no setting"), 1, "{told:?}");
    assert_eq!(about("PERFVISOR_EXCLUDE_API: expected globs"), 1, "{told:?}");
    assert_eq!(about("PERFVISOR_EVENTS_LIMIT"), 0, "{told:?}");
    let quiet = [&settings[..], &[("PERFVISOR_QUIET", "1")]].concat();
    assert_eq!(preloaded(&scratch.join("quiet"), "true", &quiet).ok().stderr, "");
}
