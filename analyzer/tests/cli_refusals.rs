//! What cannot be done is refused with the right code, and nothing is run under a false pretence.

mod place;

use std::fs;
use std::os::unix::fs::{chown, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use place::Place;

/// Exit code of the crafted program below, so that a run of it would show.
const CRAFTED_EXIT: u8 = 77;

/// A tiny ELF program that exits with `CRAFTED_EXIT`, with `loader` as its interpreter if any.
fn crafted(class: u8, machine: u16, loader: Option<&str>) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    // mov edi, CRAFTED_EXIT; mov eax, 60; syscall
    let code = [0xbf, CRAFTED_EXIT, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let mut file = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
    file.resize(16, 0);
    file.extend(2u16.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for word in [BASE + 256, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    let headers = 1 + u16::from(loader.is_some());
    for half in [64u16, 56, headers, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut header = |kind: u32, offset: u64, bytes: u64| {
        file.extend(kind.to_le_bytes());
        file.extend(5u32.to_le_bytes());
        for word in [offset, BASE + offset, BASE + offset, bytes, bytes, 0x1000] {
            file.extend(word.to_le_bytes());
        }
    };
    header(1, 0, 512);
    if let Some(loader) = loader {
        header(3, 384, loader.len() as u64 + 1);
    }
    file.resize(256, 0);
    file.extend(code);
    file.resize(384, 0);
    file.extend(loader.unwrap_or_default().bytes());
    file.resize(512, 0);
    file
}

fn install(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(place: &Place, command: &[&str]) -> Output {
    place.perfvisor().args(["run", "-o", "trace", "--"]).args(command).output().unwrap()
}

/// Asserts that `output` is a refusal with `code`, says `words`, and left no trace.
fn refused(place: &Place, output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{said:?} does not say {words:?}");
    assert!(output.stdout.is_empty());
    assert!(!place.join("trace").exists(), "a directory was left behind");
}

#[test]
fn commands_that_do_not_exist_or_cannot_be_executed() {
    let place = Place::new("not-there");
    refused(&place, &run(&place, &["no-such-command"]), 127, "no-such-command: command not found");
    refused(&place, &run(&place, &["./nothing"]), 127, "./nothing");
    refused(&place, &run(&place, &["/"]), 126, "a directory");
    fs::write(place.join("plain"), "echo").unwrap();
    refused(&place, &run(&place, &["./plain"]), 126, "not executable");
    install(&place.join("script"), b"#!/no/such/interpreter\n");
    refused(&place, &run(&place, &["./script"]), 127, "/no/such/interpreter");
    install(&place.join("binary"), b"\x00\x01\x02\x03");
    refused(&place, &run(&place, &["./binary"]), 126, "neither an ELF file nor a script");
}

/// How `program`, just written, ends when it runs by itself. A child that another test forks meanwhile
/// may hold the file open for writing until it execs; the kernel then calls the text busy.
fn own_exit(program: &Path) -> Option<i32> {
    for _ in 0..100 {
        match Command::new(program).status() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            status => return status.expect("the program starts").code(),
        }
    }
    panic!("{}: still busy", program.display());
}

#[test]
fn programs_that_ld_preload_cannot_enter() {
    let place = Place::new("no-entry");
    let program = place.join("program");
    install(&program, &crafted(2, 62, None));
    // It does run by itself: the refusal is about recording.
    assert_eq!(own_exit(&program), Some(i32::from(CRAFTED_EXIT)));
    refused(&place, &run(&place, &["./program"]), 125, "statically linked");
    install(&place.join("script"), format!("#!{}\n", program.display()).as_bytes());
    refused(&place, &run(&place, &["./script"]), 125, "statically linked");
    install(&program, &crafted(2, 62, Some("/lib/ld-musl-x86_64.so.1")));
    refused(&place, &run(&place, &["./program"]), 125, "ld-musl-x86_64.so.1, not glibc's");
    install(&program, &crafted(1, 3, None));
    refused(&place, &run(&place, &["./program"]), 125, "32-bit");
    install(&program, &crafted(2, 183, None));
    refused(&place, &run(&place, &["./program"]), 125, "AARCH64");
}

#[test]
fn a_setuid_program() {
    let place = Place::new("setuid");
    // SAFETY: getuid has no preconditions.
    let program = if unsafe { libc::getuid() } == 0 {
        let program = place.join("program");
        fs::copy("/bin/true", &program).unwrap();
        chown(&program, Some(65534), None).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        program
    } else {
        let known = ["/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/bin/su"];
        let is_setuid = |path: &&&str| fs::metadata(path).is_ok_and(|m| m.mode() & 0o4000 != 0);
        Path::new(known.iter().find(is_setuid).expect("a setuid program of the system")).to_owned()
    };
    let output = run(&place, &[program.to_str().unwrap()]);
    refused(&place, &output, 125, "the loader ignores LD_PRELOAD");
    assert!(String::from_utf8_lossy(&output.stderr).contains("setuid"));
}

#[test]
fn output_directories_that_cannot_be_used() {
    let place = Place::new("directory");
    fs::create_dir(place.join("used")).unwrap();
    fs::write(place.join("used/file"), "x").unwrap();
    fs::write(place.join("file"), "").unwrap();
    for (directory, words) in [
        ("used", "exists and is not empty"),
        ("file", "not a directory"),
        ("file/below", "file/below"),
        ("/proc/nowhere", "/proc/nowhere"),
    ] {
        let line = ["run", "-o", directory, "--", "sh", "-c", "echo ran"];
        refused(&place, &place.perfvisor().args(line).output().unwrap(), 125, words);
    }
    assert_eq!(fs::read_to_string(place.join("used/file")).unwrap(), "x");
}

#[test]
fn mistakes_on_the_command_line_are_usage_errors() {
    let place = Place::new("usage");
    for (line, code) in [
        // 2 may be the code of the program.
        (&["run", "--bogus", "--", "true"][..], 125),
        (&["run", "--max-gap", "x", "true"], 125),
        (&["run"], 125),
        (&["report"], 2),
        (&[], 2),
    ] {
        let output = place.perfvisor().args(line).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn a_directory_without_a_trace_is_no_report() {
    let place = Place::new("no-trace");
    for command in ["report", "dump"] {
        for directory in [".", "nowhere"] {
            let output = place.perfvisor().args([command, directory]).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{command} {directory}");
            assert!(String::from_utf8_lossy(&output.stderr).starts_with("perfvisor: "));
        }
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure_to_speak_of() {
    let place = Place::new("pipe");
    let mut child =
        place.perfvisor().arg("man").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_limit_on_file_size_is_told_and_not_died_of() {
    let place = Place::new("file-size");
    let script = format!(
        "ulimit -f 1; exec {} run -o trace -- sh -c 'echo ran'",
        env!("CARGO_BIN_EXE_perfvisor")
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.join(""))
        .env("XDG_CONFIG_HOME", place.join("config"))
        .output()
        .unwrap();
    refused(&place, &output, 125, "File too large");
}

#[test]
fn a_file_in_place_of_a_trace_is_called_so() {
    let place = Place::new("report-file");
    fs::write(place.join("trace.tar"), "x").unwrap();
    for command in ["report", "dump"] {
        let output = place.perfvisor().args([command, "trace.tar"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("a trace is a directory, this is a file"), "{said}");
    }
    let output = place.perfvisor().args(["report", "nowhere"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("No such file or directory") && !said.contains("os error"), "{said}");
}
