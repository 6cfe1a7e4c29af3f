//! The settings file: TOML, the flags' words as keys, nothing unknown accepted.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::{nearest, Failure, Kind, SETTINGS};

type Table = BTreeMap<Spanned<String>, Spanned<Value>>;

/// Reads the settings of the file `path`: rows of the table and values in the hook's form.
pub fn read(path: &Path) -> Result<Vec<(usize, OsString)>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("settings file {}: {error}", path.display())))?;
    parse(&path.display().to_string(), &text)
}

fn parse(name: &str, text: &str) -> Result<Vec<(usize, OsString)>, Failure> {
    let line_of = |offset: usize| {
        1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
    };
    let table = Table::deserialize(toml::Deserializer::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        Failure::new(format!("settings file {name}:{line}: {}", error.message()))
    })?)
    .map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        Failure::new(format!("settings file {name}:{line}: {}", error.message()))
    })?;
    let mut values = Vec::new();
    for (key, value) in &table {
        let word = key.get_ref().as_str();
        let Some(row) = SETTINGS.iter().position(|setting| setting.key == word) else {
            let line = line_of(key.span().start);
            let failure =
                Failure::new(format!("settings file {name}:{line}: unknown key `{word}`"));
            return Err(match nearest(word, SETTINGS.iter().map(|setting| setting.key)) {
                Some(near) => failure.advise(format!("did you mean `{near}`?")),
                None => failure.advise(format!("expected one of: {}", all_keys())),
            });
        };
        let kind = SETTINGS[row].kind;
        let found = value.get_ref();
        let value_read = text_of(found, kind)
            .ok_or_else(|| kind.expected())
            .and_then(|raw| kind.read(OsStr::new(&raw)))
            .map_err(|expected| {
                let line = line_of(value.span().start);
                Failure::new(format!(
                    "settings file {name}:{line}: `{word}`: expected {expected}, found {found}"
                ))
            })?;
        values.push((row, value_read));
    }
    Ok(values)
}

fn all_keys() -> String {
    SETTINGS.iter().map(|setting| setting.key).collect::<Vec<_>>().join(", ")
}

/// The value as one would write it on the command line, if its type fits the setting.
fn text_of(value: &Value, kind: Kind) -> Option<String> {
    match (value, kind) {
        (Value::Boolean(on), Kind::Switch { .. }) => Some(on.to_string()),
        (Value::Integer(number), Kind::Count { .. } | Kind::Bytes) => Some(number.to_string()),
        (Value::String(text), Kind::Bytes | Kind::Duration | Kind::Globs | Kind::Path) => {
            Some(text.clone())
        }
        (Value::Array(globs), Kind::Globs) => {
            let globs: Option<Vec<&str>> = globs.iter().map(Value::as_str).collect();
            globs.map(|globs| globs.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse("c.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let text = "# mine\nexact = true\nevents-limit = \"1MiB\"\nmax-gap = 64\n\
                    flight-recorder = \"30s\"\nexclude-api = [\"str*\", \"mem*\"]\nhtml = \"r.html\"\n";
        let found: BTreeMap<_, _> = parse("c.toml", text)
            .unwrap()
            .into_iter()
            .map(|(row, value)| (SETTINGS[row].key, value.into_string().unwrap()))
            .collect();
        assert_eq!(found["exact"], "1");
        assert_eq!(found["events-limit"], "1048576");
        assert_eq!(found["max-gap"], "64");
        assert_eq!(found["flight-recorder"], "30s");
        assert_eq!(found["exclude-api"], "str*,mem*");
        assert_eq!(found["html"], "r.html");
    }

    #[test]
    fn mistakes_name_file_line_expected_and_found() {
        let unknown = refused("exact = true\n\nflight_recorder = \"3s\"\n");
        assert!(unknown.contains("c.toml:3: unknown key `flight_recorder`"), "{unknown}");
        assert!(unknown.contains("did you mean `flight-recorder`?"), "{unknown}");
        let wrong = refused("exact = \"maybe\"\n");
        assert!(wrong.contains("c.toml:1: `exact`: expected true or false, found \"maybe\""));
        let number = refused("\n\nmax-gap = 0\n");
        assert!(number.contains("c.toml:3: `max-gap`: expected a whole number from 1"), "{number}");
        let syntax = refused("exact = true\nevents = = 1\n");
        assert!(syntax.contains("c.toml:2:"), "{syntax}");
    }
}
