//! The few words and units findings are written with.

use crate::model::{GroupId, Profile, SiteId, ThreadId};

/// A duration in the unit a reader would choose.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns.abs() {
        // Shorter than the time stamps can tell.
        v if v < 0.05 => return "0 s".to_owned(),
        v if v >= 100e9 => return format!("{:.0} s", ns / 1e9),
        v if v >= 1e9 => (ns / 1e9, "s"),
        v if v >= 1e6 => (ns / 1e6, "ms"),
        v if v >= 1e3 => (ns / 1e3, "µs"),
        _ => (ns, "ns"),
    };
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0} {unit}"),
        v if v >= 10.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.2} {unit}"),
    }
}

/// A share in per cent.
pub fn percent(part: f64, whole: f64) -> String {
    match whole > 0.0 {
        true => format!("{:.1} %", 100.0 * part / whole),
        false => "0 %".to_owned(),
    }
}

/// `1 thread`, `2 threads`, `2 switches`.
pub fn count(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        _ if noun.ends_with("ch") => format!("{n} {noun}es"),
        _ => format!("{n} {noun}s"),
    }
}

/// The group's name, with its image when the run has several.
pub fn group(profile: &Profile, id: GroupId) -> String {
    let Some(group) = profile.groups.get(id.index()) else { return "unknown group".to_owned() };
    let same = profile.groups.iter().all(|other| other.image_name == group.image_name);
    match same {
        true => group.name.clone(),
        false => format!("{}: {}", group.image_name, group.name),
    }
}

/// `tid 12 "name"`.
pub fn thread(profile: &Profile, id: ThreadId) -> String {
    match profile.threads.get(id.index()) {
        Some(thread) if thread.name.is_empty() => format!("tid {}", thread.tid),
        Some(thread) => format!("tid {} \"{}\"", thread.tid, thread.name),
        None => "unknown thread".to_owned(),
    }
}

/// The API's name.
pub fn site(profile: &Profile, id: SiteId) -> &str {
    let api = profile.sites.get(id.index()).and_then(|site| site.api);
    match api.and_then(|api| profile.apis.get(api.index())) {
        Some(api) => &api.name,
        None => "unknown API",
    }
}

/// The APIs of a path, outermost first.
pub fn path(profile: &Profile, path: &[SiteId]) -> String {
    path.iter().map(|&id| site(profile, id)).collect::<Vec<_>>().join(" → ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_have_three_digits_and_a_unit() {
        assert_eq!(super::time(5.0), "5.00 ns");
        assert_eq!(super::time(12_345.0), "12.3 µs");
        assert_eq!(super::time(123_456_789.0), "123 ms");
        assert_eq!(super::time(250e9), "250 s");
    }
}
