//! Traces that were cut off, changed or never were traces: the reader says where and why.

use e2e::{perfvisor_path, run, Outcome, Perfvisor, Recording};
use perfvisor_format::{FileHeader, VERSION_MAJOR};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn recording() -> Recording {
    let recording = Perfvisor::testapp("nested").record();
    assert_eq!(recording.outcome.code(), Some(0), "{:?}", recording.outcome);
    recording
}

/// The one file of the trace with this name.
fn file(recording: &Recording, name: &str) -> PathBuf {
    std::fs::read_dir(recording.trace())
        .expect("trace")
        .flatten()
        .map(|entry| entry.path().join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no {name} in the trace"))
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("file of the trace");
    how(&mut bytes);
    std::fs::write(path, bytes).expect("file of the trace");
}

/// Asserts that the report ended by itself, with an error or with the damage in its text, and that
/// it names the file.
fn assert_names(outcome: &Outcome, name: &str) {
    assert!(matches!(outcome.code(), Some(0 | 1)), "it did not end well: {outcome:?}");
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(said.contains(name), "{name} is not named: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// Asserts a refusal that names file, offset, what was expected and what was found.
fn assert_refused(outcome: &Outcome, name: &str) {
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    for word in [name, "offset", "expected", "found"] {
        assert!(outcome.stderr.contains(word), "no {word:?} in {}", outcome.stderr);
    }
}

#[test]
fn a_truncated_process_file_is_refused() {
    // What is cut off behind the heads leaves something to report, with the damage named.
    for length in [304, 4095] {
        let recording = recording();
        change(&file(&recording, "process.pv"), |bytes| bytes.truncate(length));
        assert_names(&recording.report_text(&[]), "process.pv");
    }
    for length in [0, 10, 63, 64, 200] {
        let recording = recording();
        change(&file(&recording, "process.pv"), |bytes| bytes.truncate(length));
        let outcome = recording.report_text(&[]);
        assert_eq!(outcome.code(), Some(1), "{length}: {outcome:?}");
        assert_names(&outcome, "process.pv");
    }
}

#[test]
fn a_truncated_segment_is_named() {
    for length in [0, 63, 200, 4096, 140_000] {
        let recording = recording();
        change(&file(&recording, "t0.pv"), |bytes| bytes.truncate(length));
        assert_names(&recording.report_text(&[]), "t0.pv");
    }
}

#[test]
fn flipped_bits_of_headers_are_refused() {
    for offset in [0, 9, 12, 16, 20, 33, 41] {
        let recording = recording();
        change(&file(&recording, "process.pv"), |bytes| bytes[offset] ^= 0x10);
        let outcome = recording.report_text(&[]);
        assert_refused(&outcome, "process.pv");
    }
}

#[test]
fn flipped_bits_of_records_are_named() {
    let recording = recording();
    change(&file(&recording, "process.pv"), |bytes| bytes[4096 + 40] ^= 1);
    assert_names(&recording.report_text(&[]), "process.pv");
}

#[test]
fn no_flipped_bit_makes_the_reader_panic() {
    let recording = recording();
    for name in ["process.pv", "threads.pv", "t0.pv"] {
        let path = file(&recording, name);
        // The files are sparse and large; what counts stands at their begin.
        let handle = File::options().read(true).write(true).open(&path).expect("file of the trace");
        let mut whole = vec![0; 256 << 10];
        let length = handle.read_at(&mut whole, 0).expect("file of the trace");
        whole.truncate(length);
        // Where there are bytes to damage: the heads and what is not a hole.
        let used: Vec<usize> = (0..length).filter(|at| whole[*at] != 0).collect();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..40 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = used[usize::try_from(state % used.len() as u64).expect("index")];
            let changed = whole[at] ^ (1 << (state >> 40 & 7));
            handle.write_all_at(&[changed], at as u64).expect("file of the trace");
            let outcome = recording.report_text(&["--json"]);
            assert!(matches!(outcome.code(), Some(0 | 1)), "{name} byte {at}: {outcome:?}");
            handle.write_all_at(&[whole[at]], at as u64).expect("file of the trace");
        }
    }
}

#[test]
fn a_foreign_file_is_refused() {
    let recording = recording();
    std::fs::copy("/bin/true", file(&recording, "process.pv")).expect("copy");
    assert_refused(&recording.report_text(&[]), "process.pv");
    let outcome = run(Command::new(perfvisor_path()).args(["report", "/bin/true"]));
    assert_eq!(outcome.code(), Some(1));
    assert!(outcome.stderr.contains("/bin/true"), "{outcome:?}");
}

#[test]
fn a_trace_of_a_newer_format_is_refused() {
    let recording = recording();
    change(&file(&recording, "process.pv"), |bytes| {
        let mut header = FileHeader::read(bytes, 0).expect("header");
        header.version_major = VERSION_MAJOR + 1;
        header.crc = header.expected_crc();
        bytes[..FileHeader::BYTES].copy_from_slice(header.as_bytes());
    });
    let outcome = recording.report_text(&[]);
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("process.pv"), "{outcome:?}");
    assert!(outcome.stderr.contains("version"), "{outcome:?}");
}

#[test]
fn a_trace_of_a_newer_minor_version_is_read() {
    let recording = recording();
    change(&file(&recording, "process.pv"), |bytes| {
        let mut header = FileHeader::read(bytes, 0).expect("header");
        header.version_minor += 1;
        header.crc = header.expected_crc();
        bytes[..FileHeader::BYTES].copy_from_slice(header.as_bytes());
    });
    assert_eq!(recording.report().calls("nested", "top"), 20_000);
}

#[test]
fn a_missing_segment_is_named() {
    let recording = recording();
    std::fs::remove_file(file(&recording, "t0.pv")).expect("remove");
    assert_names(&recording.report_text(&[]), "t0.pv");
}

#[test]
fn a_process_killed_by_somebody_else_leaves_its_calls() {
    let (mut command, scratch) = Perfvisor::testapp("micro").args(&["100000000000"]).command();
    let mut child = command.spawn().expect("perfvisor run");
    let trace = scratch.join("trace");
    let process = loop {
        let found = std::fs::read_dir(&trace).into_iter().flatten().flatten().find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix('p')?.split('.').next()?.parse::<i32>().ok()
        });
        match found {
            Some(process) => break process,
            None => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    };
    std::thread::sleep(std::time::Duration::from_millis(300));
    // A look at the running process must not disturb it.
    let report =
        |trace: &Path| run(Command::new(perfvisor_path()).args(["report", "--json"]).arg(trace));
    let live = e2e::Report::parse(&report(&trace).ok().stdout).calls("micro", "leaf");
    // SAFETY: kill touches no memory; the process is the one this test has just started.
    assert_eq!(unsafe { libc::kill(process, libc::SIGKILL) }, 0);
    let status = child.wait().expect("end of perfvisor run");
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert!(signal == Some(9) || status.code() == Some(137), "{status:?}");
    let dead = e2e::Report::parse(&report(&trace).ok().stdout).calls("micro", "leaf");
    assert!(live > 0 && dead >= live, "{live} calls alive, {dead} calls dead");
}
