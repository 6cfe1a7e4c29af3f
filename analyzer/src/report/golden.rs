//! The whole report against files a person has looked at. `PERFVISOR_BLESS=1 cargo test` writes
//! them anew; the difference then belongs into the commit.

use super::names::columns;
use super::{sample, text, TextOptions};
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/golden").join(name)
}

fn check(name: &str, drawn: &str) {
    let path = golden(name);
    if std::env::var_os("PERFVISOR_BLESS").is_some() {
        std::fs::write(&path, drawn).expect("the golden file can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = wanted.lines().zip(drawn.lines()).position(|(want, got)| want != got);
    assert!(
        wanted == drawn,
        "{name} differs from line {:?} on; drawn:\n{drawn}",
        differs.map(|at| at + 1)
    );
}

fn draw(options: &TextOptions) -> String {
    text(&sample::profile(), &sample::findings(), options)
}

#[test]
fn text_at_three_widths_is_as_it_was_looked_at() {
    for width in [80, 120, 200] {
        let drawn = draw(&TextOptions { width, ..TextOptions::default() });
        for line in drawn.lines() {
            assert!(columns(line) <= width, "wider than {width}: {line}");
            assert!(!line.ends_with(' '), "blanks at the end: {line:?}");
        }
        check(&format!("text-{width}.txt"), &drawn);
    }
}

#[test]
fn tree_and_threads_are_as_they_were_looked_at() {
    let options = TextOptions { tree: true, threads: true, ..TextOptions::default() };
    check("text-tree.txt", &draw(&options));
}

#[test]
fn without_colour_no_escape_code_is_written_whatever_the_names_are() {
    assert!(!draw(&TextOptions::default()).contains('\x1b'));
    let colored = draw(&TextOptions { color: true, ..TextOptions::default() });
    assert!(colored.contains("\x1b[1;31m"));
    // The hostile name brings an escape code of its own; only ours may come out.
    assert!(!colored.contains("evil\x1b"));
}

#[test]
fn filters_and_limits_keep_what_was_asked_for() {
    let options = TextOptions {
        group_filter: vec!["compress*".into()],
        api_filter: vec!["pthread_mutex_*".into()],
        top: 1,
        ..TextOptions::default()
    };
    let drawn = draw(&options);
    let calls = drawn.split("LIBRARY CALLS").nth(1).unwrap_or_default();
    let calls = calls.split("FLOW").next().unwrap_or_default();
    assert!(calls.contains("pthread_mutex_lock") && !calls.contains("\n  read"), "{calls}");
    assert!(!calls.contains("pthread_join"), "{calls}");
    let least = TextOptions { min_share: 0.5, ..TextOptions::default() };
    assert!(draw(&least).contains("pthread_join") && !draw(&least).contains("longjmp"));
}

#[test]
fn an_empty_recording_says_why_it_is_empty() {
    let empty = crate::model::Profile::default();
    let drawn = text(&empty, &[], &TextOptions::default());
    assert!(drawn.contains("No process loaded the hook"), "{drawn}");
    let mut filtered = empty;
    filtered.images.push(crate::model::Image::default());
    filtered.coverage.slots_found = 12;
    let drawn = text(&filtered, &[], &TextOptions::default());
    assert!(drawn.contains("none was patched"), "{drawn}");
}

#[test]
fn a_run_of_several_processes_lists_them() {
    let mut profile = sample::profile();
    let mut child = profile.images[0].clone();
    child.pid = 4_300;
    child.name = "gzip".into();
    child.exit_status = Some(2);
    profile.images.push(child);
    let drawn = text(&profile, &[], &TextOptions::default());
    assert!(drawn.contains("in 2 processes"), "{drawn}");
    let section = drawn.split("PROCESSES").nth(1).unwrap_or_default();
    assert!(section.contains("gzip") && section.contains("exit 2"), "{section}");
}
