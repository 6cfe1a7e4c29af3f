//! What an implementation asks of the kernel tells it from another of the same job.

use e2e::{program, run, run_with_input, Perfvisor, Recording, Scratch};
use std::path::Path;
use std::process::Command;

/// Calls of some system calls below `api`.
fn below(recording: &Recording, api: &str, names: &[&str]) -> u64 {
    let calls = recording.syscalls(&["--api", api]);
    names.iter().map(|name| calls.all(name).count).sum()
}

#[test]
fn stdio_against_read_and_write_against_a_mapping() {
    let recording = Perfvisor::testapp("copier").args(&["64"]).record();
    assert_eq!(recording.outcome.stdout, "wrong 0\n", "{:?}", recording.outcome);
    let size = recording.truth.get("size", "bytes");
    assert_eq!(size, 64 << 20);
    // Blocks of 64 KiB, and a read that finds the end.
    let raw = |name| recording.syscalls_below("copy_raw", name);
    assert_eq!((raw("read").count, raw("write").count), (size / 65536 + 1, size / 65536));
    assert_eq!((raw("read").bytes, raw("write").bytes), (size, size));
    // Blocks of stdio's own 4 KiB buffer, however small the pieces that it is given.
    let stdio = |name| recording.syscalls_below("copy_stdio", name);
    assert_eq!((stdio("read").bytes, stdio("write").bytes), (size, size));
    for name in ["read", "write"] {
        let calls = stdio(name).count;
        assert!((size / 4096..=size / 4096 + 2).contains(&calls), "{name}: {calls}");
    }
    // Nothing is read or written, and nothing moved.
    assert_eq!(below(&recording, "copy_mapped", &["read", "write", "pread64"]), 0);
    assert_eq!(below(&recording, "copy_mapped", &["mmap", "munmap"]), 4);
    assert_eq!(below(&recording, "copy_mapped", &["ftruncate"]), 1);
    // What the 67 109 calls of fread do to the kernel stands at fread.
    let fread = recording.syscalls(&[]).inside("fread", "read").count;
    let (least, most) = (size / 4096 * 99 / 100, size / 4096 + 2);
    assert!((least..=most).contains(&fread), "{fread} reads at fread, {least} to {most}");
}

/// Allocates, keeps some and lets go of most, in sizes of all kinds.
const ALLOCATING: &str = "
import random
random.seed(1)
kept = []
for i in range(3000):
    kept.append(bytearray(random.choice((700, 5000, 40000, 300000))))
    if len(kept) > 200: del kept[random.randrange(200)]
print(len(kept))
";

fn allocating(preload: Option<&str>) -> Recording {
    let python = program("python3", "python3");
    let mut perfvisor = Perfvisor::program(&python).args(&["-c", ALLOCATING]);
    if let Some(library) = preload {
        perfvisor = perfvisor.env("LD_PRELOAD", library);
    }
    let recording = perfvisor.record();
    assert_eq!(recording.outcome.stdout, "200\n", "{:?}", recording.outcome);
    recording
}

#[test]
fn malloc_of_glibc_against_jemalloc() {
    let jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
    assert!(Path::new(jemalloc).is_file(), "apt-get install libjemalloc2");
    let (glibc, other) = (allocating(None), allocating(Some(jemalloc)));
    let loaded = |recording: &Recording| {
        let report = recording.report();
        report
            .table("components")
            .iter()
            .any(|row| row["name"].as_str().is_some_and(|n| n.contains("jemalloc")))
    };
    assert!(!loaded(&glibc) && loaded(&other));
    let allocators = ["malloc", "calloc", "realloc", "free"];
    let sum = |recording: &Recording, names: &[&str]| -> u64 {
        allocators.iter().map(|api| below(recording, api, names)).sum()
    };
    // glibc's heap grows at the break; jemalloc takes it from nowhere but mappings, and gives back
    // what it does not need by advice.
    assert!(sum(&glibc, &["brk"]) > 10, "{}", sum(&glibc, &["brk"]));
    assert_eq!(sum(&other, &["brk"]), 0);
    assert!(sum(&other, &["mmap", "madvise"]) > 0);
    let all = ["brk", "mmap", "munmap", "mremap", "madvise", "mprotect"];
    let (first, second) = (sum(&glibc, &all), sum(&other, &all));
    assert!(first > second, "glibc {first}, jemalloc {second}");
}

const TRANSACTIONS: u64 = 60;

fn transactions(mode: &str) -> String {
    // What a checkpoint would do at some hundredth page must not come in between.
    let begin = format!(
        "PRAGMA journal_mode={mode};\nPRAGMA synchronous=FULL;\nPRAGMA wal_autocheckpoint=0;\n\
         CREATE TABLE t(a INTEGER PRIMARY KEY, b);\n"
    );
    let inserts = (0..TRANSACTIONS).map(|i| format!("INSERT INTO t VALUES({i}, 'text {i}');\n"));
    begin + &inserts.collect::<String>()
}

/// fsync and fdatasync of a run that strace counts.
fn syncs_by_strace(sql: &str) -> u64 {
    let scratch = Scratch::new("sqlite-strace");
    let mut command = Command::new(program("strace", "strace"));
    command.args(["-f", "-o"]).arg(scratch.join("log")).args(["-e", "trace=fsync,fdatasync"]);
    command.arg(program("sqlite3", "sqlite3")).arg(scratch.join("data.db"));
    run_with_input(&mut command, sql).ok();
    let log = std::fs::read_to_string(scratch.join("log")).expect("log of strace");
    log.lines().filter(|line| line.contains("sync(")).count() as u64
}

/// fsync and fdatasync: (in all, below sqlite3_step) of a recorded run.
fn syncs_recorded(sql: &str) -> (u64, u64) {
    let scratch = Scratch::new("sqlite-footprint");
    let script = scratch.join("script");
    std::fs::write(&script, sql).expect("script");
    let data = scratch.join("data.db");
    let recording = Perfvisor::program(&program("sqlite3", "sqlite3"))
        .args(&[data.to_str().expect("path"), &format!(".read {}", script.display())])
        .record();
    assert_eq!(recording.outcome.code(), Some(0), "{:?}", recording.outcome);
    let names = ["fsync", "fdatasync"];
    let calls = recording.syscalls(&[]);
    let all = names.iter().map(|name| calls.all(name).count).sum();
    (all, below(&recording, "sqlite3_step", &names))
}

#[test]
fn journal_of_sqlite_against_its_write_ahead_log() {
    let mut per_transaction = Vec::new();
    for mode in ["DELETE", "WAL"] {
        let sql = transactions(mode);
        let (all, step) = syncs_recorded(&sql);
        assert_eq!(all, syncs_by_strace(&sql), "{mode}");
        // Opening and closing the database sync a little, too.
        assert!(step <= all && all - step < 10, "{mode}: {step} of {all} below sqlite3_step");
        per_transaction.push(step as f64 / TRANSACTIONS as f64);
    }
    let [journal, log] = per_transaction[..] else { panic!("two modes") };
    // The journal, the database, and the journal's directory; the log alone.
    assert!(journal >= 2.0, "{journal} syncs a transaction");
    assert!((1.0..1.3).contains(&log), "{log} syncs a transaction");
}

#[test]
fn the_footprint_is_said_on_the_terminal() {
    let recording = Perfvisor::testapp("copier").args(&["1"]).record();
    let of = |words: &[&str]| {
        run(Command::new(e2e::perfvisor_path()).args(words).arg(recording.trace())).ok().stdout
    };
    let text = of(&["footprint", "--api", "copy_*"]);
    for api in ["copy_stdio", "copy_raw", "copy_mapped"] {
        assert!(text.contains(api), "{text}");
    }
    let table = of(&["syscalls"]);
    for name in ["read", "write", "mmap"] {
        assert!(table.contains(name), "{table}");
    }
}
