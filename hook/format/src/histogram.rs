//! Log-linear histogram: one octave a chunk, 32 equal buckets an octave.
//!
//! A bucket spans at most 1/32 of its lower bound, so a value taken as its bucket's middle is off
//! by at most 1/64 = 1.6 % (the design asks for 3 %). Values are TSC cycles.

/// Buckets in one octave.
pub const SUB_BUCKETS: usize = 32;
/// Octaves a cell can point to. Octave 0 is linear and exact (0..32); octave k ≥ 1 holds
/// 2^(k+4) .. 2^(k+5). The last one also takes everything above.
pub const OCTAVES: usize = 44;

/// Where a value falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Which octave, `0..OCTAVES`.
    pub octave: usize,
    /// Which bucket of it, `0..SUB_BUCKETS`.
    pub sub: usize,
}

/// The bucket of `value` (cycles).
#[inline(always)]
pub const fn bucket_of(value: u64) -> Bucket {
    if value < SUB_BUCKETS as u64 {
        return Bucket { octave: 0, sub: value as usize };
    }
    let log = 63 - value.leading_zeros() as usize;
    let octave = log - 4;
    if octave >= OCTAVES {
        return Bucket { octave: OCTAVES - 1, sub: SUB_BUCKETS - 1 };
    }
    Bucket { octave, sub: ((value >> (log - 5)) & 31) as usize }
}

/// Lower bound (inclusive) and upper bound (exclusive) of a bucket, in cycles.
pub const fn bucket_bounds(bucket: Bucket) -> (u64, u64) {
    if bucket.octave == 0 {
        return (bucket.sub as u64, bucket.sub as u64 + 1);
    }
    let width = 1u64 << (bucket.octave - 1);
    let low = (SUB_BUCKETS as u64 + bucket.sub as u64) * width;
    (low, low + width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_within_three_percent() {
        let mut value = 0u64;
        while value < 1 << 47 {
            let (low, high) = bucket_bounds(bucket_of(value));
            assert!(low <= value && value < high, "{value} not in {low}..{high}");
            let middle = (low + high - 1) as f64 / 2.0;
            assert!((middle - value as f64).abs() <= 0.03 * value as f64 + 1e-9);
            value = value + 1 + value / 97;
        }
    }

    #[test]
    fn the_last_bucket_takes_everything_above() {
        assert_eq!(bucket_of(u64::MAX), Bucket { octave: OCTAVES - 1, sub: SUB_BUCKETS - 1 });
    }
}
