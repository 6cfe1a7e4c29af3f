//! What is compared of each subject, in which unit, and how a run says it.

use super::run::{Footprint, Run};
use serde::Serialize;

/// One measured quantity. The words of `WORDS` are those of rules and of the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Elapsed time of the run.
    Wall,
    /// User and system CPU time of the run.
    Cpu,
    /// User CPU time of the run.
    User,
    /// System CPU time of the run.
    System,
    /// Number of calls.
    Calls,
    /// System calls: of the run in all, of an API per call of it.
    Syscalls,
    /// A system call's calls per call of the API above it.
    PerCall,
    /// Bytes moved: of the run in all, else per call.
    Bytes,
    /// Failed system calls as a share of all.
    Errors,
    /// Time of all calls together.
    Time,
    /// Mean time of a call.
    Mean,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 99th percentile.
    P99,
    /// Longest timed call.
    Max,
    /// Time waited: of the run in all, else per call.
    Wait,
    /// Time not waited, per call.
    Exec,
}

/// How a measure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// A whole number.
    Calls,
    /// A number per call.
    PerCall,
    /// Bytes.
    Bytes,
    /// Bytes per call.
    BytesPerCall,
    /// 0 … 1.
    Share,
}

impl Measure {
    /// All measures with their words.
    pub const WORDS: [(&'static str, Self); 17] = [
        ("wall", Self::Wall),
        ("cpu", Self::Cpu),
        ("user", Self::User),
        ("system", Self::System),
        ("calls", Self::Calls),
        ("syscalls", Self::Syscalls),
        ("per-call", Self::PerCall),
        ("bytes", Self::Bytes),
        ("errors", Self::Errors),
        ("time", Self::Time),
        ("mean", Self::Mean),
        ("p50", Self::P50),
        ("p90", Self::P90),
        ("p99", Self::P99),
        ("max", Self::Max),
        ("wait", Self::Wait),
        ("exec", Self::Exec),
    ];

    /// Measures of a whole run.
    pub const OF_PROGRAM: [Self; 9] = [
        Self::Wall,
        Self::Cpu,
        Self::User,
        Self::System,
        Self::Wait,
        Self::Calls,
        Self::Syscalls,
        Self::Bytes,
        Self::Errors,
    ];

    /// Measures of an API.
    pub const OF_API: [Self; 12] = [
        Self::Calls,
        Self::Syscalls,
        Self::Bytes,
        Self::Errors,
        Self::Mean,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::Max,
        Self::Wait,
        Self::Exec,
        Self::Time,
    ];

    /// Measures of a system call below an API, and of a category of system calls.
    pub const OF_SYSCALL: [Self; 11] = [
        Self::Calls,
        Self::PerCall,
        Self::Bytes,
        Self::Errors,
        Self::Mean,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::Max,
        Self::Wait,
        Self::Time,
    ];

    /// The measure's word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }

    /// The measure called `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|&(_, measure)| measure)
    }

    /// Counted, not timed: exact in each run.
    pub fn is_exact(self) -> bool {
        use Measure as M;
        matches!(self, M::Calls | M::Syscalls | M::PerCall | M::Bytes | M::Errors)
    }

    /// Says the same as other measures together (`time` is `calls` · `mean`, `mean` is `wait` +
    /// `exec`, the kernel splits `cpu` into `user` and `system` by its ticks), or nothing that a test of few calls could hold on to (`max`): shown, and tested only
    /// where a rule asks for it.
    pub fn is_derived(self) -> bool {
        use Measure as M;
        matches!(self, M::Time | M::Max | M::Exec | M::Wait | M::P90 | M::User | M::System)
    }

    /// The time of one call.
    pub fn is_of_one_call(self) -> bool {
        use Measure as M;
        matches!(self, M::Mean | M::P50 | M::P90 | M::P99 | M::Max | M::Wait | M::Exec)
    }

    /// Its unit; `whole` for the run as a whole.
    pub fn unit(self, whole: bool) -> Unit {
        match self {
            Self::Calls => Unit::Calls,
            Self::Syscalls if whole => Unit::Calls,
            Self::Syscalls | Self::PerCall => Unit::PerCall,
            Self::Bytes if whole => Unit::Bytes,
            Self::Bytes => Unit::BytesPerCall,
            Self::Errors => Unit::Share,
            _ => Unit::Ns,
        }
    }

    /// What `run` as a whole says.
    pub fn of_run(self, run: &Run) -> Option<f64> {
        let number = |value: u64| value as f64;
        match self {
            Self::Wall => Some(number(run.wall_ns)),
            Self::Cpu => run.cpu_ns().map(number),
            Self::User => run.user_ns.map(number),
            Self::System => run.system_ns.map(number),
            Self::Wait => Some(run.program.wait_ns),
            Self::Calls => Some(number(run.program.calls)),
            Self::Syscalls => run.program.syscalls.map(number),
            Self::Bytes => run.program.bytes.map(number),
            Self::Errors => share(run.program.errors, run.program.syscalls),
            _ => None,
        }
    }

    /// What `part` says, which is below `above` calls of an API (or is that API itself).
    pub fn of_part(self, part: &Footprint, above: u64) -> Option<f64> {
        let calls = part.calls as f64;
        let each = |value: f64| (part.calls > 0).then(|| value / calls);
        let known = part.timed > 0 && part.known > 0.0;
        let timed = |value: f64| known.then(|| value / part.known);
        match self {
            Self::Calls => Some(calls),
            Self::Syscalls => part.syscalls.and_then(|n| each(n as f64)),
            Self::PerCall => (above > 0).then(|| calls / above as f64),
            Self::Bytes => part.bytes.and_then(|n| each(n as f64)),
            Self::Errors => share(part.errors, part.syscalls),
            Self::Time => (part.timed > 0).then_some(part.total_ns),
            Self::Mean => part.mean_ns(),
            Self::P50 => part.quantile(0.5),
            Self::P90 => part.quantile(0.9),
            Self::P99 => part.quantile(0.99),
            Self::Max => (part.timed > 0).then_some(part.max_ns),
            Self::Wait => timed(part.wait_ns),
            Self::Exec => timed((part.total_ns - part.wait_ns).max(0.0)),
            Self::Wall | Self::Cpu | Self::User | Self::System => None,
        }
    }

    /// The share of calls below which the measure lies, for percentiles.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P99 => Some(0.99),
            _ => None,
        }
    }
}

fn share(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    match (part?, whole?) {
        (_, 0) => None,
        (part, whole) => Some(part as f64 / whole as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_is_found_by_its_word() {
        for (word, measure) in Measure::WORDS {
            assert_eq!((Measure::from_word(word), measure.word()), (Some(measure), word));
        }
        assert_eq!(Measure::from_word("speed"), None);
        let json = serde_json::to_string(&Measure::PerCall).expect("a word");
        assert_eq!(json, "\"per-call\"");
    }

    #[test]
    fn what_was_not_recorded_is_not_zero() {
        let part = Footprint { calls: 4, syscalls: Some(8), ..Footprint::default() };
        assert_eq!(Measure::Syscalls.of_part(&part, 4), Some(2.0));
        assert_eq!(Measure::Errors.of_part(&part, 4), None);
        assert_eq!(Measure::Mean.of_part(&part, 4), None);
        assert_eq!(Measure::Time.of_part(&part, 4), None);
        assert_eq!(Measure::PerCall.of_part(&part, 0), None);
    }
}
