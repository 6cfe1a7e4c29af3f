//! Checks of a running process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::program::ElfFile;
use super::{machine, status_value, target, Check};

/// What would stop recording process `pid`.
pub fn checks(pid: u32) -> Vec<Check> {
    let root = PathBuf::from(format!("/proc/{pid}"));
    let status = match fs::read_to_string(root.join("status")) {
        Ok(status) => status,
        Err(error) => {
            let text = format!("{pid}: {}", gone_or(&error));
            return vec![Check::fail("process", text, "name the id of a running process")];
        }
    };
    let mut checks = vec![program(pid, &root)];
    checks.push(machine::seccomp(&status));
    checks.extend(traced(&status));
    checks.extend(namespaces(pid, &root));
    let used = fs::read_to_string(root.join("maps"));
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let limit = limit.and_then(|text| text.trim().parse().ok());
    checks.push(machine::maps(limit, used.as_ref().ok().map(|text| text.lines().count() as u64)));
    let limits = fs::read_to_string(root.join("limits")).unwrap_or_default();
    checks.push(machine::file_size(file_size_limit(&limits)));
    checks.push(entered(pid, &root, used.as_deref().unwrap_or_default()));
    checks
}

fn gone_or(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        "no such process".into()
    } else {
        error.to_string()
    }
}

/// Its executable, read through `/proc` so that containers and replaced files do not mislead.
fn program(pid: u32, root: &Path) -> Check {
    let link = root.join("exe");
    let shown = match fs::read_link(&link) {
        Ok(path) => path,
        Err(error) => {
            let text = format!("{pid}: cannot see its executable: {}", gone_or(&error));
            let advice = "run perfvisor as its user or as root (a kernel thread has none)";
            return Check::fail("program", text, advice);
        }
    };
    match ElfFile::open(&link) {
        Ok(elf) => match elf.obstacle(&shown) {
            Some(obstacle) => target::stopped(Some(&shown), &obstacle),
            None => Check::ok("program", format!("{}: for glibc on x86-64", shown.display())),
        },
        Err(why) => Check::fail(
            "program",
            format!("{}: {why}", shown.display()),
            "run perfvisor as its user or as root",
        ),
    }
}

fn traced(status: &str) -> Option<Check> {
    let tracer = status_value(status, "TracerPid").filter(|tracer| *tracer != "0")?;
    Some(Check::warn(
        "tracer",
        format!("process {tracer} traces it already"),
        "times include what the tracer costs; end the debugger or strace",
    ))
}

/// Namespaces that are not ours change what paths and process ids mean.
fn namespaces(pid: u32, root: &Path) -> Vec<Check> {
    let same = |kind: &str| {
        let id = |path: PathBuf| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
        let theirs = id(root.join("ns").join(kind));
        theirs.is_none() || theirs == id(Path::new("/proc/self/ns").join(kind))
    };
    let mut checks = Vec::new();
    if !same("mnt") {
        checks.push(Check::warn(
            "container",
            format!("{pid} sees other files than we do"),
            "run perfvisor inside its container, or mount the hook library and a trace directory \
             into it and set LD_PRELOAD and PERFVISOR_OUT there",
        ));
    } else if !same("pid") {
        let text = format!("{pid} has another view of process ids: the trace will carry that one");
        checks.push(Check::ok("container", text));
    }
    checks
}

/// The soft limit on file size of a `limits` file; `None` when unlimited.
fn file_size_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file size"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether it is being recorded, and how to get it recorded otherwise.
fn entered(pid: u32, root: &Path, maps: &str) -> Check {
    if maps.contains("/libperfvisor_hook") {
        return Check::ok("recording", format!("{pid} is being recorded already"));
    }
    let line = fs::read(root.join("cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    Check::fail(
        "recording",
        format!("{pid} runs without the hook, which enters a program at its start only"),
        format!("start it anew: perfvisor run -- {}", words.join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn this_process_could_be_recorded_but_for_having_begun_without_the_hook() {
        let checks = checks(std::process::id());
        assert!(checks.iter().any(|check| check.topic == "program" && check.level == Level::Ok));
        let failed: Vec<_> = checks.iter().filter(|check| check.level == Level::Fail).collect();
        assert_eq!(failed.len(), 1, "{checks:?}");
        assert_eq!(failed[0].topic, "recording");
    }

    #[test]
    fn a_process_that_is_gone_fails() {
        let checks = checks(u32::MAX);
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].level, Level::Fail);
        assert!(checks[0].found.contains("no such process"));
    }

    #[test]
    fn the_limit_on_file_size_is_read() {
        let line =
            |value| format!("Limit  Soft  Hard\nMax file size   {value}   unlimited  bytes\n");
        assert_eq!(file_size_limit(&line("unlimited")), None);
        assert_eq!(file_size_limit(&line("4096")), Some(4096));
    }
}
