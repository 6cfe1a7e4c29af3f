//! `perfvisor syscalls --json`, added up the ways the tests ask for, and compared with the truth.

use crate::perfvisor::{perfvisor_path, Recording};
use crate::process::run;
use crate::truth::Truth;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::Path;
use std::process::Command;

/// Some system calls together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyscallSum {
    /// Calls.
    pub count: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Failed calls by errno; empty for sums of objects.
    pub errnos: BTreeMap<String, u64>,
}

impl AddAssign<&Value> for SyscallSum {
    /// Adds a row.
    fn add_assign(&mut self, row: &Value) {
        self.count += number(&row["count"]);
        self.errors += number(&row["errors"]);
        self.bytes += number(&row["bytes"]);
        for (errno, count) in row["errnos"].as_object().into_iter().flatten() {
            *self.errnos.entry(errno.clone()).or_default() += number(count);
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// The tables of one call of `perfvisor syscalls`.
pub struct Syscalls {
    json: Value,
}

impl Syscalls {
    /// What `perfvisor syscalls` says of a trace.
    ///
    /// # Panics
    /// When it fails or is not JSON.
    #[must_use]
    pub fn of(trace: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(perfvisor_path());
        let outcome = run(command.args(["syscalls", "--json"]).args(flags).arg(trace)).ok();
        let json = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("syscalls --json is not JSON: {error}"));
        Self { json }
    }

    /// The rows of a table.
    ///
    /// # Panics
    /// When there is no such table.
    #[must_use]
    pub fn table(&self, name: &str) -> &[Value] {
        self.json[name].as_array().unwrap_or_else(|| panic!("syscalls --json has no table {name}"))
    }

    fn sum(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> SyscallSum {
        let mut sum = SyscallSum::default();
        for row in self.table("rows").iter().filter(|row| row["syscall"] == name && wanted(row)) {
            sum += row;
        }
        sum
    }

    /// Calls of `name` whose innermost open API was `api`.
    #[must_use]
    pub fn inside(&self, api: &str, name: &str) -> SyscallSum {
        self.sum(name, |row| row["api_name"] == api)
    }

    /// All calls of `name` in the table, those that belong to no thread as well.
    #[must_use]
    pub fn all(&self, name: &str) -> SyscallSum {
        self.sum(name, |_| true)
    }

    /// Calls of `name` that are in no thread's row.
    fn outside(&self, name: &str, column: &str) -> u64 {
        let rows = self.table("outside").iter().filter(|row| row["syscall"] == name);
        rows.map(|row| number(&row[column])).sum()
    }

    /// Calls of `name` that the hook made for itself.
    #[must_use]
    pub fn own(&self, name: &str) -> u64 {
        self.outside(name, "own")
    }

    /// The program's calls of `name` that belong to no thread; `all` has them, too.
    #[must_use]
    pub fn unplaced(&self, name: &str) -> u64 {
        self.outside(name, "unplaced")
    }

    /// With `--by fd`: calls of `name` on what has this kind and name (`*` = any name).
    #[must_use]
    pub fn on(&self, kind: &str, label: &str, name: &str) -> SyscallSum {
        self.sum(name, |row| row["kind"] == kind && (label == "*" || row["name"] == label))
    }

    /// With `--by fd`: futex calls of an operation at an address.
    #[must_use]
    pub fn futex(&self, address: u64, operation: &str) -> SyscallSum {
        let address = format!("{address:#x}");
        self.sum("futex", |row| row["object"] == *address && row["operation"] == operation)
    }
}

impl Recording {
    /// `perfvisor syscalls --json` with `flags`.
    #[must_use]
    pub fn syscalls(&self, flags: &[&str]) -> Syscalls {
        Syscalls::of(&self.trace(), flags)
    }

    /// Calls of `name` made in `api` or in anything it called.
    #[must_use]
    pub fn syscalls_below(&self, api: &str, name: &str) -> SyscallSum {
        self.syscalls(&["--api", api]).all(name)
    }
}

/// Where the tables differ from what a testapp says of its system calls; the calls whose API was
/// told wrongly are left to [`misplaced`].
#[must_use]
pub fn differences(recording: &Recording) -> Vec<String> {
    let truth = &recording.truth;
    let (calls, objects) = (recording.syscalls(&[]), recording.syscalls(&["--by", "fd"]));
    let mut found = Vec::new();
    let mut compare = |what: &str, key: &str, have: u64, wanted: u64| {
        if have != wanted {
            found.push(format!("{what} {key}: {have}, made {wanted}"));
        }
    };
    for (name, made) in truth.of("number") {
        compare("all calls of", name, calls.all(name).count, made);
    }
    for (key, made) in truth.of("errno") {
        let (name, errno) = pair(key);
        let have = calls.all(name).errnos.get(errno).copied();
        compare("errno", key, have.unwrap_or(0), made);
    }
    for (key, made) in truth.of("bytes") {
        let (api, name) = pair(key);
        compare("bytes", key, calls.inside(api, name).bytes, made);
    }
    for (key, made) in truth.of("object") {
        compare("calls on", key, used(&objects, key).count, made);
    }
    for (key, made) in truth.of("moved") {
        compare("bytes on", key, used(&objects, key).bytes, made);
    }
    for (kind, failed) in [("futex", false), ("futex-failed", true)] {
        for (key, made) in truth.of(kind) {
            let (address, operation) = pair(key);
            let have = objects.futex(address.parse().expect("address"), operation);
            compare(kind, key, if failed { have.errors } else { have.count }, made);
        }
    }
    found
}

/// The two words of a truth's key.
fn pair(key: &str) -> (&str, &str) {
    key.rsplit_once(':').unwrap_or_else(|| panic!("no colon in {key}"))
}

/// What the table has for a key `KIND=NAME:CALL` of a truth.
fn used(objects: &Syscalls, key: &str) -> SyscallSum {
    let (target, name) = pair(key);
    let (kind, label) = target.split_once('=').expect("kind=name");
    // A line of a truth file holds its words apart by blanks.
    objects.on(kind, &label.replace('_', " "), name)
}

/// (calls that stand below another API than they should, all calls) of the truths `syscall` and
/// `below`, with what was found.
#[must_use]
pub fn misplaced(truth: &Truth, recording: &Recording) -> (u64, u64, Vec<String>) {
    let calls = recording.syscalls(&[]);
    let (mut wrong, mut all, mut found) = (0, 0, Vec::new());
    for kind in ["syscall", "below"] {
        for (key, made) in truth.of(kind) {
            let (api, name) = pair(key);
            let have = match kind {
                "syscall" => calls.inside(api, name),
                _ => recording.syscalls_below(api, name),
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
