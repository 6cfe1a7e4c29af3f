//! Writing slots: one aligned 8-byte store each, pages opened only for it.
//!
//! A slot of a RELRO page is read-only once the loader is done. Such pages are made writable (never
//! writable and executable), stored to, and given back exactly the protection they had. A page that
//! cannot be opened is left as it is and its slots are reported, nothing else happens.

use core::sync::atomic::{AtomicUsize, Ordering};

use goblin::elf64::program_header::{PF_R, PF_W, PF_X};

use super::elf::{Component, PAGE};

/// One slot and what shall stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Address of the slot, a multiple of 8.
    pub slot: usize,
    /// The pointer to store.
    pub value: usize,
}

/// What a page needs before a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// It is writable.
    Open,
    /// It must be made writable and then given back this protection.
    Closed(i32),
    /// It may not be written.
    Never,
}

/// Reads a slot of a mapped component.
pub fn load(slot: usize) -> usize {
    // SAFETY: callers pass 8-aligned slots that `Component::view` found mapped and readable. The
    // load pairs with the Release store in `store`; the loader writes slots as whole words too.
    unsafe { AtomicUsize::from_ptr(slot as *mut usize) }.load(Ordering::Acquire)
}

fn store(item: &Store) {
    // SAFETY: the caller has made the slot's page writable; slots are 8-aligned. Release, so that
    // a thread that calls through the slot finds the stub's data complete (pairs with `load` and
    // with the data dependency of an indirect call).
    unsafe { AtomicUsize::from_ptr(item.slot as *mut usize) }.store(item.value, Ordering::Release);
}

fn access(component: &Component, page: usize) -> Access {
    let covers = |low: usize, high: usize| low < page + PAGE && page < high;
    let flags = component
        .segments
        .iter()
        .filter(|segment| covers(segment.low, segment.high))
        .fold(0, |flags, segment| flags | segment.flags);
    if flags & PF_R == 0 || flags & PF_X != 0 {
        return Access::Never;
    }
    if component.relro.is_some_and(|(low, high)| covers(low, high)) || flags & PF_W == 0 {
        return Access::Closed(libc::PROT_READ);
    }
    Access::Open
}

fn protect(low: usize, bytes: usize, protection: i32) -> bool {
    // SAFETY: whole pages of a mapped segment of a foreign component; the protections used are
    // R and RW, so nothing becomes executable and no reader loses access.
    unsafe { libc::mprotect(low as *mut libc::c_void, bytes, protection) == 0 }
}

/// Performs `stores` in `component`; calls `refused` for each that could not be done.
///
/// Pages are opened fewest times when the stores are sorted by slot. errno stays as it was.
pub fn write(component: &Component, stores: &[Store], refused: &mut dyn FnMut(&Store)) {
    // SAFETY: the thread's errno is always there.
    let errno = unsafe { *libc::__errno_location() };
    let mut rest = stores;
    while let Some(first) = rest.first() {
        let low = first.slot & !(PAGE - 1);
        let kind = access(component, low);
        // Neighbouring pages that need the same are opened together.
        let mut high = low + PAGE;
        let mut count = 0;
        while let Some(next) = rest.get(count) {
            let page = next.slot & !(PAGE - 1);
            if !(low..high).contains(&page) {
                if page != high || access(component, page) != kind {
                    break;
                }
                high += PAGE;
            }
            count += 1;
        }
        let (run, behind) = rest.split_at(count);
        rest = behind;
        let open = match kind {
            Access::Open => true,
            Access::Closed(_) => protect(low, high - low, libc::PROT_READ | libc::PROT_WRITE),
            Access::Never => false,
        };
        if open {
            run.iter().for_each(store);
        } else {
            run.iter().for_each(&mut *refused);
        }
        if let (true, Access::Closed(before)) = (open, kind) {
            // A failure here leaves the page writable, as it is without RELRO.
            protect(low, high - low, before);
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::elf::Segment;
    use crate::patch::symbols::Tables;

    /// Four pages: read-only, relro (read-only now, segment writable), writable, executable.
    fn component() -> Component {
        let bytes = 4 * PAGE;
        // SAFETY: a fresh anonymous mapping.
        let low = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        } as usize;
        assert!(protect(low, 2 * PAGE, libc::PROT_READ));
        assert!(protect(low + 3 * PAGE, PAGE, libc::PROT_READ | libc::PROT_EXEC));
        let segment =
            |from: usize, to: usize, flags| Segment { low: low + from, high: low + to, flags };
        Component {
            id: 1,
            flags: 0,
            path: Vec::new(),
            build_id: Vec::new(),
            base: low,
            low,
            high: low + bytes,
            segments: vec![
                segment(0, PAGE, PF_R),
                segment(PAGE, 3 * PAGE, PF_R | PF_W),
                segment(3 * PAGE, 4 * PAGE, PF_R | PF_X),
            ],
            relro: Some((low + PAGE, low + 2 * PAGE)),
            dynamic: 0,
            unwind: 0,
            tables: Tables::default(),
            soname: Vec::new(),
            needed: Vec::new(),
        }
    }

    /// The protection of the page at `address` as the kernel has it.
    fn protection(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let line = maps.lines().find(|line| {
            let (low, rest) = line.split_once('-').expect("a range");
            let high = rest.split(' ').next().expect("a range");
            let parse = |text| usize::from_str_radix(text, 16).expect("hex");
            (parse(low)..parse(high)).contains(&address)
        });
        line.and_then(|line| line.split(' ').nth(1)).expect("mapped").to_owned()
    }

    #[test]
    fn closed_pages_are_written_and_closed_again_executable_ones_refused() {
        let component = component();
        let low = component.low;
        let stores: Vec<Store> = [2 * PAGE + 16, PAGE, PAGE + 8, 8, 3 * PAGE]
            .iter()
            .map(|offset| Store { slot: low + offset, value: 0xabc0 + offset })
            .collect();
        let mut refused = Vec::new();
        write(&component, &stores, &mut |item| refused.push(item.slot));
        assert_eq!(refused, [low + 3 * PAGE]);
        for item in &stores[..4] {
            assert_eq!(load(item.slot), item.value);
        }
        assert_eq!(load(low + 3 * PAGE), 0);
        let after: Vec<String> = (0..4).map(|page| protection(low + page * PAGE)).collect();
        assert_eq!(after, ["r--p", "r--p", "rw-p", "r-xp"]);
    }

    #[test]
    fn errno_survives_a_page_that_cannot_be_opened() {
        let component = component();
        let low = component.low;
        // SAFETY: the first page of the mapping made for this test; nothing else refers to it.
        unsafe { libc::munmap(low as *mut libc::c_void, PAGE) };
        // SAFETY: the thread's errno is always there.
        unsafe { *libc::__errno_location() = 77 };
        let mut refused = 0;
        write(&component, &[Store { slot: low, value: 1 }], &mut |_| refused += 1);
        assert_eq!(refused, 1);
        // SAFETY: as above.
        assert_eq!(unsafe { *libc::__errno_location() }, 77);
    }
}
