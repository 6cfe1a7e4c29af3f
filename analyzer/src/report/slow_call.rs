//! What is known of one slow call, in words.

use super::arity::arity;
use super::lookup::{object_text, Lookup};
use super::units::{ratio, share, time};
use crate::model::{Profile, SlowCall};

/// How it compares to its like; `None` when no median is known.
pub fn usual(call: &SlowCall) -> Option<String> {
    let median = call.median_ns.filter(|median| *median > 0.0)?;
    Some(format!("{} its median of {}", ratio(call.duration_ns / median), time(median)))
}

/// What it waited for, for how long, and who held it.
pub fn waited(profile: &Profile, names: Lookup, call: &SlowCall) -> Option<String> {
    let kind = call.wait_kind.as_deref()?;
    let object = call.wait_object.and_then(|id| profile.wait_objects.get(id.index()));
    let what = object.map_or_else(|| object_text(kind, call.object), |object| names.object(object));
    let inner = match call.wait_site {
        Some(site) if site != call.site => format!(" in {}", names.site(site)),
        _ => String::new(),
    };
    let holder = call
        .holder_tid
        .map_or_else(String::new, |tid| format!(", held by {}", names.holder(call.holder, tid)));
    let part = share((call.wait_ns / call.duration_ns.max(1.0)).min(1.0));
    let text = format!("{} ({part}) for {kind} {what}", time(call.wait_ns));
    Some(format!("{}{inner}{holder}", text.trim_end()))
}

/// The call as it was made, where the function's arguments are known; else the registers of the
/// first six integer arguments, without trailing zeros, of which some may mean nothing.
pub fn arguments(names: Lookup, call: &SlowCall) -> String {
    let name = names.site(call.site);
    let result = word(call.result);
    let written = |used: usize| {
        let words: Vec<String> = call.args.iter().take(used).map(|&arg| word(arg)).collect();
        words.join(", ")
    };
    match arity(name) {
        Some(known) => format!("{name}({}) → {result}", written(known)),
        None => {
            let used = call.args.iter().rposition(|&arg| arg != 0).map_or(0, |last| last + 1);
            format!("first registers ({}), returned {result}", written(used))
        }
    }
}

/// A register: small numbers (negative ones too) in decimal, others in hexadecimal digits.
fn word(value: u64) -> String {
    let signed = value as i64;
    if (-4096..65_536).contains(&signed) {
        signed.to_string()
    } else {
        format!("{value:#x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_read_as_numbers_or_addresses() {
        assert_eq!(word(12), "12");
        assert_eq!(word(u64::MAX), "-1");
        assert_eq!(word(0x7f00_0000_1000), "0x7f0000001000");
    }
}
