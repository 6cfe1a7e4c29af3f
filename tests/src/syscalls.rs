//! The system calls of a report, added up the ways the tests ask for.

use crate::report::Report;
use crate::truth::Truth;
use perfvisor_format::{syscalls, SyscallInfo};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Some system calls together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyscallSum {
    /// Calls.
    pub count: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Failed calls by errno.
    pub errnos: BTreeMap<u64, u64>,
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

impl AddAssign<&Value> for SyscallSum {
    /// Adds the `sums` of a row.
    fn add_assign(&mut self, sums: &Value) {
        self.count += number(&sums["count"]);
        self.errors += number(&sums["errors"]);
        self.bytes += number(&sums["bytes"]);
        for (errno, count) in sums["errnos"].as_object().expect("errors by errno") {
            *self.errnos.entry(errno.parse().expect("errno")).or_default() += number(count);
        }
    }
}

/// The row of the table of system calls with this name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn syscall_named(name: &str) -> &'static SyscallInfo {
    syscalls().find(|row| row.name == name).unwrap_or_else(|| panic!("no system call {name}"))
}

impl Report {
    fn sum(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> SyscallSum {
        let called = u64::from(syscall_named(name).number);
        let mut sum = SyscallSum::default();
        for row in self.table_of("syscalls", "rows") {
            if number(&row["number"]) == called && wanted(row) {
                sum += &row["sums"];
            }
        }
        sum
    }

    /// Calls of `name` whose innermost open API was `api`.
    #[must_use]
    pub fn syscalls_in(&self, api: &str, name: &str) -> SyscallSum {
        self.sum(name, |row| self.symbol(&row["api"]) == api)
    }

    /// Calls of `name` made in `api` or in anything it called.
    #[must_use]
    pub fn syscalls_below(&self, api: &str, name: &str) -> SyscallSum {
        let nodes = self.table("call_nodes");
        self.sum(name, |row| {
            let mut at = &row["node"];
            while let Some(node) = at.as_u64().and_then(|at| nodes.get(at as usize)) {
                if self.symbol(&node["api"]) == api {
                    return true;
                }
                at = &node["parent"];
            }
            false
        })
    }

    /// All calls of `name` that stand in a thread's call path or outside of any API.
    #[must_use]
    pub fn syscalls_of(&self, name: &str) -> SyscallSum {
        self.sum(name, |_| true)
    }

    /// Calls by system call that are in no row: those of the program without a place, and those
    /// the hook made for itself.
    fn outside(&self, called: u64, column: &str) -> u64 {
        self.table_of("syscalls", "outside")
            .iter()
            .filter(|row| number(&row["number"]) == called)
            .map(|row| number(&row[column]))
            .sum()
    }

    /// The program's calls of `name`: in rows, and without a place.
    #[must_use]
    pub fn syscalls_seen(&self, name: &str) -> u64 {
        let called = u64::from(syscall_named(name).number);
        self.syscalls_of(name).count + self.outside(called, "unplaced")
    }

    /// Calls of `name` that the hook made for itself.
    #[must_use]
    pub fn syscalls_own(&self, name: &str) -> u64 {
        self.outside(u64::from(syscall_named(name).number), "own")
    }

    /// (calls, failed, bytes) of the system call `name` on what `wanted` says of (kind, name,
    /// object); with a futex's `operation`.
    fn uses(
        &self,
        name: &str,
        operation: u64,
        wanted: impl Fn(&str, &str, &Value) -> bool,
    ) -> (u64, u64, u64) {
        let called = u64::from(syscall_named(name).number);
        let targets = self.table_of("syscalls", "targets");
        let mut sum = (0, 0, 0);
        for row in self.table_of("syscalls", "uses") {
            let target = &targets[usize::try_from(number(&row["target"])).expect("target")];
            let (kind, label) = (target["kind"].as_str(), target["name"].as_str());
            if number(&row["number"]) == called
                && number(&row["operation"]) == operation
                && wanted(kind.expect("kind"), label.expect("name"), &target["object"])
            {
                sum.0 += number(&row["count"]);
                sum.1 += number(&row["errors"]);
                sum.2 += number(&row["bytes"]);
            }
        }
        sum
    }

    /// (calls, failed, bytes) of `name` on descriptors of one kind and name.
    #[must_use]
    pub fn uses_of(&self, kind: &str, label: &str, name: &str) -> (u64, u64, u64) {
        self.uses(name, 0, |have, called, _| have == kind && called == label)
    }

    /// (calls, failed) of a futex operation at an address.
    #[must_use]
    pub fn futex_uses(&self, address: u64, operation: u64) -> (u64, u64) {
        let at = |object: &Value| object.as_u64().unwrap_or_else(|| Self::address(object));
        let sum = self
            .uses("futex", operation, |kind, _, object| kind == "futex" && at(object) == address);
        (sum.0, sum.1)
    }
}

/// Where the report differs from what a testapp says of its system calls; the calls whose API was
/// told wrongly are left to [`misplaced`].
#[must_use]
pub fn differences(truth: &Truth, report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, key: &str, have: u64, wanted: u64| {
        if have != wanted {
            found.push(format!("{what} {key}: {have}, made {wanted}"));
        }
    };
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for (key, made) in truth.of("number") {
        *by_name.entry(key).or_default() += made;
    }
    for (name, made) in by_name {
        compare("all calls of", name, report.syscalls_of(name).count, made);
    }
    for (key, made) in truth.of("errno") {
        let (name, errno) = key.split_once(':').expect("name:errno");
        let errnos = report.syscalls_of(name).errnos;
        let have = errnos.get(&errno.parse().expect("errno")).copied();
        compare("errno", key, have.unwrap_or(0), made);
    }
    for (key, made) in truth.of("bytes") {
        let (api, name) = key.split_once(':').expect("api:name");
        compare("bytes", key, report.syscalls_in(api, name).bytes, made);
    }
    for (key, made) in truth.of("object") {
        compare("calls on", key, used(report, key).0, made);
    }
    for (key, made) in truth.of("moved") {
        compare("bytes on", key, used(report, key).2, made);
    }
    for (kind, failed) in [("futex", false), ("futex-failed", true)] {
        for (key, made) in truth.of(kind) {
            let (address, operation) = key.split_once(':').expect("address:operation");
            let address = address.parse().expect("address");
            let have = report.futex_uses(address, operation.parse().expect("operation"));
            compare(kind, key, if failed { have.1 } else { have.0 }, made);
        }
    }
    found
}

/// What the report has for a key `KIND=NAME:CALL` of a truth.
fn used(report: &Report, key: &str) -> (u64, u64, u64) {
    let (target, name) = key.rsplit_once(':').expect("target:call");
    let (kind, label) = target.split_once('=').expect("kind=name");
    // A line of a truth file holds its words apart by blanks.
    report.uses_of(kind, &label.replace('_', " "), name)
}

/// (calls that stand below another API than they should, all calls) of the truths `syscall` and
/// `below`, with what was found.
#[must_use]
pub fn misplaced(truth: &Truth, report: &Report) -> (u64, u64, Vec<String>) {
    let (mut wrong, mut all, mut found) = (0, 0, Vec::new());
    for kind in ["syscall", "below"] {
        for (key, made) in truth.of(kind) {
            let (api, name) = key.split_once(':').expect("api:name");
            let have = match kind {
                "syscall" => report.syscalls_in(api, name),
                _ => report.syscalls_below(api, name),
            };
            all += made;
            wrong += have.count.abs_diff(made);
            if have.count != made {
                found.push(format!("{kind} {key}: {}, made {made}", have.count));
            }
        }
    }
    (wrong, all, found)
}
