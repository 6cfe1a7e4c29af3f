//! Merged log-linear histograms, in raw cycles, and their percentiles.

use perfvisor_format::{bucket_bounds, bucket_of, Bucket, OCTAVES, SUB_BUCKETS};

/// Weighted counts of calls by duration; octaves without calls take no room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    octaves: Vec<Option<Box<[u64; SUB_BUCKETS]>>>,
    total: u64,
}

impl Histogram {
    /// Adds `calls` to a bucket; buckets out of range are ignored.
    pub fn add(&mut self, octave: usize, sub: usize, calls: u64) {
        if octave >= OCTAVES || sub >= SUB_BUCKETS || calls == 0 {
            return;
        }
        if self.octaves.len() <= octave {
            self.octaves.resize(octave + 1, None);
        }
        let chunk = self.octaves[octave].get_or_insert_with(|| Box::new([0; SUB_BUCKETS]));
        chunk[sub] = chunk[sub].saturating_add(calls);
        self.total = self.total.saturating_add(calls);
    }

    /// Adds `calls` of `value` cycles.
    pub fn add_value(&mut self, value: u64, calls: u64) {
        let Bucket { octave, sub } = bucket_of(value);
        self.add(octave, sub, calls);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (octave, chunk) in other.octaves.iter().enumerate() {
            if let Some(chunk) = chunk {
                for (sub, &calls) in chunk.iter().enumerate() {
                    self.add(octave, sub, calls);
                }
            }
        }
    }

    /// The value (cycles, the middle of its bucket) below or at which a share `q` of calls lies.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        // The rank of the wanted call, counted from 1.
        let rank = ((q * self.total as f64).ceil() as u64).clamp(1, self.total);
        let mut seen = 0u64;
        self.filled().find_map(|(middle, calls)| {
            seen = seen.saturating_add(calls);
            (seen >= rank).then_some(middle)
        })
    }

    /// Calls in it.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Buckets with calls, shortest first: the middle (cycles) and the calls.
    pub fn filled(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let chunks = self.octaves.iter().enumerate();
        let chunks = chunks.filter_map(|(octave, chunk)| Some((octave, chunk.as_deref()?)));
        chunks.flat_map(|(octave, chunk)| {
            let subs = chunk.iter().enumerate().filter(|(_, &calls)| calls != 0);
            subs.map(move |(sub, &calls)| {
                let (low, high) = bucket_bounds(Bucket { octave, sub });
                ((low + high - 1) as f64 / 2.0, calls)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_the_buckets_error() {
        let mut histogram = Histogram::default();
        for value in 1..=10_000u64 {
            histogram.add_value(value, 3);
        }
        for (q, expected) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (0.999, 9_990.0)] {
            let found = histogram.quantile(q).unwrap_or(0.0);
            assert!((found / expected - 1.0).abs() < 0.03, "{q}: {found}, expected {expected}");
        }
    }

    #[test]
    fn merging_is_adding_and_an_empty_one_has_no_quantile() {
        let (mut a, mut b) = (Histogram::default(), Histogram::default());
        a.add_value(5, 1);
        b.add_value(1_000_000, 99);
        assert_eq!(Histogram::default().quantile(0.5), None);
        a.merge(&b);
        assert_eq!(a.quantile(0.01), Some(5.0));
        assert!(a.quantile(0.5).is_some_and(|v| (v / 1e6 - 1.0).abs() < 0.03));
    }
}
