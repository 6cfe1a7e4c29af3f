//! The flags, made from the table: `--key VALUE`, and `--switch[=BOOL]` for what is on or off.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Kind, Setting, SETTINGS};

/// What was given as flags.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    given: Vec<(usize, OsString)>,
}

impl Flags {
    /// Rows of the table and their values, in the hook's form.
    pub fn values(&self) -> Vec<(usize, OsString)> {
        self.given.clone()
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let kind = setting.kind;
    let parser = OsStringValueParser::new().try_map(move |raw| -> Result<OsString, String> {
        kind.read(&raw).map_err(|expected| format!("expected {expected}"))
    });
    let mut help = format!("{} [env: {}]", setting.help, setting.variable);
    if matches!(kind, Kind::Globs) {
        help.push_str(" (repeatable)");
    }
    let mut argument = Arg::new(setting.key)
        .long(setting.key)
        .value_name(setting.placeholder)
        .value_parser(parser)
        .help(help)
        .help_heading("Settings");
    match kind {
        Kind::Switch { .. } => {
            argument = argument.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        Kind::Globs => argument = argument.action(ArgAction::Append),
        Kind::Path => argument = argument.value_hint(clap::ValueHint::AnyPath),
        _ => {}
    }
    match setting.key {
        "out" => argument.short('o').visible_alias("output"),
        "quiet" => argument.short('q'),
        _ => argument,
    }
}

/// A plain flag that says `value` for the setting `key`.
fn shorthand(name: &'static str, key: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .conflicts_with(key)
        .help(help)
        .help_heading("Settings")
}

/// Flags that are short for a value: name, setting, value.
const SHORTHANDS: &[(&str, &str, &str)] = &[
    ("no-follow", "follow", "0"),
    ("no-rewrite-calls", "rewrite-calls", "0"),
    ("no-report", "report", "none"),
];

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        SETTINGS
            .iter()
            .fold(command, |command, setting| command.arg(argument(setting)))
            .arg(shorthand("no-follow", "follow", "Record this process only, not its children"))
            .arg(shorthand("no-rewrite-calls", "rewrite-calls", "Leave all code as it is"))
            .arg(shorthand("no-report", "report", "Record only, write no report"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for (row, setting) in SETTINGS.iter().enumerate() {
            let values = matches.get_many::<OsString>(setting.key);
            let values: Vec<OsString> = values.into_iter().flatten().cloned().collect();
            if !values.is_empty() {
                given.push((row, values.join(std::ffi::OsStr::new(","))));
            }
            let short = SHORTHANDS
                .iter()
                .find(|(name, key, _)| *key == setting.key && matches.get_flag(name));
            if let Some((_, _, value)) = short {
                given.push((row, OsString::from(value)));
            }
        }
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn parse(line: &[&str]) -> Result<Vec<(&'static str, String)>, clap::Error> {
        let command = Flags::augment_args(Command::new("run"));
        let matches = command.try_get_matches_from([&["run"], line].concat())?;
        let flags = Flags::from_arg_matches(&matches)?;
        Ok(flags
            .values()
            .into_iter()
            .map(|(row, value)| (SETTINGS[row].key, value.into_string().unwrap()))
            .collect())
    }

    #[test]
    fn flags_become_values() {
        let line = ["--exact", "--events=no", "--include-api", "a*", "--include-api=b", "-o", "d"];
        let mut found = parse(&line).unwrap();
        found.sort();
        let expected = [("events", "0"), ("exact", "1"), ("include-api", "a*,b"), ("out", "d")];
        assert_eq!(found, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(parse(&["--no-follow"]).unwrap(), [("follow", "0".to_owned())]);
        let rewrite = parse(&["--no-rewrite-calls"]).unwrap();
        assert_eq!(rewrite, [("rewrite-calls", "0".to_owned())]);
    }

    #[test]
    fn wrong_flags_are_usage_errors() {
        for line in [["--max-gap", "x"], ["--follow", "--no-follow"], ["--bogus", "1"]] {
            assert_eq!(parse(&line).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }
}
