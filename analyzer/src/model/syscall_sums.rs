//! What some calls of one system call sum up to: a path's, a thread's, an API's, all of them.
//!
//! Sums of disjoint calls are independent, so any of them may be merged: that is how every table of
//! system calls comes about.

use super::calls::{Distribution, TimeBars};
use super::clock::Clock;
use super::estimate::{estimate, EstimateSum, SegmentSite};
use super::finish::{bars_of, ratio};
use super::histogram::Histogram;
use super::profile::Estimate;
use super::segments::finite;
use crate::read::{Segment, SyscallEntry};
use perfvisor_format::{ProcessHeader, SyscallCell, SYSCALL_WAITS};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::collections::BTreeMap;

/// Counts, errors, bytes and times of some system calls.
#[derive(Clone, Debug, PartialEq)]
pub struct SyscallSums {
    /// Exact number of calls.
    pub count: u64,
    /// Of these, timed.
    pub timed: u64,
    /// Of these, calls whose like was never timed: their time is unknown and in no sum.
    pub unknown: u64,
    /// Calls that failed, exact.
    pub errors: u64,
    /// Errors by errno; where their sum is less than `errors`, the others are of unknown errno.
    pub errnos: BTreeMap<u16, u64>,
    /// Bytes moved, exact; 0 where the call moves none.
    pub bytes: u64,
    /// Calls whose innermost API was not timed: it is known by a note its stub left.
    pub noted: u64,
    /// Estimated time waited (of the whole time), ns.
    pub wait_ns: f64,
    /// Slow calls seen, kept or not.
    pub slow_seen: u64,
    /// Their summed time, ns.
    pub slow_ns: f64,
    min_ns: f64,
    max_ns: f64,
    total: EstimateSum,
    histogram: Histogram,
    bias_timed: f64,
    per_ns: f64,
}

impl Default for SyscallSums {
    fn default() -> Self {
        Self {
            count: 0,
            timed: 0,
            unknown: 0,
            errors: 0,
            errnos: BTreeMap::new(),
            bytes: 0,
            noted: 0,
            wait_ns: 0.0,
            slow_seen: 0,
            slow_ns: 0.0,
            min_ns: f64::INFINITY,
            max_ns: 0.0,
            total: EstimateSum::default(),
            histogram: Histogram::default(),
            bias_timed: 0.0,
            per_ns: 0.0,
        }
    }
}

/// Cycles that the time stamps of a timed system call measure of themselves, and ± of it.
pub fn bias(header: &ProcessHeader) -> (f64, f64) {
    (f64::from(header.syscall_bias_cycles), f64::from(header.syscall_bias_error_cycles))
}

impl SyscallSums {
    /// The sums of one cell.
    pub fn of_cell(
        segment: &Segment,
        entry: &SyscallEntry,
        header: &ProcessHeader,
        clock: &Clock,
    ) -> Self {
        let cell = &entry.cell;
        let mut sums = Self {
            count: entry.count,
            errors: cell.errors.min(entry.count),
            bytes: cell.bytes,
            noted: cell.noted.min(entry.count),
            slow_seen: cell.slow_seen,
            slow_ns: clock.span_ns(cell.slow_sum as f64),
            per_ns: clock.per_ns,
            ..Self::default()
        };
        for word in cell.errno {
            let (errno, errors) = ((word >> 48) as u16, word & 0xffff_ffff_ffff);
            if errno != 0 && errors != 0 {
                let sum = sums.errnos.entry(errno).or_default();
                *sum = sum.saturating_add(errors);
            }
        }
        if cell.timed == 0 || cell.represented < cell.timed {
            sums.unknown = sums.count;
            sums.total.exact = sums.count == 0;
            return sums;
        }
        sums.add_times(cell, bias(header), clock);
        segment.syscall_histogram(cell, |octave, sub, n| sums.histogram.add(octave, sub, n));
        sums
    }

    /// The times of a cell with timed calls: Horvitz–Thompson with the ratio to the exact count.
    fn add_times(&mut self, cell: &SyscallCell, (bias, error): (f64, f64), clock: &Clock) {
        let (timed, represented) = (cell.timed as f64, cell.represented as f64);
        let measured = (cell.sum as f64 - bias * timed).max(0.0);
        let weighted = (cell.weighted_sum as f64 - bias * represented).max(measured);
        // A call that waits makes the next ones timed: those that waited hardly stand for others. Where
        // all timed ones waited, all did.
        let waits = cell.flags & SYSCALL_WAITS != 0 || cell.wait_sum >= cell.sum.max(1);
        let site = SegmentSite {
            // A kill between two stores may leave one call timed that is not counted.
            count: self.count.max(cell.timed),
            timed: cell.timed,
            represented,
            raw_weighted: cell.weighted_sum as f64,
            measured,
            weighted,
            weighted_self: weighted,
            variance: [cell.variance_0, cell.variance_1, cell.variance_2].map(finite),
            min: (cell.min as f64 - bias).max(0.0),
            systematic: error * represented,
            bias,
            bias_timed: bias * timed,
            ..SegmentSite::default()
        };
        let e = estimate(&site);
        let ns = |cycles: f64| clock.span_ns(cycles);
        self.timed = cell.timed.min(self.count);
        self.min_ns = ns(site.min);
        self.max_ns = ns((cell.max as f64 - bias).max(0.0)).max(self.min_ns);
        self.bias_timed = site.bias_timed;
        self.total = EstimateSum {
            total_ns: ns(e.total),
            variance_ns2: e.variance / (clock.per_ns * clock.per_ns),
            systematic_ns: ns(e.systematic),
            measured_ns: ns(measured),
            unseen_ns: ns(e.above),
            supposed_ns: ns(e.below),
            exact: e.exact,
        };
        let kept = if cell.sum == 0 { 0.0 } else { (measured / cell.sum as f64).min(1.0) };
        let waited = ns(cell.wait_sum as f64 * kept);
        self.wait_ns = if waits { ns(e.total) } else { waited.min(ns(e.total)) };
    }

    /// Adds other calls.
    pub fn merge(&mut self, other: &Self) {
        let add = |sum: &mut u64, value: u64| *sum = sum.saturating_add(value);
        add(&mut self.count, other.count);
        add(&mut self.timed, other.timed);
        add(&mut self.unknown, other.unknown);
        add(&mut self.errors, other.errors);
        add(&mut self.bytes, other.bytes);
        add(&mut self.noted, other.noted);
        add(&mut self.slow_seen, other.slow_seen);
        for (&errno, &errors) in &other.errnos {
            add(self.errnos.entry(errno).or_default(), errors);
        }
        self.wait_ns += other.wait_ns;
        self.slow_ns += other.slow_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.total.add(&other.total);
        self.histogram.merge(&other.histogram);
        self.bias_timed += other.bias_timed;
        // Recordings of several hosts share a profile rarely; the first one's rate then stands.
        if self.per_ns == 0.0 {
            self.per_ns = other.per_ns;
        }
    }

    /// Adds calls that are only known by their number: those that no cell holds.
    pub fn add_unplaced(&mut self, count: u64) {
        self.count = self.count.saturating_add(count);
        self.unknown = self.unknown.saturating_add(count);
        self.total.exact &= count == 0;
    }

    /// Time of the calls, waiting and executing; `None` when none of them was timed. Calls in
    /// `unknown` are not in it.
    pub fn time(&self) -> Option<Estimate> {
        (self.timed != 0).then(|| self.total.estimate())
    }

    /// Best estimate of the time, ns; 0 when none was timed.
    pub fn total_ns(&self) -> f64 {
        self.total.total_ns.max(0.0)
    }

    /// Estimated time waited, never more than the time.
    pub fn waited_ns(&self) -> f64 {
        self.wait_ns.clamp(0.0, self.total_ns())
    }

    /// Estimated time not waited.
    pub fn exec_ns(&self) -> f64 {
        self.total_ns() - self.waited_ns()
    }

    /// Longest timed call, ns.
    pub fn max_ns(&self) -> f64 {
        self.max_ns
    }

    /// Mean time of a call, ns; `None` when none was timed.
    pub fn mean_ns(&self) -> Option<f64> {
        let known = self.count.saturating_sub(self.unknown);
        (self.timed != 0 && known != 0).then(|| self.total_ns() / known as f64)
    }

    /// Share of failed calls, 0 … 1.
    pub fn error_share(&self) -> f64 {
        ratio(self.errors, self.count)
    }

    /// Share of timed calls, 0 … 1.
    pub fn timed_share(&self) -> f64 {
        ratio(self.timed, self.count)
    }

    /// Times of single calls (ns) and how many took so long, shortest first: each timed call stands
    /// for those it was timed for. A time is that of its bucket, which is off by 1.6 % at most.
    pub fn durations(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let ns = self.single_ns();
        self.histogram.filled().map(move |(cycles, calls)| (ns(cycles), calls))
    }

    /// Percentiles of single calls' times; `None` when none was timed.
    pub fn distribution(&self) -> Option<Distribution> {
        if self.timed == 0 {
            return None;
        }
        let ns = self.single_ns();
        let at = |q: f64| ns(self.histogram.quantile(q).unwrap_or(0.0));
        Some(Distribution {
            min_ns: self.min_ns.min(self.max_ns),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: self.max_ns,
        })
    }

    /// Coefficient of variation of single calls' times (standard deviation ÷ mean); `None` when
    /// fewer than two stand in the histogram.
    pub fn variation(&self) -> Option<f64> {
        let (mut calls, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (ns, n) in self.durations() {
            let n = n as f64;
            calls += n;
            sum += n * ns;
            squares += n * ns * ns;
        }
        let mean = sum / calls;
        let variance = (squares - sum * mean).max(0.0) / (calls - 1.0);
        (calls >= 2.0 && mean > 0.0).then(|| variance.sqrt() / mean)
    }

    /// The same calls by their time, see [`TimeBars`].
    pub fn bars(&self) -> TimeBars {
        if self.timed == 0 {
            return TimeBars::default();
        }
        let estimated = self.timed != self.count || self.histogram.total() != self.timed;
        bars_of(self.durations(), estimated)
    }

    /// What turns a duration in the histogram into ns.
    fn single_ns(&self) -> impl Fn(f64) -> f64 + use<> {
        let bias = if self.timed == 0 { 0.0 } else { self.bias_timed / self.timed as f64 };
        let per_ns = if self.per_ns > 0.0 { self.per_ns } else { 1.0 };
        let (min_ns, max_ns) = (self.min_ns.min(self.max_ns), self.max_ns);
        move |cycles| ((cycles - bias).max(0.0) / per_ns).clamp(min_ns, max_ns)
    }
}

impl Serialize for SyscallSums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("SyscallSums", 12)?;
        out.serialize_field("count", &self.count)?;
        out.serialize_field("timed", &self.timed)?;
        out.serialize_field("unknown", &self.unknown)?;
        out.serialize_field("errors", &self.errors)?;
        out.serialize_field("errnos", &self.errnos)?;
        out.serialize_field("bytes", &self.bytes)?;
        out.serialize_field("noted", &self.noted)?;
        out.serialize_field("time", &self.time())?;
        out.serialize_field("wait_ns", &self.waited_ns())?;
        out.serialize_field("distribution", &self.distribution())?;
        out.serialize_field("slow_seen", &self.slow_seen)?;
        out.serialize_field("slow_ns", &self.slow_ns)?;
        out.end()
    }
}
