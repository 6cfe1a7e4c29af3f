//! Sizes and times as people write them in settings. The hook reads them from the environment and
//! `perfvisor run` from flags and files: what one takes the other must take.

/// A number and the unit behind it, which may be empty.
fn split(text: &str, is_number: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c| !is_number(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number, unit.trim()))
}

fn is_one_of(unit: &str, names: &[&str]) -> bool {
    names.iter().any(|name| unit.eq_ignore_ascii_case(name))
}

/// `4096`, `64MiB`, `1G` → bytes. Units are powers of 1024; `None` for anything else, and for more
/// than a `u64` holds.
pub fn size_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&[&str], u32); 5] = [
        (&["", "b"], 0),
        (&["k", "kib", "kb"], 10),
        (&["m", "mib", "mb"], 20),
        (&["g", "gib", "gb"], 30),
        (&["t", "tib", "tb"], 40),
    ];
    let (number, unit) = split(text, |c| c.is_ascii_digit())?;
    let (_, shift) = UNITS.iter().find(|(names, _)| is_one_of(unit, names))?;
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `30s`, `500ms`, `1.5 m`, `1h` or plain seconds → nanoseconds, at most a `u64`'s largest.
pub fn span_ns(text: &str) -> Option<u64> {
    const UNITS: [(&[&str], f64); 6] = [
        (&["", "s", "sec"], 1e9),
        (&["ms"], 1e6),
        (&["us"], 1e3),
        (&["ns"], 1.0),
        (&["m", "min"], 60e9),
        (&["h"], 3600e9),
    ];
    let (number, unit) = split(text, |c| c.is_ascii_digit() || c == '.')?;
    let (_, scale) = UNITS.iter().find(|(names, _)| is_one_of(unit, names))?;
    Some((number.parse::<f64>().ok()? * scale) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(size_bytes("4096"), Some(4096));
        assert_eq!(size_bytes("64MiB"), Some(64 << 20));
        assert_eq!(size_bytes(" 1 g "), Some(1 << 30));
        for wrong in ["", "lots", "-1", "1.5G", "99999999999T"] {
            assert_eq!(size_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(span_ns("30s"), Some(30_000_000_000));
        assert_eq!(span_ns("1.5 m"), Some(90_000_000_000));
        assert_eq!(span_ns("250MS"), Some(250_000_000));
        assert_eq!(span_ns("7"), Some(7_000_000_000));
        assert_eq!(span_ns("99999999999999h"), Some(u64::MAX));
        for wrong in ["", "s", "7 parsecs", "1.2.3s", "-1s"] {
            assert_eq!(span_ns(wrong), None, "{wrong}");
        }
    }
}
