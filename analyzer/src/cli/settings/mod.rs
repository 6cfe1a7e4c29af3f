//! The settings of a recording: one table, three ways to give each (file < environment < flag).
//!
//! A row of [`SETTINGS`] makes the flag, the environment variable and the key of the TOML file, so
//! the three cannot drift apart. Every value is brought into the form that the hook reads from its
//! environment ([`value`]); what is wrong is refused where it was written, before anything runs.

mod file;
pub mod flags;
mod value;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Failure;
use value::Kind;

/// One setting.
pub struct Setting {
    /// Key in the file; the flag is the same with two hyphens before it.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// What values it takes.
    kind: Kind,
    /// Whether the hook reads it; else it is for `perfvisor run` alone.
    for_hook: bool,
    /// One line of help.
    help: &'static str,
    /// What stands for the value in help.
    placeholder: &'static str,
}

const fn hook(
    key: &'static str,
    variable: &'static str,
    kind: Kind,
    placeholder: &'static str,
    help: &'static str,
) -> Setting {
    Setting { key, variable, kind, for_hook: true, help, placeholder }
}

const fn run(
    key: &'static str,
    variable: &'static str,
    placeholder: &'static str,
    help: &'static str,
) -> Setting {
    Setting { key, variable, kind: Kind::Path, for_hook: false, help, placeholder }
}

/// All settings, in the order of the help.
#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    hook("out", "PERFVISOR_OUT", Kind::Path, "DIR",
        "Directory of the trace [default: a new perfvisor-CMD-PID here]"),
    hook("exact", "PERFVISOR_EXACT", Kind::Switch { default: false }, "BOOL",
        "Time every call (dearer: about 55 ns each) instead of timing adaptively"),
    hook("events", "PERFVISOR_EVENTS", Kind::Switch { default: false }, "BOOL",
        "Also keep every call as an event"),
    hook("flight-recorder", "PERFVISOR_FLIGHT_RECORDER", Kind::Duration, "TIME",
        "Keep the events of the last TIME only, such as 30s"),
    hook("events-limit", "PERFVISOR_EVENTS_LIMIT", Kind::Bytes, "SIZE",
        "Most event bytes per thread, such as 256MiB [default: 1GiB, flight recorder 64MiB]"),
    hook("only", "PERFVISOR_ONLY", Kind::Choice(&["apis", "syscalls"]), "WHAT",
        "Record only calls between components (apis) or only system calls (syscalls) [default: both]"),
    hook("syscall-component", "PERFVISOR_SYSCALL_COMPONENT", Kind::Globs, "GLOBS",
        "Record only system calls made by code of components whose file name matches"),
    hook("syscall-audit", "PERFVISOR_SYSCALL_AUDIT", Kind::Switch { default: false }, "BOOL",
        "Count the system calls that are not seen (dear: some microseconds for each of these)"),
    hook("self-calls", "PERFVISOR_SELF_CALLS", Kind::Switch { default: false }, "BOOL",
        "Also record calls of a component to itself through its own PLT"),
    hook("rewrite-calls", "PERFVISOR_REWRITE_CALLS", Kind::Switch { default: true }, "BOOL",
        "Change calls through slots that are also read as data (--no-rewrite-calls: leave all code)"),
    hook("include-component", "PERFVISOR_INCLUDE_COMPONENT", Kind::Globs, "GLOBS",
        "Record only calls whose caller's or target's file name matches"),
    hook("exclude-component", "PERFVISOR_EXCLUDE_COMPONENT", Kind::Globs, "GLOBS",
        "Leave out calls whose caller's or target's file name matches"),
    hook("include-api", "PERFVISOR_INCLUDE_API", Kind::Globs, "GLOBS",
        "Record only APIs whose name matches"),
    hook("exclude-api", "PERFVISOR_EXCLUDE_API", Kind::Globs, "GLOBS",
        "Leave out APIs whose name matches"),
    hook("follow", "PERFVISOR_FOLLOW", Kind::Switch { default: true }, "BOOL",
        "Also record child processes (--no-follow: do not)"),
    hook("keep-threads", "PERFVISOR_KEEP_THREADS", Kind::Count { min: 0, max: 1 << 20 }, "N",
        "Ended threads kept one by one; later ones are summed by start routine [default: 512]"),
    hook("max-gap", "PERFVISOR_MAX_GAP", Kind::Count { min: 1, max: 1 << 15 }, "N",
        "Time at least one call in N of a cheap, steady site [default: 1024]"),
    hook("slow-calls", "PERFVISOR_SLOW_CALLS", Kind::Count { min: 0, max: 1 << 16 }, "N",
        "Slow calls kept per thread [default: 256]"),
    hook("quiet", "PERFVISOR_QUIET", Kind::Switch { default: false }, "BOOL",
        "Nothing of ours on standard error but failures: no messages, and no report unless --report"),
    run("report", "PERFVISOR_REPORT", "FILE",
        "Write the report there; - is standard output, none is no report [default: standard error]"),
    run("html", "PERFVISOR_HTML", "FILE", "Also write the report as one HTML page"),
    run("json", "PERFVISOR_JSON", "FILE", "Also write the report as JSON"),
];

/// The environment variable that names a settings file when no `--config` does.
const CONFIG_VARIABLE: &str = "PERFVISOR_CONFIG";

/// The environment variable by which processes of one run know one another; no setting.
pub const RUN_VARIABLE: &str = "PERFVISOR_RUN";

/// The settings in force: for each row that was given, its value as the hook reads it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: Vec<Option<OsString>>,
}

impl Settings {
    /// Reads file, environment and flags, the later over the earlier. Fails with exit code 125.
    pub fn load(config: Option<&Path>, flags: &flags::Flags) -> Result<Self, Failure> {
        let mut settings = Self { values: vec![None; SETTINGS.len()] };
        if let Some(path) = config_file(config) {
            settings.overlay(file::read(&path).map_err(|f| f.with_code(super::EXIT_OURS))?);
        }
        settings.overlay(from_environment(|name| env::var_os(name))?);
        settings.overlay(flags.values());
        Ok(settings)
    }

    fn overlay(&mut self, values: Vec<(usize, OsString)>) {
        for (row, value) in values {
            self.values[row] = Some(value);
        }
    }

    fn get(&self, key: &str) -> Option<&OsStr> {
        let row = SETTINGS.iter().position(|setting| setting.key == key)?;
        self.values.get(row)?.as_deref()
    }

    /// The value of a setting that holds a path, if it was given.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.get(key).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Whether a switch that is off by default was switched on.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value == "1")
    }

    /// What the environment of the program must say: a value to set, or `None` to remove the
    /// variable because the default holds. `out` is left to the caller, who makes the directory.
    pub fn environment(&self) -> Vec<(&'static str, Option<&OsStr>)> {
        let rows = SETTINGS.iter().enumerate();
        rows.filter(|(_, setting)| setting.for_hook && setting.key != "out")
            .map(|(row, setting)| {
                let value = self.values.get(row).and_then(|value| value.as_deref());
                (setting.variable, value.filter(|value| !setting.kind.is_default(value)))
            })
            .collect()
    }
}

/// The settings file: the one asked for, else the user's own if there is one.
fn config_file(asked: Option<&Path>) -> Option<PathBuf> {
    let named = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = asked.map(Path::to_owned).or_else(|| named(CONFIG_VARIABLE)) {
        return Some(path);
    }
    let base = named("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| named("HOME").map(|home| home.join(".config")))?;
    Some(base.join("perfvisor/config.toml")).filter(|path| path.is_file())
}

/// The settings that the environment gives. Empty variables count as not set.
fn from_environment(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<(usize, OsString)>, Failure> {
    let mut values = Vec::new();
    for (row, setting) in SETTINGS.iter().enumerate() {
        let Some(raw) = variable(setting.variable).filter(|value| !value.is_empty()) else {
            continue;
        };
        let value = setting.kind.read(&raw).map_err(|expected| {
            Failure::new(format!(
                "environment variable {}: expected {expected}, found {raw:?}",
                setting.variable
            ))
            .with_code(super::EXIT_OURS)
        })?;
        values.push((row, value));
    }
    Ok(values)
}

/// Variables that look like settings and are none: a misspelt one would be ignored silently.
pub fn unknown_variables() -> Vec<String> {
    let known = |name: &str| {
        [CONFIG_VARIABLE, RUN_VARIABLE].contains(&name)
            || SETTINGS.iter().any(|setting| setting.variable == name)
    };
    env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("PERFVISOR_") && !known(name))
        .collect()
}

/// The word of `words` nearest to `wrong`, if any is near enough to be meant.
pub fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|word| (distance(wrong, word), word))
        .min()
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .map(|(_, word)| word)
}

/// Levenshtein's distance, in bytes; underscores count as hyphens.
fn distance(a: &str, b: &str) -> usize {
    let same = |x: u8, y: u8| x == y || (x == b'_' && y == b'-');
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(!same(x, y));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_variables_are_the_same_word() {
        for setting in SETTINGS {
            let expected = format!("PERFVISOR_{}", setting.key.to_uppercase().replace('-', "_"));
            assert_eq!(setting.variable, expected);
        }
    }

    #[test]
    fn environment_is_read_and_refused_by_name() {
        let read = |name: &str, value: &str| {
            from_environment(|asked| (asked == name).then(|| value.into()))
        };
        let found = read("PERFVISOR_FLIGHT_RECORDER", "2m").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1, "120s");
        assert!(read("PERFVISOR_EXACT", "").unwrap().is_empty());
        let failure = read("PERFVISOR_MAX_GAP", "many").unwrap_err();
        assert_eq!(failure.code, 125);
        assert!(failure.text.contains("PERFVISOR_MAX_GAP") && failure.text.contains("\"many\""));
    }

    #[test]
    fn a_default_value_leaves_no_variable_behind() {
        let mut settings = Settings { values: vec![None; SETTINGS.len()] };
        let row = |key: &str| SETTINGS.iter().position(|s| s.key == key).unwrap();
        settings.overlay(vec![(row("exact"), "0".into()), (row("follow"), "0".into())]);
        let environment = settings.environment();
        let of = |name: &str| environment.iter().find(|(n, _)| *n == name).unwrap().1;
        assert_eq!(of("PERFVISOR_EXACT"), None);
        assert_eq!(of("PERFVISOR_FOLLOW"), Some(OsStr::new("0")));
        assert!(environment.iter().all(|(n, _)| *n != "PERFVISOR_OUT" && *n != "PERFVISOR_HTML"));
    }

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_none() {
        let words = || SETTINGS.iter().map(|setting| setting.key);
        assert_eq!(nearest("flight_recorder", words()), Some("flight-recorder"));
        assert_eq!(nearest("exakt", words()), Some("exact"));
        assert_eq!(nearest("colour-of-money", words()), None);
    }
}
