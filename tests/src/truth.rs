//! What a testapp said about itself.

use std::collections::BTreeMap;
use std::path::Path;

/// The lines of a truth file; values of equal lines are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    values: BTreeMap<(String, String), u64>,
    lines: u64,
}

impl Truth {
    /// Reads the file the testapp wrote; an absent file holds no truth.
    ///
    /// # Panics
    /// When a line is not `KIND NAME VALUE`.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        let mut truth = Self::default();
        for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, name, value] = words[..] else { panic!("{}: {line:?}", file.display()) };
            truth.lines += 1;
            let value: u64 = value.parse().unwrap_or_else(|_| panic!("not a number: {line:?}"));
            *truth.values.entry((kind.into(), name.into())).or_default() += value;
        }
        truth
    }

    /// All (name, value) of one kind.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = (&str, u64)> {
        let kind = kind.to_owned();
        self.values
            .iter()
            .filter(move |((have, _), _)| *have == kind)
            .map(|((_, name), value)| (name.as_str(), *value))
    }

    /// Lines that were written, each by a system call of its own.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The value of one line.
    ///
    /// # Panics
    /// When there is no such line.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> u64 {
        *self
            .values
            .get(&(kind.into(), name.into()))
            .unwrap_or_else(|| panic!("no truth `{kind} {name}` in {:?}", self.values))
    }
}
