//! Footprints as JSON, and as a page.

use super::lookup::Lookup;
use super::syscall_json::{call, coverage, outside, sums};
use crate::analysis::Footprint;
use crate::model::{category_text, Profile};
use serde_json::{json, Map, Value};
use std::io::{self, Write};

/// Name and version of the schema; the number rises when a key goes or changes its meaning.
pub const SCHEMA: &str = "perfvisor.footprint/1";

/// Writes the footprints to `out`, ended by a newline.
///
/// # Errors
/// When `out` cannot be written.
pub fn footprint_json(
    profile: &Profile,
    found: &[Footprint],
    out: &mut dyn Write,
) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &document(profile, found))?;
    out.write_all(b"\n")
}

/// Everything the JSON and the page hold.
pub(super) fn document(profile: &Profile, found: &[Footprint]) -> Value {
    let names = Lookup::new(profile);
    let rows: Vec<Value> = found.iter().map(|f| footprint(profile, names, f)).collect();
    json!({
        "schema": SCHEMA,
        "perfvisor": env!("CARGO_PKG_VERSION"),
        "run": profile.run,
        "footprints": rows,
        "losses": profile.syscalls.losses,
        "damages": profile.losses.damages,
        "coverage": coverage(profile, names),
        "outside": outside(profile),
        "audited": profile.syscalls.audited,
    })
}

fn footprint(profile: &Profile, names: Lookup, f: &Footprint) -> Value {
    let per = |value: f64| if f.calls == 0 { Value::Null } else { json!(f.per_call(value)) };
    let numbers = |extra: Map<String, Value>, s: &crate::model::SyscallSums| {
        let mut map = extra;
        map.insert("per_call".into(), per(s.count as f64));
        map.insert("bytes_per_call".into(), per(s.bytes as f64));
        map.insert("error_share".into(), json!(s.error_share()));
        map.extend(sums(s));
        Value::Object(map)
    };
    let syscalls: Vec<Value> = f.syscalls.iter().map(|(n, s)| numbers(call(*n), s)).collect();
    let categories: Vec<Value> = f
        .categories
        .iter()
        .map(|(category, s)| {
            let mut map = Map::new();
            map.insert("category".into(), category_text(*category).into());
            numbers(map, s)
        })
        .collect();
    let api = profile.apis.get(f.api.index());
    let spread = f.spread.map(|s| {
        json!({
            "mean_ns": s.mean_ns, "variation": s.variation, "p50_ns": s.p50_ns,
            "p99_ns": s.p99_ns, "max_ns": s.max_ns,
        })
    });
    json!({
        "api": f.api,
        "api_name": names.api(Some(f.api)),
        "symbol": api.map(|api| &api.symbol),
        "component_name": names.api_component(Some(f.api)),
        "calls": f.calls,
        "timed": f.timed,
        "total_ns": f.total_ns,
        "user_ns": f.user_ns,
        "estimated": f.estimated,
        "spread": spread,
        "all": numbers(Map::new(), &f.all),
        "syscalls": syscalls,
        "categories": categories,
    })
}
