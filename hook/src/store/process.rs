//! `process.pv` and the run's directory: who runs, components, sites, messages.

use super::file::{self, Mapping};
use super::lock;
use super::threads::{cpu_ns, split};
use crate::config::Config;
use crate::files::{self, Errno};
use crate::patch::elf::Component;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use perfvisor_format::{
    crc32, EndKind, FileHeader, FileKind, ObjectKind, ProcessHeader, RecordHeader, RecordKind,
    SkipReason, SyscallSkip, PROCESS_HEADER_BYTES,
};

/// Largest `process.pv`: enough for 16 384 sites and as many skips with long names.
const LARGEST: usize = 32 << 20;
/// Records are populated ahead in steps of this many bytes.
const STEP: usize = 64 << 10;

struct Process {
    mapping: Mapping,
    directory: CString,
    ready: usize,
    pid: u32,
    generation: u32,
    image_id: u64,
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(core::ptr::null_mut());

fn process() -> Option<&'static mut Process> {
    // SAFETY: set under the cold lock to a leaked box; every user holds that lock.
    unsafe { PROCESS.load(Ordering::Acquire).as_mut() }
}

/// A forked child writes no more to its parent's files.
pub fn forget() {
    PROCESS.store(core::ptr::null_mut(), Ordering::Release);
}

/// What names the files of this image: pid, generation, image id.
#[derive(Clone, Copy)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Images of this pid before.
    pub generation: u32,
    /// Random.
    pub image_id: u64,
}

/// Identity of the current image; `None` before `create`.
pub fn identity() -> Option<Identity> {
    let p = process()?;
    Some(Identity { pid: p.pid, generation: p.generation, image_id: p.image_id })
}

/// Directory of the current image.
pub fn directory() -> Option<&'static CString> {
    process().map(|p| &p.directory)
}

/// Path of a file of the current image.
pub fn path(name: &str) -> Option<CString> {
    let mut path = directory()?.to_bytes().to_vec();
    path.push(b'/');
    path.extend_from_slice(name.as_bytes());
    CString::new(path).ok()
}

/// The header, for counters.
pub fn header() -> Option<&'static mut ProcessHeader> {
    let p = process()?;
    // SAFETY: the first page of the mapping is populated; the header stands at 64.
    Some(unsafe { &mut *p.mapping.base.add(FileHeader::BYTES).cast::<ProcessHeader>() })
}

/// Makes `out` and its parents; returns its absolute path, which ends with a slash.
pub fn make_root(out: &[u8]) -> Result<Vec<u8>, String> {
    let shown = String::from_utf8_lossy(out).into_owned();
    let mut root = Vec::new();
    if out.first() != Some(&b'/') {
        root = files::working_directory().map_err(|e| format!("working directory: {e}"))?;
        root.push(b'/');
    }
    root.extend_from_slice(out);
    files::make_directories(&root).map_err(|e| format!("cannot make directory {shown}: {e}"))?;
    if root.last() != Some(&b'/') {
        root.push(b'/');
    }
    Ok(root)
}

/// Makes `out` (and parents) and in it the image's own directory; returns it and the generation.
fn make_directory(out: &[u8], pid: u32) -> Result<(CString, u32), String> {
    let shown = String::from_utf8_lossy(out).into_owned();
    let root = make_root(out)?;
    for generation in 0..10_000 {
        let mut path = root.clone();
        path.extend_from_slice(format!("p{pid}.{generation}").as_bytes());
        let path = files::c_path(path).map_err(|e| format!("{shown}: {e}"))?;
        match files::make_directory(&path) {
            Ok(()) => return Ok((path, generation)),
            Err(Errno(libc::EEXIST)) => {}
            Err(e) => return Err(format!("cannot make directory {}: {e}", path.to_string_lossy())),
        }
    }
    Err(format!("{shown} holds 10 000 images of process {pid} already"))
}

/// Begins a new image: directory, `process.pv`, `late.pv`. The error says what could not be made.
pub fn create(config: &Config, forked: bool) -> Result<(), String> {
    // SAFETY: plain system calls.
    let (pid, parent) = unsafe { (libc::getpid() as u32, libc::getppid() as u32) };
    let (directory, generation) = make_directory(&config.out, pid)?;
    let mut image_id = perfvisor_probe::clock::now() ^ (u64::from(pid) << 32);
    // SAFETY: getrandom fills 8 bytes; without entropy the time stamp remains.
    unsafe { libc::getrandom((&raw mut image_id).cast(), 8, libc::GRND_NONBLOCK) };
    let shown = directory.to_string_lossy().into_owned();
    let mut file = directory.to_bytes().to_vec();
    file.extend_from_slice(b"/process.pv");
    let file = files::c_path(file).map_err(|e| format!("{shown}: {e}"))?;
    let most = LARGEST.min(file::size_limit() as usize) & !(file::PAGE - 1);
    let (mapping, fd) = file::create(&file, most.max(STEP), 0, file::PAGE).ok_or_else(|| {
        format!("cannot make {shown}/process.pv (disk, memory or file size limit)")
    })?;
    // SAFETY: ours.
    unsafe { libc::close(fd) };
    if !file::populate(mapping.base, 0, STEP) {
        return Err(format!("{shown}: no space left for the trace"));
    }
    let identity = FileHeader::new(
        FileKind::Process,
        PROCESS_HEADER_BYTES as u16,
        pid,
        generation,
        0,
        image_id,
    );
    file::put_header(&mapping, &identity);
    let made = Box::new(Process { mapping, directory, ready: STEP, pid, generation, image_id });
    PROCESS.store(Box::into_raw(made), Ordering::Release);
    fill_header(config, parent, forked);
    super::late::create();
    if config.system_calls() {
        super::syscalls::create();
    }
    Ok(())
}

fn fill_header(config: &Config, parent: u32, forked: bool) {
    let Some(header) = header() else { return };
    let start = Stamp::now();
    header.parent_pid = parent;
    header.forked = u32::from(forked);
    header.start_tsc = start.tsc;
    header.start_monotonic_ns = start.monotonic_ns;
    header.start_realtime_ns = start.realtime_ns;
    header.mode = u64::from(config.exact)
        | u64::from(config.events) << 1
        | u64::from(config.flight_ns != 0) << 2
        | u64::from(config.self_calls) << 3
        | u64::from(!config.apis()) << 4
        | u64::from(!config.system_calls()) << 5
        | u64::from(config.syscall_audit) << 6;
    header.flight_ns = config.flight_ns;
    header.committed = PROCESS_HEADER_BYTES as u64;
}

/// The three clocks at one moment.
#[derive(Clone, Copy)]
pub struct Stamp {
    /// Time stamp counter.
    pub tsc: u64,
    /// CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME.
    pub realtime_ns: u64,
}

impl Stamp {
    /// Reads the clocks (vDSO), in the best of a few tries: a time slice lost between two readings
    /// would bend the rate by which all cycles of a short run become time.
    pub fn now() -> Self {
        /// What a try takes (cycles) when nothing comes between; measured: 60 to 200.
        const UNDISTURBED: u64 = 400;
        let (mut best, mut apart) = Self::read();
        let mut tries = 0;
        while apart > UNDISTURBED && tries < 16 {
            let (again, took) = Self::read();
            if took < apart {
                (best, apart) = (again, took);
            }
            tries += 1;
        }
        best
    }

    /// One reading, and the cycles that passed around that of CLOCK_MONOTONIC.
    fn read() -> (Self, u64) {
        let read = |clock| {
            // SAFETY: clock_gettime fills the struct.
            unsafe {
                let mut time: libc::timespec = core::mem::zeroed();
                libc::clock_gettime(clock, &mut time);
                time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
            }
        };
        let realtime_ns = read(libc::CLOCK_REALTIME);
        let before = perfvisor_probe::clock::now();
        let monotonic_ns = read(libc::CLOCK_MONOTONIC);
        let after = perfvisor_probe::clock::now();
        let apart = after.saturating_sub(before);
        (Self { tsc: before + apart / 2, monotonic_ns, realtime_ns }, apart)
    }
}

/// Appends one record.
fn append(kind: RecordKind, payload: &[u8]) {
    let _held = lock::hold();
    let Some(p) = process() else { return };
    let Some(header) = header() else { return };
    let at = header.committed as usize;
    let bytes = RecordHeader::BYTES + payload.len();
    let end = at + bytes.next_multiple_of(8);
    if end > p.mapping.bytes {
        header.lost_records += 1;
        return;
    }
    if end > p.ready {
        let more = (end - p.ready).next_multiple_of(STEP).min(p.mapping.bytes - p.ready);
        if !file::populate(p.mapping.base, p.ready, more) {
            header.lost_records += 1;
            return;
        }
        p.ready += more;
    }
    let head = RecordHeader {
        bytes: bytes as u32,
        kind: kind as u16,
        flags: 0,
        crc: crc32(payload),
        tag: RecordHeader::TAG,
    };
    // SAFETY: [at, end) is populated and behind the commit word; one writer under the cold lock.
    unsafe {
        let to = p.mapping.base.add(at);
        core::ptr::copy_nonoverlapping(head.as_bytes().as_ptr(), to, RecordHeader::BYTES);
        let to = to.add(RecordHeader::BYTES);
        core::ptr::copy_nonoverlapping(payload.as_ptr(), to, payload.len());
        // Pairs with the reader's Acquire load.
        AtomicU64::from_ptr(&raw mut header.committed).store(end as u64, Ordering::Release);
    }
}

/// Builds payloads.
struct Payload(Vec<u8>);

impl Payload {
    fn new() -> Self {
        Self(Vec::with_capacity(128))
    }
    fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn text(self, value: &[u8]) -> Self {
        let mut this = self.u32(value.len() as u32);
        this.0.extend_from_slice(value);
        this
    }
}

/// A component was loaded.
pub fn write_component(c: &Component) {
    let payload = Payload::new()
        .u32(c.id)
        .u32(c.flags)
        .u64(c.base as u64)
        .u64(c.low as u64)
        .u64(c.high as u64)
        .u64(perfvisor_probe::clock::now())
        .text(&c.path)
        .text(&c.build_id);
    append(RecordKind::Component, &payload.0);
}

/// A component was unloaded.
pub fn write_unload(id: u32) {
    let payload = Payload::new().u32(id).u64(perfvisor_probe::clock::now());
    append(RecordKind::Unload, &payload.0);
}

/// A slot was left alone.
pub fn write_skip(caller: u32, reason: SkipReason, name: &[u8]) {
    let payload = Payload::new().u32(caller).u32(u32::from(reason as u8)).text(name);
    append(RecordKind::Skip, &payload.0);
}

/// Slots that lead to another component: found, and of these patched.
pub fn add_slots(found: u64, patched: u64) {
    let _held = lock::hold();
    if let Some(header) = header() {
        header.slots_found += found;
        header.slots_patched += patched;
    }
}

/// A site, as it is written.
pub struct SiteRecord<'a> {
    /// Id.
    pub id: u32,
    /// Caller component.
    pub caller: u32,
    /// Target component or `u32::MAX`.
    pub target_component: u32,
    /// SiteHow.
    pub how: u8,
    /// WaitKind.
    pub wait: u8,
    /// Never timed.
    pub counted_only: bool,
    /// Target address.
    pub target: u64,
    /// Slot address, 0 for dlsym.
    pub slot: u64,
    /// Symbol.
    pub name: &'a [u8],
    /// Symbol version or empty.
    pub version: &'a [u8],
}

/// A site was made or its target changed.
pub fn write_site(site: &SiteRecord) {
    let payload = Payload::new()
        .u32(site.id)
        .u32(site.caller)
        .u32(site.target_component)
        .u8(site.how)
        .u8(site.wait)
        .u8(u8::from(site.counted_only))
        .u8(0)
        .u64(site.target)
        .u64(site.slot)
        .text(site.name)
        .text(site.version);
    append(RecordKind::Site, &payload.0);
}

/// How many of a component's `syscall` instructions are seen.
pub fn write_syscall_sites(component: u32, found: u32, patched: u32, entry_only: u32) {
    let payload = Payload::new().u32(component).u32(found).u32(patched).u32(entry_only);
    append(RecordKind::SyscallSites, &payload.0);
}

/// A `syscall` instruction was left alone; `address` is that of the component's file.
pub fn write_syscall_skipped(component: u32, why: SyscallSkip, address: u64) {
    let payload = Payload::new().u32(component).u32(u32::from(why as u8)).u64(address);
    append(RecordKind::SyscallSkipped, &payload.0);
}

/// Something a descriptor led to.
pub fn write_object(id: u32, kind: ObjectKind, name: &[u8]) {
    let payload = Payload::new()
        .u32(id)
        .u32(u32::from(kind as u8))
        .u64(perfvisor_probe::clock::now())
        .text(name);
    append(RecordKind::Object, &payload.0);
}

/// A setting in force.
pub fn write_setting(key: &str, value: &[u8]) {
    append(RecordKind::Setting, &Payload::new().text(key.as_bytes()).text(value).0);
}

/// Something the user should know.
pub fn write_message(text: &str) {
    let payload = Payload::new().u64(perfvisor_probe::clock::now()).text(text.as_bytes());
    append(RecordKind::Message, &payload.0);
}

/// exec is about to happen.
pub fn write_exec(path: &[u8]) {
    let payload = Payload::new().u64(perfvisor_probe::clock::now()).text(path);
    append(RecordKind::Exec, &payload.0);
    end(EndKind::Exec, 0);
}

/// fork returned in the parent.
pub fn note_fork() {
    if let Some(header) = header() {
        header.forks += 1;
    }
}

/// Notes how the image ends; the last note stands.
pub fn end(kind: EndKind, status: u32) {
    let Some(header) = header() else { return };
    header.lost_calls += super::late::take_unkept();
    let stamp = Stamp::now();
    if !crate::interpose::restricted() {
        (header.user_ns, header.system_ns) = cpu_times();
    }
    header.exit_status = status;
    header.end_kind = kind as u32;
    header.end_monotonic_ns = stamp.monotonic_ns;
    header.end_tsc = stamp.tsc;
}

/// User and system time of the process so far, ns.
fn cpu_times() -> (u64, u64) {
    // SAFETY: getrusage fills the struct.
    let usage = unsafe {
        let mut usage: libc::rusage = core::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let (user, system) = (timeval_ns(usage.ru_utime), timeval_ns(usage.ru_stime));
    let sum = cpu_ns(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap_or(user + system);
    split(sum, user, system)
}

/// A `timeval` in nanoseconds.
pub fn timeval_ns(time: libc::timeval) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000
}

/// Cuts `process.pv` to its populated part: what destructors still add finds room there.
pub fn shorten() {
    let (Some(path), Some(p)) = (path("process.pv"), process()) else { return };
    p.mapping.bytes = p.ready;
    file::shorten(&path, p.ready);
}
