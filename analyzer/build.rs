//! Builds the hook library and hands its bytes to `src/cli/library.rs`.
//!
//! One `cargo build` (or `install`, `test`, `clippy`) must give a complete tool, and cargo cannot
//! yet make a cdylib a dependency of a binary. So this script runs a second cargo, always with
//! `--release`, in a target directory of its own below `OUT_DIR`: the outer cargo holds the lock
//! of its target directory, and a debug hook would cost the programs it watches too much.
//!
//! What the outer build was told about itself (`RUSTFLAGS`, `CARGO_*`, the clippy wrapper) is kept
//! from the inner one, except what says how to reach the registry and the job server.
//!
//! A packager who built the hook apart names it in `PERFVISOR_PREBUILT_HOOK`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};

/// The one target the trampolines are written for.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The file cargo makes of the crate `perfvisor-hook`.
const LIBRARY: &str = "libperfvisor_hook.so";
/// Variables of the outer build that would mislead the inner one.
const FORGOTTEN: &[&str] = &[
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "LLVM_PROFILE_FILE",
    "TARGET",
    "HOST",
    "PROFILE",
    "OPT_LEVEL",
    "DEBUG",
    "NUM_JOBS",
    "OUT_DIR",
    "MAKEFLAGS",
    "MFLAGS",
];
/// `CARGO_*` variables with these beginnings are the user's and stay.
const KEPT: &[&str] = &[
    "CARGO_HOME",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "CARGO_MAKEFLAGS",
];

fn main() {
    println!("cargo::rerun-if-env-changed=PERFVISOR_PREBUILT_HOOK");
    let target = variable("TARGET");
    if target != TARGET {
        fail(&format!("Perfvisor runs on {TARGET} only; this build is for {target}"));
    }
    let library = match env::var_os("PERFVISOR_PREBUILT_HOOK").filter(|path| !path.is_empty()) {
        Some(path) => {
            println!("cargo::rerun-if-changed={}", Path::new(&path).display());
            PathBuf::from(path)
        }
        None => build_hook(),
    };
    embed(&library);
}

/// Runs the inner cargo and returns the path of the library it made.
fn build_hook() -> PathBuf {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    let manifest = root.join("hook/Cargo.toml");
    if !manifest.is_file() {
        fail(&format!(
            "{}: not found; the hook library is built from the source tree around this crate",
            manifest.display()
        ));
    }
    // A path that does not exist would make cargo run this script every time.
    for part in ["hook", "shim-c", "Cargo.toml", "Cargo.lock"] {
        let path = root.join(part);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let target_dir = PathBuf::from(variable("OUT_DIR")).join("hook");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(["build", "--release", "--lib", "--package", "perfvisor-hook"])
        .args(["--target", TARGET])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_dir);
    for (name, _) in env::vars_os() {
        if is_forgotten(&name.to_string_lossy()) {
            cargo.env_remove(&name);
        }
    }
    // Line tables would be most of the bytes that travel inside the binary.
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    let output = cargo.output().unwrap_or_else(|error| fail(&format!("cannot run cargo: {error}")));
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        fail(&format!("the hook library (crate perfvisor-hook) did not build: {}", output.status));
    }
    target_dir.join(TARGET).join("release").join(LIBRARY)
}

/// Puts the library and its name in the cache where `src/cli/library.rs` includes them from. Not
/// `cargo::rustc-env`: `cargo run` hands such variables to the program, and ours to the one it runs.
fn embed(library: &Path) {
    let bytes = fs::read(library)
        .unwrap_or_else(|error| fail(&format!("{}: cannot read it: {error}", library.display())));
    if !bytes.starts_with(b"\x7fELF") {
        fail(&format!("{}: not an ELF library", library.display()));
    }
    let name = format!(
        "\"libperfvisor_hook-{}-{:016x}.so\"",
        variable("CARGO_PKG_VERSION"),
        fnv1a(&bytes)
    );
    write(LIBRARY, &bytes);
    write("file_name.rs", name.as_bytes());
}

/// Writes one file into the build's own directory.
fn write(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(variable("OUT_DIR")).join(name);
    fs::write(&path, bytes)
        .unwrap_or_else(|error| fail(&format!("{}: cannot write it: {error}", path.display())));
}

/// FNV-1a, 64 bits: names the contents; whoever uses the file compares all of its bytes.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn is_forgotten(name: &str) -> bool {
    FORGOTTEN.contains(&name)
        || (name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept)))
}

fn variable(name: &str) -> String {
    env::var_os(name)
        .unwrap_or_else(|| fail(&format!("{name} is not set; this script is run by cargo")))
        .into_string()
        .unwrap_or_else(|value: OsString| fail(&format!("{name} is not UTF-8: {value:?}")))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
