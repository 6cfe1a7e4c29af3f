//! The list of testapps and how each ends.

/// A testapp with arguments and the way it ends.
pub struct App {
    /// Name of its source.
    pub name: &'static str,
    /// Arguments.
    pub arguments: &'static [&'static str],
    /// Exit code it ends with.
    pub code: Option<i32>,
    /// Signal it ends by.
    pub signal: Option<i32>,
}

const fn app(name: &'static str, arguments: &'static [&'static str], code: i32) -> App {
    App { name, arguments, code: Some(code), signal: None }
}

const fn killed(name: &'static str, arguments: &'static [&'static str], signal: i32) -> App {
    App { name, arguments, code: None, signal: Some(signal) }
}

/// All testapps.
pub const ALL: &[App] = &[
    app("micro", &[], 0),
    app("heap", &[], 0),
    app("mutex_free", &[], 0),
    app("convoy", &[], 0),
    app("rwlock", &[], 0),
    app("cond", &[], 0),
    app("semaphore", &[], 0),
    app("barrier", &[], 0),
    app("join", &[], 0),
    app("thrd", &[], 0),
    app("nested", &[], 0),
    app("throw", &[], 0),
    app("jump", &[], 0),
    app("cancel", &[], 0),
    app("cancel_destructors", &[], 0),
    app("unwind", &[], 0),
    app("panic", &[], 0),
    app("signals", &[], 0),
    app("altstack", &[], 0),
    app("coroutines", &[], 0),
    app("coroutine_moves", &[], 0),
    app("spawn", &[], 0),
    app("forks", &[], 0),
    app("daemonize", &[], 0),
    app("many_live", &["1500"], 0),
    app("many_short", &["3000"], 0),
    app("nonpie_threads", &[], 0),
    app("cpu_time", &[], 0),
    app("exec_self", &["3"], 5),
    app("exec_kinds", &[], 0),
    app("ends", &["return"], 2),
    app("ends", &["exit"], 3),
    app("ends", &["_exit"], 4),
    app("ends", &["quick_exit"], 5),
    killed("ends", &["abort"], 6),
    killed("ends", &["segv"], 11),
    killed("ends", &["term"], 15),
    killed("ends", &["kill"], 9),
    app("ends", &["main_exits"], 0),
    app("reload", &[], 0),
    app("next", &[], 0),
    app("deepbind", &[], 0),
    app("ifunc", &[], 0),
    app("versions", &[], 0),
    app("weak", &[], 0),
    app("identity", &[], 0),
    app("mixed", &[], 0),
    app("fortify", &[], 0),
    app("abi", &[], 0),
    app("errno_kept", &[], 0),
    app("close_all", &[], 0),
    app("environment", &[], 0),
    app("file_limit", &[], 0),
    app("seccomp", &[], 0),
    app("small_stack", &[], 0),
    app("self_calls", &[], 0),
    app("edges", &[], 0),
    app("quiet", &[], 0),
    app("openmp", &[], 0),
    app("groups", &[], 0),
    app("rust_convoy", &[], 0),
    app("rust_main", &[], 0),
    app("signal_jump", &[], 0),
    app("cancel_anywhere", &[], 0),
    killed("uncaught", &[], 6),
    app("deep", &[], 0),
    app("own_malloc", &[], 0),
    app("confined", &[], 0),
    app("totals", &["steady", "20000"], 0),
    app("totals", &["bimodal", "20000"], 0),
    app("totals", &["drifting", "20000"], 0),
    app("totals", &["rare", "100000"], 0),
    app("known", &[], 0),
    app("buffered", &["1"], 0),
    app("buffered", &["4"], 0),
    app("errors", &[], 0),
    app("kinds", &[], 0),
    app("futexes", &[], 0),
    app("restarts", &[], 0),
    app("jump_out", &[], 0),
    app("cancel_read", &[], 0),
    app("storm", &[], 0),
    app("strict", &[], 0),
    app("late_hook", &[], 0),
    app("family", &[], 0),
    app("registers", &[], 0),
    app("errno_syscalls", &[], 0),
    app("loops", &["both", "20000"], 0),
    app("copier", &["1"], 0),
];

/// Runs `check` on every testapp, on two threads, and fails with all failures, not just the first.
///
/// # Panics
/// When `check` panicked for any.
pub fn check_all(check: impl Fn(&App) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| loop {
                let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(app) = ALL.get(at) else { break };
                let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(app)));
                if ran.is_err() {
                    let mut failures = failures.lock().expect("list of failures");
                    failures.push(format!("{} {:?}", app.name, app.arguments));
                }
            });
        }
    });
    let failures = failures.into_inner().expect("list of failures");
    assert!(failures.is_empty(), "failed: {failures:#?} (see above)");
}
