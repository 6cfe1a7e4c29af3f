//! `perfvisor doctor`: what would stop recording here, and what to do about it.
//!
//! Each check is one line: ok, warn (recording works, something is less good) or fail (recording
//! would not work). The checks of a program are those that `run` makes before it runs anything.

mod machine;
mod process;
mod target;

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::args::DoctorArgs;
use super::{print, Failure};

/// Version of the JSON.
const DOCTOR_SCHEMA: u32 = 1;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing stands in the way.
    Ok,
    /// Recording works, but something is missing or less good.
    Warn,
    /// Recording would not work.
    Fail,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// How it went.
    pub level: Level,
    /// What was looked at, one or two words.
    pub topic: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Check {
    fn ok(topic: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, topic, found: found.into(), advice: None }
    }

    fn warn(topic: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, topic, found: found.into(), advice: Some(advice.into()) }
    }

    fn fail(topic: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fail, topic, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Checks, prints, and returns 1 if something would stop recording.
pub fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut checks = machine::checks(args.pid.is_none());
    if let Some(command) = args.command.first() {
        checks.extend(target::checks(command));
    }
    if let Some(pid) = args.pid {
        checks.extend(process::checks(pid));
    }
    let stopped = checks.iter().any(|check| check.level == Level::Fail);
    if args.json {
        let all = json!({ "schema": DOCTOR_SCHEMA, "ok": !stopped, "checks": checks });
        print(&format!("{all:#}\n"))?;
    } else {
        print(&draw(&checks, args.color.wanted(&io::stdout())))?;
    }
    Ok(ExitCode::from(u8::from(stopped)))
}

fn draw(checks: &[Check], color: bool) -> String {
    let width = checks.iter().map(|check| check.topic.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let (word, paint) = match check.level {
            Level::Ok => ("ok  ", "\x1b[32m"),
            Level::Warn => ("warn", "\x1b[33m"),
            Level::Fail => ("fail", "\x1b[31m"),
        };
        let (paint, plain) = if color { (paint, "\x1b[0m") } else { ("", "") };
        let Check { topic, found, .. } = check;
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{paint}{word}{plain}  {topic:width$}  {found}");
        if let Some(advice) = &check.advice {
            let _ = writeln!(text, "      {:width$}  → {advice}", "");
        }
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    let verdict = match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => "Nothing stands in the way of recording.".to_owned(),
        (0, warns) => format!("Recording works here ({warns} to know about)."),
        (fails, _) => format!("Recording would not work: {fails} to mend first."),
    };
    let _ = writeln!(text, "{verdict}");
    text
}

/// The value of `key` in a file of `key: value` lines, as in `/proc/PID/status`.
fn status_value<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_level_topic_finding_and_advice() {
        let checks = [Check::ok("disk", "1 GiB free"), Check::fail("program", "static", "link it")];
        let plain = draw(&checks, false);
        assert!(plain.contains("ok    disk     1 GiB free\n"), "{plain}");
        assert!(plain.contains("fail  program  static\n") && plain.contains("→ link it\n"));
        assert!(plain.ends_with("Recording would not work: 1 to mend first.\n"));
        assert!(draw(&checks, true).contains("\x1b[31mfail\x1b[0m"));
    }

    #[test]
    fn status_lines_are_found_by_their_whole_key() {
        let status = "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(status_value(status, "Seccomp"), Some("2"));
        assert_eq!(status_value(status, "Sec"), None);
    }
}
