//! Values: how each kind of setting is written, and the one form the hook reads.

use std::ffi::{OsStr, OsString};

use perfvisor_format::glob;
use perfvisor_format::quantity::{size_bytes, span_ns};

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Switch {
        /// What holds when nothing is said.
        default: bool,
    },
    /// A whole number in a range.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A size; the hook reads plain bytes.
    Bytes,
    /// A time; the hook reads whole seconds or milliseconds.
    Duration,
    /// Comma-separated globs.
    Globs,
    /// A path, any bytes.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// What a value must look like, for messages.
    pub fn expected(self) -> String {
        match self {
            Self::Switch { .. } => "true or false".into(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Bytes => "a size such as 4096, 64MiB or 1GiB".into(),
            Self::Duration => "a time such as 500ms, 30s or 2m".into(),
            Self::Globs => {
                "globs separated by commas, such as libc.so*,libz* (a `[` needs its `]`, \
                            a `\\` something behind it)"
                    .into()
            }
            Self::Path => "a path".into(),
            Self::Choice(words) => words.join(" or "),
        }
    }

    /// The value in the hook's form, or what was expected instead.
    pub fn read(self, raw: &OsStr) -> Result<OsString, String> {
        if self == Self::Path {
            return if raw.is_empty() { Err(self.expected()) } else { Ok(raw.to_owned()) };
        }
        let text = raw.to_str().map(str::trim);
        text.and_then(|text| self.read_text(text)).map(Into::into).ok_or_else(|| self.expected())
    }

    fn read_text(self, text: &str) -> Option<String> {
        match self {
            Self::Switch { .. } => switch(text).map(|on| u8::from(on).to_string()),
            Self::Count { min, max } => {
                let count = text.parse::<u64>().ok()?;
                (min..=max).contains(&count).then(|| count.to_string())
            }
            Self::Bytes => size_bytes(text).map(|bytes| bytes.to_string()),
            Self::Duration => {
                let ms = span_ns(text)?.saturating_add(500_000) / 1_000_000;
                if ms == 0 {
                    return None;
                }
                Some(if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{ms}ms") })
            }
            Self::Globs => {
                let globs: Vec<&str> = text.split(',').map(str::trim).collect();
                let fine = |glob: &&str| !glob.is_empty() && glob::is_whole(glob.as_bytes());
                globs.iter().all(fine).then(|| globs.join(","))
            }
            Self::Path => Some(text.to_owned()),
            Self::Choice(words) => words.contains(&text).then(|| text.to_owned()),
        }
    }

    /// Whether `value` (in the hook's form) says what would hold anyway.
    pub fn is_default(self, value: &OsStr) -> bool {
        matches!(self, Self::Switch { default } if value == if default { "1" } else { "0" })
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, raw: &str) -> Option<String> {
        kind.read(OsStr::new(raw)).ok().map(|value| value.into_string().unwrap())
    }

    #[test]
    fn values_take_the_form_of_the_hook() {
        let switch = Kind::Switch { default: false };
        assert_eq!(read(switch, "Yes").as_deref(), Some("1"));
        assert_eq!(read(switch, "off").as_deref(), Some("0"));
        assert_eq!(read(Kind::Bytes, "64MiB").as_deref(), Some("67108864"));
        assert_eq!(read(Kind::Bytes, "10 k").as_deref(), Some("10240"));
        assert_eq!(read(Kind::Duration, "1500ms").as_deref(), Some("1500ms"));
        assert_eq!(read(Kind::Duration, "1.5 s").as_deref(), Some("1500ms"));
        assert_eq!(read(Kind::Duration, "2m").as_deref(), Some("120s"));
        assert_eq!(read(Kind::Duration, "30").as_deref(), Some("30s"));
        assert_eq!(read(Kind::Globs, "libc*, libm*").as_deref(), Some("libc*,libm*"));
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_was_expected() {
        let count = Kind::Count { min: 1, max: 8 };
        for (kind, raw) in [
            (Kind::Switch { default: true }, "maybe"),
            (count, "0"),
            (count, "9"),
            (count, "-1"),
            (Kind::Bytes, "12 parsecs"),
            (Kind::Bytes, "99999999999T"),
            (Kind::Duration, "0s"),
            (Kind::Duration, "soon"),
            (Kind::Globs, "a,,b"),
            (Kind::Globs, "a,["),
            (Kind::Globs, "a\\"),
            (Kind::Path, ""),
        ] {
            assert_eq!(kind.read(OsStr::new(raw)), Err(kind.expected()), "{raw:?}");
        }
    }
}
