//! `perfvisor run`: check, start with the hook preloaded, wait, report, and end as the program did.
//!
//! ```text
//! settings → program::find, inspect → library::unpack → directory::prepare → targets::check
//!          → child::run → run.json → trim → view::after_run → the program's exit code, or its signal
//! ```
//! Nothing is run unless all checks before `child::run` passed; what fails after it is said on
//! standard error, quiet or not, and changes no exit code.

mod child;
mod directory;
mod signals;
mod targets;
mod trim;

pub use directory::{check_room, free_bytes};

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::args::RunArgs;
use super::program::{self, Obstacle};
use super::settings::{self, Settings};
use super::{library, view, Failure, EXIT_CANNOT_EXECUTE, EXIT_NOT_FOUND, EXIT_OURS};
use child::{Ended, Outcome};
use directory::Directory;

/// Version of `run.json`.
const RUN_SCHEMA: u32 = 1;

/// Runs the program and returns its exit code; does not return if the program died by a signal.
pub fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let settings = Settings::load(args.config.as_deref(), &args.flags)?;
    let quiet = settings.is_on("quiet");
    if !quiet {
        for name in settings::unknown_variables() {
            say(&format!("environment variable {name} is no setting and is ignored"));
        }
    }
    let (command, arguments) = match args.command.split_first() {
        Some(split) => split,
        None => return Err(Failure::new("no command given").with_code(EXIT_OURS)),
    };
    let path = check(command)?;
    let library = library::unpack()?;
    let directory = directory::prepare(settings.path("out").as_deref(), command)?;
    targets::check(&settings).inspect_err(|_| directory.abandon())?;
    let environment = environment(&settings, &library, &directory);
    let (outcome, signals) =
        child::run(&path, command, arguments, &environment).map_err(|error| {
            directory.abandon();
            let code = match error.raw_os_error() {
                Some(libc::ENOENT) => EXIT_NOT_FOUND,
                Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => EXIT_OURS,
                _ => EXIT_CANNOT_EXECUTE,
            };
            Failure::new(format!("cannot run {}: {error}", path.display())).with_code(code)
        })?;
    signals.hold();
    if let Err(error) = write_run_json(&directory.path, &args.command, &outcome) {
        say(&format!("{}: {error}", directory.path.join("run.json").display()));
    }
    trim::trim(&directory.path);
    view::after_run(&directory.path, &settings, args.color);
    match outcome.ended {
        Ended::Exit(code) => Ok(ExitCode::from(code)),
        Ended::Signal(signal) => signals::die_by(signal),
    }
}

/// Finds the program and makes sure that it can be recorded.
fn check(command: &OsStr) -> Result<PathBuf, Failure> {
    let refuse = |file: Option<&Path>, obstacle: &Obstacle| {
        let text = match file {
            Some(file) if matches!(obstacle.code(), EXIT_OURS) => {
                format!("cannot record {}: {obstacle}", file.display())
            }
            _ => obstacle.to_string(),
        };
        let failure = Failure::new(text).with_code(obstacle.code());
        match obstacle.advice() {
            Some(advice) => failure.advise(advice),
            None => failure,
        }
    };
    let path = program::find(command).map_err(|obstacle| refuse(None, &obstacle))?;
    match program::inspect(&path) {
        Ok(program) => Ok(program.path),
        Err((file, obstacle)) => Err(refuse(Some(&file), &obstacle)),
    }
}

/// What the program's environment must say beyond ours; `None` removes a variable.
fn environment(
    settings: &Settings,
    library: &Path,
    directory: &Directory,
) -> Vec<(&'static str, Option<OsString>)> {
    let mut variables: Vec<(&'static str, Option<OsString>)> = settings
        .environment()
        .into_iter()
        .map(|(name, value)| (name, value.map(OsStr::to_owned)))
        .collect();
    variables.push(("PERFVISOR_OUT", Some(directory.path.as_os_str().to_owned())));
    variables.push((settings::RUN_VARIABLE, Some(directory.run_id.clone().into())));
    let preload = preload(library.as_os_str(), std::env::var_os("LD_PRELOAD").as_deref());
    variables.push(("LD_PRELOAD", Some(preload)));
    variables
}

/// Our library before those that were to be preloaded already.
fn preload(library: &OsStr, existing: Option<&OsStr>) -> OsString {
    let mut list = library.as_bytes().to_vec();
    let existing = existing.map(OsStr::as_bytes).unwrap_or_default();
    // Both separators of the loader are kept as they were; only our own path is not repeated.
    for part in existing.split(|byte| *byte == b':' || *byte == b' ') {
        if !part.is_empty() && part != library.as_bytes() {
            list.push(b':');
            list.extend_from_slice(part);
        }
    }
    OsString::from_vec(list)
}

fn write_run_json(directory: &Path, command: &[OsString], outcome: &Outcome) -> io::Result<()> {
    let (exit_code, signal) = match outcome.ended {
        Ended::Exit(code) => (Some(code), None),
        Ended::Signal(signal) => (None, Some(signal)),
    };
    let command: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let run = json!({
        "schema": RUN_SCHEMA,
        "perfvisor": env!("CARGO_PKG_VERSION"),
        "command": command,
        "start_realtime_ns": outcome.start_realtime_ns,
        "wall_ns": outcome.wall_ns,
        "exit_code": exit_code,
        "signal": signal,
        "user_ns": outcome.user_ns,
        "system_ns": outcome.system_ns,
        "max_rss_kib": outcome.max_rss_kib,
    });
    std::fs::write(directory.join("run.json"), format!("{run:#}\n"))
}

/// Tells the user something on standard error; nobody there to read it is no failure.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "perfvisor: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_preload_stays_behind_ours() {
        let join = |existing: Option<&str>| {
            preload(OsStr::new("/c/h.so"), existing.map(OsStr::new)).into_string().unwrap()
        };
        assert_eq!(join(None), "/c/h.so");
        assert_eq!(join(Some("")), "/c/h.so");
        assert_eq!(join(Some("libjemalloc.so b.so:/c/h.so")), "/c/h.so:libjemalloc.so:b.so");
    }
}
