//! Mistakes on the command line: what clap says of them, with hints that help here.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::CommandFactory;

use super::{args, settings, terminal, EXIT_OURS};

/// Exit code of a mistake on the command line of anything but `run`.
pub const EXIT_USAGE: u8 = 2;
/// The command whose exit codes are the program's, but for the reserved ones.
const RUN: &str = "run";

/// Prints what clap has to say: help and version to stdout with 0, mistakes to stderr with 125 for
/// `run` (2 may be the program's own) and 2 for the rest.
pub fn refuse(mut error: clap::Error) -> ExitCode {
    terminal::die_on_broken_pipe();
    let run = std::env::args_os().nth(1).is_some_and(|word| word == OsStr::new(RUN));
    if error.kind() == ErrorKind::UnknownArgument {
        mend_hints(&mut error, run);
    }
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(if run { EXIT_OURS } else { EXIT_USAGE }),
    }
}

/// Replaces clap's hints on an unknown flag. No command takes a value that looks like a flag, and
/// its measure of likeness finds `--output` in `--top`.
fn mend_hints(error: &mut clap::Error, run: bool) {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else { return };
    let word = wrong.trim_start_matches('-').split('=').next().unwrap_or_default().to_owned();
    error.remove(ContextKind::Suggested);
    let suggested = error.remove(ContextKind::SuggestedArg);
    if run && flags_of("report").contains(&word) {
        let hint = format!("`--{word}` is an option of `perfvisor report DIR`");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
        return;
    }
    let Some(ContextValue::String(suggested)) = suggested else { return };
    let flag = suggested.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    if settings::nearest(&word, std::iter::once(flag)).is_some() {
        error.insert(ContextKind::SuggestedArg, ContextValue::String(suggested));
    }
}

/// The long flags of `command`.
fn flags_of(command: &str) -> Vec<String> {
    let all = args::Args::command();
    let found = all.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
    found.filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn said(line: &[&str]) -> String {
        let mut error = args::Args::try_parse_from(line).unwrap_err();
        mend_hints(&mut error, line[1] == RUN);
        error.to_string()
    }

    #[test]
    fn hints_lead_to_what_is_meant_or_are_left_out() {
        let top = said(&["perfvisor", "run", "--top", "3", "--", "true"]);
        assert!(top.contains("`--top` is an option of `perfvisor report DIR`"), "{top}");
        assert!(!top.contains("--output"), "{top}");
        let near = said(&["perfvisor", "run", "--exakt", "--", "true"]);
        assert!(near.contains("'--exact'"), "{near}");
        for line in [
            &["perfvisor", "run", "--nosuch", "--", "true"][..],
            &["perfvisor", "dump", "--nosuch", "d"],
        ] {
            let far = said(line);
            assert!(far.contains("--nosuch") && !far.contains("as a value"), "{far}");
        }
    }
}
