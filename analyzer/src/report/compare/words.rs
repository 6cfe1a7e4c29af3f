//! Numbers, changes and names of a comparison as people read them.

use crate::analysis::compare::{Difference, Measure, Subject, Unit, Verdict};
use crate::report::style::Tone;
use crate::report::units::{bytes, compact_count, count, share, time};

/// A value of a measure.
pub fn value(value: Option<f64>, unit: Unit) -> String {
    let Some(value) = value else { return String::new() };
    match unit {
        Unit::Ns => time(value),
        Unit::Calls if value >= 1e7 => compact_count(value.round() as u64),
        Unit::Calls if value.fract() == 0.0 => count(value as u64),
        Unit::Calls if value >= 1e3 => count(value.round() as u64),
        Unit::Calls | Unit::PerCall => small(value),
        Unit::Bytes | Unit::BytesPerCall if value >= 1024.0 => bytes(value.round() as u64),
        Unit::Bytes | Unit::BytesPerCall => format!("{} B", small(value)),
        Unit::Share => share(value),
    }
}

/// Three significant digits, none behind a whole number.
fn small(value: f64) -> String {
    match value {
        v if v == 0.0 => "0".into(),
        v if v >= 999.5 => count(v.round() as u64),
        v if v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v if v >= 0.001 => format!("{v:.3}"),
        _ => "<0.001".into(),
    }
}

/// A change as a share: "+10.3%", "-4.0%", "+<0.1%", "3.20×".
pub fn percent(change: f64) -> String {
    let percent = change * 100.0;
    let sign = if percent < 0.0 { "-" } else { "+" };
    match percent.abs() {
        p if p == 0.0 => "0%".into(),
        p if p < 0.05 => format!("{sign}<0.1%"),
        p if p < 99.95 => format!("{sign}{p:.1}%"),
        p if p < 999.5 => format!("{sign}{p:.0}%"),
        _ => crate::report::units::ratio(change + 1.0),
    }
}

/// How B differs from A: "+10.3%", "=", "new", "gone"; with `*` where it is told.
pub fn change(difference: Option<&Difference>) -> String {
    let Some(difference) = difference else { return String::new() };
    let text = match (difference.a, difference.b, difference.change()) {
        _ if difference.verdict == Verdict::Same => "=".into(),
        (Some(_), Some(_), Some(change)) => percent(change),
        (Some(a), Some(b), None) if a == b => "=".into(),
        // A time of 0 is one too short to tell, not none.
        (Some(a), Some(_), None) if a == 0.0 && difference.exact => "new".into(),
        (Some(_), Some(b), None) if b == 0.0 && difference.exact => "gone".into(),
        _ => return String::new(),
    };
    match difference.verdict {
        Verdict::More | Verdict::Less => format!("{text}*"),
        _ => text,
    }
}

/// The interval of the change: "+8.1% to +12.4%".
pub fn interval(difference: &Difference) -> String {
    match (difference.ratio_low, difference.ratio_high) {
        (Some(low), Some(high)) if difference.verdict != Verdict::Same => {
            format!("{} to {}", percent(low - 1.0), percent(high - 1.0))
        }
        _ => String::new(),
    }
}

/// The tone of a change.
pub fn tone(difference: Option<&Difference>) -> Tone {
    match difference.map(|difference| difference.verdict) {
        Some(Verdict::More) => Tone::Alarm,
        Some(Verdict::Less) => Tone::Notice,
        _ => Tone::Plain,
    }
}

/// A p value: "0.003", "<0.0001".
pub fn p(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(p) if p < 0.0001 => "<0.0001".into(),
        Some(p) if p < 0.001 => format!("{p:.4}"),
        Some(p) if p < 0.1 => format!("{p:.3}"),
        Some(p) => format!("{p:.2}"),
    }
}

/// Cliff's δ: "+1.00".
pub fn delta(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:+.2}"))
}

/// What is said of a difference.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::More => "more",
        Verdict::Less => "less",
        Verdict::Same => "same",
        Verdict::NotTold => "not told",
        Verdict::NotTested => "not tested",
        Verdict::Unknown => "unknown",
    }
}

/// The measure in words of a heading.
pub fn measure(measure: Measure, whole: bool) -> &'static str {
    match measure {
        Measure::Wall => "wall time",
        Measure::Cpu => "CPU time",
        Measure::User => "user CPU time",
        Measure::System => "system CPU time",
        Measure::Calls => "calls",
        Measure::Syscalls if whole => "system calls",
        Measure::Syscalls => "system calls per call",
        Measure::PerCall => "per call",
        Measure::Bytes if whole => "bytes moved",
        Measure::Bytes => "bytes per call",
        Measure::Errors => "failed system calls",
        Measure::Time => "total",
        Measure::Mean => "mean",
        Measure::P50 => "p50",
        Measure::P90 => "p90",
        Measure::P99 => "p99",
        Measure::Max => "max",
        Measure::Wait if whole => "time waited",
        Measure::Wait => "wait per call",
        Measure::Exec => "exec per call",
    }
}

fn both(a: &str, b: &str) -> String {
    if a == b {
        a.to_owned()
    } else {
        format!("{a} → {b}")
    }
}

/// What is compared.
pub fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Program => "whole program".into(),
        Subject::Category { name } => format!("{name} system calls"),
        Subject::Api { a, b } => both(a, b),
        Subject::Syscall { a, b, syscall } => format!("{} / {syscall}", both(a, b)),
    }
}

/// The confidence 1 − α in per cent, without zeros that say nothing.
pub fn confidence(alpha: f64) -> String {
    let percent = format!("{:.4}", (1.0 - alpha) * 100.0);
    percent.trim_end_matches('0').trim_end_matches('.').to_owned()
}
