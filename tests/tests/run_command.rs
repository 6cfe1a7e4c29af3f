//! `perfvisor run` around the program: signals during the report, usage errors, places of reports
//! that cannot be written, quiet, and what is left in the directory.

use e2e::{perfvisor_path, program, run, Outcome, Perfvisor, Scratch};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn perfvisor(arguments: &[&str]) -> Outcome {
    run(Command::new(perfvisor_path()).args(arguments))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("path in UTF-8")
}

#[test]
fn a_signal_to_the_whole_group_does_not_cost_the_report() {
    let scratch = Scratch::new("timeout");
    let timeout = program("timeout", "coreutils");
    for (number, signal) in ["TERM", "INT", "TERM", "INT", "TERM", "HUP"].iter().enumerate() {
        let trace = scratch.join(&format!("trace{number}"));
        let outcome = run(Command::new(&timeout)
            .args(["-s", signal, "0.5"])
            .arg(perfvisor_path())
            .args(["run", "-o", text(&trace), "--", "sleep", "9"]));
        assert_eq!(outcome.code(), Some(124), "{outcome:?}");
        assert!(outcome.stderr.contains("RECORDING"), "{signal} cost the report: {outcome:?}");
        assert!(outcome.stderr.contains("recorded in"), "{signal}: {outcome:?}");
    }
}

#[test]
fn whoever_insists_ends_a_report_that_takes_long() {
    let scratch = Scratch::new("insist");
    // Nobody reads it: the report waits for ever to be written.
    let pipe = scratch.join("pipe");
    run(Command::new("mkfifo").arg(&pipe)).ok();
    let mut child = Command::new(perfvisor_path())
        .args(["run", "-o", text(&scratch.join("trace")), "--report", text(&pipe), "--", "true"])
        .stderr(Stdio::null())
        .spawn()
        .expect("perfvisor");
    let deadline = std::time::Instant::now() + e2e::TIME_LIMIT;
    while !scratch.join("trace/run.json").exists() {
        assert!(std::time::Instant::now() < deadline, "the program does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    for request in 1..=3 {
        assert!(child.try_wait().expect("status").is_none(), "ended by request {}", request - 1);
        // SAFETY: kill has no memory preconditions.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        std::thread::sleep(Duration::from_millis(250));
    }
    let status = child.wait().expect("status");
    assert_eq!(status.signal(), Some(libc::SIGTERM), "{status:?}");
}

#[test]
fn the_report_after_a_run_advises_only_what_can_be_typed() {
    let scratch = Scratch::new("advice");
    let sh = program("sh", "dash");
    let trace = scratch.join("trace");
    let outcome = perfvisor(&["run", "-o", text(&trace), "--", text(&sh), "-c", "ls /"]).ok();
    assert!(outcome.stderr.contains("(perfvisor report DIR --top 0 shows all)"), "{outcome:?}");
    assert!(!outcome.stderr.contains("(--top 0"), "{outcome:?}");
    let again = perfvisor(&["report", text(&trace)]).ok();
    assert!(again.stdout.contains("(--top 0 shows all)"), "{again:?}");
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_program_runs() {
    let scratch = Scratch::new("unwritable");
    let trace = scratch.join("trace");
    let nowhere = scratch.join("no/such/place");
    for flag in ["--html", "--json", "--report"] {
        for place in [text(&nowhere), text(scratch.path())] {
            let line = ["run", "-o", text(&trace), flag, place, "--", "echo", "it ran"];
            let outcome = perfvisor(&line);
            assert_eq!(outcome.code(), Some(125), "{outcome:?}");
            assert!(outcome.stderr.contains(place) && outcome.stderr.contains(flag), "{outcome:?}");
            assert_eq!(outcome.stdout, "", "it ran");
            assert!(!trace.exists(), "a directory was left behind");
        }
    }
    // Inside the trace, which is made first, there is room for it.
    let page = trace.join("report.html");
    perfvisor(&["run", "-q", "-o", text(&trace), "--html", text(&page), "--", "true"]).ok();
    assert!(std::fs::read_to_string(&page).expect("page").contains("<html"));
}

#[test]
fn a_report_that_fails_after_the_run_is_told_loudly() {
    let scratch = Scratch::new("full");
    let trace = scratch.join("trace");
    let line = ["run", "-q", "-o", text(&trace), "--html", "/dev/full", "--", "sh", "-c", "exit 3"];
    let outcome = perfvisor(&line);
    assert_eq!(outcome.code(), Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("REPORT NOT WRITTEN"), "{outcome:?}");
    assert!(outcome.stderr.contains("/dev/full"), "{outcome:?}");
    assert!(outcome.stderr.contains(text(&trace)), "{outcome:?}");
}

#[test]
fn quiet_leaves_standard_error_to_the_program() {
    let scratch = Scratch::new("quiet");
    let (trace, report) = (scratch.join("trace"), scratch.join("report"));
    let script = "echo out; echo err >&2";
    let outcome = run(Command::new(perfvisor_path())
        .args(["run", "-q", "-o", text(&trace), "--", "sh", "-c", script])
        .env("PERFVISOR_EXAKT", "1"));
    assert_eq!((&*outcome.stdout, &*outcome.stderr), ("out\n", "err\n"));
    let other = scratch.join("other");
    let line = ["run", "-q", "-o", text(&other), "--report", text(&report), "--", "true"];
    assert_eq!(perfvisor(&line).ok().stderr, "");
    assert!(std::fs::read_to_string(&report).expect("report").contains("RECORDING"));
}

/// Length of all files below `directory`, holes included.
fn apparent_bytes(directory: &Path) -> u64 {
    let entries =
        std::fs::read_dir(directory).expect("directory").map(|e| e.expect("entry").path());
    let bytes = |path: std::path::PathBuf| match path.is_dir() {
        true => apparent_bytes(&path),
        false => std::fs::metadata(&path).expect("file").len(),
    };
    entries.map(bytes).sum()
}

#[test]
fn files_of_a_finished_run_are_no_longer_than_what_is_in_them() {
    // Threads that ended long before their process, with their own cells each.
    let ended = Perfvisor::testapp("groups").record();
    assert!(apparent_bytes(&ended.trace()) < 8 << 20, "{}", apparent_bytes(&ended.trace()));
    let report = ended.report();
    assert!(report.json["losses"]["damages"].as_array().expect("a list").is_empty());
    // One killed in mid-run shortens nothing itself.
    let killed = Perfvisor::program(&program("sh", "dash")).args(&["-c", "kill -9 $$"]).record();
    assert_eq!(killed.outcome.signal(), Some(9));
    assert!(apparent_bytes(&killed.trace()) < 1 << 20, "{}", apparent_bytes(&killed.trace()));
    assert_eq!(killed.report().table("images").len(), 1);
}

#[test]
fn files_of_a_process_that_outlives_the_run_stay_as_they_are() {
    let scratch = Scratch::new("outlives");
    let trace = scratch.join("trace");
    let script = "sleep 2 >/dev/null 2>&1 & sleep 0.3; kill -9 $$";
    let line = ["run", "-q", "-o", text(&trace), "--", "sh", "-c", script];
    assert_eq!(perfvisor(&line).signal(), Some(9));
    assert!(apparent_bytes(&trace) > 16 << 20, "{}", apparent_bytes(&trace));
}

#[test]
fn old_versions_of_the_hook_library_go_when_nobody_used_them_for_a_week() {
    let scratch = Scratch::new("cache");
    let cache = scratch.join("perfvisor");
    std::fs::create_dir(&cache).expect("cache");
    std::fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("mode");
    let day = Duration::from_secs(24 * 3600);
    let name = |days: u32| format!("libperfvisor_hook-0.0.1-{days:016}.so");
    for days in [1, 3, 8, 20, 30, 40] {
        let file = std::fs::File::create(cache.join(name(days))).expect("old version");
        let used = std::time::SystemTime::now() - day * days;
        let times = std::fs::FileTimes::new().set_accessed(used).set_modified(used);
        file.set_times(times).expect("times");
    }
    std::fs::write(cache.join("notes"), "mine").expect("notes");
    let path =
        run(Command::new(perfvisor_path()).arg("hook-path").env("XDG_CACHE_HOME", scratch.path()))
            .ok();
    assert!(path.stdout.starts_with(text(&cache)), "{path:?}");
    let left = |days: u32| cache.join(name(days)).exists();
    assert!(left(1) && left(3), "used within a week");
    assert!(!left(8) && !left(20) && !left(30) && !left(40), "unused for more than a week");
    assert!(cache.join("notes").exists());
}
