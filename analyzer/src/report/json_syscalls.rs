//! The system calls in the JSON report.

use super::json::Named;
use super::lookup::Lookup;
use super::syscall_facts::result_text;
use super::syscall_json::{call, coverage, outside, sums};
use crate::model::{Profile, SlowSyscall, SyscallRow, SyscallTarget, SyscallUse};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{json, Map, Value};

/// All of [`Profile::syscalls`], with names.
pub struct SystemCalls<'a>(pub &'a Profile, pub Lookup<'a>);

impl Serialize for SystemCalls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (profile, names) = (self.0, self.1);
        let syscalls = &profile.syscalls;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rows", &Named(&syscalls.rows, names, name_row))?;
        map.serialize_entry("targets", &Named(&syscalls.targets, names, name_target))?;
        map.serialize_entry("uses", &Named(&syscalls.uses, names, name_use))?;
        map.serialize_entry("slow", &Named(&syscalls.slow, names, name_slow))?;
        map.serialize_entry("outside", &outside(profile))?;
        map.serialize_entry("coverage", &coverage(profile, names))?;
        map.serialize_entry("audited", &syscalls.audited)?;
        map.serialize_entry("losses", &syscalls.losses)?;
        map.serialize_entry("overhead", &syscalls.overhead)?;
        map.end()
    }
}

fn name_row(row: &SyscallRow, names: Lookup, map: &mut Map<String, Value>) {
    map.extend(call(row.number));
    map.insert("group_name".into(), names.group(row.group).into());
    map.insert("api_name".into(), json!(row.api.map(|api| names.api(Some(api)))));
    map.insert("sums".into(), Value::Object(sums(&row.sums)));
}

fn name_target(target: &SyscallTarget, _: Lookup, map: &mut Map<String, Value>) {
    map.insert("object".into(), format!("{:#x}", target.object).into());
}

fn name_use(row: &SyscallUse, _: Lookup, map: &mut Map<String, Value>) {
    map.extend(call(row.number));
}

fn name_slow(slow: &SlowSyscall, names: Lookup, map: &mut Map<String, Value>) {
    map.extend(call(slow.number));
    map.insert("args".into(), json!(slow.args.map(|value| format!("{value:#x}"))));
    map.insert("result".into(), result_text(slow).into());
    map.insert("group_name".into(), names.group(slow.group).into());
    map.insert("api_name".into(), json!(slow.api.map(|api| names.api(Some(api)))));
}
