//! Thread groups, stragglers, locks and their holders, on programs that know the answers.

use e2e::{program, Perfvisor, Report};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// Entry of the wait table for the object at `address`.
fn wait_object(report: &Report, address: u64) -> &Value {
    report
        .table("wait_objects")
        .iter()
        .find(|object| Report::address(&object["object"]) == address)
        .unwrap_or_else(|| panic!("nobody waited for {address:#x}"))
}

/// Findings of a kind, as text.
fn findings_of(report: &Report, kind: &str) -> Vec<String> {
    let all = report.findings().iter().filter(|finding| finding["kind"] == kind);
    all.map(|finding| format!("{} {}", finding["title"], finding["text"])).collect()
}

#[test]
fn groups_of_c_cpp_and_rust_threads_are_told_apart() {
    let report = Perfvisor::testapp("groups").record().report();
    let members = |part: &str| report.group(part).1["threads"].as_array().map_or(0, Vec::len);
    assert_eq!(members("c_worker"), 4);
    assert_eq!(members("lock_holder"), 1);
    assert_eq!(members("lock_client"), 3);
    assert_eq!(members("cxx_function"), 2);
    assert_eq!(members("Worker::cxx_member"), 2);
    assert_eq!(members("lambda"), 2);
    assert_eq!(members("rust_worker"), 3);
}

#[test]
fn the_straggler_is_named() {
    let recording = Perfvisor::testapp("groups").record();
    let report = recording.report();
    let (_, group) = report.group("c_worker");
    let straggler = report.row("threads", &group["straggler"]).expect("a straggler");
    assert_eq!(straggler["tid"].as_u64(), Some(recording.truth.get("straggler", "c_worker")));
    // One works eight times as long as three others: 8 / (11 / 4).
    let over_mean = number(&group["max_over_mean"]);
    assert!((1.5..=3.5).contains(&over_mean), "max over mean {over_mean}");
    let named = findings_of(&report, "imbalance");
    assert!(named.iter().any(|text| text.contains("c_worker")), "{named:?}");
}

#[test]
fn the_lock_of_a_convoy_and_its_holder_are_named() {
    for name in ["groups", "convoy"] {
        let recording = Perfvisor::testapp(name).record();
        let report = recording.report();
        let lock = wait_object(&report, recording.truth.get("lock", "convoy"));
        assert_eq!(lock["kind"], "mutex", "{name}");
        let (_, holder) = recording.truth.of("holder").next().expect("truth of the holder");
        assert_eq!(lock["holders"][0]["tid"].as_u64(), Some(holder), "{name}: {lock}");
        // Three clients wait for most of each of ten or more holds of 15 ms or more.
        assert!(number(&lock["wait_ns"]) > 0.5 * 3.0 * 10.0 * 15e6, "{name}: {}", lock["wait_ns"]);
        let named = findings_of(&report, "lock_contention");
        assert!(!named.is_empty(), "{name}: no finding names the lock");
    }
}

#[test]
fn waits_are_told_by_kind() {
    let cases = [
        ("rwlock", "rwlock", 30e6),
        ("cond", "condition", 15e6),
        ("semaphore", "semaphore", 10e6),
        ("barrier", "barrier", 100e6),
        ("join", "join", 20e6),
    ];
    for (app, kind, at_least) in cases {
        let report = Perfvisor::testapp(app).record().report();
        let waited: f64 = report
            .table("wait_objects")
            .iter()
            .filter(|object| object["kind"].as_str().is_some_and(|have| have.starts_with(kind)))
            .map(|object| number(&object["wait_ns"]))
            .sum();
        assert!(waited >= at_least, "{app}: waited {waited} ns for {kind}");
    }
}

#[test]
fn a_mutex_nobody_wants_is_counted_but_waits_for_nothing() {
    let report = Perfvisor::testapp("mutex_free").record().report();
    assert_eq!(report.calls("mutex_free", "pthread_mutex_lock"), 300_000);
    let waited: f64 = report
        .table("wait_objects")
        .iter()
        .filter(|object| object["kind"] == "mutex")
        .map(|object| number(&object["wait_ns"]))
        .sum();
    let wall = number(&report.json["run"]["wall_ns"]);
    assert!(waited < 0.05 * wall, "{waited} ns waited of {wall}");
}

#[test]
fn call_paths_through_three_libraries_are_kept() {
    let recording = Perfvisor::testapp("nested").flags(&["--exact"]).record();
    let report = recording.report();
    let nodes = report.table("call_nodes");
    let symbol = |node: &Value| report.symbol(&node["api"]).to_owned();
    let path = |node: &Value| {
        let mut path = vec![symbol(node)];
        let mut parent = report.row("call_nodes", &node["parent"]);
        while let Some(above) = parent {
            path.push(symbol(above));
            parent = report.row("call_nodes", &above["parent"]);
        }
        path.reverse();
        path.join(" → ")
    };
    for (want, made) in
        [("top → mid → leaf_add", 40_000), ("top_call → mid_call → leaf_add", 20_000)]
    {
        let found = nodes.iter().find(|node| path(node) == want);
        let node = found.unwrap_or_else(|| panic!("no call path {want}"));
        assert_eq!(node["count"].as_u64(), Some(made), "{want}");
        assert_eq!(node["scaled"], false, "{want}");
    }
    assert!(nodes.iter().any(|node| path(node) == "qsort → leaf_add"), "no path through qsort");
}

#[test]
fn names_of_threads_are_kept() {
    let report = Perfvisor::testapp("rust_main").record().report();
    for number in 0..4 {
        let name = format!("worker-{number}");
        assert!(report.table("threads").iter().any(|thread| thread["name"] == name.as_str()));
    }
}

/// Locks of Rust's standard library, and of many others, wait in futex(2) by way of syscall().
#[test]
fn waits_of_rust_threads_for_their_lock_are_waits() {
    let recording = Perfvisor::testapp("rust_convoy").record();
    let report = recording.report();
    let waited_ns = recording.truth.get("waited_ms", "clients") as f64 * 1e6;
    assert!(waited_ns > 50e6, "the clients hardly waited: {waited_ns} ns");
    let futexes: Vec<_> =
        report.table("wait_objects").iter().filter(|object| object["kind"] == "futex").collect();
    let longest = futexes.iter().map(|object| number(&object["wait_ns"])).fold(0.0, f64::max);
    assert!((0.7..=1.1).contains(&(longest / waited_ns)), "{longest} of {waited_ns}: {futexes:?}");
    // The compiler loads the address of clock_nanosleep ahead of the loop.
    let sleeper = report
        .table("groups")
        .iter()
        .find(|group| group["wait_by_kind_ns"]["sleep"] != Value::Null);
    let holder = sleeper.expect("the group of the thread that sleeps");
    let (wait, exec) = (number(&holder["wait_ns"]), number(&holder["exec_ns"]));
    assert!(wait > 80e6 && exec < 0.2 * wait, "slept {wait} ns, executed {exec} ns");
}

#[test]
fn a_thread_that_has_ended_is_not_met_again() {
    let recording = Perfvisor::testapp("nonpie_threads").record();
    let report = recording.report();
    let groups = report.table("groups");
    let names: Vec<_> = groups.iter().map(|group| &group["name"]).collect();
    assert_eq!(report.table("threads").len(), 1001, "{names:?}");
    let (_, group) = report.group("brief");
    assert_eq!(group["threads"].as_array().map(Vec::len), Some(1000), "{names:?}");
}

#[test]
fn no_thread_used_more_cpu_time_than_it_lived() {
    let recording = Perfvisor::testapp("cpu_time").record();
    let report = recording.report();
    let threads = report.table("threads");
    assert_eq!(threads.len(), 9);
    let cpu = |thread: &Value| number(&thread["user_ns"]) + number(&thread["system_ns"]);
    for thread in threads {
        // Two clocks, read one after the other.
        let lived = number(&thread["lifetime_ns"]) + 200e3;
        assert!(cpu(thread) <= lived, "{} ns of CPU in {lived} ns: {thread}", cpu(thread));
    }
    let main = threads.iter().find(|thread| thread["origin"] == "main").expect("a first thread");
    let used = recording.truth.get("used", "main") as f64;
    assert!((used..used + 40e6).contains(&cpu(main)), "{} of {used} ns", cpu(main));
    // Eight threads share two or more processors for 25 ms: none of them has nothing.
    let others = threads.iter().filter(|thread| thread["origin"] == "created");
    assert!(
        others.map(cpu).all(|ns| ns > 0.0 && ns % 10e6 != 0.0),
        "counted in ticks: {threads:?}"
    );
}

#[test]
fn the_cpu_time_of_a_program_is_not_counted_again_after_an_exec() {
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exec sleep 0.01";
    let report = Perfvisor::program(&program("sh", "dash")).args(&["-c", script]).record().report();
    let cpu = |image: &Value| number(&image["user_ns"]) + number(&image["system_ns"]);
    let cpu: Vec<f64> = report.table("images").iter().map(cpu).collect();
    assert!(cpu.len() == 2 && cpu[0] > 20e6, "{cpu:?}");
    assert!(cpu[1] < 0.5 * cpu[0], "{cpu:?}");
}
