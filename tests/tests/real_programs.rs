//! Real programs behave the same when they are watched: same output, same exit status.

use e2e::{program, run, Mode, Outcome, Perfvisor, Recording, Scratch};
use std::path::Path;
use std::process::Command;

const SQL: &str = "
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO item SELECT i, 'name ' || (i * 7919 % 20011), i * 0.25 FROM n;
COMMIT;
CREATE INDEX item_name ON item(name);
SELECT count(*), sum(price), min(name), max(name) FROM item;
SELECT id, name FROM item WHERE name LIKE 'name 19%9' ORDER BY name LIMIT 20;
SELECT no_such_column FROM item;
";

const PYTHON_THREADS: &str = "
import threading, queue, hashlib, json, sys
work, done = queue.Queue(), []
def worker():
    while (item := work.get()) is not None:
        digest = hashlib.sha256(json.dumps(list(range(item))).encode()).hexdigest()
        done.append((item, digest))
threads = [threading.Thread(target=worker) for _ in range(4)]
for thread in threads: thread.start()
for item in range(200): work.put(item)
for _ in threads: work.put(None)
for thread in threads: thread.join()
print(len(done), sorted(done)[-1])
try:
    open('/no/such/file')
except OSError as error:
    print(error, file=sys.stderr)
sys.exit(3)
";

const PYTHON_CHILDREN: &str = "
import subprocess, multiprocessing, os
print(subprocess.run(['sh', '-c', 'echo out; echo err >&2; exit 4'], capture_output=True))
print(subprocess.check_output(['sort', '-n'], input=b'3\\n1\\n2\\n'))
with multiprocessing.Pool(2) as pool: print(pool.map(abs, range(-5, 5)))
pid = os.fork()
if pid == 0: os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// Asserts that the program looks the same natively and in every way of recording, and hands
/// back the default recording.
fn assert_transparent(how: impl Fn() -> Perfvisor) -> Recording {
    let native = how().native().outcome;
    let compare = |watched: &Outcome, mode: &str| {
        assert_eq!(native.stdout, watched.stdout, "{mode}");
        assert_eq!(native.stderr, watched.stderr, "{mode}");
        assert_eq!(native.status, watched.status, "{mode}");
    };
    for mode in [Mode::Exact, Mode::Events] {
        compare(&how().flags(mode.flags()).record().outcome, &format!("{mode:?}"));
    }
    compare(&how().record_by_preload().outcome, "bare preload");
    let recording = how().record();
    compare(&recording.outcome, "default");
    recording
}

/// Asserts that the report saw `caller` call into `callee`.
fn assert_flow(recording: &Recording, caller: &str, callee: &str) {
    let report = recording.report();
    let seen = report.table("flow").iter().any(|edge| {
        report.component(&edge["caller"]).starts_with(caller)
            && report.component(&edge["callee"]).starts_with(callee)
            && edge["count"].as_u64() > Some(0)
    });
    assert!(seen, "no calls from {caller} to {callee}");
}

#[test]
fn sqlite_inserts_and_selects() {
    let sqlite = program("sqlite3", "sqlite3");
    let recording = assert_transparent(|| Perfvisor::program(&sqlite).args(&[":memory:", SQL]));
    assert!(recording.outcome.stdout.contains("20000|"));
    assert_flow(&recording, "sqlite3", "libsqlite3");
    assert_flow(&recording, "libsqlite3", "libc.so");
}

#[test]
fn sqlite_writes_the_same_database() {
    let sqlite = program("sqlite3", "sqlite3");
    let scratch = Scratch::new("database");
    let insert = SQL.replace("SELECT no_such_column FROM item;", "PRAGMA integrity_check;");
    let native = scratch.join("native.db");
    let watched = scratch.join("watched.db");
    let of =
        |file: &Path| Perfvisor::program(&sqlite).args(&[file.to_str().expect("path"), &insert]);
    let first = of(&native).native().outcome.ok();
    let second = of(&watched).record().outcome.ok();
    assert_eq!(first.stdout, second.stdout);
    assert!(std::fs::read(native).expect("database") == std::fs::read(watched).expect("database"));
}

#[test]
fn python_formats_json() {
    let python = program("python3", "python3");
    let scratch = Scratch::new("json");
    let file = scratch.join("data.json");
    let items: Vec<_> = (0..3000)
        .map(|i| format!("{{\"id\": {i}, \"text\": \"\\u00e9{i}\", \"list\": [1.5, null, true]}}"))
        .collect();
    std::fs::write(&file, format!("[{}]", items.join(","))).expect("json");
    let file = file.to_str().expect("path");
    let json = || Perfvisor::program(&python).args(&["-m", "json.tool", file]);
    assert_transparent(json);
}

#[test]
fn python_runs_threads() {
    let python = program("python3", "python3");
    let threads = || Perfvisor::program(&python).args(&["-c", PYTHON_THREADS]);
    let recording = assert_transparent(threads);
    assert_eq!(recording.outcome.code(), Some(3));
    assert!(recording.report().table("threads").len() >= 5);
}

#[test]
fn python_runs_children() {
    let python = program("python3", "python3");
    let children = || Perfvisor::program(&python).args(&["-c", PYTHON_CHILDREN]);
    let recording = assert_transparent(children);
    assert!(recording.outcome.stdout.ends_with("9\n"), "{:?}", recording.outcome);
}

#[test]
fn xz_compresses_with_two_threads() {
    let xz = program("xz", "xz-utils");
    let scratch = Scratch::new("xz");
    let data = scratch.join("data");
    let mut state = 1u32;
    let bytes: Vec<u8> = (0..3_000_000u32)
        .map(|at| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (if at % 3 == 0 { state >> 16 } else { at >> 8 }) as u8
        })
        .collect();
    std::fs::write(&data, &bytes).expect("data");
    let data = data.to_str().expect("path");
    let compress = || {
        Perfvisor::program(&xz)
            .args(&["-T2", "-2", "--block-size=1MiB", "-k", "-c", "-v", data])
            // Progress on standard error would differ by the clock.
            .args(&["-q"])
    };
    let recording = assert_transparent(compress);
    assert_flow(&recording, "xz", "liblzma");
    let report = recording.report();
    assert!(report.table("threads").len() >= 3);
    // Main waits nowhere but below lzma_code, most calls of which take 2 µs and may be untimed.
    let (group, _) = report.group("main");
    let end = |api: &str, end: &str| {
        report.api_row(group, api).and_then(|row| row["total"][end].as_f64()).unwrap_or_default()
    };
    let (waited, most) = (end("pthread_cond_timedwait", "low_ns"), end("lzma_code", "high_ns"));
    assert!(
        waited > 0.0 && most >= waited,
        "waited {waited} ns in lzma_code, of {most} ns at most"
    );
}

#[test]
fn gcc_compiles_a_file() {
    let gcc = program("gcc", "gcc");
    let scratch = Scratch::new("gcc");
    let source = scratch.join("hello.c");
    let text =
        "#include <stdio.h>\n#warning on purpose\nint main(void) { puts(\"hi\"); return 6; }\n";
    std::fs::write(&source, text).expect("source");
    let directory = scratch.path();
    let compile =
        || Perfvisor::program(&gcc).args(&["-O2", "hello.c", "-o", "hello"]).current_dir(directory);
    let native = compile().native().outcome;
    let executable = std::fs::read(scratch.join("hello")).expect("executable");
    let watched = compile().record();
    assert_eq!(native, watched.outcome);
    let again = std::fs::read(scratch.join("hello")).expect("executable");
    assert!(executable == again, "the compiler made something else");
    assert_eq!(run(&mut Command::new(scratch.join("hello"))).code(), Some(6));
    let report = watched.report();
    let names: Vec<_> =
        report.table("images").iter().filter_map(|image| image["name"].as_str()).collect();
    assert!(names.iter().any(|name| name.starts_with("cc1")), "{names:?}");
}

#[test]
fn shells_and_core_programs_are_the_same() {
    let scripts = [
        "for i in 1 2 3; do echo $i; done | tac | tr '\\n' ' '; false",
        "ls -la / | wc -l; stat -c %a /tmp; date -u -d @0; printf '%s\\n' *",
        "trap 'echo caught' TERM; kill -TERM $$; sleep 0.05 & wait; exit 12",
        "find /usr/share/doc -maxdepth 1 -name 'lib*' | sort | md5sum; kill -SEGV $$",
        "ulimit -n 20; exec 5>/dev/null; ls -l /proc/self/fd | wc -l; echo x | grep y",
    ];
    let bash = program("bash", "bash");
    for script in scripts {
        assert_transparent(|| {
            Perfvisor::program(&bash).args(&["-c", script]).current_dir(Path::new("/usr/lib"))
        });
    }
}
