//! Twins of slots: private slots near a component, for code that shall not read the original.
//!
//! A twin stands a multiple of 16 MiB from its slot. A displacement that is to reach the twin then
//! differs from the one that reaches the slot in its highest byte alone, and storing one byte is
//! atomic in whatever way it is done and wherever it lies: a thread that runs the instruction
//! meanwhile reads the slot or the twin, and nothing else.
//!
//! Each page of slots has one page of twins, which is read-only between stores. It stays where it
//! is as long as its component: a thread may have fetched the changed instruction long ago.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::elf::PAGE;
use super::page::Store;

/// What distances are multiples of.
pub const STEP: isize = 1 << 24;
/// Farthest tried, in steps: 1.5 GiB, which leaves the rest of ±2 GiB to the component.
const FARTHEST: isize = 96;
/// Lowest and highest address tried; below, programs get nothing mapped, above there is nothing.
const BOUNDS: core::ops::Range<usize> = 0x1_0000..0x7fff_ffff_0000;

/// A page of twins.
#[derive(Debug)]
pub struct NearPage {
    /// The page of slots.
    page: usize,
    /// What leads from a slot to its twin.
    shift: isize,
}

impl Drop for NearPage {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `map` and belongs to this value alone; its component is
        // gone, and with it the code that reads the page.
        unsafe { libc::munmap(self.page.wrapping_add_signed(self.shift) as *mut _, PAGE) };
    }
}

/// The distance from `slot` to its twin; maps the twin's page if it is the first on its page.
pub fn shift_of(pages: &mut Vec<NearPage>, slot: usize) -> Option<isize> {
    let page = slot & !(PAGE - 1);
    if let Some(known) = pages.iter().find(|near| near.page == page) {
        return Some(known.shift);
    }
    let near = steps().map(|step| step * STEP).find_map(|shift| map(page, shift))?;
    let shift = near.shift;
    pages.push(near);
    Some(shift)
}

/// Far below first, where neither the heap grows up from the executable nor the kernel's next
/// mappings grow down from the libraries; then far above.
fn steps() -> impl Iterator<Item = isize> {
    (-FARTHEST..0).chain((1..=FARTHEST).rev())
}

fn map(page: usize, shift: isize) -> Option<NearPage> {
    let address = page.checked_add_signed(shift).filter(|address| BOUNDS.contains(address))?;
    // SAFETY: a fresh mapping that replaces none. Kernels that do not know the flag take the
    // address as a hint and map elsewhere.
    let got = unsafe {
        libc::mmap(
            address as *mut _,
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
            -1,
            0,
        )
    };
    if got == libc::MAP_FAILED {
        return None;
    }
    if got as usize != address {
        // SAFETY: mapped just now, and nobody knows of it.
        unsafe { libc::munmap(got, PAGE) };
        return None;
    }
    Some(NearPage { page, shift })
}

/// Performs `stores` into twins, sorted by address. Those of a page that cannot be opened are left
/// out and told to `refused`.
pub fn write(stores: &[Store], refused: &mut dyn FnMut(&Store)) {
    for run in stores.chunk_by(|a, b| a.slot / PAGE == b.slot / PAGE) {
        let Some(first) = run.first() else { continue };
        let page = first.slot & !(PAGE - 1);
        if !protect(page, libc::PROT_READ | libc::PROT_WRITE) {
            run.iter().for_each(&mut *refused);
            continue;
        }
        for item in run {
            // SAFETY: an aligned word of a page of twins, open for writing. Release, as for slots:
            // who reads the stub finds its data complete.
            unsafe { AtomicUsize::from_ptr(item.slot as *mut usize) }
                .store(item.value, Ordering::Release);
        }
        // A failure here leaves the page writable, as a slot without RELRO is.
        protect(page, libc::PROT_READ);
    }
}

fn protect(page: usize, protection: i32) -> bool {
    // SAFETY: a whole page of twins, always readable.
    unsafe { libc::mprotect(page as *mut _, PAGE, protection) == 0 }
}

/// The displacement that reaches the twin of what `old` reaches; `None` if it is too far.
///
/// It differs from `old` in the highest byte only.
pub fn displacement(old: i32, shift: isize) -> Option<i32> {
    let new = old.checked_add(i32::try_from(shift).ok()?)?;
    (old & 0xff_ffff == new & 0xff_ffff).then_some(new)
}

/// A page for tests that want addresses: mapped for as long as the process lives.
#[cfg(test)]
pub fn test_page() -> usize {
    // SAFETY: a fresh mapping.
    let page = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(core::ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    page as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::page::load;

    #[test]
    fn a_displacement_changes_in_its_highest_byte_only_or_not_at_all() {
        for old in [0, 1, -1, 0x2fe4, -0x2fe4, 0x00ff_ffff, 0x1234_5678, i32::MIN, i32::MAX] {
            for step in steps() {
                let shift = step * STEP;
                let exact = i64::from(old) + shift as i64;
                match displacement(old, shift) {
                    Some(new) => {
                        assert_eq!(i64::from(new), exact);
                        assert_eq!(new.to_le_bytes()[..3], old.to_le_bytes()[..3]);
                    }
                    None => assert!(i32::try_from(exact).is_err(), "{old:#x} {shift:#x}"),
                }
            }
        }
        assert_eq!(displacement(0, STEP + 1), None);
        assert_eq!(displacement(0, 1 << 32), None);
    }

    #[test]
    fn twins_share_pages_as_their_slots_do_and_are_read_only() {
        let (one, other) = (test_page(), test_page());
        let mut pages = Vec::new();
        let shift = shift_of(&mut pages, one + 8).expect("room");
        assert_eq!(shift % STEP, 0);
        assert_eq!(shift_of(&mut pages, one + 4088), Some(shift));
        assert!(shift_of(&mut pages, other).is_some());
        assert_eq!(pages.len(), 2);
        let twin = one.wrapping_add_signed(shift) + 16;
        write(&[Store { slot: twin, value: 77 }], &mut |_| panic!("refused"));
        assert_eq!(load(twin), 77);
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let line = format!("{:x}-", twin & !(PAGE - 1));
        let line = maps.lines().find(|text| text.starts_with(&line)).expect("mapped");
        assert!(line.contains("r--p"), "{line}");
    }

    #[test]
    fn what_is_mapped_is_never_replaced() {
        let page = test_page();
        let mut first = Vec::new();
        let taken = shift_of(&mut first, page).expect("room");
        let mut second = Vec::new();
        assert_ne!(shift_of(&mut second, page).expect("room"), taken);
        drop(first);
        let mut third = Vec::new();
        assert_eq!(shift_of(&mut third, page), Some(taken), "it was unmapped");
    }

    #[test]
    fn a_page_that_is_gone_refuses() {
        let mut refused = 0;
        write(&[Store { slot: 0x1000, value: 1 }], &mut |_| refused += 1);
        assert_eq!(refused, 1);
    }
}
