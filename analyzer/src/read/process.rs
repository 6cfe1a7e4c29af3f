//! `process.pv`: who ran, its components, sites, skipped slots and messages.

use super::header::{read_header, ImageIdentity};
use super::payload::Payload;
use super::{Damage, Mapped, ReadError};
use perfvisor_format::{
    crc32, FileHeader, FileKind, ObjectKind, ProcessHeader, RecordHeader, RecordKind, SiteHow,
    SkipReason, SyscallSkip, WaitKind, MAX_SITES, PROCESS_HEADER_BYTES,
};
use std::path::Path;

/// A loaded object, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentRecord {
    /// Id in this image; the same id again means that it was loaded again.
    pub id: u32,
    /// 1 = executable, 2 = vdso, 4 = loader, 8 = libc, 16 = hook.
    pub flags: u32,
    /// Load bias.
    pub base: u64,
    /// Lowest mapped address.
    pub low: u64,
    /// End of the mapped range.
    pub high: u64,
    /// When, cycles.
    pub tsc: u64,
    /// Path.
    pub path: String,
    /// Build id, raw bytes.
    pub build_id: Vec<u8>,
}

/// A call site, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRecord {
    /// Id in this image.
    pub id: u32,
    /// Calling component's id.
    pub caller: u32,
    /// Target's component id; `u32::MAX` = unknown.
    pub target_component: u32,
    /// How its calls reach the hook; `None` = unknown to this version.
    pub how: Option<SiteHow>,
    /// What it may wait for.
    pub wait: WaitKind,
    /// Only counted.
    pub counted_only: bool,
    /// Target address.
    pub target: u64,
    /// Slot address.
    pub slot: u64,
    /// Symbol name.
    pub name: String,
    /// Symbol version.
    pub version: String,
}

/// A component's `syscall` instructions, as recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyscallSitesRecord {
    /// The component's id.
    pub component: u32,
    /// Instructions found.
    pub found: u32,
    /// Of these, seen.
    pub patched: u32,
    /// Of the seen ones, those seen only when the call begins.
    pub entry_only: u32,
}

/// What a descriptor led to, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRecord {
    /// Id in this image.
    pub id: u32,
    /// What it is; a kind of a later version is `Unknown`.
    pub kind: ObjectKind,
    /// When it was met, cycles.
    pub tsc: u64,
    /// A path, a peer's address, or empty.
    pub name: String,
}

/// One record of `process.pv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A component was loaded.
    Component(ComponentRecord),
    /// A component was unloaded: id, cycles.
    Unload(u32, u64),
    /// A site exists, or its target changed.
    Site(SiteRecord),
    /// A slot was left alone: calling component, reason (`Err` = raw number), name.
    Skip(u32, Result<SkipReason, u32>, String),
    /// A setting in force.
    Setting(String, String),
    /// Something the user should know: cycles, text.
    Message(u64, String),
    /// fork returned: cycles, child.
    Fork(u64, u32),
    /// exec is about to happen: cycles, path.
    Exec(u64, String),
    /// A component's `syscall` instructions.
    SyscallSites(SyscallSitesRecord),
    /// A `syscall` instruction left alone: component, reason (`Err` = raw number), address.
    SyscallSkipped(u32, Result<SyscallSkip, u32>, u64),
    /// Something a descriptor led to.
    Object(ObjectRecord),
}

/// All of `process.pv`.
#[derive(Clone, Debug)]
pub struct ProcessFile {
    /// Head of the file.
    pub file: FileHeader,
    /// Head of the process.
    pub header: ProcessHeader,
    /// Records with their offsets.
    pub records: Vec<(u64, Record)>,
    /// Damaged places.
    pub damages: Vec<Damage>,
}

impl ProcessFile {
    /// What the image's other files must carry.
    pub fn identity(&self) -> ImageIdentity {
        ImageIdentity {
            pid: self.file.pid,
            generation: self.file.generation,
            image_id: self.file.image_id,
        }
    }
}

/// Reads `root/name`.
///
/// # Errors
/// When the file cannot be opened, or its heads are damaged, foreign or newer. Damaged records are
/// listed in the result instead.
pub fn read_process(root: &Path, name: &str) -> Result<ProcessFile, ReadError> {
    let mapped = Mapped::open(root, name)?;
    let file = read_header(&mapped, FileKind::Process)?;
    let offset = FileHeader::BYTES;
    let short = || {
        mapped.error(
            offset,
            format!("a process head of {} bytes", ProcessHeader::BYTES),
            format!("{} bytes", mapped.size_bytes().saturating_sub(offset)),
        )
    };
    // The commit word first: what it covers is complete when it is copied.
    let committed = mapped.word(offset).ok_or_else(short)?;
    let bytes = mapped.copy(offset, ProcessHeader::BYTES).ok_or_else(short)?;
    let header = ProcessHeader::read(&bytes, 0).ok_or_else(short)?;
    let mut damages = Vec::new();
    let end = committed_end(&mapped, offset, committed, PROCESS_HEADER_BYTES, &mut damages);
    let records = read_records(&mapped, end, &mut damages);
    Ok(ProcessFile { file, header, records, damages })
}

/// The end that `committed` (found at `offset`) promises, cut to what the file holds.
pub fn committed_end(
    file: &Mapped,
    offset: usize,
    committed: u64,
    least: usize,
    damages: &mut Vec<Damage>,
) -> usize {
    let committed = usize::try_from(committed).unwrap_or(usize::MAX);
    if committed == 0 || committed == least {
        return least.min(file.size_bytes());
    }
    if committed < least {
        damages.push(file.damage(offset, format!("an end from {least}"), committed.to_string()));
        return least.min(file.size_bytes());
    }
    if committed > file.size_bytes() {
        damages.push(file.damage(
            file.size_bytes(),
            format!("a file of {committed} bytes, as committed"),
            format!("its end after {} bytes", file.size_bytes()),
        ));
        return file.size_bytes();
    }
    committed
}

/// Reads the records up to `end`; behind damage it looks for the next whole record.
fn read_records(file: &Mapped, end: usize, damages: &mut Vec<Damage>) -> Vec<(u64, Record)> {
    let start = PROCESS_HEADER_BYTES;
    let mut records = Vec::new();
    let Some(bytes) = end.checked_sub(start).and_then(|len| file.copy(start, len)) else {
        return records;
    };
    let mut at = 0;
    let mut resyncing = false;
    while at < bytes.len() {
        match read_record(&bytes, at) {
            Ok((record, next)) => {
                resyncing = false;
                if let Some(record) = record {
                    records.push(((start + at) as u64, record));
                }
                at = next;
            }
            Err((expected, found)) => {
                // One damage a gap, however many words it takes to find the next record.
                if !resyncing {
                    damages.push(file.damage(start + at, expected, found));
                }
                resyncing = true;
                at += 8;
            }
        }
    }
    records
}

/// The record at `at` and where the next begins; `Ok(None)` for a kind this version ignores.
fn read_record(bytes: &[u8], at: usize) -> Result<(Option<Record>, usize), (String, String)> {
    let Some(head) = RecordHeader::read(bytes, at) else {
        return Err(("a record head".into(), format!("{} bytes", bytes.len() - at)));
    };
    if head.tag != RecordHeader::TAG {
        return Err((
            format!("record tag {:#010x}", RecordHeader::TAG),
            format!("{:#010x}", head.tag),
        ));
    }
    let size = head.bytes as usize;
    let payload = size
        .checked_sub(RecordHeader::BYTES)
        .and_then(|_| bytes.get(at + RecordHeader::BYTES..at.checked_add(size)?));
    let Some(payload) = payload else {
        return Err((
            format!("a record of {} to {} bytes", RecordHeader::BYTES, bytes.len() - at),
            format!("{size} bytes"),
        ));
    };
    let crc = crc32(payload);
    if crc != head.crc {
        return Err((format!("payload checksum {crc:#010x}"), format!("{:#010x}", head.crc)));
    }
    let next = at + size.div_ceil(8) * 8;
    let Some(kind) = RecordKind::from_raw(head.kind) else {
        return Ok((None, next));
    };
    match parse(kind, payload) {
        Some(record) => Ok((Some(record), next)),
        None => Err((format!("a {kind:?} record"), format!("{} bytes of other", payload.len()))),
    }
}

/// Parses one payload; `None` when it is too short or a number is out of range.
fn parse(kind: RecordKind, payload: &[u8]) -> Option<Record> {
    let mut p = Payload::new(payload);
    Some(match kind {
        RecordKind::Component => Record::Component(ComponentRecord {
            id: p.u32()?,
            flags: p.u32()?,
            base: p.u64()?,
            low: p.u64()?,
            high: p.u64()?,
            tsc: p.u64()?,
            path: p.text()?,
            build_id: p.bytes()?.to_vec(),
        }),
        RecordKind::Unload => Record::Unload(p.u32()?, p.u64()?),
        RecordKind::Site => Record::Site(parse_site(&mut p)?),
        RecordKind::Skip => {
            let (caller, raw) = (p.u32()?, p.u32()?);
            let reason = u8::try_from(raw).ok().and_then(SkipReason::from_raw).ok_or(raw);
            Record::Skip(caller, reason, p.text()?)
        }
        RecordKind::Setting => Record::Setting(p.text()?, p.text()?),
        RecordKind::Message => Record::Message(p.u64()?, p.text()?),
        RecordKind::Fork => Record::Fork(p.u64()?, p.u32()?),
        RecordKind::Exec => Record::Exec(p.u64()?, p.text()?),
        RecordKind::SyscallSites => Record::SyscallSites(SyscallSitesRecord {
            component: p.u32()?,
            found: p.u32()?,
            patched: p.u32()?,
            entry_only: p.u32()?,
        }),
        RecordKind::SyscallSkipped => {
            let (component, raw) = (p.u32()?, p.u32()?);
            let reason = u8::try_from(raw).ok().and_then(SyscallSkip::from_raw).ok_or(raw);
            Record::SyscallSkipped(component, reason, p.u64()?)
        }
        RecordKind::Object => {
            let (id, raw) = (p.u32()?, p.u32()?);
            let kind = u8::try_from(raw).ok().and_then(ObjectKind::from_raw);
            let kind = kind.unwrap_or(ObjectKind::Unknown);
            Record::Object(ObjectRecord { id, kind, tsc: p.u64()?, name: p.text()? })
        }
    })
}

fn parse_site(p: &mut Payload<'_>) -> Option<SiteRecord> {
    let (id, caller, target_component) = (p.u32()?, p.u32()?, p.u32()?);
    if id as usize >= MAX_SITES {
        return None;
    }
    let (how, wait, counted_only, _) = (p.byte()?, p.byte()?, p.byte()?, p.byte()?);
    Some(SiteRecord {
        id,
        caller,
        target_component,
        how: SiteHow::from_raw(how),
        wait: WaitKind::from_raw(wait).unwrap_or(WaitKind::None),
        counted_only: counted_only != 0,
        target: p.u64()?,
        slot: p.u64()?,
        name: p.text()?,
        version: p.text()?,
    })
}
