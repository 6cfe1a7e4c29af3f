//! Where the loader would look for a symbol, and what it would find.
//!
//! The global scope is the executable and what it needs, breadth first, in the order of the
//! loader's list. What was opened by dlopen looks there first and then among the objects its root
//! needs; an object linked with -Bsymbolic begins with itself. What dlopen put into the global
//! scope later cannot be seen from outside: a lazy slot that only such an object could fill stays
//! with the loader, and is hooked by a scan after the loader has bound it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use goblin::elf64::sym::STT_GNU_IFUNC;

use super::elf::{self, Component};
use super::symbols::Wanted;

/// Indices of `roots` and of all they need, breadth first, in the order of `DT_NEEDED`.
pub fn closure(components: &[&Component], roots: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(components.len());
    let mut pending: VecDeque<usize> = roots.iter().copied().collect();
    while let Some(index) = pending.pop_front() {
        let Some(component) = components.get(index) else { continue };
        if order.contains(&index) {
            continue;
        }
        order.push(index);
        for name in &component.needed {
            pending.extend(components.iter().position(|other| other.answers_to(name)));
        }
    }
    order
}

/// A definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Id of the component that defines it.
    pub component: u32,
    /// Address of the function.
    pub address: usize,
}

/// The first definition in `scope` that the loader would accept for `wanted`.
///
/// An IFUNC's resolver is called, as the loader would do at this point.
pub fn resolve(scope: &[&Component], wanted: &Wanted<'_>) -> Option<Definition> {
    for component in scope {
        let Some(symbol) = component.tables.find(wanted) else { continue };
        let mut address = component.base.wrapping_add(symbol.st_value as usize);
        if !component.is_code(address) {
            return None;
        }
        if symbol.st_info & 0xf == STT_GNU_IFUNC {
            // SAFETY: the address is code of a relocated component, which declares it to be a
            // resolver: a C function without arguments (x86-64) that returns the function to use.
            let resolver: extern "C" fn() -> usize = unsafe { core::mem::transmute(address) };
            address = resolver();
        }
        return Some(Definition { component: component.id, address });
    }
    None
}

/// The function `name` of the very component that `address` lies in.
pub fn sibling(address: usize, name: &[u8]) -> Option<usize> {
    let mut found = None;
    elf::list(&mut |listed, _| {
        if found.is_none() && listed.holds(address) {
            let component = listed.describe();
            let scope: Vec<&Component> = component.iter().collect();
            found = resolve(&scope, &Wanted::new(name, None));
        }
    });
    found.map(|definition| definition.address)
}

#[cfg(test)]
mod tests {
    use super::sibling;

    #[test]
    fn a_sibling_comes_from_the_same_component() {
        let read = libc::read as *const () as usize;
        assert_eq!(sibling(read, b"write"), Some(libc::write as *const () as usize));
        assert_eq!(sibling(read, b"_Unwind_GetIP"), None);
        assert_eq!(sibling(8, b"write"), None);
    }
}
