//! The command line: what a user types becomes calls of the library, and its answers become text.
//!
//! What may not happen here: no analysis and no drawing of findings (that is `analysis` and
//! `report`), no panic that reaches a user, and nothing that changes the program that `run` starts:
//! its descriptors, signals, limits and working directory are the ones we were given. Every failure
//! is a [`Failure`]: what, where, expected, found, and what to do.
//!
//! ```text
//! args ── settings (file < environment < flags) ──┐
//!          program (can LD_PRELOAD enter it?) ────┤
//!          library (the hook, unpacked) ──────────┴─ run ── child ── view (report)
//!          program, machine, process ───────────────── doctor
//! ```

mod args;
mod compare;
mod doctor;
mod generate;
mod inherited;
mod library;
mod mapped;
mod program;
mod run;
mod settings;
mod syscalls;
mod terminal;
mod usage;
mod view;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

/// Exit code of `run` when Perfvisor itself failed, or was used wrongly, and the program was not run.
pub const EXIT_OURS: u8 = 125;
/// Exit code of `run` when the program was found but cannot be executed.
pub const EXIT_CANNOT_EXECUTE: u8 = 126;
/// Exit code of `run` when the program was not found.
pub const EXIT_NOT_FOUND: u8 = 127;

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// Exit code of the process.
    pub code: u8,
    /// What failed and where.
    pub text: String,
    /// What the user can do, if we know.
    pub advice: Option<String>,
}

impl Failure {
    /// A failure of a command other than `run` (exit code 1).
    pub fn new(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into(), advice: None }
    }

    /// The same with what to do about it.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The same with exit code `code`.
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "perfvisor: {}", self.text)?;
        match &self.advice {
            Some(advice) => write!(out, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

/// Runs the command line and returns the exit code of the process.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(io::stderr(), "perfvisor: internal error, please report it: {panic}");
        std::process::exit(i32::from(EXIT_OURS));
    }));
    inherited::ignore_file_size_signal();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage::refuse(error),
    };
    match dispatch(args) {
        Ok(code) => code,
        Err(failure) => {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(io::stderr(), "{failure}");
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(args: args::Args) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    if !matches!(args.command, args::Command::Run(_)) {
        // `run` must live to pass the exit code through even when nobody reads its report.
        terminal::die_on_broken_pipe();
    }
    match args.command {
        args::Command::Run(run) => run::run(&run),
        args::Command::Report(report) => view::report(&report).map(done),
        args::Command::Syscalls(args) => syscalls::syscalls(&args).map(done),
        args::Command::Footprint(args) => syscalls::footprint(&args).map(done),
        args::Command::Compare(compare) => compare::run(&compare),
        args::Command::Dump(dump) => view::dump(&dump).map(done),
        args::Command::Doctor(doctor) => doctor::doctor(&doctor),
        args::Command::HookPath => library::print_path().map(done),
        args::Command::Completions { shell } => generate::completions(shell).map(done),
        args::Command::Man { command } => generate::man(command.as_deref()).map(done),
    }
}

/// Writes `text` to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(format!("cannot write to standard output: {error}")))
}
