//! `perfvisor report` and `dump`, and the report at the end of `run`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use perfvisor::analysis::{findings, Finding};
use perfvisor::model::{self, Profile};
use perfvisor::read::{self, DumpFilter, ReadError};
use perfvisor::report::{self, TextOptions};

use super::args::{DumpArgs, ReportArgs, TextArgs};
use super::run::say;
use super::settings::Settings;
use super::terminal::{self, Color};
use super::Failure;

/// Means standard output where a file is asked for.
pub(super) const STANDARD_OUTPUT: &str = "-";
/// How the report after `run`, which takes no `--top`, says to show all rows.
const SHOW_ALL: &str = "perfvisor report DIR --top 0";
/// Process ids that a hint spells out.
const MOST_PIDS: usize = 20;
/// Means no report at all.
const NO_REPORT: &str = "none";

/// A run and what was found in it.
struct Findings {
    profile: Profile,
    findings: Vec<Finding>,
}

fn analyse(directory: &Path) -> Result<Findings, Failure> {
    let profile = model::load(directory).map_err(unreadable)?;
    let findings = findings(&profile);
    Ok(Findings { profile, findings })
}

pub(super) fn unreadable(error: ReadError) -> Failure {
    let advice = match &error {
        ReadError::NoTrace { .. } => Some(
            "record one with `perfvisor run -o DIR -- CMD`; if this one was just recorded, the hook \
             did not enter the program: `perfvisor doctor -- CMD` says why",
        ),
        _ => None,
    };
    let failure = Failure::new(error.to_string());
    match advice {
        Some(advice) => failure.advise(advice),
        None => failure,
    }
}

/// `perfvisor report`.
pub fn report(args: &ReportArgs) -> Result<(), Failure> {
    let found = analyse(&args.directory)?;
    if let Some(path) = &args.html {
        write_to(path, |out| html(&found, out))?;
    }
    if args.json {
        write_to(Path::new(STANDARD_OUTPUT), |out| json(&found, out))?;
    }
    if args.html.is_some() || args.json {
        return Ok(());
    }
    if let Some((what, names)) = report::unmatched(&found.profile, &options(&args.text)) {
        return Err(Failure::new(what).advise(names));
    }
    let options = TextOptions {
        width: args.text.width.unwrap_or_else(|| width(libc::STDOUT_FILENO)),
        color: args.color.wanted(&io::stdout()),
        ..options(&args.text)
    };
    write_to(Path::new(STANDARD_OUTPUT), |out| text(&found, &options, out))
}

/// `perfvisor dump`.
pub fn dump(args: &DumpArgs) -> Result<(), Failure> {
    let filter = DumpFilter {
        json_lines: args.json,
        pid: args.pid,
        kinds: args.kind.clone(),
        limit: args.limit.filter(|limit| *limit > 0),
    };
    if let Some(pid) = args.pid {
        holds_process(&args.directory, pid)?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let written = read::dump(&args.directory, &mut out, &filter).map_err(unreadable)?;
    out.flush().map_err(|error| cannot_write(Path::new(STANDARD_OUTPUT), &error))?;
    if written == 0 {
        say(&format!("{} holds no record of these kinds", args.directory.display()));
    }
    Ok(())
}

/// Fails when the trace has no image of process `pid`: nothing printed looks like an empty one.
fn holds_process(directory: &Path, pid: u32) -> Result<(), Failure> {
    let folders = read::image_folders(directory).map_err(unreadable)?;
    if folders.is_empty() || folders.iter().any(|folder| folder.pid == pid) {
        return Ok(());
    }
    let mut pids: Vec<u32> = folders.iter().map(|folder| folder.pid).collect();
    pids.dedup();
    let more = pids.len().saturating_sub(MOST_PIDS);
    let mut shown: Vec<String> = pids.iter().take(MOST_PIDS).map(u32::to_string).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    Err(Failure::new(format!("{} holds no process {pid}", directory.display()))
        .advise(format!("it holds {}", shown.join(", "))))
}

/// What `run` shows when its program has ended. Nothing here changes the exit code.
pub fn after_run(directory: &Path, settings: &Settings, color: Color) {
    if let Err(failure) = nothing_recorded(directory) {
        return complain(&failure);
    }
    let target = settings.path("report");
    let wants_text = match target.as_deref() {
        Some(path) => path != Path::new(NO_REPORT),
        None => !settings.is_on("quiet"),
    };
    let page = settings.path("html");
    let data = settings.path("json");
    if wants_text || page.is_some() || data.is_some() {
        match analyse(directory) {
            Ok(found) => {
                let mut results = Vec::new();
                if wants_text {
                    results.push(write_text(&found, target.as_deref(), color));
                }
                results.extend(page.map(|path| write_to(&path, |out| html(&found, out))));
                results.extend(data.map(|path| write_to(&path, |out| json(&found, out))));
                for failure in results.into_iter().filter_map(Result::err) {
                    complain(&not_written(failure, directory));
                }
            }
            Err(failure) => complain(&failure),
        }
    }
    if !settings.is_on("quiet") {
        let shown = directory.display();
        say(&format!("recorded in {shown}; see it again with: perfvisor report {shown}"));
    }
}

/// Fails when no process left anything: the loader or the program kept the hook out, which the
/// checks before the run could not see.
fn nothing_recorded(directory: &Path) -> Result<(), Failure> {
    let is_image = |name: &std::ffi::OsStr| {
        name.to_str().is_some_and(|name| name.starts_with('p') && name.contains('.'))
    };
    let names = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    if names.map(|entry| entry.file_name()).any(|name| is_image(&name)) {
        return Ok(());
    }
    Err(Failure::new(format!("nothing was recorded: {} holds no process", directory.display()))
        .advise(
            "the loader did not load the hook library (it says why on standard error), or the \
             program replaced itself at once by one that LD_PRELOAD cannot enter; \
             `perfvisor doctor -- CMD` on that one says more",
        ))
}

/// A report that was asked for and is missing: said so that it is not overlooked, for the exit code
/// is the program's.
fn not_written(failure: Failure, directory: &Path) -> Failure {
    let shown = directory.display();
    Failure::new(format!("REPORT NOT WRITTEN: {}", failure.text)).advise(format!(
        "the recording is whole: perfvisor report {shown} (--html FILE, --json) writes it again"
    ))
}

/// Whether the value `path` of the setting `key` names a file, not a stream or nothing.
pub fn is_file(key: &str, path: &Path) -> bool {
    path != Path::new(STANDARD_OUTPUT) && !(key == "report" && path == Path::new(NO_REPORT))
}

fn complain(failure: &Failure) {
    let _ = writeln!(io::stderr(), "{failure}");
}

/// The text report of a run: to standard error unless asked otherwise, because standard output
/// belongs to the program.
fn write_text(found: &Findings, target: Option<&Path>, color: Color) -> Result<(), Failure> {
    let options = |fd, color| TextOptions {
        width: width(fd),
        color,
        show_all: SHOW_ALL,
        ..TextOptions::default()
    };
    match target {
        None => {
            let options = options(libc::STDERR_FILENO, color.wanted(&io::stderr()));
            let page = report::text(&found.profile, &found.findings, &options);
            // A reader of standard error that is gone does not want to know.
            let _ = io::stderr().lock().write_all(page.as_bytes());
            Ok(())
        }
        Some(path) => {
            let to_terminal = path == Path::new(STANDARD_OUTPUT) && io::stdout().is_terminal();
            let color = color == Color::Always || (to_terminal && color.wanted(&io::stdout()));
            write_to(path, |out| text(found, &options(libc::STDOUT_FILENO, color), out))
        }
    }
}

fn options(args: &TextArgs) -> TextOptions {
    TextOptions {
        sort: args.sort,
        top: args.top,
        group_filter: args.group.clone(),
        api_filter: args.api.clone(),
        component_filter: args.component.clone(),
        min_share: args.min_share / 100.0,
        tree: args.tree,
        threads: args.threads,
        ..TextOptions::default()
    }
}

pub(super) fn width(fd: i32) -> usize {
    terminal::width(fd).unwrap_or(TextOptions::default().width)
}

fn text(found: &Findings, options: &TextOptions, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(report::text(&found.profile, &found.findings, options).as_bytes())
}

fn json(found: &Findings, out: &mut dyn Write) -> io::Result<()> {
    report::json(&found.profile, &found.findings, out)
}

fn html(found: &Findings, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(report::html(&found.profile, &found.findings).as_bytes())
}

/// Writes to the file `path`, or to standard output for `-`.
pub(super) fn write_to(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let result = if path == Path::new(STANDARD_OUTPUT) {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out).and_then(|()| out.flush())
    } else {
        File::create(path).and_then(|file| {
            let mut out = BufWriter::new(file);
            write(&mut out)?;
            out.flush()
        })
    };
    match result {
        // `run` ignores SIGPIPE to outlive its reader; a report nobody reads is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(cannot_write(path, &error)),
        Ok(()) => Ok(()),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let place = if path == Path::new(STANDARD_OUTPUT) {
        "standard output".to_owned()
    } else {
        path.display().to_string()
    };
    Failure::new(format!("cannot write to {place}: {}", read::plain(error)))
}
