//! Checks of this machine and this user, whatever is recorded.

use std::env;
use std::ffi::CStr;
use std::fs;
use std::path::Path;

use super::super::{library, run};
use super::{status_value, Check};

/// Less than this is worth a word: a long run with events fills it in minutes.
const ROOM_BYTES: u64 = 1 << 30;
/// Each recorded thread maps one segment; the kernel's default leaves room for tens of thousands.
const FEW_MAPS: u64 = 10_000;
/// A limit on file size below this cuts segments short.
const SMALL_FILE_BYTES: u64 = 64 << 20;

/// All of them; those of limits that a running process has of its own only if `for_us`.
pub fn checks(for_us: bool) -> Vec<Check> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut checks = vec![kernel(), glibc(), clock(), hook(), room()];
    if for_us {
        checks.push(maps(count("/proc/sys/vm/max_map_count"), None));
        checks.push(file_size(own_file_size_limit()));
        checks.push(seccomp(&status));
    }
    checks.push(ptrace());
    checks.push(security_module());
    checks.extend(namespaces(&status));
    checks.extend(loader_variables());
    checks
}

fn text_of(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn count(path: &str) -> Option<u64> {
    text_of(path)?.parse().ok()
}

fn kernel() -> Check {
    let release = text_of("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    let text = format!("Linux {release} on {}", env::consts::ARCH);
    Check::ok("kernel", text)
}

fn glibc() -> Check {
    // SAFETY: glibc returns a pointer to a constant NUL-terminated string.
    let here = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) }.to_string_lossy();
    match library::needed_glibc() {
        Some(needed) if version(&here) < needed => Check::fail(
            "glibc",
            format!("{here}; the hook library needs {}.{}", needed.0, needed.1),
            "build perfvisor on this system, or on one with an older glibc",
        ),
        Some(needed) => {
            Check::ok("glibc", format!("{here} (the hook needs {}.{})", needed.0, needed.1))
        }
        None => Check::ok("glibc", here),
    }
}

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn clock() -> Check {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = status_flags(&processors);
    let missing: Vec<&str> = ["constant_tsc", "nonstop_tsc"]
        .into_iter()
        .filter(|flag| !flags.split(' ').any(|found| found == *flag))
        .collect();
    let source = text_of("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    if !missing.is_empty() {
        return Check::warn(
            "clock",
            format!("the processor does not announce {}", missing.join(" and ")),
            "times may be wrong when the clock rate changes or a processor sleeps; \
             a virtual machine may hide the flags: pass the host's processor through",
        );
    }
    match source.as_deref() {
        Some("tsc") | None => Check::ok("clock", "the time stamp counter is invariant"),
        Some("kvm-clock" | "hyperv_clocksource_tsc_page" | "xen") => {
            Check::ok("clock", "the time stamp counter is invariant (virtual machine)")
        }
        Some(other) => Check::warn(
            "clock",
            format!("the kernel uses {other}, not the time stamp counter"),
            "the kernel may have found it unstable (see dmesg); times may be wrong",
        ),
    }
}

/// The `flags` line of the first processor.
fn status_flags(processors: &str) -> &str {
    let line = processors.lines().find(|line| line.starts_with("flags"));
    line.and_then(|line| line.split_once(": ")).map_or("", |(_, flags)| flags)
}

fn hook() -> Check {
    match library::unpack() {
        Ok(path) => Check::ok("hook library", path.display().to_string()),
        Err(failure) => {
            Check::fail("hook library", failure.text, failure.advice.unwrap_or_default())
        }
    }
}

fn room() -> Check {
    let here = env::current_dir().unwrap_or_else(|_| Path::new(".").to_owned());
    let shown = here.display();
    if let Err(failure) = run::check_room(&here) {
        return Check::fail(
            "trace place",
            failure.text,
            failure.advice.unwrap_or_else(|| "name a writable directory with -o DIR".into()),
        );
    }
    match run::free_bytes(&here) {
        Some(free) if free < ROOM_BYTES => Check::warn(
            "trace place",
            format!("{shown}: {} MiB free", free >> 20),
            "enough for a default recording; with --events choose another disk with -o DIR",
        ),
        Some(free) => Check::ok("trace place", format!("{shown}: {} GiB free", free >> 30)),
        None => Check::ok("trace place", format!("{shown} is writable")),
    }
}

/// Whether there is room for one more mapping per thread; `used` by a process already.
pub fn maps(limit: Option<u64>, used: Option<u64>) -> Check {
    let topic = "memory maps";
    let Some(limit) = limit else { return Check::ok(topic, "no limit known") };
    let free = limit.saturating_sub(used.unwrap_or(0));
    let text = match used {
        Some(used) => format!("{used} of {limit} used"),
        None => format!("vm.max_map_count is {limit}"),
    };
    if free < FEW_MAPS {
        let advice = "each recorded thread needs one or two: sysctl vm.max_map_count=65530";
        return Check::warn(topic, text, advice);
    }
    Check::ok(topic, text)
}

fn own_file_size_limit() -> Option<u64> {
    // SAFETY: getrlimit writes into the local, for which zeroes are valid.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        (libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) == 0
            && limit.rlim_cur != libc::RLIM_INFINITY)
            .then_some(limit.rlim_cur)
    }
}

/// Whether the limit on file size leaves room for segments; `None` is no limit.
pub fn file_size(limit: Option<u64>) -> Check {
    match limit {
        None => Check::ok("file size", "not limited"),
        Some(limit) if limit < 1 << 20 => Check::fail(
            "file size",
            format!("limited to {limit} bytes; a thread's segment begins with 135 KiB"),
            "raise it: ulimit -f unlimited",
        ),
        Some(limit) if limit < SMALL_FILE_BYTES => Check::warn(
            "file size",
            format!("limited to {limit} bytes: large segments and event files will be cut"),
            "raise it: ulimit -f unlimited",
        ),
        Some(limit) => Check::ok("file size", format!("limited to {} MiB", limit >> 20)),
    }
}

/// Whether system calls are filtered, from the text of a `status` file.
pub fn seccomp(status: &str) -> Check {
    match status_value(status, "Seccomp") {
        Some("1") => Check::fail(
            "seccomp",
            "strict: only read, write and exit are allowed",
            "the hook cannot map its files; record before the program enters strict mode",
        ),
        Some("2") => Check::warn(
            "seccomp",
            "system calls are filtered",
            "recording needs openat, ftruncate, mmap, mprotect and gettid; a filter that kills \
             on them would kill the program",
        ),
        Some(_) => Check::ok("seccomp", "system calls are not filtered"),
        None => Check::ok("seccomp", "not known to this kernel"),
    }
}

fn ptrace() -> Check {
    let text = match count("/proc/sys/kernel/yama/ptrace_scope") {
        None | Some(0) => "not restricted",
        Some(1) => "parents only (yama 1); perfvisor run does not need it",
        Some(2) => "administrators only (yama 2); perfvisor run does not need it",
        Some(_) => "switched off (yama 3); perfvisor run does not need it",
    };
    Check::ok("ptrace", text)
}

fn security_module() -> Check {
    let topic = "confinement";
    if text_of("/sys/fs/selinux/enforce").as_deref() == Some("1") {
        return Check::warn(
            topic,
            "SELinux is enforcing",
            "a confined program may be refused the hook library or the trace directory: \
             ausearch -m avc -ts recent shows it",
        );
    }
    // Its own file when several modules are stacked, else the common one.
    let profile = text_of("/proc/self/attr/apparmor/current")
        .or_else(|| text_of("/proc/self/attr/current"))
        .unwrap_or_default();
    if text_of("/sys/module/apparmor/parameters/enabled").as_deref() == Some("Y")
        && !profile.is_empty()
        && profile != "unconfined"
    {
        return Check::warn(
            topic,
            format!("AppArmor profile {profile}"),
            "it may refuse the hook library or the trace directory: see dmesg",
        );
    }
    Check::ok(topic, "no security module confines us")
}

fn namespaces(status: &str) -> Option<Check> {
    let container =
        ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists())
            || env::var_os("container").is_some();
    let nested =
        status_value(status, "NSpid").is_some_and(|ids| ids.split_whitespace().count() > 1);
    (container || nested).then(|| {
        Check::ok("container", "inside one: process ids in the trace are those seen from inside")
    })
}

fn loader_variables() -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(list) = env::var_os("LD_PRELOAD").filter(|list| !list.is_empty()) {
        let text = format!("LD_PRELOAD is {list:?}: ours goes before it");
        checks.push(Check::ok("preload", text));
    }
    if env::var_os("LD_AUDIT").is_some_and(|list| !list.is_empty()) {
        checks.push(Check::warn(
            "audit",
            "LD_AUDIT is set: its library binds calls another way",
            "unset it while recording",
        ));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn limits_are_graded() {
        assert_eq!(file_size(None).level, Level::Ok);
        assert_eq!(file_size(Some(4096)).level, Level::Fail);
        assert_eq!(file_size(Some(8 << 20)).level, Level::Warn);
        assert_eq!(maps(Some(65_530), None).level, Level::Ok);
        assert_eq!(maps(Some(65_530), Some(65_000)).level, Level::Warn);
    }

    #[test]
    fn seccomp_modes_are_told_apart() {
        assert_eq!(seccomp("Seccomp:\t0\n").level, Level::Ok);
        assert_eq!(seccomp("Seccomp:\t1\n").level, Level::Fail);
        assert_eq!(seccomp("Seccomp:\t2\n").level, Level::Warn);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("2.9") < version("2.34"));
        assert_eq!(version("2.36"), (2, 36));
    }

    #[test]
    fn processor_flags_are_read() {
        assert_eq!(status_flags("processor\t: 0\nflags\t\t: fpu tsc\n"), "fpu tsc");
        assert_eq!(status_flags(""), "");
    }
}
