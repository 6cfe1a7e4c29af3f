//! The grammar of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use perfvisor::analysis::{SyscallSort, SyscallsBy};
use perfvisor::report::{SortBy, TextOptions, SYSCALLS_BY, SYSCALL_SORTS};

use super::compare::CompareArgs;
use super::settings::flags::Flags;
use super::terminal::Color;

/// Explains where a running Linux program loses time between its libraries.
#[derive(Debug, Parser)]
#[command(name = "perfvisor", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "First use: perfvisor run -- CMD ARGS…")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program, record its calls between libraries, and report
    Run(RunArgs),
    /// Report what a recorded run did
    Report(ReportArgs),
    /// Print a recorded run's system calls as `strace -c -f` does, by the API that made them
    Syscalls(SyscallsArgs),
    /// Print what each function asks of the kernel: system calls, bytes and time for each call of it
    Footprint(FootprintArgs),
    /// Put two recordings side by side and test each difference
    Compare(CompareArgs),
    /// Print the raw records of a trace
    Dump(DumpArgs),
    /// Say what would stop recording here, and what to do about it
    Doctor(DoctorArgs),
    /// Print the path of the hook library, for a bare LD_PRELOAD
    HookPath,
    /// Print a completion script
    Completions {
        /// For this shell
        shell: Shell,
    },
    /// Print the manual page (roff) of all commands, or of one
    Man {
        /// Of this command alone
        #[arg(value_name = "COMMAND", value_parser = PossibleValuesParser::new(COMMANDS))]
        command: Option<String>,
    },
}

/// The commands' names.
#[rustfmt::skip]
const COMMANDS: [&str; 10] = [
    "run", "report", "syscalls", "footprint", "compare", "dump", "doctor", "hook-path", "completions", "man",
];

/// `perfvisor run`.
#[derive(Debug, clap::Args)]
#[command(after_help = RUN_HELP)]
pub struct RunArgs {
    /// Settings file [env: PERFVISOR_CONFIG] [default: ~/.config/perfvisor/config.toml]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Colour the report
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    #[command(flatten)]
    pub flags: Flags,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        value_name = "CMD",
        value_hint = clap::ValueHint::CommandWithArguments
    )]
    pub command: Vec<OsString>,
}

const RUN_HELP: &str = "\
Settings come from the file, then the environment, then flags; the later wins. The file is TOML;
its keys are the long flags without the hyphens before them:
  exact = true
  flight-recorder = \"30s\"
  exclude-api = [\"str*\", \"mem*\"]

The program's input, output, signals and exit code pass through. Exit codes of our own:
  125  Perfvisor could not record or was used wrongly; the program was not run
  126  the program cannot be executed
  127  the program was not found
Files for reports are tried before the program runs. One that cannot be written afterwards (a full
disk) is told on standard error; the exit code stays the program's.
A program that dies by a signal makes perfvisor die by the same signal.";

/// `perfvisor doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// A running process to look at
    #[arg(value_name = "PID", conflicts_with = "command")]
    pub pid: Option<u32>,
    /// A program to look at, as it would be given to `perfvisor run`
    #[arg(last = true, value_name = "CMD", value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Colour the words ok, warn and fail
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// `perfvisor report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Directory of the trace
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write one self-contained HTML page to FILE (- is standard output)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    #[command(flatten)]
    pub text: TextArgs,
    /// Colour the text
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// How the text is drawn and what it leaves out.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Text")]
pub struct TextArgs {
    /// Order of the APIs
    #[arg(long, value_name = "KEY", default_value = "self", value_parser = sort_key())]
    pub sort: SortBy,
    /// Rows of each list; 0 is all
    #[arg(long, value_name = "N", default_value_t = TextOptions::default().top)]
    pub top: usize,
    /// Only thread groups whose name or executable matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub group: Vec<String>,
    /// Only APIs whose name matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub api: Vec<String>,
    /// Only calls whose caller's or target's file name matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub component: Vec<String>,
    /// Leave out APIs below this share of their group's thread time, percent
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub min_share: f64,
    /// Draw the call tree
    #[arg(long)]
    pub tree: bool,
    /// List every thread of each group
    #[arg(long)]
    pub threads: bool,
    /// Columns [default: the terminal's, else 120]
    #[arg(long, value_name = "N", value_parser = columns)]
    pub width: Option<usize>,
}

/// `perfvisor syscalls`.
#[derive(Debug, clap::Args)]
#[command(after_help = SYSCALLS_HELP)]
pub struct SyscallsArgs {
    /// Directory of the trace
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// What a row is about besides the system call
    #[arg(long, value_name = "WHAT", default_value = "api", value_parser = syscalls_by())]
    pub by: SyscallsBy,
    /// Order of the rows
    #[arg(short = 'S', long, value_name = "KEY", default_value = "time", value_parser = syscall_sort())]
    pub sort: SyscallSort,
    /// Rows shown; 0 is all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub top: usize,
    /// Only system calls whose name or category (file, network, lock, …) matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub syscall: Vec<String>,
    #[command(flatten)]
    pub only: OnlyArgs,
    /// Columns [default: the terminal's, else 120]
    #[arg(long, value_name = "N", value_parser = columns)]
    pub width: Option<usize>,
    /// Colour the text
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

const SYSCALLS_HELP: &str = "\
% time, seconds and usecs/call are of executing in the kernel; time blocked stands apart, under
waited. By fd, rows are of files, peers, pipes and futexes, and only --group and --syscall choose.";

/// `perfvisor footprint`.
#[derive(Debug, clap::Args)]
pub struct FootprintArgs {
    /// Directory of the trace
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Only functions whose name matches, also without a system call (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub api: Vec<String>,
    /// Only in thread groups whose name or executable matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub group: Vec<String>,
    /// Functions shown; 0 is all
    #[arg(long, value_name = "N", default_value_t = TextOptions::default().top)]
    pub top: usize,
    /// Print JSON, of all functions
    #[arg(long)]
    pub json: bool,
    /// Write one self-contained HTML page to FILE (- is standard output)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Columns [default: the terminal's, else 120]
    #[arg(long, value_name = "N", value_parser = columns)]
    pub width: Option<usize>,
    /// Colour the text
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// Which calls are left in.
#[derive(Debug, clap::Args)]
pub struct OnlyArgs {
    /// Only thread groups whose name or executable matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub group: Vec<String>,
    /// Only system calls below APIs whose name matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub api: Vec<String>,
    /// Only below calls whose caller's or target's file name matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub component: Vec<String>,
}

fn syscalls_by() -> impl TypedValueParser<Value = SyscallsBy> {
    PossibleValuesParser::new(SYSCALLS_BY.map(|(word, _)| word))
        .map(|word| named(&SYSCALLS_BY, &word))
}

fn syscall_sort() -> impl TypedValueParser<Value = SyscallSort> {
    PossibleValuesParser::new(SYSCALL_SORTS.map(|(word, _)| word))
        .map(|word| named(&SYSCALL_SORTS, &word))
}

fn named<T: Copy + Default>(known: &[(&str, T)], word: &str) -> T {
    known.iter().find(|(name, _)| *name == word).map_or_else(T::default, |&(_, value)| value)
}

fn sort_key() -> impl TypedValueParser<Value = SortBy> {
    PossibleValuesParser::new(SortBy::ALL.map(|(word, _)| word))
        .map(|word| SortBy::from_word(&word).unwrap_or_default())
}

/// A share in per cent.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    number
        .filter(|share| (0.0..=100.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to 100".into())
}

/// Columns of a terminal.
pub(super) fn columns(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|width| (40..=10_000).contains(width));
    number.ok_or_else(|| "expected a whole number from 40 to 10000".into())
}

/// `perfvisor dump`.
#[derive(Debug, clap::Args)]
pub struct DumpArgs {
    /// Directory of the trace
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub directory: PathBuf,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Only images of this process id
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Only these kinds of records (repeatable) [default: all but event]
    #[arg(long, value_name = "KIND", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(RECORD_KINDS))]
    pub kind: Vec<String>,
    /// Stop after N records; 0 is all
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// The kinds that `dump` knows.
#[rustfmt::skip]
const RECORD_KINDS: [&str; 26] = [
    "process", "component", "unload", "site", "skip", "setting", "message", "fork", "exec", "thread",
    "segment", "count", "state", "cell", "slow", "wait", "late", "event", "damage", "syscall-sites",
    "syscall-skipped", "object", "syscall-total", "syscall", "syscall-object", "slow-syscall",
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_holds_together() {
        Args::command().debug_assert();
        let commands = Args::command();
        let names: Vec<_> = commands.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(names, COMMANDS);
    }

    #[test]
    fn what_follows_the_program_is_its_own() {
        for line in [
            &["perfvisor", "run", "-o", "d", "--", "ls", "--exact", "-o", "x"][..],
            &["perfvisor", "run", "-o", "d", "ls", "--exact", "-o", "x"],
        ] {
            let Command::Run(run) = Args::try_parse_from(line).unwrap().command else {
                panic!("not run: {line:?}")
            };
            assert_eq!(run.command, ["ls", "--exact", "-o", "x"]);
            assert_eq!(run.flags.values(), [(0, OsString::from("d"))]);
        }
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in [
            &["perfvisor", "run", "--bogus", "--", "ls"][..],
            &["perfvisor", "run"],
            &["perfvisor", "report", "d", "--sort", "speed"],
            &["perfvisor", "report", "d", "--min-share", "200"],
            &["perfvisor", "dump", "d", "--kind", "zebra"],
            &["perfvisor", "syscalls"],
            &["perfvisor", "syscalls", "d", "--by", "moon"],
            &["perfvisor", "syscalls", "d", "-S", "speed"],
            &["perfvisor", "doctor", "12", "--", "ls"],
            &["perfvisor", "frobnicate"],
        ] {
            assert_eq!(Args::try_parse_from(line).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }
}
