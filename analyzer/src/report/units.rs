//! Numbers as people read them: three significant digits, a unit, and never more exact than known.

/// A share below which an interval is shown as "under" rather than as a number.
const SMALL_SHARE: f64 = 0.005;

/// `value` with `digits` significant digits and no exponent; trailing zeros stay (they are known).
fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".into();
    }
    // The exponent is read after rounding: 999.6 has three digits before the point, its rounded
    // value has four.
    let rounded = format!("{value:.*e}", (digits - 1).max(0) as usize);
    let exponent = rounded.split_once('e').and_then(|(_, power)| power.parse::<i32>().ok());
    let decimals = (digits - 1 - exponent.unwrap_or(0)).max(0) as usize;
    format!("{:.decimals$}", rounded.parse::<f64>().unwrap_or(value))
}

/// Picks a unit and says `value` in it with `digits` significant digits.
fn scaled(value: f64, digits: i32, units: &[(f64, &str)]) -> String {
    // A value that would round up to the next unit's 1 is said in that unit.
    let rounding = 1.0 - 0.5 * 10f64.powi(-digits);
    let (factor, unit) = units
        .iter()
        .rev()
        .find(|(factor, _)| value.abs() >= factor * rounding)
        .or(units.first())
        .copied()
        .unwrap_or((1.0, ""));
    let number = significant(value / factor, digits);
    if unit.is_empty() {
        number
    } else {
        format!("{number} {unit}")
    }
}

/// A time of `ns` nanoseconds with three significant digits: "431 ns", "1.20 ms", "17.3 s", "4.02 h".
pub fn time(ns: f64) -> String {
    time_digits(ns, 3)
}

/// A time of `ns` nanoseconds whose 95 % interval is `± half_ns`: two digits when it is known
/// to no better than one part in twenty.
pub fn time_within(ns: f64, half_ns: f64) -> String {
    time_digits(ns, if half_ns > 0.05 * ns.abs() { 2 } else { 3 })
}

fn time_digits(ns: f64, digits: i32) -> String {
    if ns.abs() < 0.05 {
        return "0 s".into();
    }
    if ns.abs() >= 100e9 {
        return scaled(ns / 1e9, digits, &[(1.0, "s"), (60.0, "min"), (3600.0, "h")]);
    }
    scaled(ns, digits, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")])
}

/// The half width of an interval as a share of its value: "±4%", "±<1%"; empty when all is known.
pub fn interval(value: f64, half: f64) -> String {
    if half <= 0.0 || !half.is_finite() {
        return String::new();
    }
    let share = half / value.abs();
    if !share.is_finite() || share >= 9.995 {
        return "±>999%".into();
    }
    if share < SMALL_SHARE {
        return "±<1%".into();
    }
    format!("±{:.0}%", share * 100.0)
}

/// A share (0..1) as a percentage: "0%", "<0.1%", "3.2%", "41%".
pub fn share(part: f64) -> String {
    let percent = part * 100.0;
    if !percent.is_finite() || percent <= 0.0 {
        "0%".into()
    } else if percent < 0.1 {
        "<0.1%".into()
    } else if percent < 9.95 {
        format!("{percent:.1}%")
    } else if percent > 99.0 && percent < 99.95 {
        // Nearly all is not all.
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

/// A ratio of two numbers: "1.20×", "4,120×".
pub fn ratio(value: f64) -> String {
    let text = significant(value, 3);
    match text.parse::<u64>() {
        Ok(whole) => format!("{}×", count(whole)),
        Err(_) => format!("{text}×"),
    }
}

/// An exact count, grouped by thousands: "1,234,567".
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count that is an estimate unless `exact`: "1,234,567" or "~1.23 M".
pub fn count_or_estimate(value: u64, exact: bool) -> String {
    if exact {
        count(value)
    } else {
        let text = scaled(value as f64, 3, &[(1.0, ""), (1e6, "M"), (1e9, "G")]);
        match text.parse::<u64>() {
            Ok(whole) => format!("~{}", count(whole)),
            Err(_) => format!("~{text}"),
        }
    }
}

/// A count in four or five characters: "950", "12.3 k", "1.23 M".
pub fn compact_count(value: u64) -> String {
    if value < 10_000 {
        return count(value);
    }
    scaled(value as f64, 3, &[(1e3, "k"), (1e6, "M"), (1e9, "G")])
}

/// A size in bytes: "17 B", "64.0 KiB".
pub fn bytes(value: u64) -> String {
    if value < 1024 {
        return format!("{value} B");
    }
    let units = [(1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB")];
    scaled(value as f64, 3, &units)
}

/// "1 thread", "2 threads".
pub fn plural(number: u64, word: &str) -> String {
    let ending = match word {
        _ if number == 1 => "",
        w if w.ends_with('s') || w.ends_with("ch") || w.ends_with('x') => "es",
        _ => "s",
    };
    format!("{} {word}{ending}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_the_unit_that_suits() {
        let cases = [
            (0.0, "0 s"),
            (0.31, "0.310 ns"),
            (4.0, "4.00 ns"),
            (431.0, "431 ns"),
            (999.4, "999 ns"),
            (999.6, "1.00 µs"),
            (1_234.0, "1.23 µs"),
            (99_960.0, "100 µs"),
            (1_200_000.0, "1.20 ms"),
            (17_340_000_000.0, "17.3 s"),
            (99_990_000_000.0, "100 s"),
            (123_000_000_000.0, "2.05 min"),
            (14_500_000_000_000.0, "4.03 h"),
            (-2_500.0, "-2.50 µs"),
        ];
        for (ns, want) in cases {
            assert_eq!(time(ns), want, "{ns} ns");
        }
    }

    #[test]
    fn a_badly_known_time_has_fewer_digits() {
        assert_eq!(time_within(1_234.0, 10.0), "1.23 µs");
        assert_eq!(time_within(1_234.0, 400.0), "1.2 µs");
        assert_eq!(time_within(123_456_789.0, 40_000_000.0), "120 ms");
    }

    #[test]
    fn intervals_and_shares_are_never_falsely_exact() {
        assert_eq!(interval(100.0, 0.0), "");
        assert_eq!(interval(100.0, 0.1), "±<1%");
        assert_eq!(interval(100.0, 4.2), "±4%");
        assert_eq!(interval(0.0, 4.2), "±>999%");
        assert_eq!(share(0.0), "0%");
        assert_eq!(share(0.0002), "<0.1%");
        assert_eq!(share(0.9999), "100%");
        assert_eq!(share(0.993), "99.3%");
        assert_eq!(share(0.412), "41%");
        assert_eq!(share(f64::NAN), "0%");
    }

    #[test]
    fn estimated_counts_are_marked_and_rounded() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(count_or_estimate(1_234_567, true), "1,234,567");
        assert_eq!(count_or_estimate(1_234_567, false), "~1.23 M");
        assert_eq!(count_or_estimate(12_345, false), "~12,300");
        assert_eq!(compact_count(9_999), "9,999");
        assert_eq!(compact_count(12_345), "12.3 k");
        assert_eq!(ratio(1.2), "1.20×");
        assert_eq!(ratio(4_117.6), "4,120×");
        assert_eq!(bytes(65_536), "64.0 KiB");
        assert_eq!(plural(1, "thread"), "1 thread");
        assert_eq!(plural(2, "process"), "2 processes");
    }
}
