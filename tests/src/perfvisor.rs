//! The `perfvisor` binary as a user has it.

use crate::process::{run, Outcome};
use crate::report::Report;
use crate::scratch::{target_tmp, workspace, Scratch};
use crate::testapp::Testapp;
use crate::truth::Truth;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How much is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Adaptive timing.
    Default,
    /// Every call is timed.
    Exact,
    /// Every call is kept as an event.
    Events,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Default, Self::Exact, Self::Events];

    /// The flags of `perfvisor run` that ask for it.
    #[must_use]
    pub const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Default => &[],
            Self::Exact => &["--exact"],
            Self::Events => &["--events"],
        }
    }
}

/// The path of the binary under test: `PERFVISOR_BIN`, else a release build made once.
///
/// # Panics
/// When it cannot be built.
pub fn perfvisor_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("PERFVISOR_BIN") {
            return PathBuf::from(path);
        }
        // A directory of its own: the cargo that runs this test may hold the lock of the usual one.
        let target = target_tmp().join("perfvisor-build");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--release", "--package", "perfvisor", "--target-dir"])
            .arg(&target)
            .current_dir(workspace())
            .status()
            .expect("cargo");
        assert!(status.success(), "perfvisor does not build");
        target.join("release/perfvisor")
    })
}

/// The hook library, as `perfvisor hook-path` prints it.
///
/// # Panics
/// When the command fails.
pub fn hook_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let outcome = run(Command::new(perfvisor_path()).arg("hook-path")).ok();
        PathBuf::from(outcome.stdout.trim_end_matches('\n'))
    })
}

/// A run of a program under `perfvisor run`, being put together.
pub struct Perfvisor {
    scratch: Scratch,
    flags: Vec<String>,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
}

/// A finished run with its trace.
pub struct Recording {
    /// What the user saw.
    pub outcome: Outcome,
    /// What the testapp says.
    pub truth: Truth,
    scratch: Scratch,
}

impl Perfvisor {
    /// Records testapp `name`.
    #[must_use]
    pub fn testapp(name: &str) -> Self {
        Self::program(Testapp::build(name).path())
    }

    /// Records any program.
    ///
    /// # Panics
    /// When `program` has no file name.
    #[must_use]
    pub fn program(program: &Path) -> Self {
        let name = program.file_name().expect("a program").to_string_lossy().into_owned();
        Self {
            scratch: Scratch::new(&name),
            flags: Vec::new(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
        }
    }

    /// Adds flags of `perfvisor run`.
    #[must_use]
    pub fn flags<S: AsRef<str>>(mut self, flags: &[S]) -> Self {
        self.flags.extend(flags.iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    /// Adds arguments of the program.
    #[must_use]
    pub fn args<S: AsRef<str>>(mut self, arguments: &[S]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs in `directory`.
    #[must_use]
    pub fn current_dir(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// The `perfvisor run` command, for tests that want to start it themselves, and its scratch
    /// directory with the trace in `trace`.
    #[must_use]
    pub fn command(self) -> (Command, Scratch) {
        let mut command = Command::new(perfvisor_path());
        command.args(["run", "--quiet", "--no-report", "-o"]).arg(self.scratch.join("trace"));
        command.args(&self.flags).arg("--").arg(&self.program).args(&self.arguments);
        prepare(&mut command, &self.scratch, &self.environment, self.directory.as_deref());
        (command, self.scratch)
    }

    /// Runs under `perfvisor run`.
    #[must_use]
    pub fn record(self) -> Recording {
        let (mut command, scratch) = self.command();
        Recording::of(&mut command, scratch)
    }

    /// Runs with a bare `LD_PRELOAD`; flags do not apply.
    ///
    /// # Panics
    /// When flags were given.
    #[must_use]
    pub fn record_by_preload(self) -> Recording {
        assert!(self.flags.is_empty(), "a bare preload takes no flags");
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        prepare(&mut command, &self.scratch, &self.environment, self.directory.as_deref());
        command.env("LD_PRELOAD", hook_path()).env("PERFVISOR_OUT", self.scratch.join("trace"));
        // What the recorder has to say is not the program's own standard error.
        command.env("PERFVISOR_QUIET", "1");
        Recording::of(&mut command, self.scratch)
    }

    /// Runs the program alone, with the hook's path as its last argument, so that it loads the hook
    /// itself when it likes; flags do not apply.
    ///
    /// # Panics
    /// When flags were given.
    #[must_use]
    pub fn record_by_dlopen(self) -> Recording {
        assert!(self.flags.is_empty(), "a hook that is loaded takes no flags");
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(hook_path());
        prepare(&mut command, &self.scratch, &self.environment, self.directory.as_deref());
        command.env("PERFVISOR_OUT", self.scratch.join("trace")).env("PERFVISOR_QUIET", "1");
        Recording::of(&mut command, self.scratch)
    }

    /// Runs the same program with nobody watching.
    #[must_use]
    pub fn native(self) -> Recording {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        prepare(&mut command, &self.scratch, &self.environment, self.directory.as_deref());
        Recording::of(&mut command, self.scratch)
    }
}

fn prepare(
    command: &mut Command,
    scratch: &Scratch,
    environment: &[(String, String)],
    directory: Option<&Path>,
) {
    command.env("TESTAPP_TRUTH", scratch.join("truth"));
    command.env("TESTAPP_COUNTERS", scratch.join("counters"));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
}

impl Recording {
    fn of(command: &mut Command, scratch: Scratch) -> Self {
        let outcome = run(command);
        Self::from_parts(outcome, scratch)
    }

    /// A recording made by a test's own hands in `scratch` (see [`Perfvisor::command`]).
    #[must_use]
    pub fn from_parts(outcome: Outcome, scratch: Scratch) -> Self {
        Self { outcome, truth: Truth::read(&scratch.join("truth")), scratch }
    }

    /// Where the trace is.
    #[must_use]
    pub fn trace(&self) -> PathBuf {
        self.scratch.join("trace")
    }

    /// (begun, done) calls of counter `index` of a testapp that keeps them in a shared mapping.
    ///
    /// # Panics
    /// When the testapp left no counters.
    #[must_use]
    pub fn counters(&self, index: usize) -> (u64, u64) {
        let bytes = std::fs::read(self.scratch.join("counters")).expect("counters");
        let word = |at: usize| {
            let bytes = bytes[index * 16 + at..][..8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        (word(0), word(8))
    }

    /// `perfvisor report` with `flags`, as a user sees it.
    #[must_use]
    pub fn report_text(&self, flags: &[&str]) -> Outcome {
        run(Command::new(perfvisor_path()).arg("report").args(flags).arg(self.trace()))
    }

    /// `perfvisor report --json`.
    ///
    /// # Panics
    /// When the report fails or is not JSON.
    #[must_use]
    pub fn report(&self) -> Report {
        let outcome = self.report_text(&["--json"]);
        assert!(outcome.status.success(), "report failed: {outcome:#?}\n{:#?}", self.outcome);
        Report::parse(&outcome.stdout)
    }
}
