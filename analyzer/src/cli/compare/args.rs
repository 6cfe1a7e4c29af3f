//! The grammar of `perfvisor compare`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use perfvisor::analysis::compare::{Correction, Map, Rule};
use perfvisor::report::compare::CompareOptions;

use crate::cli::args::{columns, percent};
use crate::cli::terminal::Color;

/// `perfvisor compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPARE_HELP)]
#[command(override_usage = "perfvisor compare [OPTIONS] A B\n       \
                            perfvisor compare [OPTIONS] A… --to B…")]
pub struct CompareArgs {
    /// Traces, or directories of traces: A and B, or with --to runs of A
    #[arg(value_name = "DIR", required = true, value_hint = clap::ValueHint::DirPath)]
    pub directories: Vec<PathBuf>,
    /// Runs of B; all directories before are runs of A
    #[arg(long, value_name = "DIR", num_args = 1.., value_hint = clap::ValueHint::DirPath)]
    pub to: Vec<PathBuf>,
    /// Compare API OLD of A with NEW of B (globs; separated by commas, repeatable)
    #[arg(long, value_name = "OLD=NEW", value_delimiter = ',', value_parser = Map::parse)]
    pub map: Vec<Map>,
    /// Only APIs whose name matches (glob; repeatable); fewer tests need fewer runs
    #[arg(long, value_name = "GLOB")]
    pub api: Vec<String>,
    /// Exit with 1 if RULE holds, such as 'p99>+10%' (repeatable)
    #[arg(long, value_name = "RULE", value_parser = Rule::parse)]
    pub fail_if: Vec<Rule>,
    /// Let rules hold by their numbers alone, beyond chance or not
    #[arg(long)]
    pub untested: bool,
    /// Probability of any false alarm
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = probability)]
    pub alpha: f64,
    /// Tell no difference below this, percent
    #[arg(long, value_name = "PCT", default_value_t = 1.0, value_parser = percent)]
    pub min_effect: f64,
    /// Correct p values for the number of tests
    #[arg(long, value_name = "HOW", default_value = "holm", value_parser = correction())]
    pub correction: Correction,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write one self-contained HTML page to FILE (- is standard output)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Rows of each list; 0 is all
    #[arg(long, value_name = "N", default_value_t = CompareOptions::default().top)]
    pub top: usize,
    /// Columns [default: the terminal's, else 120]
    #[arg(long, value_name = "N", value_parser = columns)]
    pub width: Option<usize>,
    /// Colour the text
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

impl CompareArgs {
    /// Directories of A and of B.
    pub fn sides(&self) -> (&[PathBuf], &[PathBuf]) {
        match self.to.is_empty() {
            true => self.directories.split_at(1),
            false => (&self.directories, &self.to),
        }
    }

    /// Says what is wrong with the directories, if anything is.
    pub fn mistake(&self) -> Option<String> {
        let given = self.directories.len();
        (self.to.is_empty() && given != 2).then(|| {
            format!(
                "two directories are compared, A and B, and {given} {} given; several runs of a side \
                 are a directory of traces, or `A… --to B…`",
                if given == 1 { "is" } else { "are" }
            )
        })
    }
}

const COMPARE_HELP: &str = "\
Each side is one run or several. Several runs are tested over runs, so what moves from run to
run is no difference; record A and B in turn, ten times each, and twenty to find a tenth where
runs differ by a twentieth. One run a side is judged by the noise that the two runs show
themselves, and tells only large differences of times.

RULE is [PLACE:]MEASURE OP BOUND:
  PLACE    an API, API/SYSCALL, or @CATEGORY of system calls (globs); without one, the run
           (wall cpu user system calls syscalls bytes errors wait time) or any API (all others)
  MEASURE  wall cpu user system calls syscalls per-call bytes errors time mean p50 p90 p99 max
           wait exec
  OP       > >= < <=
  BOUND    +10% or -10%: B against A; +5ms, +64KiB, +0: B minus A; 10ms: B's own value
A rule on a change holds only if the difference is significant too, unless it is one of exact
counts: --fail-if 'p99>+10%', 'malloc:mean>+5%', 'sqlite3_step/fsync:per-call>+0'

Exit codes: 0 done, and no rule holds; 1 a rule holds; 2 mistake on the command line; 3 not
compared (no trace, a map or a rule that matches nothing, …).";

fn correction() -> impl TypedValueParser<Value = Correction> {
    PossibleValuesParser::new(Correction::WORDS.map(|(word, _)| word)).map(|word| {
        let found = Correction::WORDS.iter().find(|(known, _)| *known == word);
        found.map_or_else(Correction::default, |(_, correction)| *correction)
    })
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|p| *p > 0.0 && *p < 1.0);
    number.ok_or_else(|| "expected a number between 0 and 1".into())
}
