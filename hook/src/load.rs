//! From being mapped to recording, and the phases in between.

use crate::config::{self, Config};
use crate::environment;
use crate::files::{self, Errno};
use crate::store::lock::{Cold, Quiet};
use crate::store::{process, run, threads};
use alloc::boxed::Box;
use alloc::string::String;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use perfvisor_format::EndKind;

/// Where the hook stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Mapped, the constructor runs.
    Loading = 0,
    /// Files are open, slots are being patched.
    Armed = 1,
    /// Calls are recorded.
    Recording = 2,
    /// A fork's child before its first hooked call: its own image is still to be made.
    Forked = 3,
    /// The process ends; what is still called is still counted.
    Draining = 4,
    /// Nothing is recorded: it could not begin, or this process is not followed.
    Off = 5,
}

static PHASE: AtomicU8 = AtomicU8::new(Phase::Loading as u8);
static CONFIG: AtomicPtr<Config> = AtomicPtr::new(core::ptr::null_mut());

/// The phase.
pub fn phase() -> Phase {
    match PHASE.load(Ordering::Acquire) {
        0 => Phase::Loading,
        1 => Phase::Armed,
        2 => Phase::Recording,
        3 => Phase::Forked,
        4 => Phase::Draining,
        _ => Phase::Off,
    }
}

/// Changes the phase; the probe asks for new threads only while recording is possible.
pub fn set_phase(phase: Phase) {
    PHASE.store(phase as u8, Ordering::Release);
    let open = matches!(phase, Phase::Recording | Phase::Forked);
    perfvisor_probe::cold::RECORDING.store(open, Ordering::Release);
}

/// Settings in force.
pub fn config() -> &'static Config {
    // SAFETY: set once in `load` (a leaked box) before anything can ask.
    unsafe { &*CONFIG.load(Ordering::Acquire) }
}

#[used]
#[link_section = ".init_array"]
static CONSTRUCTOR: extern "C" fn() = constructor;
#[used]
#[link_section = ".fini_array"]
static DESTRUCTOR: extern "C" fn() = destructor;

extern "C" fn constructor() {
    // A test binary of this crate links us too; it must not record itself.
    if cfg!(test) || environment::variable(c"LD_PRELOAD").is_none() && !asked_for() {
        set_phase(Phase::Off);
        return;
    }
    let _quiet = Quiet::enter();
    let begin = perfvisor_probe::clock::now();
    crate::allocator::init();
    crate::interpose::process::find_own_path();
    let (config, complaints) = config::read();
    CONFIG.store(Box::into_raw(Box::new(config)), Ordering::Release);
    if let Err(refusal) = start(self::config()) {
        match refusal {
            // Not our directory to leave a mark in; the children are spared the hook and say nothing.
            Refusal::Stranger(why) => {
                crate::diag::message(&format!("nothing is recorded: {why}"));
            }
            Refusal::Cannot(why) => say_once_a_run(&format!("nothing is recorded: {why}")),
        }
        set_phase(Phase::Off);
        return;
    }
    complain(complaints);
    if !self::config().follow {
        crate::interpose::process::hide_from_children();
    }
    if let Some(header) = process::header() {
        header.load_cycles = perfvisor_probe::clock::now() - begin;
    }
}

/// Who began the run says what is wrong with its settings; the others of the run have the same.
fn complain(complaints: config::Complaints) {
    if !run::is_our_begin() {
        complaints.wrong.iter().for_each(|text| process::write_message(text));
        return;
    }
    complaints.wrong.iter().chain(&complaints.unread).for_each(|text| crate::diag::message(text));
}

/// Enters the run of the directory. A stranger there starts strangers: they are spared the hook, and
/// the user their saying the same again.
fn enter(config: &Config) -> Result<(), Refusal> {
    match run::enter(&config.out)? {
        run::Entry::Member => Ok(()),
        run::Entry::Stranger(why) => {
            if environment::variable(c"LD_PRELOAD").is_some() {
                crate::interpose::process::hide_from_children();
            }
            Err(Refusal::Stranger(why))
        }
    }
}

/// Why this process records nothing.
enum Refusal {
    /// The directory is somebody else's.
    Stranger(String),
    /// It cannot.
    Cannot(String),
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Cannot(why)
    }
}

/// A dlopen'ed hook (attach, tests) records when a directory was named.
fn asked_for() -> bool {
    environment::variable(c"PERFVISOR_OUT").is_some()
}

fn start(config: &Config) -> Result<(), Refusal> {
    if tsc_is_forbidden() {
        let why = "the process may not read the time stamp counter (PR_TSC_SIGSEGV)";
        return Err(Refusal::Cannot(why.into()));
    }
    enter(config)?;
    // SAFETY: before the first slot is patched nobody reads these.
    unsafe {
        perfvisor_probe::cold::COLD = crate::cold::CALLS;
        perfvisor_has_xsave = u64::from(has_xsave());
    }
    process::create(config, false)?;
    threads::create()?;
    describe(config);
    set_phase(Phase::Armed);
    crate::interpose::calibrate::run();
    crate::interpose::init();
    set_phase(Phase::Recording);
    crate::cold::begin_thread(&crate::cold::Beginning { origin: 1, ..Default::default() });
    crate::patch::scan_now();
    if config.syscall_audit {
        if crate::audit::begin() {
            crate::audit::watch_thread();
        } else {
            crate::diag::message("this kernel has no Syscall User Dispatch: nothing is audited");
        }
    }
    Ok(())
}

unsafe extern "C" {
    static mut perfvisor_has_xsave: u64;
}

/// Whether XSAVE may be used: OSXSAVE, bit 27 of CPUID leaf 1, says that both the processor and the
/// kernel know it.
fn has_xsave() -> bool {
    core::arch::x86_64::__cpuid(1).ecx & 1 << 27 != 0
}

fn tsc_is_forbidden() -> bool {
    let mut mode = 0i32;
    // SAFETY: PR_GET_TSC writes one int.
    let known = unsafe { libc::prctl(libc::PR_GET_TSC, &raw mut mode) } == 0;
    known && mode == libc::PR_TSC_SIGSEGV
}

/// Writes who runs and with which settings.
fn describe(config: &Config) {
    if let Ok(exe) = files::read_link(c"/proc/self/exe") {
        process::write_setting("exe", &exe);
    }
    if let Ok(cwd) = files::working_directory() {
        process::write_setting("cwd", &cwd);
    }
    if let Ok(line) = files::read(c"/proc/self/cmdline") {
        let text = line.strip_suffix(b"\0").unwrap_or(&line);
        for (index, argument) in text.split(|&byte| byte == 0).enumerate().take(64) {
            process::write_setting(&format!("argv{index}"), argument);
        }
    }
    let mut host = [0u8; 65];
    // SAFETY: at most 64 bytes are written.
    if unsafe { libc::gethostname(host.as_mut_ptr().cast(), 64) } == 0 {
        let length = host.iter().position(|&byte| byte == 0).unwrap_or(64);
        process::write_setting("hostname", &host[..length]);
    }
    for (key, value) in &config.given {
        process::write_setting(key, value.as_bytes());
    }
}

/// The first hooked call of a fork's child: begins its own image.
pub fn begin_child() {
    let _cold = Cold::enter();
    if phase() != Phase::Forked {
        return;
    }
    let config = config();
    if let Err(why) = process::create(config, true).and_then(|()| threads::create()) {
        set_phase(Phase::Off);
        say_once_a_run(&format!("the forked child is not recorded: {why}"));
        return;
    }
    describe(config);
    crate::interpose::calibrate::write();
    crate::patch::rewrite_all();
    set_phase(Phase::Recording);
}

/// Why an image records nothing is mostly why those after it do not either: on a full disk a script
/// of thirty commands would say it sixty times. The first to make a certain empty file says it; where
/// not even that can be made, everybody does.
fn say_once_a_run(text: &str) {
    let mut mark = config().out.clone();
    mark.extend_from_slice(b"/unrecorded");
    if files::c_path(mark).and_then(|mark| files::make_new(&mark)) != Err(Errno(libc::EEXIST)) {
        crate::diag::message(text);
    }
}

extern "C" fn destructor() {
    finish(EndKind::Exit, None);
}

/// Notes the end of the process: threads that still run, CPU time, how it ends.
pub fn finish(kind: EndKind, status: Option<u32>) {
    if phase() != Phase::Recording || crate::interpose::process::is_vfork_child() {
        return;
    }
    let _cold = Cold::enter();
    let status = status.or_else(|| process::header().map(|h| h.exit_status)).unwrap_or(0);
    if !crate::interpose::restricted() {
        // SAFETY: gettid has no preconditions.
        let own = unsafe { libc::gettid() } as u32;
        crate::cold::for_each_live(|thread| {
            // SAFETY: live threads' states stay mapped; tid and index never change.
            let (tid, index) = unsafe { ((*thread).tid, (*thread).index) };
            let Some(record) = threads::get(index) else { return };
            if tid == own {
                threads::take_usage(record);
            } else {
                threads::take_usage_of(record, tid);
            }
        });
    }
    process::end(kind, status);
    if kind != EndKind::Exec && !crate::interpose::restricted() {
        // SAFETY: live threads' states stay mapped, and the lock is held.
        crate::cold::for_each_live(|thread| unsafe { crate::store::segment::shorten(thread) });
        threads::shorten();
        process::shorten();
    }
}
