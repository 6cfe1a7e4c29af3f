//! What a user can get wrong, and what the tool says then.

use e2e::{perfvisor_path, program, run, Outcome, Perfvisor, Recording, Scratch, Testapp};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn perfvisor(arguments: &[&str]) -> Outcome {
    run(Command::new(perfvisor_path()).args(arguments))
}

/// Asserts the exit code and that each word stands in standard error.
fn assert_says(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code(), Some(code), "{outcome:?}");
    let said = outcome.stderr.to_lowercase();
    for word in words {
        assert!(said.contains(&word.to_lowercase()), "no {word:?} in {outcome:?}");
    }
}

#[test]
fn a_command_that_does_not_exist_is_127() {
    let scratch = Scratch::new("not-found");
    let trace = scratch.join("trace");
    let outcome = perfvisor(&["run", "-o", text(&trace), "--", "no-such-command-anywhere"]);
    assert_says(&outcome, 127, &["no-such-command-anywhere", "not found"]);
    assert!(!trace.exists(), "a trace of nothing was left");
}

#[test]
fn a_file_that_cannot_be_executed_is_126() {
    let scratch = Scratch::new("not-executable");
    let file = scratch.join("plain");
    std::fs::write(&file, "no program").expect("file");
    let outcome = perfvisor(&["run", "-o", text(&scratch.join("trace")), "--", text(&file)]);
    assert_says(&outcome, 126, &["plain"]);
}

#[test]
fn a_static_program_is_refused_before_it_runs() {
    for flag in ["-static", "-static-pie"] {
        let app = Testapp::variant("heap", &[flag]);
        let watched = Perfvisor::program(app.path()).record();
        assert_says(&watched.outcome, 125, &["static"]);
        assert_eq!(watched.outcome.stdout, "", "it ran under a false pretence");
    }
}

#[test]
fn a_setuid_program_is_refused_before_it_runs() {
    let app = Testapp::build("heap");
    let scratch = Scratch::new("setuid");
    let file = scratch.join("setuid");
    std::fs::copy(app.path(), &file).expect("copy");
    // For root a program that root owns gains nothing by setuid: give it to somebody else.
    // SAFETY: the call takes a NUL-terminated path and touches no memory of ours.
    let owner = unsafe {
        let path = std::ffi::CString::new(text(&file)).expect("path");
        libc::chown(path.as_ptr(), 65534, 65534)
    };
    // SAFETY: geteuid has no conditions.
    let root = unsafe { libc::geteuid() } == 0;
    assert_eq!(owner == 0, root, "only root can give a file away");
    if !root {
        eprintln!("not root: a setuid program of another user cannot be made here");
        return;
    }
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o4755)).expect("mode");
    let watched = Perfvisor::program(&file).record();
    assert_says(&watched.outcome, 125, &["setuid"]);
    assert_eq!(watched.outcome.stdout, "", "it ran under a false pretence");
}

#[test]
fn an_output_directory_that_exists_is_refused() {
    let scratch = Scratch::new("exists");
    std::fs::write(scratch.join("precious"), "data").expect("file");
    let outcome = perfvisor(&["run", "-o", text(scratch.path()), "--", "true"]);
    assert_says(&outcome, 125, &["exists"]);
    let kept = std::fs::read_to_string(scratch.join("precious")).expect("still there");
    assert_eq!(kept, "data");
}

#[test]
fn an_output_directory_that_cannot_be_written_is_refused() {
    let outcome = perfvisor(&["run", "-o", "/proc/nowhere/trace", "--", "true"]);
    assert_says(&outcome, 125, &["/proc/nowhere"]);
    let outcome = perfvisor(&["run", "-o", "/dev/null/trace", "--", "true"]);
    assert_says(&outcome, 125, &["/dev/null"]);
}

#[test]
fn a_bare_preload_that_cannot_write_lets_the_program_run() {
    let app = Testapp::build("micro");
    let native = run(&mut Command::new(app.path()));
    let watched = run(Command::new(app.path())
        .env("LD_PRELOAD", e2e::hook_path())
        .env("PERFVISOR_OUT", "/proc/nowhere/trace"));
    assert_eq!(watched.stdout, native.stdout);
    assert_eq!(watched.status, native.status);
    assert!(watched.stderr.contains("/proc/nowhere"), "it said nothing: {watched:?}");
}

/// Records `app` while no file may be larger than 100 KiB.
fn with_small_files(app: &str, arguments: &[&str]) -> Recording {
    // Unpacked beforehand: the library itself is larger.
    e2e::hook_path();
    let (mut command, scratch) = Perfvisor::testapp(app).args(arguments).command();
    let limit = libc::rlimit { rlim_cur: 100 << 10, rlim_max: 100 << 10 };
    // SAFETY: setrlimit may be called between fork and exec, and reads a copy of the limit.
    unsafe {
        command.pre_exec(move || {
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
            Ok(())
        });
    }
    Recording::from_parts(run(&mut command), scratch)
}

#[test]
fn threads_that_may_have_no_file_are_counted_once_and_their_calls_for_the_process() {
    let recording = with_small_files("many_short", &["50"]);
    assert_eq!(recording.outcome.code(), Some(0), "{:?}", recording.outcome);
    let report = recording.report();
    let losses = &report.json["losses"];
    assert_eq!(losses["lost_threads"], 51, "{losses}");
    for api in ["leaf", "leaf_add", "pthread_create", "pthread_join"] {
        assert_eq!(report.calls("many_short", api), 50, "{api}: {losses}");
    }
    let text = recording.report_text(&[]).ok().stdout;
    assert!(text.contains("51 threads could not be recorded (the limit on file sizes"), "{text}");
    // What even the process has no counter for is lost, and said to be.
    let report = with_small_files("mutex_free", &[]).report();
    let lost = report.json["losses"]["lost_calls"].as_u64();
    let counted = report.calls("mutex_free", "pthread_mutex_lock");
    assert!(lost.is_some_and(|lost| lost + counted >= 300_000), "{lost:?} {counted}");
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    assert_says(&perfvisor(&["report", "--no-such-flag", "x"]), 2, &["--no-such-flag"]);
    assert_says(&perfvisor(&["no-such-command"]), 2, &["no-such-command"]);
    // 2 may be the exit code of the program.
    let run_flag = perfvisor(&["run", "--no-such-flag", "--", "true"]);
    assert_says(&run_flag, 125, &["--no-such-flag"]);
    assert!(!run_flag.stderr.contains("as a value"), "{run_flag:?}");
    let other = perfvisor(&["run", "--top", "3", "--", "true"]);
    assert_says(&other, 125, &["--top", "perfvisor report"]);
    assert!(!other.stderr.contains("--output"), "{other:?}");
}

#[test]
fn globs_that_cannot_match_are_refused_and_those_that_did_not_are_told() {
    for flag in ["--include-api", "--exclude-component"] {
        for glob in ["[", "read,[a-", "x\\"] {
            let outcome = perfvisor(&["run", flag, glob, "--", "echo", "it ran"]);
            assert_says(&outcome, 125, &[flag, "needs its"]);
            assert_eq!(outcome.stdout, "");
        }
    }
    let flags = [
        "--include-api",
        "leaf*,leef*",
        "--exclude-api",
        "leaf_no*",
        "--exclude-component",
        "libq*",
    ];
    let text = Perfvisor::testapp("nested").flags(&flags).record().report_text(&[]).ok().stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "leef* of --include-api matches no API",
        "leaf_no* of --exclude-api",
        "libq* of --exclude-component matches no component",
    ] {
        assert!(text.contains(said), "{text}");
    }
    assert!(!text.contains("leaf* of --include-api"), "{text}");
}

#[test]
fn flags_after_the_separator_belong_to_the_program() {
    let echo = program("echo", "coreutils");
    let watched = Perfvisor::program(&echo).args(&["--exact", "-o", "x", "--", "-n"]).record();
    assert_eq!(watched.outcome.stdout, "--exact -o x -- -n\n");
}

#[test]
fn a_report_of_nothing_says_what_it_looked_for() {
    let scratch = Scratch::new("nothing");
    assert_says(&perfvisor(&["report", text(scratch.path())]), 1, &[text(scratch.path())]);
    assert_says(&perfvisor(&["report", "/no/such/trace"]), 1, &["/no/such/trace"]);
}

#[test]
fn an_empty_recording_explains_itself() {
    let quiet = Perfvisor::testapp("quiet").record();
    let text = quiet.report_text(&[]).ok().stdout.to_lowercase();
    assert!(text.contains("too short") || text.contains("few calls") || text.contains("nothing"));
    let filtered = Perfvisor::testapp("heap").flags(&["--include-api", "no_such_api"]).record();
    let text = filtered.report_text(&[]).ok().stdout.to_lowercase();
    assert!(text.contains("filter"), "{text}");
}

#[test]
fn a_full_disk_in_mid_run_costs_records_not_the_program() {
    // SAFETY: geteuid has no conditions.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not root: a small file system to fill cannot be mounted here");
        return;
    }
    let scratch = Scratch::new("full-disk");
    let small = scratch.join("small");
    std::fs::create_dir(&small).expect("mount point");
    let mount =
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(&small));
    assert!(mount.status.success(), "{mount:?}");
    let app = Testapp::build("nested");
    let native = run(&mut Command::new(app.path()));
    let outcomes: Vec<Outcome> = [&["--exact"], &["--events"]]
        .iter()
        .enumerate()
        .map(|(number, flags)| {
            let trace = small.join(format!("trace{number}"));
            run(Command::new(perfvisor_path())
                .args(["run", "--no-report", "-o"])
                .arg(&trace)
                .args(*flags)
                .arg("--")
                .arg(app.path()))
        })
        .collect();
    // A tmpfs needs room even to read a hole of a mapped file: the user has made some by now.
    run(Command::new("mount").args(["-o", "remount,size=64m"]).arg(&small)).ok();
    let reports: Vec<Outcome> = (0..2)
        .map(|number| perfvisor(&["report", text(&small.join(format!("trace{number}")))]))
        .collect();
    run(Command::new("umount").arg(&small)).ok();
    for watched in outcomes {
        // The program must be unharmed, unless perfvisor refused to start it for want of room.
        if watched.code() == Some(125) {
            assert_eq!(watched.stdout, "", "refused, but ran");
            assert!(watched.stderr.contains("full"), "{watched:?}");
        } else {
            assert_eq!(watched.stdout, native.stdout, "{watched:?}");
            assert_eq!(watched.status, native.status, "{watched:?}");
        }
    }
    let said = reports.iter().map(|report| report.stdout.to_lowercase() + &report.stderr);
    assert!(said.clone().any(|text| text.contains("lost")), "{:#?}", said.collect::<Vec<_>>());
}

#[test]
fn a_full_disk_is_said_once_whatever_the_number_of_processes() {
    // SAFETY: geteuid has no conditions.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not root: a small file system to fill cannot be mounted here");
        return;
    }
    let scratch = Scratch::new("full-disk-once");
    let small = scratch.join("small");
    std::fs::create_dir(&small).expect("mount point");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(&small)).ok();
    let script = "cat /dev/zero >$0/fill 2>/dev/null
        for i in 1 2 3 4 5 6 7 8 9 10; do ls -d /; done";
    let watched = run(Command::new(perfvisor_path())
        .args(["run", "--no-report", "-o"])
        .arg(small.join("trace"))
        .args(["--", "sh", "-c", script])
        .arg(&small));
    run(Command::new("umount").arg(&small)).ok();
    assert_eq!(watched.stdout, "/\n".repeat(10), "{watched:?}");
    let said = watched.stderr.lines().filter(|line| line.contains("recorded:")).count();
    assert_eq!(said, 1, "{watched:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("path in UTF-8")
}
