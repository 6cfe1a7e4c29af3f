//! Counts equal those of an independent tool, API by API, on real programs: callgrind simulates
//! every instruction and counts every call between functions, without touching any GOT slot.

use e2e::{program, run, Perfvisor, Scratch};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const SQL: &str = "
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
INSERT INTO t SELECT i, 'text ' || i FROM n;
SELECT * FROM t WHERE b LIKE '%7%';
SELECT count(*) FROM t;
";

/// Calls counted, by name of the called function.
type Calls = BTreeMap<String, u64>;

/// Resolves callgrind's compressed names: `(12) name` defines, `(12)` refers.
fn name_of<'a>(names: &mut BTreeMap<String, &'a str>, text: &'a str) -> &'a str {
    match text.split_once(' ') {
        Some((number, name)) => {
            names.insert(number.into(), name);
            name
        }
        None => names.get(text).copied().unwrap_or("?"),
    }
}

/// Calls made by functions of object `caller` into other objects, from a callgrind file.
fn calls_out_of(caller: &str, callgrind: &str) -> Calls {
    let (mut objects, mut functions) = (BTreeMap::new(), BTreeMap::new());
    let (mut object, mut callee_object, mut callee) = ("", None, "");
    let mut calls = Calls::new();
    for line in callgrind.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        match key {
            "ob" => object = name_of(&mut objects, value),
            "fn" => {
                name_of(&mut functions, value);
            }
            "cob" => callee_object = Some(name_of(&mut objects, value)),
            "cfn" => callee = name_of(&mut functions, value),
            "calls" => {
                // Without a `cob` line the callee is in the caller's own object.
                let target = callee_object.take().unwrap_or(object);
                if is_file(object, caller) && target != object {
                    let count = value.split(' ').next().expect("count").parse::<u64>();
                    // Recursion is shown as NAME'2; it is the same function.
                    let name = callee.split('\'').next().expect("name");
                    *calls.entry(name.into()).or_default() += count.expect("number");
                }
            }
            _ => {}
        }
    }
    calls
}

fn is_file(path: &str, name: &str) -> bool {
    Path::new(path).file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
}

fn by_callgrind(program: &Path, arguments: &[&str], caller: &str) -> Calls {
    let scratch = Scratch::new("callgrind");
    let file = scratch.join("out");
    let valgrind = e2e::program("valgrind", "valgrind");
    run(Command::new(valgrind)
        .args(["--tool=callgrind", "-q", "--dump-line=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(arguments)
        // Else the loader stands between caller and callee at each first call.
        .env("LD_BIND_NOW", "1"));
    calls_out_of(caller, &std::fs::read_to_string(&file).expect("callgrind's file"))
}

/// Calls of the same component as the report counts them.
fn by_perfvisor(program: &Path, arguments: &[&str], caller: &str, flags: &[&str]) -> Calls {
    let recording =
        Perfvisor::program(program).args(arguments).flags(flags).env("LD_BIND_NOW", "1").record();
    let report = recording.report();
    let mut calls = Calls::new();
    for site in report.table("sites") {
        if report.component(&site["caller"]).starts_with(caller) {
            let symbol = report.symbol(&site["api"]).to_owned();
            *calls.entry(symbol).or_default() += site["count"].as_u64().expect("count");
        }
    }
    calls
}

/// Compares where both know an API by the same name (an indirect function such as strlen is
/// known to callgrind by the body that was chosen, and valgrind's own malloc by another).
fn assert_agree(program: &Path, arguments: &[&str], caller: &str, at_least: usize) {
    let oracle = by_callgrind(program, arguments, caller);
    for flags in [&[] as &[&str], &["--exact"]] {
        let counted = by_perfvisor(program, arguments, caller, flags);
        let mut wrong = Vec::new();
        let mut compared = 0;
        for (api, made) in &oracle {
            let Some(have) = counted.get(api) else { continue };
            compared += 1;
            if have != made {
                wrong.push(format!("{api}: {made} made, {have} counted"));
            }
        }
        assert!(wrong.is_empty(), "{caller} {flags:?}: {wrong:#?}");
        assert!(compared >= at_least, "only {compared} APIs in common: {oracle:?} and {counted:?}");
    }
}

#[test]
fn calls_of_sqlite3_equal_those_of_callgrind() {
    let sqlite = program("sqlite3", "sqlite3");
    assert_agree(&sqlite, &[":memory:", SQL], "sqlite3", 30);
}

#[test]
fn calls_of_libsqlite3_equal_those_of_callgrind() {
    let sqlite = program("sqlite3", "sqlite3");
    assert_agree(&sqlite, &[":memory:", SQL], "libsqlite3", 4);
}

#[test]
fn calls_of_xz_equal_those_of_callgrind() {
    let xz = program("xz", "xz-utils");
    let scratch = Scratch::new("xz-oracle");
    let data = scratch.join("data");
    std::fs::write(&data, "some text to press together ".repeat(2000)).expect("data");
    let data = data.to_str().expect("path");
    assert_agree(&xz, &["-1", "-k", "-c", data], "xz", 10);
}

#[test]
fn the_oracle_itself_counts_what_a_testapp_calls() {
    let app = e2e::Testapp::build("nested");
    let truth = Perfvisor::program(app.path()).native().truth;
    let counted = by_callgrind(app.path(), &[], "nested");
    for api in ["top", "top_call", "leaf_add", "qsort", "bsearch"] {
        assert_eq!(counted.get(api), Some(&truth.get("calls", api)), "{counted:?}");
    }
}
