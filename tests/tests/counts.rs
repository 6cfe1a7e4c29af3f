//! Calls counted = calls made, API by API, in every mode, for every testapp that knows its calls;
//! also when threads and processes end in every way there is.

use e2e::{apps, Mode, Perfvisor, Recording, Report, Testapp};

/// Asserts that the report counts what the testapp says it called.
fn assert_counts(name: &str, recording: &Recording, report: &Report) {
    for (api, made) in recording.truth.of("calls") {
        assert_eq!(report.calls(name, api), made, "{name}: calls of {api}");
    }
    for (inner, made) in recording.truth.of("inner") {
        let (library, api) = inner.split_once(':').expect("library:api");
        assert_eq!(report.calls(library, api), made, "{name}: calls of {api} in {library}");
    }
    for (inner, made) in recording.truth.of("inner-at-least") {
        let (library, api) = inner.split_once(':').expect("library:api");
        let counted = report.calls(library, api);
        assert!(counted >= made, "{name}: {counted} calls of {api} in {library}");
    }
    for (api, made) in recording.truth.of("at-most") {
        let counted = report.calls(name, api);
        assert!(counted <= made, "{name}: {counted} calls of {api}, at most {made} made");
    }
    for (api, made) in recording.truth.of("at-least") {
        let counted = report.calls(name, api);
        assert!(counted >= made, "{name}: {counted} calls of {api}, at least {made} made");
    }
}

fn every_testapp_counts(mode: Mode) {
    apps::check_all(|each| {
        // Its calls run on while it ends: tests below know between which bounds they lie.
        if each.name == "ends" {
            return;
        }
        let recording =
            Perfvisor::testapp(each.name).args(each.arguments).flags(mode.flags()).record();
        assert_eq!(recording.outcome.code(), each.code, "{}: {:?}", each.name, recording.outcome);
        assert_counts(each.name, &recording, &recording.report());
    });
}

#[test]
fn every_testapp_is_counted_by_default() {
    every_testapp_counts(Mode::Default);
}

#[test]
fn every_testapp_is_counted_when_all_is_timed() {
    every_testapp_counts(Mode::Exact);
}

#[test]
fn every_testapp_is_counted_when_all_is_an_event() {
    every_testapp_counts(Mode::Events);
}

#[test]
fn however_a_process_ends_its_calls_are_counted() {
    let ends =
        ["return", "exit", "_exit", "quick_exit", "abort", "segv", "term", "kill", "main_exits"];
    for how in ends {
        for mode in Mode::ALL {
            let recording = Perfvisor::testapp("ends").args(&[how]).flags(mode.flags()).record();
            let counted = recording.report().calls("ends", "leaf");
            let (main, background) = (recording.counters(0), recording.counters(1));
            let bounds = main.1 + background.1..=main.0 + background.0;
            assert!(bounds.contains(&counted), "{how} {mode:?}: {counted} not in {bounds:?}");
        }
    }
}

#[test]
fn bindings_of_every_kind_are_counted() {
    let variants: &[&[&str]] =
        &[&["-Wl,-z,lazy"], &["-Wl,-z,now"], &["-fno-plt"], &["-fno-pie", "-no-pie"]];
    for flags in variants {
        for name in ["micro", "heap", "nested", "ifunc", "versions", "mutex_free"] {
            let app = Testapp::variant(name, flags);
            let recording = Perfvisor::program(app.path()).record();
            assert_counts(name, &recording, &recording.report());
        }
    }
}

#[test]
fn five_thousand_live_threads_are_counted() {
    let recording = Perfvisor::testapp("many_live").record();
    assert_eq!(recording.outcome.stdout, "threads 5000\n", "{:?}", recording.outcome);
    let report = recording.report();
    assert_counts("many_live", &recording, &report);
    let (_, group) = report.group("live");
    assert_eq!(group["threads"].as_array().map(Vec::len), Some(5000));
}

#[test]
fn two_hundred_thousand_short_threads_are_counted() {
    let recording = Perfvisor::testapp("many_short").record();
    assert_eq!(recording.outcome.code(), Some(0), "{:?}", recording.outcome);
    let report = recording.report();
    assert_counts("many_short", &recording, &report);
    let (_, group) = report.group("brief");
    assert_eq!(group["threads"].as_array().map(Vec::len), Some(200_000));
    let files = std::fs::read_dir(recording.trace()).expect("trace").flatten();
    let segments: usize = files
        .filter(|entry| entry.path().is_dir())
        .map(|entry| std::fs::read_dir(entry.path()).map_or(0, Iterator::count))
        .sum();
    assert!(segments < 2000, "{segments} files: ended threads are not folded");
}

#[test]
fn calls_to_itself_are_counted_only_when_asked_for() {
    let without = Perfvisor::testapp("self_calls").record().report();
    assert_eq!(without.calls("libself.so", "self_inner"), 0);
    let recording = Perfvisor::testapp("self_calls").flags(&["--self-calls"]).record();
    let with = recording.report();
    let made = recording.truth.get("self", "libself.so:self_inner");
    assert_eq!(with.calls("libself.so", "self_inner"), made);
    assert_eq!(with.calls("self_calls", "self_outer"), 10_000);
}

#[test]
fn the_numbers_of_events_and_of_calls_agree() {
    let recording = Perfvisor::testapp("nested").flags(Mode::Events.flags()).record();
    let report = recording.report();
    let events = report.table_of("events", "rows");
    let mut compared = 0;
    for (api, made) in recording.truth.of("calls") {
        let of_api: u64 = events
            .iter()
            .filter(|row| {
                let site = report.row("sites", &row["site"]).expect("site of an event row");
                report.component(&site["caller"]) == "nested" && report.symbol(&site["api"]) == api
            })
            .map(|row| row["count"].as_u64().expect("count"))
            .sum();
        assert_eq!(of_api, made, "events of {api}");
        compared += 1;
    }
    assert!(compared >= 5);
}
