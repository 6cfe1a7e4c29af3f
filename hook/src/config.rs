//! Environment → [`Config`], read once at load.

use crate::environment::{names, variable};
use crate::patch::filter::Filter;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use perfvisor_format::glob;
use perfvisor_format::quantity::{size_bytes, span_ns};

/// Settings in force.
pub struct Config {
    /// Where the trace goes (PERFVISOR_OUT).
    pub out: Vec<u8>,
    /// Time every call.
    pub exact: bool,
    /// Record every call as an event.
    pub events: bool,
    /// Flight recorder length, ns; 0 = off.
    pub flight_ns: u64,
    /// Bytes of events per thread.
    pub events_limit: u64,
    /// Patch a component's calls to itself, too.
    pub self_calls: bool,
    /// Change calls through a slot whose pointer is also loaded, since the slot must stay.
    pub rewrite_calls: bool,
    /// Follow forked and exec'd children.
    pub follow: bool,
    /// Ended threads kept unfolded.
    pub keep_threads: u32,
    /// Largest gap between timed calls.
    pub max_gap: u32,
    /// Slow calls kept per thread.
    pub slow_calls: u32,
    /// What is recorded.
    pub only: Only,
    /// Look for system calls that are not led to us.
    pub syscall_audit: bool,
    /// Which sites.
    pub filter: Filter,
    /// Components whose system calls are recorded.
    pub syscall_filter: Filter,
    /// What was given, for the trace: (key, value).
    pub given: Vec<(&'static str, String)>,
}

/// What is recorded of calls (PERFVISOR_ONLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Calls between components, and system calls.
    Both,
    /// Calls between components.
    Apis,
    /// System calls. A few APIs are hooked all the same: those that tell of threads, processes and
    /// components.
    Syscalls,
}

/// The APIs without which threads, images and components could not be told.
const TELLING: &str = "pthread_create,thrd_create,pthread_setname_np,prctl,dlopen,dlmopen,dlclose,\
                       exec*,fexecve,_exit,_Exit,quick_exit,exit";

/// Variables that are read elsewhere than by a [`Reader`].
const READ_ELSEWHERE: [&str; 2] = ["PERFVISOR_OUT", "PERFVISOR_RUN"];
/// Settings of `perfvisor run` alone: a user may expect them to hold for the bare hook, too.
const OF_RUN: [&str; 4] =
    ["PERFVISOR_CONFIG", "PERFVISOR_REPORT", "PERFVISOR_HTML", "PERFVISOR_JSON"];

struct Reader {
    known: Vec<&'static str>,
    given: Vec<(&'static str, String)>,
    wrong: Vec<String>,
}

impl Reader {
    fn text(&mut self, name: &'static CStr) -> Option<String> {
        self.known.push(name.to_str().unwrap_or(""));
        let value = String::from_utf8_lossy(variable(name)?).into_owned();
        self.given.push((name.to_str().unwrap_or(""), value.clone()));
        Some(value)
    }

    fn flag(&mut self, name: &'static CStr) -> Option<bool> {
        let value = self.text(name)?;
        match value.as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" | "" => Some(false),
            _ => {
                self.wrong(name, &value, "0 or 1");
                None
            }
        }
    }

    fn globs(&mut self, name: &'static CStr) -> String {
        let value = self.text(name).unwrap_or_default();
        if value.split(',').all(|glob| glob::is_whole(glob.trim().as_bytes())) {
            return value;
        }
        self.wrong(name, &value, "globs with a `]` for each `[` and something behind each `\\`");
        String::new()
    }

    fn only(&mut self, name: &'static CStr) -> Only {
        match self.text(name).as_deref() {
            None | Some("") => Only::Both,
            Some("apis") => Only::Apis,
            Some("syscalls") => Only::Syscalls,
            Some(other) => {
                let other = String::from(other);
                self.wrong(name, &other, "apis or syscalls");
                Only::Both
            }
        }
    }

    fn size(&mut self, name: &'static CStr) -> Option<u64> {
        let value = self.text(name)?;
        let parsed = size_bytes(&value);
        if parsed.is_none() {
            self.wrong(name, &value, "a size such as 4096, 64MiB or 1GiB");
        }
        parsed
    }

    fn number(&mut self, name: &'static CStr) -> Option<u64> {
        let value = self.text(name)?;
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.wrong(name, &value, "a whole number");
        }
        parsed
    }

    fn seconds(&mut self, name: &'static CStr) -> Option<u64> {
        let value = self.text(name)?;
        let parsed = span_ns(&value);
        if parsed.is_none() {
            self.wrong(name, &value, "a time such as 30s, 500ms or 2m");
        }
        parsed
    }

    fn wrong(&mut self, name: &CStr, value: &str, expected: &str) {
        let name = name.to_string_lossy();
        self.wrong.push(format!("{name}: expected {expected}, found '{value}'; it is ignored"));
    }

    /// Variables that look like settings and are not ours.
    fn unread(&self) -> Vec<String> {
        let mut unread = Vec::new();
        for name in names().map(String::from_utf8_lossy) {
            if OF_RUN.contains(&&*name) {
                unread.push(format!(
                    "{name} is read by `perfvisor run` only: a bare LD_PRELOAD takes its settings \
                     from the environment and writes no report"
                ));
            } else if name.starts_with("PERFVISOR_")
                && !self.known.contains(&&*name)
                && !READ_ELSEWHERE.contains(&&*name)
            {
                unread.push(format!("environment variable {name} is no setting and is ignored"));
            }
        }
        unread
    }
}

impl Config {
    /// Every call is timed.
    pub fn every_call(&self) -> bool {
        self.exact || self.events || self.max_gap == 1 || self.syscall_audit
    }

    /// Whether system calls are recorded.
    pub fn system_calls(&self) -> bool {
        self.only != Only::Apis
    }

    /// Whether calls between components are recorded.
    pub fn apis(&self) -> bool {
        self.only != Only::Syscalls
    }
}

/// What is wrong with the environment.
pub struct Complaints {
    /// Settings that could not be understood.
    pub wrong: Vec<String>,
    /// Variables that nobody reads here. `perfvisor run` has told of them already.
    pub unread: Vec<String>,
}

/// Reads the environment.
pub fn read() -> (Config, Complaints) {
    let mut reader = Reader { known: Vec::new(), given: Vec::new(), wrong: Vec::new() };
    let flight_ns = reader.seconds(c"PERFVISOR_FLIGHT_RECORDER").unwrap_or(0);
    let events = reader.flag(c"PERFVISOR_EVENTS").unwrap_or(false) || flight_ns != 0;
    let limit = if flight_ns != 0 { 64 << 20 } else { 1 << 30 };
    let out = variable(c"PERFVISOR_OUT").filter(|value| !value.is_empty());
    let include_component = reader.globs(c"PERFVISOR_INCLUDE_COMPONENT");
    let exclude_component = reader.globs(c"PERFVISOR_EXCLUDE_COMPONENT");
    let include_api = reader.globs(c"PERFVISOR_INCLUDE_API");
    let exclude_api = reader.globs(c"PERFVISOR_EXCLUDE_API");
    let syscall_component = reader.globs(c"PERFVISOR_SYSCALL_COMPONENT");
    let only = reader.only(c"PERFVISOR_ONLY");
    let telling = only == Only::Syscalls;
    let config = Config {
        out: out.map_or_else(default_out, <[u8]>::to_vec),
        exact: reader.flag(c"PERFVISOR_EXACT").unwrap_or(false),
        events,
        flight_ns,
        events_limit: reader.size(c"PERFVISOR_EVENTS_LIMIT").unwrap_or(limit),
        self_calls: reader.flag(c"PERFVISOR_SELF_CALLS").unwrap_or(false),
        rewrite_calls: reader.flag(c"PERFVISOR_REWRITE_CALLS").unwrap_or(true),
        follow: reader.flag(c"PERFVISOR_FOLLOW").unwrap_or(true),
        keep_threads: bounded(reader.number(c"PERFVISOR_KEEP_THREADS"), 512),
        max_gap: bounded(reader.number(c"PERFVISOR_MAX_GAP"), 1024).clamp(1, 1 << 15),
        slow_calls: bounded(reader.number(c"PERFVISOR_SLOW_CALLS"), 256),
        filter: Filter::new(
            include_component.as_bytes(),
            exclude_component.as_bytes(),
            if telling { TELLING.as_bytes() } else { include_api.as_bytes() },
            exclude_api.as_bytes(),
        ),
        only,
        syscall_audit: reader.flag(c"PERFVISOR_SYSCALL_AUDIT").unwrap_or(false),
        syscall_filter: Filter::of_components(syscall_component.as_bytes()),
        given: reader.given.clone(),
    };
    crate::diag::set_quiet(reader.flag(c"PERFVISOR_QUIET").unwrap_or(false));
    let unread = reader.unread();
    (config, Complaints { wrong: reader.wrong, unread })
}

fn bounded(value: Option<u64>, default: u32) -> u32 {
    value.map_or(default, |value| u32::try_from(value).unwrap_or(u32::MAX))
}

/// `perfvisor-COMM-PID` in the working directory, for a bare LD_PRELOAD.
fn default_out() -> Vec<u8> {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(16);
    let name = String::from_utf8_lossy(&name[..length]).replace('/', "_");
    // SAFETY: getpid has no preconditions.
    format!("perfvisor-{name}-{}", unsafe { libc::getpid() }).into_bytes()
}
