//! The raw records of system calls.

use super::dump::{hex, Lines, Written};
use super::{Record, Segment, SyscallTotals};
use perfvisor_format::SyscallObjectKind;
use serde_json::{json, Value};

/// A record of `process.pv` that is about system calls.
pub fn dump_syscall_record(
    at: (&'static str, Value),
    record: &Record,
    lines: &mut Lines<'_>,
) -> Written {
    match record {
        Record::SyscallSites(s) => lines.line(
            "syscall-sites",
            &[
                at,
                ("component", json!(s.component)),
                ("found", json!(s.found)),
                ("patched", json!(s.patched)),
                ("entry_only", json!(s.entry_only)),
            ],
        ),
        Record::SyscallSkipped(component, reason, address) => {
            let reason = match reason {
                Ok(reason) => json!(reason.text()),
                Err(raw) => json!(raw),
            };
            let component = ("component", json!(component));
            let fields = [at, component, ("reason", reason), ("address", hex(*address))];
            lines.line("syscall-skipped", &fields)
        }
        Record::Object(o) => lines.line(
            "object",
            &[
                at,
                ("id", json!(o.id)),
                ("object_kind", json!(o.kind.text())),
                ("tsc", json!(o.tsc)),
                ("name", json!(o.name)),
            ],
        ),
        _ => Ok(()),
    }
}

/// What `syscalls.pv` holds.
pub fn dump_totals(totals: &[SyscallTotals], lines: &mut Lines<'_>) -> Written {
    for t in totals {
        lines.line(
            "syscall-total",
            &[
                ("number", json!(t.number)),
                ("name", name(t.number)),
                ("unplaced", json!(t.unplaced)),
                ("own", json!(t.own)),
                ("missed", json!(t.missed)),
            ],
        )?;
    }
    Ok(())
}

/// The system calls of a segment.
pub fn dump_syscalls(segment: &Segment, file: &Value, lines: &mut Lines<'_>) -> Written {
    for entry in &segment.syscalls {
        let c = &entry.cell;
        let errnos: Vec<[u64; 2]> = c.errno.iter().map(|e| [e >> 48, e << 16 >> 16]).collect();
        lines.line(
            "syscall",
            &[
                ("file", file.clone()),
                ("reference", json!(entry.reference)),
                ("path", json!(c.path)),
                ("number", json!(c.number)),
                ("name", name(c.number)),
                ("flags", json!(c.flags)),
                ("calls", json!(entry.count)),
                ("word", hex(c.word)),
                ("base_count", json!(c.base_count)),
                ("timed", json!(c.timed)),
                ("represented", json!(c.represented)),
                ("sum", json!(c.sum)),
                ("weighted_sum", json!(c.weighted_sum)),
                ("min", json!(c.min)),
                ("max", json!(c.max)),
                ("variance_0", json!(c.variance_0)),
                ("variance_1", json!(c.variance_1)),
                ("variance_2", json!(c.variance_2)),
                ("errors", json!(c.errors)),
                ("errno", json!(errnos)),
                ("bytes", json!(c.bytes)),
                ("wait_sum", json!(c.wait_sum)),
                ("slow_threshold", json!(c.slow_threshold)),
                ("slow_seen", json!(c.slow_seen)),
                ("slow_sum", json!(c.slow_sum)),
                ("gap", json!(c.gap)),
                ("mean", json!(c.mean)),
                ("variance", json!(c.variance)),
                ("noted", json!(c.noted)),
                ("histogram_shift", json!(c.histogram_shift)),
            ],
        )?;
    }
    dump_objects(segment, file, lines)?;
    dump_slow(segment, file, lines)
}

fn dump_objects(segment: &Segment, file: &Value, lines: &mut Lines<'_>) -> Written {
    for o in &segment.syscall_objects {
        lines.line(
            "syscall-object",
            &[
                ("file", file.clone()),
                ("object_kind", kind(o.kind)),
                ("object", hex(o.object)),
                ("operation", json!(o.operation)),
                ("number", json!(o.number)),
                ("name", name(o.number)),
                ("cell", json!(o.cell)),
                ("calls", json!(o.count)),
                ("errors", json!(o.errors)),
                ("bytes", json!(o.bytes)),
                ("timed", json!(o.timed)),
                ("sum", json!(o.sum)),
                ("weighted_sum", json!(o.weighted_sum)),
                ("wait_sum", json!(o.wait_sum)),
                ("max", json!(o.max)),
                ("max_tsc", json!(o.max_tsc)),
            ],
        )?;
    }
    Ok(())
}

fn dump_slow(segment: &Segment, file: &Value, lines: &mut Lines<'_>) -> Written {
    for s in &segment.slow_syscalls {
        lines.line(
            "slow-syscall",
            &[
                ("file", file.clone()),
                ("start_tsc", json!(s.start_tsc)),
                ("duration", json!(s.duration)),
                ("cell", json!(s.cell)),
                ("number", json!(s.number)),
                ("name", name(s.number)),
                ("args", json!(s.args.map(|arg| format!("{arg:#x}")))),
                ("result", json!(s.result)),
                ("object_kind", kind(s.object_kind)),
                ("object", hex(s.object)),
                ("thread_index_1", json!(s.thread_index_1)),
                ("threshold", json!(s.threshold)),
            ],
        )?;
    }
    Ok(())
}

fn name(number: u32) -> Value {
    json!(perfvisor_format::syscall(number).map(|info| info.name))
}

fn kind(raw: u32) -> Value {
    match SyscallObjectKind::from_raw(raw) {
        Some(SyscallObjectKind::Descriptor) => json!("descriptor"),
        Some(SyscallObjectKind::Futex) => json!("futex"),
        None => json!(raw),
    }
}
