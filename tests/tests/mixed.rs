//! Functions that are both called and looked at through one slot: the slot keeps its pointer, the
//! calls are changed, and nobody but a debugger sees it.

use e2e::{hook_path, perfvisor_path, program, run, Perfvisor, Report, Scratch, Testapp};
use std::process::Command;

#[test]
fn calls_are_counted_and_addresses_stay_however_it_is_linked() {
    let variants: &[&[&str]] = &[
        &["-Wl,-z,lazy"],
        &["-Wl,-z,now"],
        &["-fno-plt"],
        &["-fcf-protection", "-Wl,-z,ibtplt"],
        &["-Wl,--no-ld-generated-unwind-info"],
    ];
    for flags in variants {
        let app = Testapp::variant("mixed", flags);
        let native = Perfvisor::program(app.path()).native();
        assert!(native.outcome.stdout.contains("table 1, none 1, named 1\nwrong 0 bad 0"));
        for mode in [&[] as &[&str], &["--exact"]] {
            let recording = Perfvisor::program(app.path()).flags(mode).record();
            assert_eq!(recording.outcome.stdout, native.outcome.stdout, "{flags:?} {mode:?}");
            assert_eq!(recording.outcome.code(), Some(0), "{flags:?} {mode:?}");
            let report = recording.report();
            let made = recording.truth.get("calls", "leaf_add");
            assert_eq!(report.calls("mixed", "leaf_add"), made, "{flags:?} {mode:?}");
            for library in ["libmixed.so", "libmixednoplt.so"] {
                let made = recording.truth.get("inner", &format!("{library}:leaf_add"));
                assert_eq!(report.calls(library, "leaf_add"), made, "{library} {flags:?} {mode:?}");
            }
            let made = recording.truth.get("inner-at-least", "libmixedplug.so:leaf_add");
            assert!(report.calls("libmixedplug.so", "leaf_add") >= made, "{flags:?} {mode:?}");
        }
    }
}

#[test]
fn code_stays_as_it_is_when_asked_for() {
    let recording = Perfvisor::testapp("mixed").flags(&["--no-rewrite-calls"]).record();
    assert_eq!(recording.outcome.code(), Some(0), "{:?}", recording.outcome);
    let report = recording.report();
    for caller in ["mixed", "libmixed.so", "libmixednoplt.so", "libmixedplug.so"] {
        assert_eq!(report.calls(caller, "leaf_add"), 0, "{caller}");
    }
    assert_eq!(report.calls("mixed", "mixed_call"), 1000);
    let skips = report.table_of("coverage", "skips");
    assert!(skips.iter().any(|skip| skip["reason"] == "address also used as data"), "{skips:?}");
}

/// Calls of redis-server's linkage entries, by breakpoints. The hook is loaded too, so that the
/// environment, which the server copies, is as large, but leaves the code to the debugger.
fn by_gdb(server: &str, names: &[&str]) -> Vec<u64> {
    let gdb = program("gdb", "gdb");
    let scratch = Scratch::new("redis-gdb");
    let mut script = format!(
        "set pagination off\nset debuginfod enabled off\nset exec-wrapper env -i LD_PRELOAD={} \
         PERFVISOR_OUT={} PERFVISOR_REWRITE_CALLS=0\nstarti\n",
        hook_path().display(),
        scratch.join("trace").display()
    );
    for (index, name) in names.iter().enumerate() {
        let number = index + 1;
        script += &format!("break *'{name}@plt'\nignore {number} 1000000000\n");
    }
    script += "continue\ninfo breakpoints\n";
    std::fs::write(scratch.join("script"), script).expect("script");
    let outcome = run(Command::new(gdb)
        .args(["-nx", "-q", "-batch", "-x"])
        .arg(scratch.join("script"))
        .args(["--args", server, "--version"]));
    let hits: Vec<u64> = outcome
        .stdout
        .lines()
        .filter_map(|line| line.trim().strip_prefix("breakpoint already hit ")?.split(' ').next())
        .map(|hits| hits.parse().expect("number"))
        .collect();
    assert_eq!(hits.len(), names.len(), "{outcome:?}");
    hits
}

#[test]
fn allocations_of_redis_equal_those_a_debugger_counts() {
    let server = program("redis-server", "redis-server");
    let server = server.to_str().expect("path");
    // Its number of free differs from run to run.
    let names = ["malloc", "calloc", "realloc"];
    let oracle = by_gdb(server, &names);
    let scratch = Scratch::new("redis-mixed");
    let trace = scratch.join("trace");
    run(Command::new(server)
        .arg("--version")
        .env_clear()
        .env("LD_PRELOAD", hook_path())
        .env("PERFVISOR_OUT", &trace)
        .env("PERFVISOR_REWRITE_CALLS", "1"))
    .ok();
    let report = run(Command::new(perfvisor_path()).args(["report", "--json"]).arg(&trace)).ok();
    let report = Report::parse(&report.stdout);
    let counted: Vec<u64> = names.iter().map(|name| report.calls("redis-server", name)).collect();
    assert_eq!(counted, oracle, "{names:?}");
    assert!(oracle.iter().all(|&calls| calls > 10), "{oracle:?}");
}
