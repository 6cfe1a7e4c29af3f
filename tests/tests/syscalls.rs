//! System calls recorded = system calls made: by API, errno, bytes, object and futex, on testapps
//! that know theirs; and through signals, cancellation, filters and children.

use e2e::syscalls::{differences, misplaced};
use e2e::{apps, run, Mode, Perfvisor, Recording};
use std::process::Command;

/// Testapps whose numbers of calls and whose APIs are known to the last call.
const KNOWN: &[(&str, &[&str])] = &[
    ("known", &[]),
    ("buffered", &["1"]),
    ("buffered", &["4"]),
    ("errors", &[]),
    ("kinds", &[]),
    ("futexes", &[]),
    ("restarts", &[]),
    ("jump_out", &[]),
    ("cancel_read", &[]),
    ("strict", &[]),
    ("registers", &[]),
    ("errno_syscalls", &[]),
    ("loops", &["both", "20000"]),
];

/// Records a testapp that must find no fault with its own results.
fn recorded(name: &str, arguments: &[&str], flags: &[&str]) -> Recording {
    let recording = Perfvisor::testapp(name).args(arguments).flags(flags).record();
    assert_eq!(recording.outcome.code(), Some(0), "{name} {flags:?}: {:?}", recording.outcome);
    assert!(
        apps::ALL.iter().any(|app| app.name == name && app.arguments == arguments),
        "{name} {arguments:?} is not compared with its native run"
    );
    recording
}

/// Asserts what holds in every mode, and that at most `share` of the calls stand below another API
/// than theirs.
fn assert_truth(recording: &Recording, what: &str, share: f64) {
    let truth = &recording.truth;
    let found = differences(recording);
    assert!(found.is_empty(), "{what}: {found:#?}");
    let (wrong, all, found) = misplaced(truth, recording);
    assert!(wrong as f64 <= share * all as f64, "{what}: {wrong} of {all}: {found:#?}");
    let calls = recording.syscalls(&[]);
    for (key, most) in truth.of("syscall-at-most") {
        let (api, name) = key.split_once(':').expect("api:name");
        let have = calls.inside(api, name).count;
        assert!(have <= most, "{what}: {key}: {have}, at most {most}");
    }
    for (key, least) in truth.of("syscall-at-least") {
        let (api, name) = key.split_once(':').expect("api:name");
        let have = calls.inside(api, name).count;
        assert!(have >= least, "{what}: {key}: {have}, at least {least}");
    }
}

fn every_known(mode: Mode, share: f64) {
    for (name, arguments) in KNOWN {
        let recording = recorded(name, arguments, mode.flags());
        assert_truth(&recording, &format!("{name} {arguments:?} {mode:?}"), share);
    }
}

#[test]
fn system_calls_are_those_made_by_default() {
    every_known(Mode::Default, 0.01);
}

#[test]
fn system_calls_are_those_made_when_every_call_is_timed() {
    every_known(Mode::Exact, 0.0);
}

#[test]
fn system_calls_are_those_made_when_every_call_is_an_event() {
    every_known(Mode::Events, 0.0);
}

/// The sum over all APIs has no share to be wrong in: a call below the wrong API is still a call.
#[test]
fn no_call_is_lost_where_its_api_is_only_counted() {
    for threads in ["1", "4"] {
        let recording = recorded("buffered", &[threads], &[]);
        let (report, calls) = (recording.report(), recording.syscalls(&[]));
        let made = |key| recording.truth.get("syscall", key);
        let writes = made("buffered_put:write") + made("write:write");
        // Beyond those the program writes its one line of output, and its truth.
        assert_eq!(calls.all("write").count, writes + 1 + recording.truth.lines(), "{threads}");
        assert_eq!(calls.all("getppid").count, made("buffered_tick:getppid"), "{threads}");
        // Else this test would not show what it is for: most calls were not timed.
        let put = report.sites_of("buffered", "buffered_put").next().expect("a site");
        let (timed, count) = (put["timed"].as_u64(), put["count"].as_u64());
        assert!(timed < count.map(|count| count / 2), "{timed:?} of {count:?} timed");
    }
}

#[test]
fn children_record_theirs() {
    let recording = recorded("family", &[], &[]);
    let images = recording.report().table("images").len();
    assert_eq!(images, 1 + 6 + 5 + 4, "parent, forks, vforks, spawns");
    let calls = recording.syscalls(&[]);
    for key in ["getppid:getppid", "waitpid:wait4"] {
        let (api, name) = key.split_once(':').expect("api:name");
        let have = calls.inside(api, name).count;
        assert_eq!(have, recording.truth.get("syscall", key), "{key}");
    }
    // What the child of vfork does before it is another program may be its parent's, or nobody's.
    let have = calls.inside("known_mov", "getppid").count;
    let key = "known_mov:getppid";
    let (least, more) =
        (recording.truth.get("syscall", key), recording.truth.get("syscall-at-most", key));
    assert!((least..=more).contains(&have), "{have}: {least} to {more} made");
}

/// A handler's calls may come while the recorder is at work, and then belong to no thread; but none
/// is lost.
#[test]
fn calls_of_handlers_are_counted() {
    for mode in Mode::ALL {
        let recording = recorded("storm", &[], mode.flags());
        let (truth, calls) = (&recording.truth, recording.syscalls(&[]));
        let getppid = truth.get("syscall", "known_mov:getppid") * 2;
        // The program itself asks once, by its own instruction.
        assert_eq!(calls.all("getppid").count, getppid + 1, "{mode:?}");
        // Each line of the truth is a file that is closed, and so is one of the program's own.
        let closed = truth.get("syscall", "close:close") + truth.lines();
        assert_eq!(calls.all("close").count, closed, "{mode:?}");
        for (key, made) in truth.of("syscall") {
            let (api, name) = key.split_once(':').expect("api:name");
            let (inside, unplaced) = (calls.inside(api, name).count, calls.unplaced(name));
            let away = made.abs_diff(inside).saturating_sub(unplaced);
            let share = if mode == Mode::Default { made / 100 } else { 0 };
            assert!(away <= share, "{mode:?} {key}: {inside} and {unplaced} elsewhere of {made}");
        }
        for (key, made) in truth.of("errno") {
            let (name, errno) = key.split_once(':').expect("name:errno");
            let have = calls.all(name).errnos.get(errno).copied().unwrap_or(0);
            assert!(
                have <= made && have + calls.unplaced(name) >= made,
                "{mode:?} {key}: {have} of {made}"
            );
        }
    }
}

/// Code is changed while eight threads run through it: nothing they do goes wrong, and what they do
/// afterwards is recorded.
#[test]
fn threads_run_hot_while_the_hook_is_loaded() {
    for round in 0..8 {
        let recording = Perfvisor::testapp("late_hook").record_by_dlopen();
        assert_eq!(recording.outcome.code(), Some(0), "{round}: {:?}", recording.outcome);
        assert_eq!(recording.outcome.stdout, "wrong 0\n", "{round}: {:?}", recording.outcome);
        let calls = recording.syscalls(&[]);
        for (name, least) in recording.truth.of("after") {
            let seen = calls.all(name).count;
            // Beyond its threads' calls the program opens, prints and ends.
            let most = recording.truth.get("all", name) + 100;
            assert!(seen >= least && seen <= most, "{round} {name}: {seen}, {least} to {most}");
        }
    }
}

/// Signals, cancellation, filters and registers are chances: a single run that went well says
/// little.
#[test]
fn nothing_goes_wrong_in_many_runs() {
    for name in ["storm", "restarts", "jump_out", "cancel_read", "strict", "registers"] {
        let native = Perfvisor::testapp(name).native().outcome;
        for round in 0..5 {
            for mode in [Mode::Default, Mode::Exact] {
                let watched = Perfvisor::testapp(name).flags(mode.flags()).record().outcome;
                assert_eq!(native, watched, "{name} {mode:?} {round}");
            }
        }
    }
}

/// Records `known` by a preload, where every setting is a variable of the environment.
fn known_with(variable: &str, value: &str) -> Recording {
    let recording = Perfvisor::testapp("known").env(variable, value).record_by_preload();
    assert_eq!(recording.outcome.code(), Some(0), "{variable}: {:?}", recording.outcome);
    recording
}

#[test]
fn system_calls_alone_and_apis_alone() {
    let alone = known_with("PERFVISOR_ONLY", "syscalls");
    assert_eq!(alone.report().calls("known", "outer_save"), 0, "APIs were not asked for");
    let made = alone.truth.of("syscall").filter(|(key, _)| key.ends_with(":getppid"));
    let getppid: u64 = made.map(|(_, made)| made).sum();
    // The program itself asks once, by its own instruction.
    assert_eq!(alone.syscalls(&[]).all("getppid").count, getppid + 1);
    let apis = known_with("PERFVISOR_ONLY", "apis");
    assert!(apis.report().calls("known", "outer_save") > 0);
    let mut command = Command::new(e2e::perfvisor_path());
    let outcome = run(command.arg("syscalls").arg(apis.trace()));
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("no system calls"), "{outcome:?}");
}

#[test]
fn the_audit_sees_what_is_not_led_to_us_and_changes_nothing_else() {
    let without = known_with("PERFVISOR_SYSCALL_COMPONENT", "!libknown.so");
    let of_library = without.truth.get("syscall", "known_mov:getppid");
    let made: u64 = without.truth.of("syscall").map(|(_, made)| made).sum();
    let missed = |recording: &Recording| -> u64 {
        let rows = recording.syscalls(&[]);
        let counts = rows.table("outside").iter().map(|row| row["missed"].as_u64().unwrap_or(0));
        counts.sum()
    };
    assert_eq!(missed(&without), 0, "nobody looked");
    let audited = Perfvisor::testapp("known")
        .env("PERFVISOR_SYSCALL_COMPONENT", "!libknown.so")
        .env("PERFVISOR_SYSCALL_AUDIT", "1")
        .record_by_preload();
    assert_eq!(audited.outcome.code(), Some(0), "{:?}", audited.outcome);
    assert_eq!(audited.outcome.stdout, without.outcome.stdout);
    let count = missed(&audited);
    assert!((of_library..made).contains(&count), "{count} of {made}");
    // What the audit sees is recorded like all else.
    let inside = audited.syscalls(&[]).inside("known_mov", "getppid").count;
    assert_eq!(inside, audited.truth.get("syscall", "known_mov:getppid"));
}

#[test]
fn a_filter_for_one_component_leaves_the_others_alone() {
    let recording = known_with("PERFVISOR_SYSCALL_COMPONENT", "!libknown.so");
    let calls = recording.syscalls(&[]);
    // Calls of the library's own instructions are in no row; those it makes through the C library
    // still are.
    assert_eq!(calls.all("getuid").count, 1, "the program's own");
    assert_eq!(calls.inside("write", "write").count, recording.truth.get("syscall", "write:write"));
    let left = calls.table("coverage").iter().find(|row| row["component_name"] == "libknown.so");
    assert_eq!(left.expect("the library")["patched"], 0);
}

#[test]
fn coverage_says_which_instructions_are_seen() {
    let recording = recorded("known", &[], &[]);
    let calls = recording.syscalls(&[]);
    let rows = calls.table("coverage");
    let of = |name: &str| {
        rows.iter()
            .find(|row| row["component_name"].as_str().is_some_and(|have| have.starts_with(name)))
            .unwrap_or_else(|| panic!("no coverage of {name}: {rows:?}"))
    };
    let objdump = e2e::program("objdump", "binutils");
    for (name, path) in [
        ("libknown.so", e2e::Testapp::build("known").path().with_file_name("libknown.so")),
        ("libc.so", "/lib/x86_64-linux-gnu/libc.so.6".into()),
    ] {
        let code = run(Command::new(&objdump).args(["-d", "--no-show-raw-insn"]).arg(path)).ok();
        let wanted = code.stdout.lines().filter(|line| line.ends_with("\tsyscall")).count() as u64;
        let (found, patched) = (of(name)["found"].as_u64(), of(name)["patched"].as_u64());
        // A disassembler that goes straight through the sections may miss or invent a few.
        let found = found.expect("found");
        assert!(found.abs_diff(wanted) * 100 <= wanted, "{name}: {found}, objdump {wanted}");
        assert!(patched.expect("patched") * 100 >= found * 95, "{name}: {patched:?} of {found}");
    }
}
