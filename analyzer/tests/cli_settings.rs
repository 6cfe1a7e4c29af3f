//! Settings reach the program: file < environment < flags; what is unknown is refused.

mod place;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use place::Place;

fn run(place: &Place, flags: &[&str]) -> Command {
    let mut command = place.perfvisor();
    let trace = format!("trace{}", flags.len());
    command.args(["run", "-q", "--no-report", "-o", &trace]).args(flags).args(["--", "env"]);
    command
}

/// What the program saw of `name`.
fn seen(output: &Output, name: &str) -> Option<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

#[test]
fn flags_win_over_environment_and_that_over_the_file() {
    let place = Place::new("precedence");
    fs::create_dir_all(place.join("config/perfvisor")).unwrap();
    fs::write(place.join("config/perfvisor/config.toml"), "max-gap = 16\nexact = true\n").unwrap();
    let gap = |output: &Output| seen(output, "PERFVISOR_MAX_GAP");
    let file = run(&place, &[]).output().unwrap();
    assert_eq!(gap(&file).as_deref(), Some("16"));
    assert_eq!(seen(&file, "PERFVISOR_EXACT").as_deref(), Some("1"));
    let environment = run(&place, &["--exact=no"]).env("PERFVISOR_MAX_GAP", "32").output().unwrap();
    assert_eq!(gap(&environment).as_deref(), Some("32"));
    assert_eq!(seen(&environment, "PERFVISOR_EXACT"), None);
    let mut flags = run(&place, &["--max-gap", "64"]);
    let flags = flags.env("PERFVISOR_MAX_GAP", "32").output().unwrap();
    assert_eq!(gap(&flags).as_deref(), Some("64"));
    let trace = seen(&flags, "PERFVISOR_OUT").unwrap();
    assert_eq!(fs::canonicalize(trace).unwrap(), fs::canonicalize(place.join("trace2")).unwrap());
}

#[test]
fn a_file_with_mistakes_is_refused_by_line() {
    let place = Place::new("bad-file");
    fs::write(place.join("mine.toml"), "exact = true\nslow_calls = 3\n").unwrap();
    let output = run(&place, &["--config", "mine.toml"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("mine.toml:2: unknown key `slow_calls`"), "{said}");
    assert!(said.contains("did you mean `slow-calls`?"), "{said}");
    let missing = run(&place, &["--config", "none.toml"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(125));
}

#[test]
fn a_wrong_variable_is_refused_and_an_unknown_one_is_told() {
    let place = Place::new("bad-variable");
    let output = run(&place, &[]).env("PERFVISOR_EVENTS_LIMIT", "lots").output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("PERFVISOR_EVENTS_LIMIT"));
    let mut command = place.perfvisor();
    command.args(["run", "--no-report", "true"]).env("PERFVISOR_EXAKT", "1");
    let output = command.output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("PERFVISOR_EXAKT"));
}

#[test]
fn the_library_is_unpacked_privately_and_found_again_without_a_home() {
    let place = Place::new("library");
    let path = |command: &mut Command| {
        let output = command.arg("hook-path").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let cached = path(place.perfvisor().env("XDG_CACHE_HOME", place.join("cache")));
    assert!(cached.starts_with(place.join("cache/perfvisor").to_str().unwrap()), "{cached}");
    assert!(fs::read(&cached).unwrap().starts_with(b"\x7fELF"));
    let mode = fs::metadata(place.join("cache/perfvisor")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    fs::write(place.join("file"), "").unwrap();
    let blocked = place.join("file/home");
    let mut elsewhere = place.perfvisor();
    elsewhere.env("XDG_CACHE_HOME", &blocked).env("HOME", &blocked);
    assert!(path(&mut elsewhere).starts_with("/tmp/perfvisor-"));
}

#[test]
fn doctor_grades_a_program_and_speaks_json() {
    let place = Place::new("doctor");
    let doctor =
        |arguments: &[&str]| place.perfvisor().arg("doctor").args(arguments).output().unwrap();
    let good = doctor(&["--json", "--", "sh"]);
    let report: serde_json::Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["ok"], good.status.success());
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["topic"] == "program" && check["level"] == "ok"));
    let bad = doctor(&["--", "no-such-command"]);
    assert_eq!(bad.status.code(), Some(1));
    let text = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert!(text.contains("fail  program") && !text.contains('\x1b'), "{text}");
}

#[test]
fn completions_and_manual_name_every_command() {
    let place = Place::new("generated");
    for line in [&["completions", "bash"][..], &["completions", "zsh"], &["man"]] {
        let output = place.perfvisor().args(line).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for command in ["run", "report", "dump", "doctor"] {
            assert!(text.contains(command), "{line:?} does not name {command}");
        }
        assert!(text.contains("slow") && text.contains("flight"), "{line:?} lacks settings");
    }
}

#[test]
fn manual_pages_refer_only_to_what_is_there() {
    let place = Place::new("manual");
    let man = |line: &[&str]| {
        let output = place.perfvisor().arg("man").args(line).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().replace("\\-", "-")
    };
    let whole = man(&[]);
    assert!(!whole.contains("(1)"), "a reference to another page: {whole}");
    assert_eq!(whole.matches(".SH SYNOPSIS").count(), 1);
    for text in ["perfvisor run", "[OPTIONS] <CMD>...", "125  Perfvisor could not record"] {
        assert!(whole.contains(text), "no {text:?} in {whole}");
    }
    let run = man(&["run"]);
    assert!(run.contains(".TH perfvisor-run 1") && run.contains("flight"), "{run}");
    assert!(run.contains("[OPTIONS] <CMD>..."), "{run}");
    let wrong = place.perfvisor().args(["man", "nothing"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
