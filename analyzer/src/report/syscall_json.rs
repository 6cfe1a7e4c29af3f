//! The tables of `perfvisor syscalls` as JSON.

use super::lookup::Lookup;
use super::syscall_options::SyscallOptions;
use crate::analysis::{
    sort_lines, sum_all, syscall_lines, target_lines, SyscallKey, SyscallLine, SyscallsBy,
    TargetLine,
};
use crate::model::{
    category_text, syscall_category, syscall_name, Profile, SyscallRow, SyscallSums,
};
use serde_json::{json, Map, Value};
use std::io::{self, Write};

/// Name and version of the schema; the number rises when a key goes or changes its meaning.
pub const SCHEMA: &str = "perfvisor.syscalls/1";

/// Writes the rows that `options` ask for to `out`, all of them, ended by a newline.
///
/// # Errors
/// When `out` cannot be written.
pub fn syscalls_json(
    profile: &Profile,
    options: &SyscallOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let wanted = |row: &SyscallRow| options.wants(profile, row);
    let names = Lookup::new(profile);
    let rows: Vec<Value> = if options.by == SyscallsBy::Target {
        let filter = super::filter::Filter::new(profile, &options.text);
        let lines = target_lines(profile, true, |row| {
            filter.group(row.group) && options.wants_number(row.number)
        });
        lines.iter().map(target).collect()
    } else {
        let mut lines = syscall_lines(profile, options.by, !options.filtered(), wanted);
        sort_lines(&mut lines, options.sort);
        lines.iter().map(|line| row(profile, names, line)).collect()
    };
    let by = super::syscall_options::SYSCALLS_BY.iter().find(|(_, by)| *by == options.by);
    let mut all = sum_all(profile.syscalls.rows.iter().filter(|row| wanted(row)));
    if !options.filtered() {
        all.add_unplaced(profile.syscalls.count().saturating_sub(all.count));
    }
    let document = json!({
        "schema": SCHEMA,
        "perfvisor": env!("CARGO_PKG_VERSION"),
        "run": profile.run,
        "by": by.map(|(word, _)| word),
        "total": sums(&all),
        "rows": rows,
        "losses": profile.syscalls.losses,
        "damages": profile.losses.damages,
        "coverage": coverage(profile, names),
        "outside": outside(profile),
        "audited": profile.syscalls.audited,
        "overhead": profile.syscalls.overhead,
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")
}

/// The numbers of some system calls, waiting and executing apart.
pub(super) fn sums(sums: &SyscallSums) -> Map<String, Value> {
    let errnos: Map<String, Value> =
        sums.errnos.iter().map(|(errno, &errors)| (errno.to_string(), errors.into())).collect();
    let mut map = Map::new();
    let timed = sums.timed != 0;
    let known = |ns: f64| if timed { json!(ns) } else { Value::Null };
    map.insert("count".into(), sums.count.into());
    map.insert("timed".into(), sums.timed.into());
    map.insert("unknown".into(), sums.unknown.into());
    map.insert("errors".into(), sums.errors.into());
    map.insert("errnos".into(), Value::Object(errnos));
    map.insert("bytes".into(), sums.bytes.into());
    map.insert("noted".into(), sums.noted.into());
    map.insert("time".into(), json!(sums.time()));
    map.insert("exec_ns".into(), known(sums.exec_ns()));
    map.insert("wait_ns".into(), known(sums.waited_ns()));
    map.insert("distribution".into(), json!(sums.distribution()));
    map.insert("variation".into(), json!(sums.variation()));
    map
}

/// The system call's own names.
pub(super) fn call(number: u32) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("number".into(), number.into());
    map.insert("syscall".into(), syscall_name(number).into());
    map.insert("category".into(), category_text(syscall_category(number)).into());
    map
}

fn row(profile: &Profile, names: Lookup, line: &SyscallLine) -> Value {
    let mut map = call(line.number);
    map.insert("entry_only".into(), line.entry_only.into());
    match line.key {
        SyscallKey::All => {}
        SyscallKey::Unplaced => {
            map.insert("unplaced".into(), true.into());
        }
        SyscallKey::Api(api) => {
            map.insert("api".into(), json!(api));
            map.insert("api_name".into(), json!(api.map(|_| names.api(api))));
        }
        SyscallKey::Process(id) => {
            let image = profile.images.get(id.index());
            map.insert("image".into(), json!(id));
            map.insert("pid".into(), json!(image.map(|image| image.pid)));
            map.insert("name".into(), json!(image.map(|image| &image.name)));
        }
        SyscallKey::Group(group) => {
            map.insert("group".into(), json!(group));
            map.insert("group_name".into(), names.group(group).into());
        }
        SyscallKey::Thread(group, thread) => {
            let tid = thread.and_then(|id| profile.threads.get(id.index())).map(|t| t.tid);
            map.insert("group".into(), json!(group));
            map.insert("group_name".into(), names.group(group).into());
            map.insert("thread".into(), json!(thread));
            map.insert("tid".into(), json!(tid));
        }
    }
    map.extend(sums(&line.sums));
    Value::Object(map)
}

/// A file, peer or futex with what was done to it.
pub(super) fn target(line: &TargetLine) -> Value {
    let mut map = line.number.map(call).unwrap_or_default();
    let known = |ns: f64| if line.timed == 0 { Value::Null } else { json!(ns) };
    let operation = line.operation.map(super::syscall_facts::futex_operation);
    map.insert("operation".into(), json!(operation));
    map.insert("kind".into(), line.kind.text().into());
    map.insert("name".into(), line.name.as_str().into());
    map.insert("image".into(), json!(line.image));
    map.insert("object".into(), format!("{:#x}", line.object).into());
    map.insert("objects".into(), line.objects.into());
    map.insert("count".into(), line.count.into());
    map.insert("errors".into(), line.errors.into());
    map.insert("bytes".into(), line.bytes.into());
    map.insert("timed".into(), line.timed.into());
    map.insert("exec_ns".into(), known(line.exec_ns));
    map.insert("wait_ns".into(), known(line.wait_ns));
    map.insert("max_ns".into(), known(line.max_ns));
    Value::Object(map)
}

/// The `syscall` instructions by component.
pub(super) fn coverage(profile: &Profile, names: Lookup) -> Value {
    let rows = profile.syscalls.coverage.iter().map(|row| {
        let skipped: Vec<Value> = row
            .skipped
            .iter()
            .map(|(reason, addresses)| {
                let addresses: Vec<String> =
                    addresses.iter().map(|at| format!("{at:#x}")).collect();
                json!({ "reason": reason, "addresses": addresses })
            })
            .collect();
        json!({
            "component": row.component,
            "component_name": names.component(Some(row.component)),
            "found": row.found,
            "patched": row.patched,
            "entry_only": row.entry_only,
            "skipped": skipped,
        })
    });
    rows.collect()
}

/// Calls that are in no row.
pub(super) fn outside(profile: &Profile) -> Value {
    let rows = profile.syscalls.outside.iter().map(|o| {
        let mut map = call(o.number);
        map.insert("image".into(), json!(o.image));
        map.insert("unplaced".into(), o.unplaced.into());
        map.insert("own".into(), o.own.into());
        map.insert("missed".into(), o.missed.into());
        Value::Object(map)
    });
    rows.collect()
}
