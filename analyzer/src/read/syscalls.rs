//! System calls of a segment, and `syscalls.pv`.

use super::header::{read_member_header, ImageIdentity};
use super::segment::{since_base, Segment, LARGEST_GAP};
use super::{Damage, Mapped, ReadError};
use perfvisor_format::{
    FileKind, SegmentKind, SyscallCell, ARENA_UNIT, SYSCALLS_HEADER_BYTES, SYSCALL_NUMBERS,
    SYSCALL_TABLE_BYTES,
};
use std::path::Path;

/// One system call's cell, with what the reader found out about it.
#[derive(Clone, Copy, Debug)]
pub struct SyscallEntry {
    /// Reference, units of 64 bytes from the start of the file.
    pub reference: u32,
    /// The cell.
    pub cell: SyscallCell,
    /// Exact number of calls.
    pub count: u64,
    /// Position of its call path in [`Segment::cells`]; `None` = made outside of any API, or the
    /// path is damaged.
    pub path: Option<u32>,
}

/// Calls by number that stand in no cell, see [`perfvisor_format::SyscallTable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyscallTotals {
    /// The system call's number.
    pub number: u32,
    /// Calls seen that no cell holds.
    pub unplaced: u64,
    /// Calls the hook made for itself.
    pub own: u64,
    /// Calls that an audit found to be missed.
    pub missed: u64,
}

/// Counts the calls of each system call of `segment` and finds the path it was made in.
pub fn link_syscalls(segment: &mut Segment, file: &Mapped, kind: SegmentKind) {
    let mut entries = std::mem::take(&mut segment.syscalls);
    for entry in &mut entries {
        let at = entry.reference as usize * ARENA_UNIT;
        entry.count = match kind {
            SegmentKind::Group => entry.cell.base_count,
            SegmentKind::Thread => match count(&entry.cell) {
                Some(count) => count,
                None => {
                    let offset = at + std::mem::offset_of!(SyscallCell, word);
                    let expected = format!("a counter ahead of its base {}", entry.cell.base_count);
                    let found = format!("{:#018x}", entry.cell.word);
                    segment.damages.push(file.damage(offset, expected, found));
                    entry.cell.base_count
                }
            },
        };
        if entry.cell.path != 0 {
            entry.path = segment.cell_at(entry.cell.path);
            if entry.path.is_none() {
                let found = format!("{:#x}", entry.cell.path);
                segment.damages.push(file.damage(at, "the reference of a cell", found));
            }
        }
    }
    segment.syscalls = entries;
}

/// The exact count by the cell's word; `None` when the word cannot belong to its base. A kill while
/// the word was rearmed leaves it up to one gap behind the base, which is then exact.
fn count(cell: &SyscallCell) -> Option<u64> {
    let since = since_base(cell.word, cell.base_count);
    if since.wrapping_neg() <= LARGEST_GAP {
        return Some(cell.base_count);
    }
    let ahead = since <= u32::MAX / 2;
    ahead.then(|| cell.base_count.saturating_add(u64::from(since)))
}

/// Reads `syscalls.pv`: numbers of which any table has calls, ascending, and the damaged places.
///
/// # Errors
/// When the file cannot be opened, or its head is damaged, foreign, newer or of another image.
pub fn read_syscalls(
    root: &Path,
    name: &str,
    identity: ImageIdentity,
) -> Result<(Vec<SyscallTotals>, Vec<Damage>), ReadError> {
    let file = Mapped::open(root, name)?;
    read_member_header(&file, FileKind::Syscalls, identity)?;
    let end = SYSCALLS_HEADER_BYTES + 3 * SYSCALL_TABLE_BYTES;
    let mut damages = Vec::new();
    if file.size_bytes() < end {
        let found = format!("its end after {} bytes", file.size_bytes());
        damages.push(file.damage(file.size_bytes(), format!("a file of {end} bytes"), found));
    }
    let word = |table: usize, number: usize| {
        let at = SYSCALLS_HEADER_BYTES + table * SYSCALL_TABLE_BYTES + 8 * number;
        file.word(at).unwrap_or(0)
    };
    let totals = (0..SYSCALL_NUMBERS).map(|number| SyscallTotals {
        number: number as u32,
        unplaced: word(0, number),
        own: word(1, number),
        missed: word(2, number),
    });
    let used = |t: &SyscallTotals| t.unplaced != 0 || t.own != 0 || t.missed != 0;
    Ok((totals.filter(used).collect(), damages))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(armed: u32, remaining: u32, base_count: u64) -> SyscallCell {
        let zeros = [0; SyscallCell::BYTES];
        let mut cell = SyscallCell::read(&zeros, 0).expect("as many bytes as it has");
        cell.word = u64::from(armed) << 32 | u64::from(remaining);
        cell.base_count = base_count;
        cell
    }

    #[test]
    fn the_word_says_what_came_since_the_base() {
        assert_eq!(count(&cell(7, 7, 0)), Some(0));
        assert_eq!(count(&cell(110, 7, 100)), Some(103));
        // 2³² + 5 calls: the word holds the low half of it.
        assert_eq!(count(&cell(15, 7, (1 << 32) + 5)), Some((1 << 32) + 8));
    }

    #[test]
    fn a_word_one_gap_behind_is_a_kill_and_farther_is_damage() {
        assert_eq!(count(&cell(0, 64, 0)), Some(0));
        assert_eq!(count(&cell(1_000, 1_100, 0)), Some(0));
        assert_eq!(count(&cell(0, 0, 1 << 30)), None);
    }
}
