//! Globs on names: `*` any bytes, `?` one byte, `[a-z]` one of some, `[!a-z]` or `[^a-z]` one of the
//! others, `\` the next byte itself, and a `!` in front turns the answer round.
//!
//! Here because both sides need the same meaning: the hook chooses call sites by them, the analyzer
//! says which chose nothing. Of our own because the crates for it are written for paths and need the standard library. Braces
//! have no meaning here: the comma, which would part their contents, parts globs already.

/// Whether all of `name` matches `glob`. What is not closed or not finished matches nothing.
pub fn matches(glob: &[u8], name: &[u8]) -> bool {
    let turns = glob.iter().take_while(|&&byte| byte == b'!').count();
    fits(glob.get(turns..).unwrap_or_default(), name) != (turns % 2 == 1)
}

/// Whether `glob` is closed and finished everywhere; one that is not matches nothing.
pub fn is_whole(glob: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&byte) = glob.get(at) {
        let used = match byte {
            b'[' => class_end(glob.get(at..).unwrap_or_default()),
            b'\\' => glob.get(at + 1).map(|_| 2),
            _ => Some(1),
        };
        let Some(used) = used else { return false };
        at += used;
    }
    true
}

/// Length of the class in brackets that `glob` begins with.
fn class_end(glob: &[u8]) -> Option<usize> {
    let first = 1 + usize::from(matches!(glob.get(1)?, b'!' | b'^'));
    let mut at = first;
    while *glob.get(at)? != b']' || at == first {
        (_, at) = member(glob, at)?;
        if *glob.get(at)? == b'-' && *glob.get(at + 1)? != b']' {
            (_, at) = member(glob, at + 1)?;
        }
    }
    Some(at + 1)
}

/// Each star first takes nothing. On a mismatch the last star takes one byte more; an earlier one
/// never has to, for whatever it could take the last one can take as well.
fn fits(glob: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star = None;
    while let Some(&byte) = name.get(seen) {
        let rest = glob.get(at..).unwrap_or_default();
        if rest.first() == Some(&b'*') {
            at += 1;
            star = Some((at, seen));
        } else if let Some(used) = element(rest, byte) {
            at += used;
            seen += 1;
        } else {
            let Some((behind, from)) = star else { return false };
            star = Some((behind, from + 1));
            (at, seen) = (behind, from + 1);
        }
    }
    glob.iter().skip(at).all(|&byte| byte == b'*')
}

/// Length of the first element of `glob`, which is no star, if it matches `byte`.
fn element(glob: &[u8], byte: u8) -> Option<usize> {
    match *glob.first()? {
        b'?' => Some(1),
        b'[' => class(glob, byte),
        b'\\' => (*glob.get(1)? == byte).then_some(2),
        plain => (plain == byte).then_some(1),
    }
}

/// Length of the class in brackets that `glob` begins with, if it matches `byte`. A `]` that comes
/// first is a member.
fn class(glob: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(glob.get(1)?, b'!' | b'^');
    let first = 1 + usize::from(negated);
    let (mut at, mut found) = (first, false);
    loop {
        if *glob.get(at)? == b']' && at > first {
            return (found != negated).then_some(at + 1);
        }
        let (low, mut behind) = member(glob, at)?;
        let mut high = low;
        if *glob.get(behind)? == b'-' && *glob.get(behind + 1)? != b']' {
            (high, behind) = member(glob, behind + 1)?;
        }
        found |= (low..=high).contains(&byte);
        at = behind;
    }
}

/// The byte that stands at `at` in a class, and where it ends.
fn member(glob: &[u8], at: usize) -> Option<(u8, usize)> {
    match *glob.get(at)? {
        b'\\' => Some((*glob.get(at + 1)?, at + 2)),
        byte => Some((byte, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{is_whole, matches};
    use std::{format, string::String};

    fn all(glob: &str, names: &[&str]) -> bool {
        names.iter().all(|name| matches(glob.as_bytes(), name.as_bytes()))
    }

    fn none(glob: &str, names: &[&str]) -> bool {
        !names.iter().any(|name| matches(glob.as_bytes(), name.as_bytes()))
    }

    #[test]
    fn stars_take_what_is_needed() {
        assert!(all("*", &["", "x", "a/b"]));
        assert!(all("lib*.so*", &["libc.so.6", "lib.so", "liba.so.so"]));
        assert!(none("lib*.so*", &["libc.s", "xlibc.so", ""]));
        assert!(all("*a*b", &["ab", "aab", "a b ab", "xaxbab"]));
        assert!(none("*a*b", &["ba", "abc", "b"]));
        assert!(all("**x**", &["x", "axb"]));
    }

    #[test]
    fn a_plain_name_is_itself_only() {
        assert!(all("read", &["read"]));
        assert!(none("read", &["pread", "readv", "rea", ""]));
        assert!(all("", &[""]) && none("", &["x"]));
        assert!(all("a?c", &["abc"]) && none("a?c", &["ac", "abbc"]));
    }

    #[test]
    fn classes_know_ranges_and_the_other_way_round() {
        assert!(all("lib[a-cz].so", &["liba.so", "libc.so", "libz.so"]));
        assert!(none("lib[a-cz].so", &["libd.so", "lib-.so", "lib.so"]));
        assert!(all("[!0-9]*", &["x1"]) && none("[!0-9]*", &["1x", ""]));
        assert!(all("[^0-9]", &["x"]) && none("[^0-9]", &["4"]));
        assert!(all("[]x]", &["]", "x"]) && all("[!]x]", &["a"]) && none("[!]x]", &["]", "x"]));
        assert!(all("[a-]", &["a", "-"]) && none("[a-]", &["b"]));
        assert!(all("[\\]]", &["]"]) && none("[\\]]", &["\\"]));
    }

    #[test]
    fn escapes_and_negation_are_read() {
        assert!(all("a\\*", &["a*"]) && none("a\\*", &["ab", "a\\*"]));
        assert!(all("!mem*", &["strlen"]) && none("!mem*", &["memcpy"]));
        assert!(all("!!mem*", &["memcpy"]) && none("!!mem*", &["strlen"]));
    }

    #[test]
    fn what_is_not_closed_matches_nothing() {
        for glob in ["[", "[a", "[a-", "[!", "[]", "\\", "[\\", "x["] {
            assert!(none(glob, &["[", "a", "\\", "]", "x", "x[", glob]), "{glob}");
            assert!(!is_whole(glob.as_bytes()), "{glob}");
        }
        for glob in ["", "*", "!!x", "[]x]", "[!]x]", "[a-]", "[\\]]", "a\\*[b-d]?", "]"] {
            assert!(is_whole(glob.as_bytes()), "{glob}");
        }
    }

    #[test]
    fn many_stars_end_soon() {
        let name: String = "a".repeat(5000);
        assert!(none(&format!("{}b", "*a".repeat(200)), &[&name]));
    }
}
