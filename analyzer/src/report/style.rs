//! Colour says how bad something is, and nothing else; without it the text reads the same.

/// What a piece of text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// A heading or a name to find again.
    Strong,
    /// Explanation, units, what may be skipped.
    Faint,
    /// Worth a look.
    Notice,
    /// Where the time goes, or what is lost.
    Alarm,
}

impl Tone {
    /// The tone of a share (0..1) of the time that is looked at.
    pub fn of_share(share: f64) -> Self {
        match share {
            s if s >= 0.25 => Self::Alarm,
            s if s >= 0.05 => Self::Notice,
            _ => Self::Plain,
        }
    }
}

/// Writes tones as ANSI colours, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to write escape codes.
    pub color: bool,
}

impl Style {
    /// `text` in its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            _ if !self.color || text.is_empty() => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Notice => "33",
            Tone::Alarm => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(Style { color: false }.paint(Tone::Alarm, "x"), "x");
        assert_eq!(Style { color: true }.paint(Tone::Alarm, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Style { color: true }.paint(Tone::Plain, "x"), "x");
        assert_eq!(Tone::of_share(0.3), Tone::Alarm);
    }
}
