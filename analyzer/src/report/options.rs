//! What a reader can ask of the text report.

use super::style::Style;

/// Order of the rows in the table of APIs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// Time in the API itself.
    #[default]
    SelfTime,
    /// Time with all it calls.
    Total,
    /// Time waited.
    Wait,
    /// Number of calls.
    Calls,
    /// Mean time of a call.
    Mean,
    /// 99th percentile of a call's time.
    P99,
    /// Longest call.
    Max,
    /// Name, from A to Z.
    Name,
}

impl SortBy {
    /// All orders with the words a command line knows them by.
    pub const ALL: [(&'static str, Self); 8] = [
        ("self", Self::SelfTime),
        ("total", Self::Total),
        ("wait", Self::Wait),
        ("calls", Self::Calls),
        ("mean", Self::Mean),
        ("p99", Self::P99),
        ("max", Self::Max),
        ("name", Self::Name),
    ];

    /// The order called `word`; `None` when there is none.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|&(_, sort)| sort)
    }

    /// Words for a heading.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::SelfTime => "self time",
            Self::Total => "total time",
            Self::Wait => "wait time",
            Self::Calls => "calls",
            Self::Mean => "mean time",
            Self::P99 => "99th percentile",
            Self::Max => "longest call",
            Self::Name => "name",
        }
    }
}

/// How the text report is drawn and what it leaves out.
///
/// Filters are patterns with `*` and `?`; one without them matches any name that contains it.
/// An empty list lets everything pass.
#[derive(Clone, Debug, PartialEq)]
pub struct TextOptions {
    /// Columns of the terminal.
    pub width: usize,
    /// Write ANSI colours.
    pub color: bool,
    /// Order of the APIs.
    pub sort: SortBy,
    /// Rows shown of each list (APIs of a group, slow calls, locks); 0 = all.
    pub top: usize,
    /// What the reader types to see all rows.
    pub show_all: &'static str,
    /// Only thread groups whose name or executable matches.
    pub group_filter: Vec<String>,
    /// Only APIs whose name or symbol matches.
    pub api_filter: Vec<String>,
    /// Only calls whose caller's or target's file name matches.
    pub component_filter: Vec<String>,
    /// APIs and tree nodes below this share (0 … 1) of their group's thread time are left out.
    pub min_share: f64,
    /// Draw the call tree.
    pub tree: bool,
    /// List every thread of each group.
    pub threads: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            width: 120,
            color: false,
            sort: SortBy::default(),
            top: 12,
            show_all: "--top 0",
            group_filter: Vec::new(),
            api_filter: Vec::new(),
            component_filter: Vec::new(),
            min_share: 0.0,
            tree: false,
            threads: false,
        }
    }
}

impl TextOptions {
    pub(crate) fn style(&self) -> Style {
        Style { color: self.color }
    }

    /// How many of `all` rows are shown.
    pub(crate) fn rows(&self, all: usize) -> usize {
        if self.top == 0 {
            all
        } else {
            self.top.min(all)
        }
    }

    /// Whether anything is filtered by name.
    pub(crate) fn filtered(&self) -> bool {
        !(self.group_filter.is_empty()
            && self.api_filter.is_empty()
            && self.component_filter.is_empty())
    }
}

/// Whether one of `patterns` matches one of `names`; no pattern matches everything.
pub(crate) fn passes(patterns: &[String], names: &[&str]) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| names.iter().any(|name| matches(pattern, name)))
}

fn matches(pattern: &str, name: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return name.contains(pattern);
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // The last star seen and how much of the name it has taken: enough to backtrack, in O(n·m).
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_would() {
        let cases = [
            ("pthread_*", "pthread_mutex_lock", true),
            ("pthread_*", "my_pthread_x", false),
            ("mutex", "pthread_mutex_lock", true),
            ("*_lock", "pthread_mutex_lock", true),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            ("l?bc.so*", "libc.so.6", true),
            ("*", "", true),
            ("?", "", false),
        ];
        for (pattern, name, want) in cases {
            assert_eq!(matches(pattern, name), want, "{pattern} on {name}");
        }
        assert!(passes(&[], &["anything"]));
        assert!(!passes(&["a".into()], &["b", "c"]));
    }

    #[test]
    fn every_order_is_found_by_its_word() {
        for (word, sort) in SortBy::ALL {
            assert_eq!(SortBy::from_word(word), Some(sort));
        }
        assert_eq!(SortBy::from_word("speed"), None);
    }
}
