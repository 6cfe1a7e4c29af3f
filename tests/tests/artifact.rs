//! What is shipped is what was meant: the hook library as the loader sees it, and the hot path's
//! object code. Both live in other people's processes, where a stray symbol replaces the host's
//! function and a stray call breaks it.

use e2e::{hook_path, program, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every symbol the hook library may define for others. All begin `perfvisor_`: one for tools, the
/// rest because the trampoline and the stand-ins, which are not Rust, call them by name.
const EXPORTS: [&str; 12] = [
    "perfvisor_hook_version",
    "perfvisor_is_own_code",
    "perfvisor_probe_entry",
    "perfvisor_probe_exit",
    "perfvisor_syscall_leaves",
    "perfvisor_syscall_probe_begin",
    "perfvisor_syscall_probe_done",
    "perfvisor_syscall_probe_error",
    "perfvisor_thread_begin",
    "perfvisor_thread_prepare",
    "perfvisor_thread_unprepare",
    "perfvisor_wrap_pointer",
];
/// The libraries it may ask the loader for: those that every dynamic program has already.
const LIBRARIES: [&str; 2] = ["libc.so.6", "ld-linux-x86-64.so.2"];
/// Static TLS that a library may take when a program loads it late: glibc keeps little to spare. Our
/// own words take 24; the standard library, which takes 80, is not linked.
const MAX_STATIC_TLS_BYTES: u64 = 64;

/// Standard output of a binutils program on `file`.
fn inspect(tool: &str, flags: &[&str], file: &Path) -> String {
    run(Command::new(program(tool, "binutils")).args(flags).arg(file)).ok().stdout
}

#[test]
fn exports_equal_the_list() {
    let table = inspect("nm", &["--dynamic", "--defined-only", "--just-symbols"], hook_path());
    let mut exports: Vec<_> = table.lines().map(|name| name.split('@').next().unwrap()).collect();
    exports.sort_unstable();
    assert_eq!(exports, EXPORTS);
    assert!(exports.iter().all(|name| name.starts_with("perfvisor_")));
}

#[test]
fn the_loader_is_asked_for_nothing_else() {
    let dynamic = inspect("readelf", &["--dynamic", "--wide"], hook_path());
    let needed: Vec<_> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    assert!(needed.contains(&"libc.so.6"), "no needed libraries found in:\n{dynamic}");
    let strangers: Vec<_> = needed.iter().filter(|name| !LIBRARIES.contains(name)).collect();
    assert!(strangers.is_empty(), "needs {strangers:?}");
    assert!(!dynamic.contains("TEXTREL"), "writes into its own code when loaded");
}

#[test]
fn every_symbol_it_needs_is_a_needed_library_s() {
    let table = inspect("nm", &["--dynamic", "--undefined-only"], hook_path());
    assert!(table.contains("@GLIBC_"), "no undefined symbols found in:\n{table}");
    // A linker lets a library ask for what nobody has, and the loader then ends the program. What
    // was found in a needed library carries its version; what is weak may be missing.
    let strangers: Vec<_> = table
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.contains("@GLIBC_") && !line.starts_with("w "))
        .collect();
    assert!(strangers.is_empty(), "nobody is asked for {strangers:?}");
}

#[test]
fn no_segment_is_writable_and_executable() {
    let segments = inspect("readelf", &["--segments", "--wide"], hook_path());
    let flags: Vec<_> = segments
        .lines()
        .filter(|line| line.contains(" LOAD ") || line.contains(" GNU_STACK "))
        .map(str::to_owned)
        .collect();
    assert!(flags.len() > 2, "no segments found in:\n{segments}");
    for line in flags {
        assert!(!line.contains("RWE"), "{line}");
    }
}

#[test]
fn static_tls_is_small() {
    let segments = inspect("readelf", &["--segments", "--wide"], hook_path());
    // Type Offset VirtAddr PhysAddr FileSiz MemSiz Flg Align; no such segment is no such memory.
    let bytes = segments
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.first() == Some(&"TLS"))
        .map_or(0, |words| u64::from_str_radix(words[5].trim_start_matches("0x"), 16).unwrap());
    assert!(bytes <= MAX_STATIC_TLS_BYTES, "{bytes} bytes of static TLS");
}

/// The probe crate compiled to one object file, as it goes into the library but not yet linked.
fn probe_object() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("probe-object");
    let object = target.join("probe.o");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo)
        .args(["rustc", "--quiet", "--release", "--package", "perfvisor-probe", "--lib"])
        .args(["--config", "profile.release.lto=\"off\""])
        .args(["--config", "profile.release.codegen-units=1"])
        .arg("--target-dir")
        .arg(&target)
        .arg("--")
        .arg(format!("--emit=obj={}", object.display()))
        .current_dir(workspace))
    .ok();
    object
}

#[test]
fn the_hot_path_calls_nothing_outside() {
    let object = probe_object();
    let defined = inspect("nm", &["--defined-only"], &object);
    assert!(defined.contains("perfvisor_probe_entry"), "not the probe's object:\n{defined}");
    let undefined = inspect("nm", &["--undefined-only", "--just-symbols"], &object);
    // Its own assembly is the only code it may reach by name, the table of system calls the only data.
    let ours = |name: &str| {
        name.starts_with("perfvisor_") || name.contains("perfvisor_format13syscall_table5TABLE")
    };
    let strangers: Vec<_> =
        undefined.lines().filter(|name| !ours(name) && *name != "_GLOBAL_OFFSET_TABLE_").collect();
    assert!(strangers.is_empty(), "the hot path calls {strangers:?}");
}
