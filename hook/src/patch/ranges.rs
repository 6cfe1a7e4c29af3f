//! Which component and segment an address lies in, readable at any time without a lock.
//!
//! A sequence lock over a fixed table of segments: one writer (under the patch lock), any readers. A reader
//! that meets a write twice in a row gives up; its caller then goes unnamed, never wrong.

use core::sync::atomic::{fence, AtomicU32, AtomicUsize, Ordering};

/// Segments whose addresses can be told; what lies behind is unnamed as a caller of dlsym.
const MOST: usize = 4096;
/// Looks before a reader gives up.
const TRIES: usize = 64;

/// One segment of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// First byte.
    pub low: usize,
    /// One past the last byte.
    pub high: usize,
    /// The component's id.
    pub id: u32,
    /// The segment's `PF_*` bits.
    pub flags: u32,
    /// The component's `.eh_frame_hdr`; 0 = none.
    pub unwind: usize,
}

struct Range {
    low: AtomicUsize,
    high: AtomicUsize,
    id: AtomicU32,
    flags: AtomicU32,
    unwind: AtomicUsize,
}

impl Range {
    const fn empty() -> Self {
        Self {
            low: AtomicUsize::new(0),
            high: AtomicUsize::new(0),
            id: AtomicU32::new(0),
            flags: AtomicU32::new(0),
            unwind: AtomicUsize::new(0),
        }
    }
}

struct Table {
    /// Odd while it is being written.
    sequence: AtomicUsize,
    used: AtomicUsize,
    ranges: [Range; MOST],
}

static TABLE: Table = Table {
    sequence: AtomicUsize::new(0),
    used: AtomicUsize::new(0),
    ranges: [const { Range::empty() }; MOST],
};

impl Table {
    fn publish(&self, places: &[Place]) {
        let before = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(before.wrapping_add(1) | 1, Ordering::Relaxed);
        // Release fence: a reader that sees any store below also sees the odd sequence; it pairs
        // with the Acquire fence in `find`.
        fence(Ordering::Release);
        for (slot, place) in self.ranges.iter().zip(places) {
            slot.low.store(place.low, Ordering::Relaxed);
            slot.high.store(place.high, Ordering::Relaxed);
            slot.id.store(place.id, Ordering::Relaxed);
            slot.flags.store(place.flags, Ordering::Relaxed);
            slot.unwind.store(place.unwind, Ordering::Relaxed);
        }
        self.used.store(places.len().min(MOST), Ordering::Relaxed);
        // Pairs with the Acquire load in `find`.
        self.sequence.store((before.wrapping_add(1) | 1).wrapping_add(1), Ordering::Release);
    }

    fn find(&self, address: usize) -> Option<Place> {
        for _ in 0..TRIES {
            let before = self.sequence.load(Ordering::Acquire);
            if !before.is_multiple_of(2) {
                core::hint::spin_loop();
                continue;
            }
            let used = self.used.load(Ordering::Relaxed);
            let ranges = self.ranges.get(..used)?;
            let behind =
                ranges.partition_point(|range| range.low.load(Ordering::Relaxed) <= address);
            let found =
                behind.checked_sub(1).and_then(|index| ranges.get(index)).map(|range| Place {
                    low: range.low.load(Ordering::Relaxed),
                    high: range.high.load(Ordering::Relaxed),
                    id: range.id.load(Ordering::Relaxed),
                    flags: range.flags.load(Ordering::Relaxed),
                    unwind: range.unwind.load(Ordering::Relaxed),
                });
            fence(Ordering::Acquire);
            if self.sequence.load(Ordering::Relaxed) == before {
                return found.filter(|place| address < place.high);
            }
        }
        None
    }
}

/// Replaces what is known by `places`, sorted by address. One caller at a time.
pub fn publish(places: &[Place]) {
    TABLE.publish(places);
}

/// The segment that `address` lies in.
pub fn place_of(address: usize) -> Option<Place> {
    TABLE.find(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicBool;

    fn table() -> Box<Table> {
        Box::new(Table {
            sequence: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
            ranges: [const { Range::empty() }; MOST],
        })
    }

    fn place(low: usize, high: usize, id: u32) -> Place {
        Place { low, high, id, flags: 5, unwind: 0 }
    }

    #[test]
    fn addresses_between_components_belong_to_none() {
        let table = table();
        assert_eq!(table.find(10), None);
        table.publish(&[place(10, 20, 1), place(30, 40, 2)]);
        let found = [9, 10, 19, 20, 30, 39, 40].map(|at| table.find(at).map(|place| place.id));
        assert_eq!(found, [None, Some(1), Some(1), None, Some(2), Some(2), None]);
    }

    #[test]
    fn readers_never_see_half_a_table() {
        let table = table();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..20_000usize {
                    let shift = (round % 2) * 1000;
                    let ranges: Vec<_> = (0..8)
                        .map(|n| shift + n * 100)
                        .map(|low| place(low, low + 100, low as u32))
                        .collect();
                    table.publish(&ranges);
                }
                stop.store(true, Ordering::Relaxed);
            });
            while !stop.load(Ordering::Relaxed) {
                let found = table.find(350);
                assert!(found.is_none_or(|found| found == place(300, 400, 300)), "{found:?}");
            }
        });
    }
}
