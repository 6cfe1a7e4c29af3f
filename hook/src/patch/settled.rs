//! Whether the loader is done with a component.
//!
//! dlopen puts an object into the loader's list before it relocates it. Slots of such an object
//! hold nothing yet, and closing its RELRO pages would make the loader fault. glibc (2.35 and
//! later) makes an object known to `_dl_find_object` right after relocating it; that function takes
//! no lock. Elsewhere the slots themselves are asked: before relocation they hold file offsets,
//! which lie in no component.

use core::ffi::{c_int, c_void};

use super::elf::{Component, FLAG_LIBC};
use super::page;
use super::slots::collect;
use super::symbols::Wanted;

/// glibc's `struct dl_find_object`, of which only the size matters here.
type Answer = [u64; 16];
type FindObject = unsafe extern "C" fn(*mut c_void, *mut Answer) -> c_int;

/// A way to tell.
pub struct Settled<'a> {
    find_object: Option<FindObject>,
    components: &'a [&'a Component],
}

impl<'a> Settled<'a> {
    /// Looks for the C library's own answer among `components`.
    pub fn new(components: &'a [&'a Component]) -> Self {
        let libc = components.iter().find(|component| component.is(FLAG_LIBC));
        let address = libc.and_then(|libc| {
            let symbol = libc.tables.find(&Wanted::new(b"_dl_find_object", None))?;
            Some(libc.base.wrapping_add(symbol.st_value as usize))
                .filter(|&address| libc.is_code(address))
        });
        // SAFETY: the C library exports this function with this type (<dlfcn.h>).
        let find_object =
            address.map(|address| unsafe { core::mem::transmute::<usize, FindObject>(address) });
        Self { find_object, components }
    }

    /// Whether `component` is relocated.
    pub fn is(&self, component: &Component) -> bool {
        match self.find_object {
            Some(find_object) => {
                let mut answer: Answer = [0; 16];
                // SAFETY: the answer is larger than any version of the structure, which is filled
                // in on success; the address is only looked up.
                unsafe { find_object(component.low as *mut c_void, &raw mut answer) == 0 }
            }
            None => self.slots_are_filled(component),
        }
    }

    fn slots_are_filled(&self, component: &Component) -> bool {
        collect(component).iter().all(|slot| {
            let value = page::load(slot.address);
            // A relocated slot that holds something else (a vdso unknown here, generated code) is
            // far from where file offsets are.
            value == 0 || value > component.high || self.is_mapped(value)
        })
    }

    fn is_mapped(&self, address: usize) -> bool {
        self.components.iter().any(|other| other.low <= address && address < other.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::elf::list;

    #[test]
    fn everything_at_rest_is_settled_both_ways() {
        let mut all = Vec::new();
        list(&mut |listed, _| all.extend(listed.describe()));
        let components: Vec<&Component> = all.iter().collect();
        let settled = Settled::new(&components);
        assert!(settled.find_object.is_some(), "glibc 2.35 or later");
        for component in &components {
            assert!(settled.is(component), "{component:?}");
            assert!(settled.slots_are_filled(component), "{component:?}");
        }
    }
}
