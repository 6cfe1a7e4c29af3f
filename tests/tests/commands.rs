//! The commands a newcomer types: run with its report, hook-path, report in its forms, dump,
//! doctor, settings from three places.

use e2e::{perfvisor_path, run, Outcome, Perfvisor, Report, Scratch, Testapp};
use std::path::Path;
use std::process::{Command, Stdio};

fn perfvisor(arguments: &[&str]) -> Outcome {
    run(Command::new(perfvisor_path()).args(arguments))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("path in UTF-8")
}

#[test]
fn run_ends_with_a_report_and_keeps_the_trace_beside_it() {
    let scratch = Scratch::new("newcomer");
    let app = Testapp::build("convoy");
    let outcome = run(Command::new(perfvisor_path())
        .args(["run", "--"])
        .arg(app.path())
        .current_dir(scratch.path()));
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("turns 36"), "{outcome:?}");
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    for word in ["hog", "queue", "pthread_mutex_lock", "mutex"] {
        assert!(said.contains(word), "no {word} in {said}");
    }
    let names: Vec<String> = std::fs::read_dir(scratch.path())
        .expect("directory")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let [name] = &names[..] else { panic!("{names:?}") };
    let number = name.strip_prefix("perfvisor-convoy-").unwrap_or_else(|| panic!("{name}"));
    assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    let again = perfvisor(&["report", text(&scratch.join(name))]);
    assert_eq!(again.code(), Some(0), "{again:?}");
    assert!(again.stdout.contains("hog"), "{again:?}");
}

#[test]
fn hook_path_names_a_private_shared_library() {
    let outcome = perfvisor(&["hook-path"]).ok();
    let path = Path::new(outcome.stdout.trim_end());
    let bytes = std::fs::read(path).expect("the library");
    assert_eq!(&bytes[..4], b"\x7fELF");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(path).expect("metadata").permissions(),
    );
    assert_eq!(mode & 0o022, 0, "others may write the library: {mode:o}");
}

#[test]
fn a_page_of_html_needs_no_network() {
    let recording = Perfvisor::testapp("groups").record();
    let scratch = Scratch::new("html");
    let page = scratch.join("report.html");
    let outcome = recording.report_text(&["--html", text(&page)]);
    assert_eq!(outcome.code(), Some(0), "{outcome:?}");
    let page = std::fs::read_to_string(page).expect("page");
    assert!(page.contains("c_worker") && page.contains("pthread_mutex_lock"));
    for outside in ["src=\"http", "href=\"http", "src='http", "@import", "url(http"] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
}

#[test]
fn dump_shows_the_raw_records() {
    let recording = Perfvisor::testapp("nested").record();
    let outcome = perfvisor(&["dump", text(&recording.trace())]).ok();
    for word in ["leaf_add", "libmid.so", "top_call", "qsort"] {
        assert!(outcome.stdout.contains(word), "no {word} in the dump");
    }
}

#[test]
fn a_dump_of_nothing_says_so_and_a_limit_of_0_is_none() {
    let recording = Perfvisor::testapp("nested").record();
    let trace = recording.trace();
    let dump = |flags: &[&str]| perfvisor(&[&["dump", text(&trace)], flags].concat());
    let all = dump(&[]).ok().stdout;
    assert_eq!(dump(&["--limit", "0"]).ok().stdout, all);
    assert_eq!(dump(&["--limit", "2"]).ok().stdout.lines().count(), 2);
    assert!(dump(&["--kind", "process"]).ok().stdout.contains("start_tsc"));
    let stranger = dump(&["--pid", "1"]);
    assert_eq!(stranger.code(), Some(1), "{stranger:?}");
    assert!(stranger.stderr.contains("no process 1\n") && stranger.stderr.contains("it holds "));
    let none = dump(&["--kind", "exec"]).ok();
    assert_eq!(none.stdout, "");
    assert!(none.stderr.contains("no record"), "{none:?}");
}

#[test]
fn a_reader_that_stops_listening_is_no_error() {
    let recording = Perfvisor::testapp("groups").record();
    for command in ["report", "dump"] {
        let mut child = Command::new(perfvisor_path())
            .arg(command)
            .arg(recording.trace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("perfvisor");
        drop(child.stdout.take());
        let outcome = child.wait_with_output().expect("end");
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(!said.contains("panicked"), "{command}: {said}");
    }
}

#[test]
fn flags_win_over_environment_and_that_over_a_file() {
    let scratch = Scratch::new("settings");
    let file = scratch.join("perfvisor.toml");
    std::fs::write(&file, "exact = true\n").expect("settings");
    let app = Testapp::build("micro");
    let recorded = |name: &str, flags: &[&str], environment: &[(&str, &str)]| {
        let trace = scratch.join(name);
        let outcome = run(Command::new(perfvisor_path())
            .args(["run", "--no-report", "-o"])
            .arg(&trace)
            .args(flags)
            .arg("--")
            .arg(app.path())
            .envs(environment.iter().copied()));
        assert_eq!(outcome.code(), Some(0), "{outcome:?}");
        let report = Report::parse(&perfvisor(&["report", "--json", text(&trace)]).ok().stdout);
        report.table("images")[0]["mode"]["exact"] == true
    };
    let config = ["--config", text(&file)];
    assert!(!recorded("none", &[], &[]));
    assert!(recorded("flag", &["--exact"], &[]));
    assert!(recorded("environment", &[], &[("PERFVISOR_EXACT", "1")]));
    assert!(recorded("file", &config, &[]));
    assert!(!recorded("environment-over-file", &config, &[("PERFVISOR_EXACT", "0")]));
}

#[test]
fn filters_choose_components_and_apis() {
    let report = |flags: &[&str]| Perfvisor::testapp("nested").flags(flags).record().report();
    let only = report(&["--include-api", "leaf*"]);
    assert_eq!(only.calls("libmid.so", "leaf"), 40_000);
    assert_eq!(only.calls("nested", "top"), 0);
    let without = report(&["--exclude-component", "libmid.so"]);
    assert_eq!(without.calls("libmid.so", "leaf"), 0);
    assert_eq!(without.calls("nested", "top"), 20_000);
    let named = report(&["--include-component", "libtop.so"]);
    assert_eq!(named.calls("nested", "top"), 20_000);
    assert_eq!(named.calls("nested", "qsort"), 0);
}

#[test]
fn doctor_says_what_would_stop_a_recording() {
    let fine = perfvisor(&["doctor", "--", text(Testapp::build("heap").path())]);
    assert_eq!(fine.code(), Some(0), "{fine:?}");
    let static_app = Testapp::variant("heap", &["-static"]);
    let refused = perfvisor(&["doctor", "--", text(static_app.path())]);
    let said = format!("{}{}", refused.stdout, refused.stderr).to_lowercase();
    assert!(said.contains("static"), "{said}");
    let process = std::process::id().to_string();
    let own = perfvisor(&["doctor", &process]);
    assert_eq!(own.code(), Some(1), "{own:?}");
    assert!(own.stdout.contains("runs without the hook"), "{own:?}");
    assert!(!own.stdout.contains("Recording works here"), "{own:?}");
}

#[test]
fn a_flight_recorder_keeps_the_last_seconds() {
    let recording =
        Perfvisor::testapp("micro").args(&["2000000"]).flags(&["--flight-recorder", "5s"]).record();
    let report = recording.report();
    assert_eq!(report.calls("micro", "leaf"), 2_000_000);
    assert!(report.json["events"]["events"].as_u64() > Some(0), "{}", report.json["events"]);
}

#[test]
fn events_that_found_no_room_are_all_counted_as_lost() {
    let flags = ["--events", "--events-limit", "256KiB"];
    let recording = Perfvisor::testapp("micro").args(&["100000"]).flags(&flags).record();
    let report = recording.report();
    let events = &report.json["events"];
    let kept = events["events"].as_u64().unwrap_or(0);
    let lost = events["lost"].as_u64().unwrap_or(0);
    assert!((8_000..16_400).contains(&kept), "{kept} events in four chunks of 64 KiB");
    let timed = report.json["coverage"]["timed_calls"].as_u64().unwrap_or(0);
    assert!(timed >= 100_000, "{timed}");
    assert_eq!(kept + lost, timed, "each timed call is an event, kept or lost");
    assert_eq!(report.json["losses"]["lost_events"].as_u64(), Some(lost));
}

#[test]
fn a_flight_recorder_keeps_the_newest_events_and_counts_the_others() {
    let flags = ["--flight-recorder", "5s", "--events-limit", "256KiB"];
    let recording = Perfvisor::testapp("micro").args(&["100000"]).flags(&flags).record();
    let report = recording.report();
    let kept = report.json["events"]["events"].as_u64().unwrap_or(0);
    assert!((8_000..16_400).contains(&kept), "{kept} events in four chunks of 64 KiB");
    assert_eq!(report.json["losses"]["lost_events"].as_u64(), Some(0));
    let gone = report.json["losses"]["overwritten_events"].as_u64().unwrap_or(0);
    let timed = report.json["coverage"]["timed_calls"].as_u64().unwrap_or(0);
    assert_eq!(kept + gone, timed);
}

#[test]
fn help_and_version_are_there() {
    for arguments in [&["--help"] as &[&str], &["run", "--help"], &["report", "--help"]] {
        let outcome = perfvisor(arguments).ok();
        assert!(outcome.stdout.contains("Usage"), "{outcome:?}");
    }
    assert!(perfvisor(&["--version"]).ok().stdout.starts_with("perfvisor "));
}
