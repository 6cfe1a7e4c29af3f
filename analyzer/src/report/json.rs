//! The report as JSON: the whole profile and its findings, in the schema of `SCHEMA.md`.
//!
//! Tables refer to each other by position, as in the profile; beside each such reference a reader
//! finds the name it stands for. Registers and addresses are strings (`"0x…"`), because a JSON
//! number does not hold 64 bits everywhere.

use super::json_syscalls::SystemCalls;
use super::lookup::Lookup;
use crate::analysis::Finding;
use crate::model::{ApiRow, CallNode, FlowEdge, Profile, SlowCall, WaitObject};
use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{json, Map, Value};
use std::io::{self, Write};

/// Name and version of the schema; the number rises when a key goes or changes its meaning.
pub const SCHEMA: &str = "perfvisor.report/1";

/// Writes the whole report to `out`, ended by a newline. No filter applies: what the text leaves
/// out stands here.
///
/// # Errors
/// When `out` cannot be written.
pub fn json(profile: &Profile, findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Report { profile, findings })?;
    out.write_all(b"\n")
}

struct Report<'a> {
    profile: &'a Profile,
    findings: &'a [Finding],
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let profile = self.profile;
        let names = Lookup::new(profile);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("perfvisor", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("run", &profile.run)?;
        map.serialize_entry("losses", &profile.losses)?;
        map.serialize_entry("coverage", &profile.coverage)?;
        map.serialize_entry("overhead", &profile.overhead)?;
        map.serialize_entry("findings", self.findings)?;
        map.serialize_entry("images", &profile.images)?;
        map.serialize_entry("components", &profile.components)?;
        map.serialize_entry("apis", &profile.apis)?;
        map.serialize_entry("sites", &profile.sites)?;
        map.serialize_entry("groups", &profile.groups)?;
        map.serialize_entry("threads", &profile.threads)?;
        map.serialize_entry("api_rows", &Named(&profile.api_rows, names, name_row))?;
        map.serialize_entry("call_nodes", &Named(&profile.call_nodes, names, name_node))?;
        map.serialize_entry("flow", &Named(&profile.flow, names, name_edge))?;
        map.serialize_entry("slow_calls", &Named(&profile.slow_calls, names, name_slow_call))?;
        map.serialize_entry("wait_objects", &Named(&profile.wait_objects, names, name_object))?;
        map.serialize_entry("events", &profile.events)?;
        map.serialize_entry("syscalls", &SystemCalls(profile, names))?;
        map.end()
    }
}

/// A list whose elements get names added, one at a time so that memory stays small.
pub struct Named<'a, T>(pub &'a [T], pub Lookup<'a>, pub fn(&T, Lookup, &mut Map<String, Value>));

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for element in self.0 {
            let mut value = serde_json::to_value(element).map_err(S::Error::custom)?;
            if let Value::Object(map) = &mut value {
                (self.2)(element, self.1, map);
            }
            list.serialize_element(&value)?;
        }
        list.end()
    }
}

fn name_row(row: &ApiRow, names: Lookup, map: &mut Map<String, Value>) {
    map.insert("group_name".into(), names.group(row.group).into());
    map.insert("api_name".into(), names.api(Some(row.api)).into());
    map.insert("component_name".into(), names.api_component(Some(row.api)).into());
}

fn name_node(node: &CallNode, names: Lookup, map: &mut Map<String, Value>) {
    map.insert("api_name".into(), names.site(node.site).into());
}

fn name_edge(edge: &FlowEdge, names: Lookup, map: &mut Map<String, Value>) {
    map.insert("caller_name".into(), names.component(edge.caller).into());
    map.insert("callee_name".into(), names.component(edge.callee).into());
}

fn name_slow_call(call: &SlowCall, names: Lookup, map: &mut Map<String, Value>) {
    let hex = |value: u64| format!("{value:#x}");
    map.insert("group_name".into(), names.group(call.group).into());
    map.insert("api_name".into(), names.site(call.site).into());
    let path: Vec<&str> = call.path.iter().map(|site| names.site(*site)).collect();
    map.insert("path_names".into(), json!(path));
    map.insert("args".into(), json!(call.args.map(hex)));
    map.insert("result".into(), hex(call.result).into());
    map.insert("object".into(), hex(call.object).into());
}

fn name_object(object: &WaitObject, names: Lookup, map: &mut Map<String, Value>) {
    map.insert("object".into(), format!("{:#x}", object.object).into());
    map.insert("object_name".into(), names.object(object).into());
}
