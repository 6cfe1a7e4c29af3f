//! Whether bytes that look like `call *slot(%rip)` are an instruction.
//!
//! `insn.rs` finds every displacement that reaches a slot. For a slot that is to be replaced that
//! is enough: a chance match costs a hook. To change the displacement itself, more must be known,
//! since a chance match would be somebody's data or the middle of another instruction. Either of
//! these is taken as proof:
//!
//! - the component's unwind table names the function, and walking it from its first instruction
//!   arrives at this very one;
//! - no function covers the place, and it is a whole linkage table entry as a linker writes it, at
//!   the alignment it has.

use alloc::vec::Vec;

use super::elf::Component;
use super::functions::{Covered, Functions};
use super::length::length;

/// What stands before and behind the six bytes of `jmp *slot(%rip)` in an entry of `.plt.got`:
/// GNU ld plain, with `bnd`, for indirect branch tracking, for both; mold.
const ENTRIES: [(&[u8], &[u8]); 5] = [
    (&[], &[0x66, 0x90]),
    (&[0xf2], &[0x90]),
    (&[0xf3, 0x0f, 0x1e, 0xfa], &[0x66, 0x0f, 0x1f, 0x44, 0, 0]),
    (&[0xf3, 0x0f, 0x1e, 0xfa, 0xf2], &[0x0f, 0x1f, 0x44, 0, 0]),
    (&[0xf3, 0x0f, 0x1e, 0xfa], &[0xcc; 6]),
];
const CALL: [u8; 2] = [0xff, 0x15];
const JUMP: [u8; 2] = [0xff, 0x25];
/// Bytes of opcode and ModRM; those of the displacement behind them.
const HEAD: usize = 2;
const DISPLACEMENT: usize = 4;

/// Walks through one function after the other, each once.
pub struct Walk<'a> {
    component: &'a Component,
    functions: Functions<'a>,
    /// Begin of the function walked last, and the instruction the walk has come to.
    last: (usize, usize),
}

impl<'a> Walk<'a> {
    /// Nothing walked yet.
    pub fn new(component: &'a Component) -> Self {
        Self { component, functions: Functions::of(component), last: (0, 0) }
    }

    /// Whether the displacement at `address` is that of a call or jump. Fastest when asked in
    /// ascending order.
    pub fn proves(&mut self, address: usize) -> bool {
        match self.functions.covering(address) {
            Covered::By(low, high) => self.arrives(low, high, address).unwrap_or(false),
            Covered::Not => is_linkage_entry(self.component, address),
            Covered::Unknown => false,
        }
    }

    /// Whether a walk from `low` arrives at the instruction whose displacement is at `address`.
    fn arrives(&mut self, low: usize, high: usize, address: usize) -> Option<bool> {
        let text = self.component.view::<u8>(low, high.checked_sub(low)?)?;
        let end = address + DISPLACEMENT;
        let mut at = match self.last {
            (function, at) if function == low && at < address => at,
            _ => low,
        };
        while at < address {
            let rest = text.bytes().get(at - low..)?;
            let next = at + length(rest)?;
            self.last = (low, at);
            if next == end {
                return Some(is_call(rest.get(..next - at)?));
            }
            at = next;
        }
        Some(false)
    }
}

/// Whether a whole instruction, which ends with its displacement, is a call or jump through a slot
/// relative to the instruction pointer, with prefixes that leave its meaning alone.
fn is_call(instruction: &[u8]) -> bool {
    let Some(opcode) = instruction.len().checked_sub(HEAD + DISPLACEMENT) else { return false };
    let (prefixes, rest) = instruction.split_at(opcode);
    // `data16` alone would make it a 16-bit branch; with REX.W it is the padding of a TLS call.
    let wide = prefixes.last().is_some_and(|last| last & 0xf8 == 0x48);
    let harmless = prefixes.iter().all(|byte| match byte {
        0x2e | 0x3e | 0xf2 | 0x40..=0x4f => true,
        0x66 => wide,
        _ => false,
    });
    harmless && (rest.starts_with(&CALL) || rest.starts_with(&JUMP))
}

fn is_linkage_entry(component: &Component, address: usize) -> bool {
    ENTRIES.iter().any(|(before, behind)| {
        let bytes = before.len() + HEAD + DISPLACEMENT + behind.len();
        let Some(entry) = address.checked_sub(HEAD + before.len()) else { return false };
        let Some(view) = component.view::<u8>(entry, bytes) else { return false };
        let rest = view.bytes().strip_prefix(*before).and_then(|rest| rest.strip_prefix(&JUMP));
        entry.is_multiple_of(bytes)
            && component.is_code(entry)
            && rest.is_some_and(|rest| rest.get(DISPLACEMENT..) == Some(behind))
    })
}

/// Which of `calls` (addresses of displacements) are proven instructions, in the same order.
pub fn proven(component: &Component, calls: &[usize]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_unstable_by_key(|&index| calls.get(index).copied());
    let mut walk = Walk::new(component);
    let mut proven = vec![false; calls.len()];
    for index in order {
        if let (Some(&call), Some(answer)) = (calls.get(index), proven.get_mut(index)) {
            *answer = walk.proves(call);
        }
    }
    proven
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::tests::code_component;

    /// A component of code only, the bytes `0x90` but for `code` at `offset`.
    fn component(offset: usize, code: &[u8]) -> (Component, usize) {
        let component = code_component(offset, code);
        let low = component.low;
        (component, low)
    }

    #[test]
    fn prefixes_that_change_the_meaning_are_refused() {
        let cases: [(&[u8], bool); 9] = [
            (&[0xff, 0x15], true),
            (&[0xff, 0x25], true),
            (&[0xf2, 0xff, 0x25], true),
            (&[0x3e, 0xff, 0x15], true),
            (&[0x66, 0x48, 0xff, 0x15], true),
            (&[0x66, 0xff, 0x15], false),
            (&[0x64, 0xff, 0x15], false),
            (&[0x67, 0xff, 0x15], false),
            (&[0xff, 0x35], false),
        ];
        for (head, expected) in cases {
            let instruction = [head, &[1, 2, 3, 4]].concat();
            assert_eq!(is_call(&instruction), expected, "{head:x?}");
        }
    }

    #[test]
    fn without_a_table_only_whole_linkage_entries_are_proof() {
        for (before, behind) in ENTRIES {
            let entry = [before, &JUMP, &[1, 2, 3, 4], behind].concat();
            let at = 64 + before.len() + HEAD;
            let (fits, low) = component(64, &entry);
            assert!(Walk::new(&fits).proves(low + at), "{entry:x?}");
            let (shifted, low) = component(65, &entry);
            assert!(!Walk::new(&shifted).proves(low + at + 1), "{entry:x?} unaligned");
            for wrong in (0..entry.len()).filter(|&index| !(at..at + 4).contains(&(64 + index))) {
                let mut entry = entry.clone();
                entry[wrong] ^= 0x80;
                let (damaged, low) = component(64, &entry);
                assert!(!Walk::new(&damaged).proves(low + at), "{entry:x?}");
            }
        }
        let (bare, low) = component(64, &[0xff, 0x15, 1, 2, 3, 4, 0x66, 0x90]);
        assert!(!Walk::new(&bare).proves(low + 66), "a call outside of any function");
    }

    #[test]
    fn a_walk_tells_instructions_from_what_looks_like_one() {
        // mov $-1,%al; and $imm,%eax: the end of one and the begin of the next read as `ff 25`.
        let code = [0xb0, 0xff, 0x25, 1, 2, 3, 4, 0xff, 0x15, 1, 2, 3, 4, 0xc3];
        let (component, low) = component(32, &code);
        let mut walk = Walk::new(&component);
        let arrives = |walk: &mut Walk<'_>, at| walk.arrives(low + 32, low + 46, low + at);
        assert_eq!(arrives(&mut walk, 32 + 3), Some(false));
        assert_eq!(arrives(&mut walk, 32 + 9), Some(true));
        // Backwards too, and from the middle of an unknown instruction not at all.
        assert_eq!(arrives(&mut walk, 32 + 3), Some(false));
        assert_eq!(arrives(&mut walk, 32 + 9), Some(true));
        let (unknown, low) = super::tests::component(32, &[0x06, 0xff, 0x15, 1, 2, 3, 4]);
        assert_eq!(Walk::new(&unknown).arrives(low + 32, low + 39, low + 35), None);
    }
}
