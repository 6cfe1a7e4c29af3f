//! `perfvisor compare` as CI calls it: what is read, what is said, and the exit codes.

mod place;

use std::process::Output;

use place::Place;

/// Records `runs` of a small program into `name`, each in a directory of its own.
fn record(place: &Place, name: &str, runs: usize, script: &str) {
    for at in 0..runs {
        let directory = format!("{name}/{at}");
        std::fs::create_dir_all(place.join(name)).unwrap();
        let done = place
            .perfvisor()
            .args(["run", "-q", "-o", &directory, "--", "/bin/sh", "-c", script])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

fn compare(place: &Place, arguments: &[&str]) -> Output {
    place.perfvisor().arg("compare").args(arguments).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const FEW: &str = "i=0; while [ $i -lt 20 ]; do [ -e /nosuch/$i ]; i=$((i+1)); done";
const MORE: &str = "i=0; while [ $i -lt 60 ]; do [ -e /nosuch/$i ]; i=$((i+1)); done";

#[test]
fn rules_decide_the_exit_code() {
    let place = Place::new("compare-rules");
    record(&place, "few", 1, FEW);
    record(&place, "more", 1, MORE);
    let (code, text, _) = said(&compare(&place, &["few", "more", "--fail-if", "calls>+1%"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("rule calls>+1% HOLDS at whole program: calls"), "{text}");
    let (code, text, _) = said(&compare(&place, &["few/0", "more", "--fail-if", "calls<+0"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("rule calls<+0 does not hold"), "{text}");
    // The one who reads JSON sees the rules on standard error.
    let json = ["few", "more", "--fail-if", "calls>+1%", "--json"];
    let (code, json, err) = said(&compare(&place, &json));
    assert_eq!(code, Some(1));
    assert!(json.starts_with('{') && json.contains("\"perfvisor.compare/1\""), "{json}");
    assert!(err.contains("perfvisor: rule calls>+1% HOLDS"), "{err}");
}

#[test]
fn what_cannot_be_compared_is_told_from_a_rule_that_holds() {
    let place = Place::new("compare-refusals");
    record(&place, "run", 1, FEW);
    for (arguments, words) in [
        (&["run", "nosuch"][..], "nosuch"),
        (&["run", "run", "--map", "nosuch=malloc"], "no API of A matches nosuch"),
        (&["run", "run", "--api", "nosuch*"], "no API of A or B matches nosuch*"),
        (&["run", "run", "--fail-if", "nosuch:calls>+0"], "finds nothing to compare"),
    ] {
        let (code, _, err) = said(&compare(&place, arguments));
        assert_eq!(code, Some(3), "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
    for arguments in [
        &["run"][..],
        &["run", "run", "run"],
        &["run", "run", "--fail-if", "speed>1"],
        &["run", "run", "--map", "a"],
        &["run", "run", "--alpha", "2"],
    ] {
        let (code, _, err) = said(&compare(&place, arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {err}");
    }
}

#[test]
fn a_recording_does_not_differ_from_itself_and_several_runs_are_found() {
    let place = Place::new("compare-same");
    record(&place, "few", 2, FEW);
    record(&place, "again", 2, FEW);
    let (code, text, _) = said(&compare(&place, &["few/0", "few/0", "--fail-if", "*:p50>+0%"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("No difference is told."), "{text}");
    for arguments in [&["few", "again"][..], &["few/0", "few/1", "--to", "again/0", "again/1"]] {
        let (code, text, _) = said(&compare(&place, arguments));
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("A  2 runs of /bin/sh -c") && text.contains("few/1"), "{text}");
        assert!(text.contains("So few runs") || text.contains("record"), "{text}");
    }
    let page = place.join("page.html");
    let (code, _, err) = said(&compare(&place, &["few", "again", "--html", "page.html"]));
    assert_eq!(code, Some(0), "{err}");
    assert!(std::fs::read_to_string(page).unwrap().contains("<title>perfvisor compare: /bin/sh"));
}
