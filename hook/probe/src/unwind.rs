//! One step up the stack, by what the compiler said of each address (`.eh_frame`), remembered.
//!
//! Whether a noted call is still open ([`crate::notes`]) is decided by walking from the stack pointer to
//! the note's place: only if the walk comes by exactly there, that call's frame is on the stack. A
//! row says how the frame of the code at an address is laid out; the hook reads it once from the unwind
//! table (`cold::ColdCalls::unwind_row`), after that a step is one look-up.

use crate::cold;
use core::sync::atomic::{AtomicU64, Ordering};

/// Addresses remembered; later ones take the place of earlier ones.
const ROWS: usize = 4096;

static KEYS: [AtomicU64; ROWS] = [const { AtomicU64::new(0) }; ROWS];
static VALUES: [AtomicU64; ROWS] = [const { AtomicU64::new(0) }; ROWS];

/// Which register a frame is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Base {
    /// The table does not say, or in a way that is not followed.
    Unknown = 0,
    /// The stack pointer.
    Rsp = 1,
    /// The frame pointer.
    Rbp = 2,
}

/// How a frame is laid out. The return address stands 8 bytes below the CFA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the CFA is counted from.
    pub base: Base,
    /// Bytes from there to the CFA.
    pub offset: i32,
    /// Bytes from the CFA to where the caller's rbp stands; 0 = it is still in rbp.
    pub rbp: i16,
}

/// Eight bits of an address that a value carries, so that a key and a value written by two threads at once
/// are not taken for a pair.
const fn tag(address: u64) -> u64 {
    address.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 56
}

const fn index(address: u64) -> usize {
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize % ROWS
}

impl Row {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { base: Base::Unknown, offset: 0, rbp: 0 };

    const fn pack(self, address: u64) -> u64 {
        tag(address) << 56
            | (self.rbp as u16 as u64) << 40
            | (self.offset as u32 as u64) << 8
            | self.base as u64
    }

    const fn unpack(word: u64) -> Self {
        let base = match word as u8 {
            1 => Base::Rsp,
            2 => Base::Rbp,
            _ => Base::Unknown,
        };
        Self { base, offset: (word >> 8) as u32 as i32, rbp: (word >> 40) as u16 as i16 }
    }
}

/// Forgets everything: a component was unloaded, and another may come to its place.
pub fn forget() {
    let mut at = 0;
    while let Some(key) = KEYS.get(at) {
        key.store(0, Ordering::Relaxed);
        at += 1;
    }
}

/// Remembers the row of `address`.
pub fn learn(address: u64, row: Row) {
    if let (Some(key), Some(value)) = (KEYS.get(index(address)), VALUES.get(index(address))) {
        value.store(row.pack(address), Ordering::Relaxed);
        // Release pairs with the Acquire in `row_of`: the value is there when the key is.
        key.store(address, Ordering::Release);
    }
}

/// The row of the code that `address` returns to; asks the hook for one not met before.
#[inline(always)]
fn row_of(address: u64) -> Row {
    let (Some(key), Some(value)) = (KEYS.get(index(address)), VALUES.get(index(address))) else {
        return Row::UNKNOWN;
    };
    if key.load(Ordering::Acquire) == address {
        let word = value.load(Ordering::Relaxed);
        if word >> 56 == tag(address) {
            return Row::unpack(word);
        }
    }
    if !cold::has_room() {
        return Row::UNKNOWN;
    }
    Row::unpack(cold::call(cold::calls().unwind_row, address, 0, 0) & !(0xff << 56))
}

/// What [`learn`] and `cold::ColdCalls::unwind_row` hand out for a row.
pub fn word_of(address: u64, row: Row) -> u64 {
    row.pack(address)
}

/// A place in a walk.
#[derive(Clone, Copy)]
pub struct Walk {
    /// Address that runs, or will when what it called returns.
    pub address: u64,
    /// Stack pointer there.
    pub sp: u64,
    /// Frame pointer there.
    pub rbp: u64,
}

impl Walk {
    /// One frame up: the slot that held its return address. `None` where the table does not say, or the
    /// walk would leave `low..high`, the thread's own stack.
    ///
    /// # Safety
    /// All of `low..high` above the stack pointer may be read.
    #[inline(always)]
    pub unsafe fn step(&mut self, low: u64, high: u64) -> Option<u64> {
        let row = row_of(self.address);
        let base = match row.base {
            Base::Rsp => self.sp,
            Base::Rbp => self.rbp,
            Base::Unknown => return None,
        };
        let cfa = base.wrapping_add(row.offset as i64 as u64);
        if cfa <= self.sp || cfa < low + 16 || cfa > high - 16 || cfa & 7 != 0 {
            return None;
        }
        if row.rbp != 0 {
            let at = cfa.wrapping_add(row.rbp as i64 as u64);
            if at < self.sp || at > cfa - 8 {
                return None;
            }
            // SAFETY: between the stack pointer and the CFA, on the thread's own stack.
            self.rbp = unsafe { (at as *const u64).read_volatile() };
        }
        let slot = cfa - 8;
        // SAFETY: as above.
        self.address = unsafe { (slot as *const u64).read_volatile() };
        self.sp = cfa;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_packing() {
        for base in [Base::Unknown, Base::Rsp, Base::Rbp] {
            for offset in [0, 8, -8, i32::MAX, i32::MIN] {
                for rbp in [0, -16, i16::MIN, i16::MAX] {
                    let row = Row { base, offset, rbp };
                    assert_eq!(Row::unpack(row.pack(0x7f12_3456_789a)), row);
                }
            }
        }
    }
}
