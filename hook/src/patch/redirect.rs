//! Calls led past their slot, to a twin of it (`near.rs`), by changing their own bytes.
//!
//! Only for slots whose pointer other code loads: the slot must keep what it holds. One byte of
//! each call or jump through it is stored through `/proc/self/mem`. The kernel gives the process
//! its own copy of the page and stores there whatever the page's protection, so no page loses the
//! right to be executed, nor is one ever writable and executable. Where that way is closed (no
//! /proc, a process that may not be dumped, `proc_mem.force_override`) nothing is changed.
//!
//! Once led to the twin, calls stay led to it: unhooking stores the original pointer in the twin.

use alloc::vec::Vec;

use perfvisor_format::SkipReason;

use super::elf::Component;
use super::near::{self, NearPage};
use super::page::Store;

/// A slot with a twin, and the calls that go through it.
#[derive(Debug)]
pub struct Redirect {
    /// The slot.
    pub slot: usize,
    /// What leads from it to its twin; 0 until there is one.
    pub shift: isize,
    /// The function it holds.
    pub original: usize,
    /// Where calls through the twin shall lead.
    pub stub: usize,
    /// Addresses of the displacements.
    pub calls: Vec<usize>,
}

impl Redirect {
    fn twin(&self, value: usize) -> Store {
        Store { slot: self.slot.wrapping_add_signed(self.shift), value }
    }

    /// Whether the code of `component`, which may have been unloaded and loaded again, still
    /// reaches the twin.
    pub fn is_in_place(&self, component: &Component) -> bool {
        let Some(&call) = self.calls.first() else { return false };
        let twin = self.slot.wrapping_add_signed(self.shift);
        self.shift != 0 && component.is_code(call) && reaches(component, call) == Some(twin)
    }
}

/// What the displacement at `call` reaches.
fn reaches(component: &Component, call: usize) -> Option<usize> {
    let distance = component.read::<u32>(call)? as i32;
    Some((call + 4).wrapping_add_signed(distance as isize))
}

/// Leads the calls of each of `wanted` to a twin that holds its stub. Those that cannot be led are
/// taken out and told to `refused`, with the reason; their calls are as they were.
pub fn apply(
    component: &Component,
    pages: &mut Vec<NearPage>,
    wanted: &mut Vec<Redirect>,
    refused: &mut dyn FnMut(&Redirect, SkipReason),
) {
    let mut keep =
        |wanted: &mut Vec<Redirect>, test: &mut dyn FnMut(&mut Redirect) -> bool, why| {
            wanted.retain_mut(|redirect| {
                let kept = test(redirect);
                if !kept {
                    refused(redirect, why);
                }
                kept
            });
        };
    keep(wanted, &mut |redirect| place(component, pages, redirect), SkipReason::NoRoom);
    if wanted.is_empty() {
        return;
    }
    let closed = store(wanted, |redirect| redirect.stub);
    keep(wanted, &mut |redirect| !closed.contains(&redirect.slot), SkipReason::Protected);
    let memory = Memory::open();
    let mut lead = |redirect: &mut Redirect| {
        memory.as_ref().is_some_and(|memory| lead(component, memory, redirect))
    };
    keep(wanted, &mut lead, SkipReason::Protected);
}

/// Stores stubs, or what was there before, in the twins of calls that are led there.
pub fn switch(redirects: &[Redirect], on: bool) {
    store(redirects, |redirect| if on { redirect.stub } else { redirect.original });
}

/// Stores in the twins; the slots of those that could not be written.
fn store(redirects: &[Redirect], value: impl Fn(&Redirect) -> usize) -> Vec<usize> {
    let mut stores: Vec<Store> =
        redirects.iter().map(|redirect| redirect.twin(value(redirect))).collect();
    stores.sort_unstable_by_key(|item| item.slot);
    let mut closed = Vec::new();
    near::write(&stores, &mut |item| closed.push(item.slot));
    let is_closed = |redirect: &&Redirect| closed.contains(&redirect.twin(0).slot);
    redirects.iter().filter(is_closed).map(|redirect| redirect.slot).collect()
}

/// Finds a twin that all calls can reach.
fn place(component: &Component, pages: &mut Vec<NearPage>, redirect: &mut Redirect) -> bool {
    let Some(shift) = near::shift_of(pages, redirect.slot) else { return false };
    redirect.shift = shift;
    redirect.calls.iter().all(|&call| {
        let old = component.read::<u32>(call).map(|old| old as i32);
        old.and_then(|old| near::displacement(old, shift)).is_some()
    })
}

/// Changes all calls, or none.
fn lead(component: &Component, memory: &Memory, redirect: &Redirect) -> bool {
    let mut done = Vec::with_capacity(redirect.calls.len());
    let led = redirect.calls.iter().all(|&call| {
        let Some(old) = component.read::<u32>(call).map(|old| old as i32) else { return false };
        let Some(new) = near::displacement(old, redirect.shift) else { return false };
        if reaches(component, call) != Some(redirect.slot) {
            return false;
        }
        done.push((call, old));
        memory.put(call, new)
    });
    if !led {
        for (call, old) in done {
            memory.put(call, old);
        }
        // Should one not have gone back: what it reaches is right.
        store(core::slice::from_ref(redirect), |redirect| redirect.original);
    }
    led
}

/// This process's memory as a file; closed when dropped.
struct Memory(i32);

impl Memory {
    fn open() -> Option<Self> {
        // SAFETY: a C string and plain flags.
        let fd = unsafe { libc::open(c"/proc/self/mem".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        (fd >= 0).then_some(Self(fd))
    }

    /// Makes the displacement at `call` be `value`, which differs from it in the highest byte only.
    fn put(&self, call: usize, value: i32) -> bool {
        let address = call + 3;
        let [.., byte] = value.to_le_bytes();
        // SAFETY: reads one byte of ours. What is written is a byte of an instruction proven to be
        // one, and both what it was and what it becomes lead to the same function.
        let stored = unsafe { libc::pwrite(self.0, (&raw const byte).cast(), 1, address as i64) };
        // SAFETY: the caller has read the displacement. Volatile: it has just changed behind the
        // compiler's back.
        stored == 1 && unsafe { core::ptr::read_volatile(address as *const u8) } == byte
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: ours, closed once.
        unsafe { libc::close(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::elf::PAGE;
    use crate::patch::page::load;
    use crate::patch::tests::code_component;

    extern "C" fn one() -> i32 {
        1
    }

    extern "C" fn two() -> i32 {
        2
    }

    /// A component of one function, `jmp *slot(%rip)` at `offset`, and the slot, which holds `one`.
    fn jumps(offset: usize) -> (Component, Redirect, extern "C" fn() -> i32) {
        let component = code_component(offset, &[0xff, 0x25, 0, 0, 0, 0]);
        let call = component.low + offset + 2;
        // The component ends in a page of data.
        let slot = component.high - PAGE + 8;
        let distance = i32::try_from(slot - (call + 4)).expect("near");
        let memory = Memory::open().expect("memory");
        for (at, byte) in distance.to_le_bytes().iter().enumerate() {
            // SAFETY: reads one byte of the array; the page is this test's own.
            let done = unsafe {
                libc::pwrite(memory.0, (byte as *const u8).cast(), 1, (call + at) as i64)
            };
            assert_eq!(done, 1);
        }
        // SAFETY: the slot's page is this test's own and writable.
        unsafe { *(slot as *mut usize) = one as *const () as usize };
        let redirect = Redirect {
            slot,
            shift: 0,
            original: one as *const () as usize,
            stub: two as *const () as usize,
            calls: vec![call],
        };
        // SAFETY: the bytes at `offset` are a jump to a function of this type.
        let function = unsafe {
            core::mem::transmute::<usize, extern "C" fn() -> i32>(component.low + offset)
        };
        (component, redirect, function)
    }

    #[test]
    fn calls_are_led_and_led_back_wherever_they_lie() {
        // Also where the displacement straddles words, cache lines and pages.
        for offset in [0, 2, 3, 4, 5, 58, 59, 60, 61, 62, PAGE - 5, PAGE - 4, PAGE - 3] {
            let (component, redirect, function) = jumps(offset);
            let (slot, mut pages, mut wanted) = (redirect.slot, Vec::new(), vec![redirect]);
            assert_eq!(function(), 1);
            assert!(!wanted[0].is_in_place(&component));
            apply(&component, &mut pages, &mut wanted, &mut |_, why| panic!("{why:?}"));
            assert_eq!(function(), 2, "at {offset}");
            assert_eq!(load(slot), one as *const () as usize, "the slot keeps its pointer");
            assert!(wanted[0].is_in_place(&component));
            switch(&wanted, false);
            assert_eq!(function(), 1);
            switch(&wanted, true);
            assert_eq!(function(), 2);
            let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
            let code = format!("{:x}-", component.low);
            let line = maps.lines().find(|line| line.starts_with(&code)).expect("mapped");
            assert!(line.contains("r-xp"), "{line}");
            // The code stays led there for as long as the process lives.
            core::mem::forget(pages);
        }
    }

    #[test]
    fn of_calls_through_one_slot_all_are_led_or_none() {
        let (component, mut redirect, function) = jumps(16);
        // The second "call" reaches something else.
        redirect.calls.push(component.high - 100);
        let (mut pages, mut wanted, mut why) = (Vec::new(), vec![redirect], None);
        apply(&component, &mut pages, &mut wanted, &mut |_, reason| why = Some(reason));
        assert_eq!((wanted.len(), why), (0, Some(SkipReason::Protected)));
        assert_eq!(function(), 1);
    }

    #[test]
    fn threads_that_run_the_code_meanwhile_reach_either_function() {
        use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
        let (component, redirect, function) = jumps(58);
        let (seen, stop) = ([const { AtomicU64::new(0) }; 3], AtomicBool::new(false));
        let calls_of = |which: usize| seen[which].load(Ordering::Relaxed);
        let (mut pages, mut wanted) = (Vec::new(), vec![redirect]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    seen[function() as usize].fetch_add(1, Ordering::Relaxed);
                }
            });
            while calls_of(1) == 0 {
                std::thread::yield_now();
            }
            apply(&component, &mut pages, &mut wanted, &mut |_, why| panic!("{why:?}"));
            let memory = Memory::open().expect("memory");
            let call = wanted[0].calls[0];
            let led = component.read::<u32>(call).expect("code") as i32;
            let original = near::displacement(led, -wanted[0].shift).expect("near");
            let mut round = 0;
            // On a busy machine the other thread may not run for a while.
            while round < 20_000 || calls_of(2) == 0 {
                assert!(memory.put(call, if round % 2 == 0 { original } else { led }));
                round += 1;
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(calls_of(0), 0);
        core::mem::forget(pages);
    }
}
