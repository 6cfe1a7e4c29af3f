//! `perfvisor compare`: two sides, each of one or more recorded runs.

mod args;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use perfvisor::analysis::compare::{compare, Comparison, Options, Run};
use perfvisor::{model, read, report};

pub use args::CompareArgs;

use super::usage::EXIT_USAGE;
use super::view::{unreadable, write_to, STANDARD_OUTPUT};
use super::{terminal, Failure};

/// Exit code when a rule of `--fail-if` holds.
const EXIT_RULE_HOLDS: u8 = 1;
/// Exit code when the sides could not be compared; CI can tell it from a rule that holds.
const EXIT_NOT_COMPARED: u8 = 3;

/// Compares and draws; the exit code says whether a rule holds.
pub fn run(args: &CompareArgs) -> Result<ExitCode, Failure> {
    if let Some(mistake) = args.mistake() {
        return Err(Failure::new(mistake).with_code(EXIT_USAGE));
    }
    let comparison = compared(args).map_err(|failure| failure.with_code(EXIT_NOT_COMPARED))?;
    draw(args, &comparison).map_err(|failure| failure.with_code(EXIT_NOT_COMPARED))?;
    let holds = comparison.rules.iter().any(|rule| rule.holds);
    Ok(ExitCode::from(if holds { EXIT_RULE_HOLDS } else { 0 }))
}

fn compared(args: &CompareArgs) -> Result<Comparison, Failure> {
    let (a, b) = args.sides();
    let (a, b) = (runs(a)?, runs(b)?);
    let options = Options {
        maps: args.map.clone(),
        apis: args.api.clone(),
        alpha: args.alpha,
        least_effect: args.min_effect / 100.0,
        correction: args.correction,
        rules: args.fail_if.clone(),
        untested_rules: args.untested,
        ..Options::default()
    };
    compare(&a, &b, &options).map_err(Failure::new)
}

/// The runs in `places`: each a trace, or a directory of traces.
fn runs(places: &[PathBuf]) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for place in places {
        for directory in traces(place)? {
            // One profile at a time: what is kept of it is small.
            runs.push(Run::new(&model::load(&directory).map_err(unreadable)?));
        }
    }
    Ok(runs)
}

/// `place` itself if it is a trace, else the traces in it, by name.
fn traces(place: &Path) -> Result<Vec<PathBuf>, Failure> {
    let is_trace = |directory: &Path| {
        read::image_folders(directory).map(|folders| !folders.is_empty()).map_err(unreadable)
    };
    if is_trace(place)? {
        return Ok(vec![place.to_owned()]);
    }
    let cannot = |error: io::Error| {
        Failure::new(format!("cannot read {}: {}", place.display(), read::plain(&error)))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(place).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_dir() && is_trace(&path)? {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Failure::new(format!("{} holds no trace and no traces", place.display()))
            .advise("record one with `perfvisor run -o DIR -- CMD`, several as DIR/1, DIR/2, …"));
    }
    Ok(found)
}

fn draw(args: &CompareArgs, comparison: &Comparison) -> Result<(), Failure> {
    if let Some(path) = &args.html {
        let page = report::compare::html(comparison);
        write_to(path, |out| out.write_all(page.as_bytes()))?;
    }
    let stdout = Path::new(STANDARD_OUTPUT);
    if args.json {
        write_to(stdout, |out| report::compare::json(comparison, out))?;
    }
    if args.html.is_some() || args.json {
        // Whoever reads these, the rules are for whoever sees the command fail.
        for line in report::compare::rules(comparison) {
            super::run::say(&line);
        }
        return Ok(());
    }
    let default = report::compare::CompareOptions::default();
    let options = report::compare::CompareOptions {
        width: args.width.or(terminal::width(libc::STDOUT_FILENO)).unwrap_or(default.width),
        color: args.color.wanted(&io::stdout()),
        top: args.top,
    };
    let text = report::compare::text(comparison, &options);
    write_to(stdout, |out| out.write_all(text.as_bytes()))
}
