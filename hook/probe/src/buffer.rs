//! Elements of the segment's blocks, taken one by one; histograms.

use crate::cold;
use crate::sync::commit_u32;
use crate::thread::{at, reference, Thread};
use perfvisor_format::{
    bucket_bounds, bucket_of, BlockHeader, BlockKind, Bucket, Cell, OCTAVES, SUB_BUCKETS,
};

/// Takes a zeroed element; the caller fills it and then calls [`publish`]. Null when there is no
/// room left.
///
/// # Safety
/// `thread` is the calling thread's live state and its guard is held.
#[inline(always)]
pub unsafe fn take<T>(thread: *mut Thread, kind: BlockKind) -> *mut T {
    // SAFETY: blocks point into the thread's mapping, `used < capacity` keeps the element inside.
    unsafe {
        let mut block = (*thread).blocks[kind as usize];
        if block.is_null() || (*block).used >= u32::from((*block).capacity) {
            block = cold::call(cold::calls().new_block, thread as u64, kind as u64, 0)
                as *mut BlockHeader;
            if block.is_null() {
                return core::ptr::null_mut();
            }
            (*thread).blocks[kind as usize] = block;
        }
        let offset = BlockHeader::BYTES + (*block).used as usize * kind.element_bytes();
        block.cast::<u8>().add(offset).cast::<T>()
    }
}

/// Counts the element taken last as complete.
///
/// # Safety
/// As for [`take`]; the element is filled.
#[inline(always)]
pub unsafe fn publish(thread: *mut Thread, kind: BlockKind) {
    // SAFETY: the block is the one the element was taken from.
    unsafe {
        let block = (*thread).blocks[kind as usize];
        commit_u32(&raw mut (*block).used, (*block).used + 1);
    }
}

/// A number of the thread's generator (xorshift64).
///
/// # Safety
/// `thread` is live and private.
#[inline(always)]
pub unsafe fn random(thread: *mut Thread) -> u64 {
    // SAFETY: live by contract.
    unsafe {
        let mut x = (*thread).random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (*thread).random = x;
        x
    }
}

/// Adds `weight` calls of `duration` cycles to the cell's histogram.
///
/// # Safety
/// `cell` is a cell of `thread`; the guard is held.
#[inline(always)]
pub unsafe fn add_to_histogram(thread: *mut Thread, cell: *mut Cell, duration: u64, weight: u32) {
    // SAFETY: contract handed on.
    unsafe {
        let directory = (&raw mut (*cell).histogram).cast::<u32>();
        add_to_chunks(thread, directory, &raw mut (*cell).histogram_shift, duration, weight);
    }
}

/// [`add_to_histogram`] for any `directory` of chunks, one reference an octave, and its `shift`.
///
/// # Safety
/// Both stand in an element of `thread`'s segment; the guard is held.
#[inline(always)]
pub unsafe fn add_to_chunks(
    thread: *mut Thread,
    chunks: *mut u32,
    shift_of: *mut u32,
    duration: u64,
    weight: u32,
) {
    let bucket = bucket_of(duration);
    // SAFETY: octave < OCTAVES, sub < SUB_BUCKETS, chunk references are ours.
    unsafe {
        let directory = chunks.add(bucket.octave);
        let mut chunk: *mut u32;
        if *directory == 0 {
            chunk = take(thread, BlockKind::Histograms);
            if chunk.is_null() {
                return;
            }
            publish(thread, BlockKind::Histograms);
            *directory = reference(thread, chunk);
        } else {
            chunk = at(thread, *directory);
        }
        let mut add = weight;
        let shift = *shift_of;
        if shift != 0 {
            add = weight >> shift;
            let rest = u64::from(weight & ((1 << shift) - 1));
            if random(thread) & ((1 << shift) - 1) < rest {
                add += 1;
            }
        }
        chunk = chunk.add(bucket.sub);
        let (sum, overflow) = (*chunk).overflowing_add(add);
        if overflow {
            halve(thread, chunks, shift_of);
            *chunk = (*chunk).saturating_add(add / 2);
        } else {
            *chunk = sum;
        }
    }
}

/// The bucket that one call of `duration` cycles goes to; null where that takes more than adding one
/// ([`add_to_histogram`] does it).
///
/// # Safety
/// `cell` is a cell of `thread`.
#[inline(always)]
pub unsafe fn short_bucket(thread: *const Thread, cell: *mut Cell, duration: u64) -> *mut u32 {
    let bucket = bucket_of(duration);
    // SAFETY: octave < OCTAVES, sub < SUB_BUCKETS, chunk references are ours.
    unsafe {
        let directory = *(&raw const (*cell).histogram).cast::<u32>().add(bucket.octave);
        if directory == 0 || (*cell).histogram_shift != 0 {
            return core::ptr::null_mut();
        }
        let bucket = at::<u32>(thread, directory).add(bucket.sub);
        if *bucket == u32::MAX {
            return core::ptr::null_mut();
        }
        bucket
    }
}

/// Mean and variance (cycles, cycles²) of the shorter 255 of 256 calls in a histogram: what is usual
/// there, whatever the few long ones were. `all` is what its buckets add up to.
///
/// # Safety
/// `chunks` is the directory of an element of `thread`'s segment.
pub unsafe fn usual(thread: *const Thread, chunks: *const u32, all: u64) -> (f64, f64) {
    // SAFETY: octave < OCTAVES, sub < SUB_BUCKETS, chunk references are ours.
    unsafe {
        let most = all - all / 256;
        let (mut seen, mut sum, mut squares) = (0u64, 0.0f64, 0.0f64);
        let mut octave = 0;
        while octave < OCTAVES && seen < most {
            let chunk = *chunks.add(octave);
            let mut sub = 0;
            while chunk != 0 && sub < SUB_BUCKETS && seen < most {
                let count = u64::from(*at::<u32>(thread, chunk).add(sub)).min(most - seen);
                let (low, high) = bucket_bounds(Bucket { octave, sub });
                let middle = (low + high - 1) as f64 / 2.0;
                seen += count;
                sum += count as f64 * middle;
                squares += count as f64 * middle * middle;
                sub += 1;
            }
            octave += 1;
        }
        if seen == 0 {
            return (0.0, 0.0);
        }
        let mean = sum / seen as f64;
        (mean, (squares / seen as f64 - mean * mean).max(0.0))
    }
}

/// Halves every bucket of a histogram, so that counting can go on.
#[cold]
unsafe fn halve(thread: *mut Thread, chunks: *mut u32, shift: *mut u32) {
    // SAFETY: as for `add_to_histogram`.
    unsafe {
        *shift = (*shift).wrapping_add(1).min(30);
        for octave in 0..OCTAVES {
            let chunk = *chunks.add(octave);
            if chunk != 0 {
                let chunk: *mut u32 = at(thread, chunk);
                for sub in 0..SUB_BUCKETS {
                    *chunk.add(sub) /= 2;
                }
            }
        }
    }
}
