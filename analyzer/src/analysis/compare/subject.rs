//! Which API of A is compared with which of B.
//!
//! By name, whatever component defines it (malloc of libc with malloc of libjemalloc), unless `--map
//! old=new` says otherwise. Both sides of a map are globs. Where each has one `*`, what it stands
//! for must be the same (`je_*=*` pairs je_malloc with malloc); else all that `old` matches, summed,
//! is compared with all that `new` matches, summed. What a map takes is not compared by name again.

use super::run::{ApiFootprint, Run};
use perfvisor_format::glob;
use std::collections::BTreeSet;

/// `old=new`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// APIs of A, a glob.
    pub old: String,
    /// APIs of B, a glob.
    pub new: String,
}

impl Map {
    /// Reads `old=new`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole = |glob: &str| !glob.is_empty() && glob::is_whole(glob.as_bytes());
        // "operator==" has one of its own: the first that leaves two globs parts them.
        match text.split_once('=') {
            Some((old, new)) if whole(old.trim()) && whole(new.trim()) => {
                Ok(Self { old: old.trim().into(), new: new.trim().into() })
            }
            _ => Err(format!("expected OLD=NEW, two APIs or globs, found {text:?}")),
        }
    }
}

/// APIs of both sides that are compared as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// What A's side is called.
    pub a: String,
    /// What B's side is called.
    pub b: String,
    /// Names of A that are summed.
    pub of_a: Vec<String>,
    /// Names of B that are summed.
    pub of_b: Vec<String>,
}

impl Pair {
    fn by_name(name: &str) -> Self {
        let own = vec![name.to_owned()];
        Self { a: name.into(), b: name.into(), of_a: own.clone(), of_b: own }
    }

    /// The footprint of A's or B's names in `run`; `None` when it called none of them.
    pub fn of(run: &Run, names: &[String]) -> Option<ApiFootprint> {
        let mut found = names.iter().filter_map(|name| run.apis.get(name));
        let mut sum = found.next()?.clone();
        for other in found {
            sum.add(other);
        }
        Some(sum)
    }
}

fn names(runs: &[Run]) -> BTreeSet<&str> {
    runs.iter().flat_map(|run| run.apis.keys().map(String::as_str)).collect()
}

/// All pairs: those of `maps` first, the others by name. `filter` (globs; empty = all) leaves pairs
/// out by both names.
///
/// # Errors
/// When a map matches nothing on one of the sides.
pub fn pairs(a: &[Run], b: &[Run], maps: &[Map], filter: &[String]) -> Result<Vec<Pair>, String> {
    let (in_a, in_b) = (names(a), names(b));
    let (mut left_a, mut left_b) = (in_a.clone(), in_b.clone());
    let mut found = Vec::new();
    for map in maps {
        let mapped = mapped(map, &in_a, &in_b)?;
        for pair in &mapped {
            left_a.retain(|name| !pair.of_a.iter().any(|taken| taken == name));
            left_b.retain(|name| !pair.of_b.iter().any(|taken| taken == name));
        }
        found.extend(mapped);
    }
    found.extend(left_a.union(&left_b).map(|name| Pair::by_name(name)));
    found.retain(|pair| passes(filter, &pair.a) || passes(filter, &pair.b));
    Ok(found)
}

/// Whether one of `globs` matches; none matches everything.
pub fn passes(globs: &[String], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob::matches(glob.as_bytes(), name.as_bytes()))
}

fn mapped(map: &Map, in_a: &BTreeSet<&str>, in_b: &BTreeSet<&str>) -> Result<Vec<Pair>, String> {
    if let (Some(old), Some(new)) = (one_star(&map.old), one_star(&map.new)) {
        let pairs: Vec<Pair> = in_a
            .iter()
            .filter_map(|name| {
                let middle = name.strip_prefix(old.0)?.strip_suffix(old.1)?;
                let other = format!("{}{middle}{}", new.0, new.1);
                let known = in_b.contains(other.as_str());
                known.then(|| Pair {
                    a: (*name).into(),
                    b: other.clone(),
                    of_a: vec![(*name).into()],
                    of_b: vec![other],
                })
            })
            .collect();
        return match pairs.is_empty() {
            true => Err(format!("--map {}={} pairs no API of A with one of B", map.old, map.new)),
            false => Ok(pairs),
        };
    }
    let matching = |globs: &str, names: &BTreeSet<&str>, side: &str| {
        let found: Vec<String> = names
            .iter()
            .filter(|name| glob::matches(globs.as_bytes(), name.as_bytes()))
            .map(|name| (*name).to_owned())
            .collect();
        match found.is_empty() {
            true => Err(format!("--map {}={}: no API of {side} matches {globs}", map.old, map.new)),
            false => Ok(found),
        }
    };
    let (of_a, of_b) = (matching(&map.old, in_a, "A")?, matching(&map.new, in_b, "B")?);
    Ok(vec![Pair { a: map.old.clone(), b: map.new.clone(), of_a, of_b }])
}

/// What stands before and behind the only wildcard of `glob`, when that is one star.
fn one_star(glob: &str) -> Option<(&str, &str)> {
    let (before, after) = glob.split_once('*')?;
    let plain = |text: &str| !text.contains(['*', '?', '[', '\\']) && !text.starts_with('!');
    (plain(before) && plain(after)).then_some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(names: &[&str]) -> Vec<Run> {
        let mut run = Run::default();
        for name in names {
            run.apis.entry((*name).into()).or_default().whole.calls = 3;
        }
        vec![run]
    }

    fn paired(a: &[&str], b: &[&str], maps: &[&str]) -> Result<Vec<(String, String)>, String> {
        let maps: Result<Vec<Map>, String> = maps.iter().map(|text| Map::parse(text)).collect();
        let pairs = pairs(&runs(a), &runs(b), &maps?, &[])?;
        Ok(pairs.into_iter().map(|pair| (pair.a, pair.b)).collect())
    }

    fn expect(found: Result<Vec<(String, String)>, String>, wanted: &[(&str, &str)]) {
        let found = found.expect("pairs");
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn names_pair_by_themselves_and_maps_take_theirs_away() {
        expect(paired(&["read", "open"], &["read"], &[]), &[("open", "open"), ("read", "read")]);
        expect(
            paired(&["fread", "open"], &["read", "open"], &["fread=read"]),
            &[("fread", "read"), ("open", "open")],
        );
    }

    #[test]
    fn a_star_on_both_sides_stands_for_the_same() {
        expect(
            paired(&["je_malloc", "je_free", "je_x"], &["malloc", "free"], &["je_*=*"]),
            &[("je_free", "free"), ("je_malloc", "malloc"), ("je_x", "je_x")],
        );
    }

    #[test]
    fn other_globs_are_summed() {
        let (a, b) = (runs(&["fread", "fgets"]), runs(&["read"]));
        let map = Map::parse("f*=read").expect("a map");
        let found = pairs(&a, &b, &[map], &[]).expect("pairs");
        assert_eq!(found.len(), 1);
        assert_eq!(Pair::of(&a[0], &found[0].of_a).expect("called").whole.calls, 6);
        assert_eq!(Pair::of(&a[0], &["nosuch".into()]), None);
    }

    #[test]
    fn a_map_to_nothing_is_a_mistake() {
        assert!(paired(&["fread"], &["read"], &["fread=mmap"]).unwrap_err().contains("of B"));
        assert!(paired(&["fread"], &["read"], &["x*=*"]).unwrap_err().contains("pairs no API"));
        assert!(Map::parse("fread").is_err() && Map::parse("=read").is_err());
        assert!(Map::parse("[a=b").is_err());
    }
}
