//! The raw records of a trace as text or JSON lines.

use super::dump_syscalls::{dump_syscall_record, dump_syscalls, dump_totals};
use super::{
    image_folders, open_events, read_late, read_process, read_segment, read_syscalls, read_threads,
    Damage, ImageFolder, ImageIdentity, ProcessFile, ReadError, Record, Segment, SegmentOwner,
    ThreadEntry,
};
use perfvisor_format::{SegmentKind, ThreadState, WaitKind};
use serde_json::{json, Value};
use std::io::{self, Write};
use std::path::Path;

/// What [`dump`] writes.
#[derive(Clone, Debug, Default)]
pub struct DumpFilter {
    /// One JSON object a line instead of text.
    pub json_lines: bool,
    /// Only images of this pid.
    pub pid: Option<u32>,
    /// Only these kinds of records (`process`, `component`, `unload`, `site`, `skip`, `setting`,
    /// `message`, `fork`, `exec`, `thread`, `segment`, `count`, `state`, `cell`, `slow`, `wait`,
    /// `late`, `event`, `damage`; of system calls `syscall-sites`, `syscall-skipped`, `object`,
    /// `syscall-total`, `syscall`, `syscall-object`, `slow-syscall`); empty = all but events.
    pub kinds: Vec<String>,
    /// Stop after so many records.
    pub limit: Option<u64>,
}

/// Writes the raw records of the trace in `directory` to `out` and returns how many: damaged places
/// are records too.
///
/// # Errors
/// When nothing of the trace can be read or `out` cannot be written.
pub fn dump(directory: &Path, out: &mut dyn Write, filter: &DumpFilter) -> Result<u64, ReadError> {
    let folders = image_folders(directory)?;
    if folders.is_empty() {
        return Err(ReadError::NoTrace {
            path: directory.to_path_buf(),
            found: "no such directory in it".into(),
        });
    }
    let mut lines = Lines { out, filter, image: String::new(), written: 0 };
    let mut first_error = None;
    let mut readable = 0;
    for folder in folders.iter().filter(|f| filter.pid.is_none_or(|pid| pid == f.pid)) {
        lines.image.clone_from(&folder.name);
        let process = match read_process(directory, &format!("{}/process.pv", folder.name)) {
            Ok(process) => process,
            Err(error) => {
                first_error.get_or_insert(error);
                continue;
            }
        };
        readable += 1;
        match dump_image(directory, folder, &process, &mut lines) {
            Ok(()) => {}
            Err(Stop::Limit) => return Ok(lines.written),
            Err(Stop::Io(source)) => {
                return Err(ReadError::Io { path: "standard output".into(), source });
            }
        }
    }
    match (readable, first_error) {
        (0, Some(error)) => Err(error),
        (_, Some(error)) => {
            let _ = lines.damage(&error.into_damage(directory));
            Ok(lines.written)
        }
        _ => Ok(lines.written),
    }
}

/// Why writing ends early.
pub enum Stop {
    /// So many records were asked for.
    Limit,
    /// The output refused.
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What writing a line gives.
pub type Written = Result<(), Stop>;

/// Where the records go.
pub struct Lines<'a> {
    out: &'a mut dyn Write,
    filter: &'a DumpFilter,
    image: String,
    written: u64,
}

impl Lines<'_> {
    fn wants(&self, kind: &str) -> bool {
        match self.filter.kinds.is_empty() {
            true => kind != "event",
            false => self.filter.kinds.iter().any(|k| k == kind),
        }
    }

    /// Writes a record of `kind`.
    pub fn line(&mut self, kind: &str, fields: &[(&str, Value)]) -> Written {
        if !self.wants(kind) {
            return Ok(());
        }
        if self.filter.limit.is_some_and(|limit| self.written >= limit) {
            return Err(Stop::Limit);
        }
        self.written += 1;
        if self.filter.json_lines {
            write!(self.out, "{{\"image\":{},\"kind\":\"{kind}\"", json!(self.image))?;
            for (name, value) in fields {
                write!(self.out, ",\"{name}\":{value}")?;
            }
            writeln!(self.out, "}}")?;
        } else {
            write!(self.out, "{} {kind}", self.image)?;
            for (name, value) in fields {
                write!(self.out, " {name}={value}")?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn damage(&mut self, damage: &Damage) -> Written {
        self.line(
            "damage",
            &[
                ("file", json!(damage.file)),
                ("offset_bytes", json!(damage.offset_bytes)),
                ("expected", json!(damage.expected)),
                ("found", json!(damage.found)),
            ],
        )
    }
}

/// An address as reports show it.
pub fn hex(value: u64) -> Value {
    json!(format!("{value:#x}"))
}

fn dump_image(
    root: &Path,
    folder: &ImageFolder,
    process: &ProcessFile,
    lines: &mut Lines<'_>,
) -> Written {
    dump_head(process, lines)?;
    for (offset, record) in &process.records {
        dump_record(*offset, record, lines)?;
    }
    for damage in &process.damages {
        lines.damage(damage)?;
    }
    let identity = process.identity();
    let threads = match read_threads(root, &format!("{}/threads.pv", folder.name), identity) {
        Ok(file) => {
            for damage in &file.damages {
                lines.damage(damage)?;
            }
            file.threads
        }
        Err(error) => {
            lines.damage(&error.into_damage(root))?;
            Vec::new()
        }
    };
    for thread in &threads {
        dump_thread(thread, lines)?;
    }
    dump_segments(root, folder, process, &threads, lines)?;
    if folder.has_late {
        match read_late(root, &format!("{}/late.pv", folder.name), identity) {
            Ok(late) => {
                for (site, calls) in late {
                    lines.line("late", &[("site", json!(site)), ("calls", json!(calls))])?;
                }
            }
            Err(error) => lines.damage(&error.into_damage(root))?,
        }
    }
    if folder.has_syscalls {
        match read_syscalls(root, &format!("{}/syscalls.pv", folder.name), identity) {
            Ok((totals, damages)) => {
                for damage in &damages {
                    lines.damage(damage)?;
                }
                dump_totals(&totals, lines)?;
            }
            Err(error) => lines.damage(&error.into_damage(root))?,
        }
    }
    if lines.wants("event") {
        for &index in &folder.event_files {
            dump_events(root, folder, identity, index, lines)?;
        }
    }
    Ok(())
}

fn dump_head(process: &ProcessFile, lines: &mut Lines<'_>) -> Written {
    let (file, header) = (&process.file, &process.header);
    lines.line(
        "process",
        &[
            ("version", json!(format!("{}.{}", file.version_major, file.version_minor))),
            ("pid", json!(file.pid)),
            ("generation", json!(file.generation)),
            ("image_id", hex(file.image_id)),
            ("committed", json!(header.committed)),
            ("parent_pid", json!(header.parent_pid)),
            ("end_kind", json!(header.end_kind)),
            ("exit_status", json!(header.exit_status)),
            ("forked", json!(header.forked)),
            ("start_tsc", json!(header.start_tsc)),
            ("start_monotonic_ns", json!(header.start_monotonic_ns)),
            ("start_realtime_ns", json!(header.start_realtime_ns)),
            ("end_tsc", json!(header.end_tsc)),
            ("end_monotonic_ns", json!(header.end_monotonic_ns)),
            ("tsc_hz_hint", json!(header.tsc_hz_hint)),
            ("timed_bias_cycles", json!(header.timed_bias_cycles)),
            ("timed_bias_error_cycles", json!(header.timed_bias_error_cycles)),
            ("sampled_bias_cycles", json!(header.sampled_bias_cycles)),
            ("sampled_bias_error_cycles", json!(header.sampled_bias_error_cycles)),
            ("timed_cost_16", json!(header.timed_cost_16)),
            ("counted_cost_16", json!(header.counted_cost_16)),
            ("slots_found", json!(header.slots_found)),
            ("slots_patched", json!(header.slots_patched)),
            ("lost_calls", json!(header.lost_calls)),
            ("lost_threads", json!(header.lost_threads)),
            ("lost_records", json!(header.lost_records)),
            ("mode", json!(header.mode)),
            ("flight_ns", json!(header.flight_ns)),
            ("load_cycles", json!(header.load_cycles)),
            ("forks", json!(header.forks)),
            ("user_ns", json!(header.user_ns)),
            ("system_ns", json!(header.system_ns)),
            ("syscall_bias_cycles", json!(header.syscall_bias_cycles)),
            ("syscall_bias_error_cycles", json!(header.syscall_bias_error_cycles)),
            ("syscall_timed_cost_16", json!(header.syscall_timed_cost_16)),
            ("syscall_counted_cost_16", json!(header.syscall_counted_cost_16)),
            ("syscall_patch_cycles", json!(header.syscall_patch_cycles)),
        ],
    )
}

fn dump_record(offset: u64, record: &Record, lines: &mut Lines<'_>) -> Written {
    let at = ("offset", json!(offset));
    match record {
        Record::Component(c) => {
            let build_id: String = c.build_id.iter().map(|b| format!("{b:02x}")).collect();
            lines.line(
                "component",
                &[
                    at,
                    ("id", json!(c.id)),
                    ("flags", json!(c.flags)),
                    ("base", hex(c.base)),
                    ("low", hex(c.low)),
                    ("high", hex(c.high)),
                    ("tsc", json!(c.tsc)),
                    ("path", json!(c.path)),
                    ("build_id", json!(build_id)),
                ],
            )
        }
        Record::Unload(id, tsc) => {
            lines.line("unload", &[at, ("id", json!(id)), ("tsc", json!(tsc))])
        }
        Record::Site(s) => lines.line(
            "site",
            &[
                at,
                ("id", json!(s.id)),
                ("caller", json!(s.caller)),
                ("target_component", json!(s.target_component)),
                ("how", json!(s.how.map(|how| how.text()))),
                ("wait", json!(s.wait.text())),
                ("counted_only", json!(s.counted_only)),
                ("target", hex(s.target)),
                ("slot", hex(s.slot)),
                ("name", json!(s.name)),
                ("version", json!(s.version)),
            ],
        ),
        Record::Skip(caller, reason, name) => {
            let reason = match reason {
                Ok(reason) => json!(reason.text()),
                Err(raw) => json!(raw),
            };
            let fields = [at, ("caller", json!(caller)), ("reason", reason), ("name", json!(name))];
            lines.line("skip", &fields)
        }
        Record::Setting(key, value) => {
            lines.line("setting", &[at, ("key", json!(key)), ("value", json!(value))])
        }
        Record::Message(tsc, text) => {
            lines.line("message", &[at, ("tsc", json!(tsc)), ("text", json!(text))])
        }
        Record::Fork(tsc, child) => {
            lines.line("fork", &[at, ("tsc", json!(tsc)), ("child", json!(child))])
        }
        Record::Exec(tsc, path) => {
            lines.line("exec", &[at, ("tsc", json!(tsc)), ("path", json!(path))])
        }
        Record::SyscallSites(_) | Record::SyscallSkipped(..) | Record::Object(_) => {
            dump_syscall_record(at, record, lines)
        }
    }
}

fn dump_thread(entry: &ThreadEntry, lines: &mut Lines<'_>) -> Written {
    let r = &entry.record;
    let name = String::from_utf8_lossy(&r.name);
    lines.line(
        "thread",
        &[
            ("index", json!(entry.index)),
            ("state", json!(format!("{:?}", entry.state))),
            ("tid", json!(r.tid)),
            ("segment", json!(r.segment)),
            ("group", json!(r.group)),
            ("start_routine", hex(r.start_routine)),
            ("start_inner", hex(r.start_inner)),
            ("creator_site", hex(r.creator_site)),
            ("creator", json!(r.creator)),
            ("origin", json!(r.origin)),
            ("pthread", hex(r.pthread)),
            ("start_tsc", json!(r.start_tsc)),
            ("end_tsc", json!(r.end_tsc)),
            ("start_monotonic_ns", json!(r.start_monotonic_ns)),
            ("end_monotonic_ns", json!(r.end_monotonic_ns)),
            ("user_ns", json!(r.user_ns)),
            ("system_ns", json!(r.system_ns)),
            ("voluntary_switches", json!(r.voluntary_switches)),
            ("involuntary_switches", json!(r.involuntary_switches)),
            ("calls", json!(r.calls)),
            ("wait_cycles", json!(r.wait_cycles)),
            ("name", json!(name.trim_end_matches('\0'))),
        ],
    )
}

fn dump_segments(
    root: &Path,
    folder: &ImageFolder,
    process: &ProcessFile,
    threads: &[ThreadEntry],
    lines: &mut Lines<'_>,
) -> Written {
    let mut known_sites: Vec<u32> = process
        .records
        .iter()
        .filter_map(|(_, record)| match record {
            Record::Site(site) => Some(site.id),
            _ => None,
        })
        .collect();
    known_sites.sort_unstable();
    let of_threads = threads
        .iter()
        .filter(|t| t.state != ThreadState::Folded && t.record.segment != u32::MAX)
        .map(|t| ('t', t.record.segment, SegmentKind::Thread, t.index));
    let of_groups = folder.group_files.iter().map(|&n| ('g', n, SegmentKind::Group, n));
    for (letter, number, kind, index) in of_threads.chain(of_groups) {
        let name = format!("{}/{letter}{number}.pv", folder.name);
        let owner = SegmentOwner { kind, index };
        match read_segment(root, &name, process.identity(), owner, &known_sites) {
            Ok(segment) => dump_segment(&segment, lines)?,
            Err(error) => lines.damage(&error.into_damage(root))?,
        }
    }
    Ok(())
}

fn dump_segment(segment: &Segment, lines: &mut Lines<'_>) -> Written {
    let file = json!(segment.file.rsplit('/').next());
    let h = &segment.header;
    lines.line(
        "segment",
        &[
            ("file", file.clone()),
            ("segment_kind", json!(h.kind)),
            ("thread_index", json!(h.thread_index)),
            ("committed", json!(h.committed)),
            ("group_start_routine", hex(h.group_start_routine)),
            ("lost_slow_calls", json!(h.lost_slow_calls)),
            ("lost_cells", json!(h.lost_cells)),
            ("lost_waits", json!(h.lost_waits)),
            ("lost_events", json!(h.lost_events)),
            ("events", json!(h.events)),
            ("abandoned", json!(h.abandoned)),
            ("timed", json!(h.timed)),
            ("fold_thread", json!(h.fold_thread)),
            ("fold_site", json!(h.fold_site)),
            ("fold_count_before", json!(h.fold_count_before)),
            ("last_tsc", json!(h.last_tsc)),
            ("site_limit", json!(h.site_limit)),
            ("lost_syscall_cells", json!(h.lost_syscall_cells)),
            ("lost_syscall_objects", json!(h.lost_syscall_objects)),
            ("lost_slow_syscalls", json!(h.lost_slow_syscalls)),
        ],
    )?;
    for damage in &segment.damages {
        lines.damage(damage)?;
    }
    for &(site, calls) in &segment.counts {
        let fields = [("file", file.clone()), ("site", json!(site)), ("calls", json!(calls))];
        lines.line("count", &fields)?;
    }
    for state in &segment.states {
        lines.line(
            "state",
            &[
                ("file", file.clone()),
                ("site", json!(state.site)),
                ("gap", json!(state.gap)),
                ("base_count", json!(state.base_count)),
                ("unseen_max", json!(state.unseen_max)),
                ("mean", json!(state.mean)),
                ("variance", json!(state.variance)),
                ("window_mean", json!(state.window_mean)),
                ("window_limit", json!(state.window_limit)),
                ("long_windows", json!(state.long_windows)),
                ("longest_excess", json!(state.longest_excess)),
            ],
        )?;
    }
    dump_cells(segment, &file, lines)?;
    dump_waits(segment, &file, lines)?;
    dump_syscalls(segment, &file, lines)
}

fn dump_cells(segment: &Segment, file: &Value, lines: &mut Lines<'_>) -> Written {
    for entry in &segment.cells {
        let c = &entry.cell;
        lines.line(
            "cell",
            &[
                ("file", file.clone()),
                ("reference", json!(entry.reference)),
                ("parent", json!(c.parent)),
                ("site", json!(c.site)),
                ("depth", json!(c.depth)),
                ("flags", json!(c.flags)),
                ("timed", json!(c.timed)),
                ("represented", json!(c.represented)),
                ("sum", json!(c.sum)),
                ("weighted_sum", json!(c.weighted_sum)),
                ("weighted_self", json!(c.weighted_self)),
                ("weighted_wait", json!(c.weighted_wait)),
                ("min", json!(c.min)),
                ("max", json!(c.max)),
                ("variance_0", json!(c.variance_0)),
                ("variance_1", json!(c.variance_1)),
                ("variance_2", json!(c.variance_2)),
                ("visible_calls", json!(c.visible_calls)),
                ("visible_sum", json!(c.visible_sum)),
                ("visible_weight", json!(c.visible_weight)),
                ("visible_weighted", json!(c.visible_weighted)),
                ("visible_variance", json!(c.visible_variance)),
                ("slow_threshold", json!(c.slow_threshold)),
                ("slow_seen", json!(c.slow_seen)),
                ("slow_sum", json!(c.slow_sum)),
                ("wait_sum", json!(c.wait_sum)),
                ("abandoned", json!(c.abandoned)),
                ("histogram_shift", json!(c.histogram_shift)),
            ],
        )?;
    }
    Ok(())
}

fn wait_text(raw: u16) -> Value {
    match u8::try_from(raw).ok().and_then(WaitKind::from_raw) {
        Some(kind) => json!(kind.text()),
        None => json!(raw),
    }
}

fn dump_waits(segment: &Segment, file: &Value, lines: &mut Lines<'_>) -> Written {
    for s in &segment.slow_calls {
        lines.line(
            "slow",
            &[
                ("file", file.clone()),
                ("start_tsc", json!(s.start_tsc)),
                ("duration", json!(s.duration)),
                ("cell", json!(s.cell)),
                ("site", json!(s.site)),
                ("args", json!(s.args.map(|arg| format!("{arg:#x}")))),
                ("return_address", hex(s.return_address)),
                ("result", hex(s.result)),
                ("below", json!(s.below)),
                ("wait", json!(s.wait)),
                ("object", hex(s.object)),
                ("holder_tid", json!(s.holder_tid)),
                ("wait_kind", wait_text(s.wait_kind)),
                ("wait_site", json!(s.wait_site)),
                ("threshold", json!(s.threshold)),
            ],
        )?;
    }
    for w in &segment.waits {
        lines.line(
            "wait",
            &[
                ("file", file.clone()),
                ("site", json!(w.site)),
                ("wait_kind", wait_text(w.kind)),
                ("object", hex(w.object)),
                ("holder_tid", json!(w.holder_tid)),
                ("count", json!(w.count)),
                ("sum", json!(w.sum)),
                ("max", json!(w.max)),
                ("cell", json!(w.cell)),
                ("max_tsc", json!(w.max_tsc)),
            ],
        )?;
    }
    Ok(())
}

fn dump_events(
    root: &Path,
    folder: &ImageFolder,
    identity: ImageIdentity,
    index: u32,
    lines: &mut Lines<'_>,
) -> Written {
    let name = format!("{}/e{index}.pv", folder.name);
    let file = match open_events(root, &name, identity, index) {
        Ok(file) => file,
        Err(error) => return lines.damage(&error.into_damage(root)),
    };
    for damage in &file.damages {
        lines.damage(damage)?;
    }
    let mut buffer = Vec::new();
    for chunk in &file.chunks {
        let mut written = Ok(());
        let result = file.visit(chunk, &mut buffer, |event| {
            if written.is_ok() {
                written = lines.line(
                    "event",
                    &[
                        ("thread", json!(index)),
                        ("sequence", json!(chunk.header.sequence)),
                        ("start_tsc", json!(event.start_tsc)),
                        ("duration", json!(event.duration)),
                        ("site", json!(event.site)),
                        ("depth", json!(event.depth)),
                    ],
                );
            }
        });
        written?;
        if let Some(damage) = result.damage {
            lines.damage(&damage)?;
        }
    }
    Ok(())
}
