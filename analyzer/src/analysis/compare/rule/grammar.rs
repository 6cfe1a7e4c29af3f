//! How a rule is written.

use crate::analysis::compare::measure::{Measure, Unit};
use perfvisor_format::glob;
use perfvisor_format::quantity::{size_bytes, span_ns};

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As it was given.
    pub text: String,
    pub(super) place: Place,
    pub(super) op: Op,
    pub(super) bound: Bound,
    pub(super) measure: Measure,
}

/// Where a rule looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Anywhere,
    Api(String),
    Syscall(String, String),
    Category(String),
}

/// How the bound is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    More,
    AtLeast,
    Less,
    AtMost,
}

impl Op {
    const SIGNS: [(&'static str, Self); 4] =
        [(">=", Self::AtLeast), ("<=", Self::AtMost), (">", Self::More), ("<", Self::Less)];

    /// Whether `found` passes `bound`.
    pub fn is_beyond(self, found: f64, bound: f64) -> bool {
        // A quotient is off by a few units in its last place: 102 ÷ 100 is 2 % more, no hair beyond.
        let same = (found - bound).abs() <= 1e-12 * bound.abs().max(1.0);
        match self {
            Self::More => found > bound && !same,
            Self::AtLeast => found >= bound || same,
            Self::Less => found < bound && !same,
            Self::AtMost => found <= bound || same,
        }
    }
}

/// What a rule compares with: numbers in the measure's unit, shares 0 … 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    Share(f64),
    Change(f64),
    Value(f64),
}

impl Bound {
    pub fn number(self) -> f64 {
        match self {
            Self::Share(number) | Self::Change(number) | Self::Value(number) => number,
        }
    }
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (place, condition) = match text.rsplit_once(':') {
            Some((place, condition)) => (Self::place(place.trim())?, condition),
            None => (Place::Anywhere, text),
        };
        let at = condition
            .find(['<', '>'])
            .ok_or("expected MEASURE, then >, >=, < or <=, then a bound such as +10% or 5ms")?;
        let (word, rest) = condition.split_at(at);
        let (sign, op) = Op::SIGNS
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or("expected >, >=, < or <=")?;
        let measure = Measure::from_word(word.trim()).ok_or_else(|| {
            let words: Vec<&str> = Measure::WORDS.iter().map(|(word, _)| *word).collect();
            format!("no measure is called {:?}; there are {}", word.trim(), words.join(", "))
        })?;
        let bound = bound(rest[sign.len()..].trim(), measure)?;
        let rule = Self { text: text.to_owned(), place, op, bound, measure };
        rule.fits()?;
        Ok(rule)
    }

    fn place(text: &str) -> Result<Place, String> {
        let whole = |glob: &str| match !glob.is_empty() && glob::is_whole(glob.as_bytes()) {
            true => Ok(glob.to_owned()),
            false => Err(format!("expected a name or a glob before the colon, found {glob:?}")),
        };
        if let Some(category) = text.strip_prefix('@') {
            return Ok(Place::Category(whole(category)?));
        }
        Ok(match text.rsplit_once('/') {
            Some((api, syscall)) => Place::Syscall(whole(api)?, whole(syscall)?),
            None => Place::Api(whole(text)?),
        })
    }

    /// The measure looked at.
    pub fn measure(&self) -> Measure {
        match (&self.place, self.measure) {
            (Place::Anywhere, Measure::Time) => Measure::Wall,
            (_, measure) => measure,
        }
    }

    /// It looks at the run as a whole.
    pub(super) fn of_program(&self) -> bool {
        self.place == Place::Anywhere && Measure::OF_PROGRAM.contains(&self.measure())
    }

    fn fits(&self) -> Result<(), String> {
        let measures: &[Measure] = match &self.place {
            Place::Anywhere => return Ok(()),
            Place::Api(_) => &Measure::OF_API,
            Place::Syscall(..) | Place::Category(_) => &Measure::OF_SYSCALL,
        };
        match measures.contains(&self.measure) {
            true => Ok(()),
            false => Err(format!("{} is not measured there", self.measure.word())),
        }
    }
}

fn bound(text: &str, measure: Measure) -> Result<Bound, String> {
    let (sign, size) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(size), _) => (Some(1.0), size.trim()),
        (_, Some(size)) => (Some(-1.0), size.trim()),
        _ => (None, text),
    };
    if let Some(percent) = size.strip_suffix('%') {
        let share = number(percent)? / 100.0;
        return match sign {
            Some(sign) => Ok(Bound::Share(sign * share)),
            None if measure.unit(true) == Unit::Share => Ok(Bound::Value(share)),
            None => Err(format!("expected a sign before {text}: +{text} is a rise by {text}")),
        };
    }
    let size = match (number(size), measure.unit(true)) {
        (Ok(number), unit) if number == 0.0 || unit != Unit::Ns => number,
        // A bare number of a time would be seconds to one reader and nanoseconds to the next.
        (Ok(_), _) => return Err(expected(size)),
        (_, Unit::Ns) => span_ns(size).map(|ns| ns as f64).ok_or_else(|| expected(size))?,
        (_, Unit::Bytes) => size_bytes(size).map(|b| b as f64).ok_or_else(|| expected(size))?,
        _ => return Err(expected(size)),
    };
    Ok(sign.map_or(Bound::Value(size), |sign| Bound::Change(sign * size)))
}

fn expected(found: &str) -> String {
    format!(
        "expected a number with %, or a time such as 5ms or a size such as 64KiB where one is \
         measured, found {found:?}"
    )
}

fn number(text: &str) -> Result<f64, String> {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let number = text.trim().parse::<f64>().ok().filter(|_| text.trim().chars().all(digits));
    number.ok_or_else(|| expected(text))
}
