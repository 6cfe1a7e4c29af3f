//! Where functions begin and end, from the table that unwinders search (`.eh_frame_hdr`).
//!
//! It is written by the linker from what the compiler said, and is there in stripped objects too.
//! Only the form that linkers write today is read; anything else makes the answer unknown.

use super::elf::{Component, View};

/// `DW_EH_PE_pcrel | DW_EH_PE_sdata4`, `DW_EH_PE_udata4`, `DW_EH_PE_datarel | DW_EH_PE_sdata4`:
/// how the section's address, the count and the table are written.
const ENCODINGS: [u8; 3] = [0x1b, 0x03, 0x3b];

/// What is known of the code at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// It belongs to the function from here to there.
    By(usize, usize),
    /// No function covers it.
    Not,
    /// The table says something that is not understood.
    Unknown,
}

/// The functions of one component.
pub struct Functions<'a> {
    component: &'a Component,
    /// Pairs of (function, its description), relative to the header, sorted.
    table: Option<View<u32>>,
}

impl<'a> Functions<'a> {
    /// Finds the table.
    pub fn of(component: &'a Component) -> Self {
        Self { component, table: table(component) }
    }

    /// What covers `address`.
    pub fn covering(&self, address: usize) -> Covered {
        if self.component.unwind == 0 {
            return Covered::Not;
        }
        let Some(table) = &self.table else { return Covered::Unknown };
        let (mut low, mut high) = (0, table.len() / 2);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.place(table, 2 * middle) {
                Some(begin) if begin <= address => low = middle + 1,
                Some(_) => high = middle,
                None => return Covered::Unknown,
            }
        }
        let Some(index) = low.checked_sub(1) else { return Covered::Not };
        let entry = (self.place(table, 2 * index), self.place(table, 2 * index + 1));
        let (Some(begin), Some(description)) = entry else { return Covered::Unknown };
        match self.end(begin, description) {
            Some(end) if address < end => Covered::By(begin, end),
            Some(_) => Covered::Not,
            None => Covered::Unknown,
        }
    }

    fn place(&self, table: &View<u32>, index: usize) -> Option<usize> {
        Some(self.component.unwind.wrapping_add_signed(table.get(index)? as i32 as isize))
    }

    /// End of the function at `begin`. Its description must name that very address, in the usual
    /// encoding, which need not be looked up then.
    fn end(&self, begin: usize, description: usize) -> Option<usize> {
        let words = self.component.view::<u32>(description, 4)?;
        let (length, first, range) = (words.get(0)?, words.get(2)?, words.get(3)?);
        let named = description.checked_add(8)?.wrapping_add_signed(first as i32 as isize);
        if length < 12 || length == u32::MAX || named != begin {
            return None;
        }
        begin.checked_add(range as usize)
    }
}

fn table(component: &Component) -> Option<View<u32>> {
    let header = component.view::<u8>(component.unwind, 12)?;
    let bytes = header.bytes();
    if bytes.first() != Some(&1) || bytes.get(1..4) != Some(&ENCODINGS) {
        return None;
    }
    let count = component.read::<u32>(component.unwind + 8)? as usize;
    component.view(component.unwind + 12, count.checked_mul(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::elf::list;

    #[test]
    fn functions_of_this_program_are_found_with_both_ends() {
        let mut own = None;
        list(&mut |listed, _| own = own.take().or_else(|| listed.describe()));
        let own = own.expect("an executable");
        let functions = Functions::of(&own);
        let here = functions_of_this_program_are_found_with_both_ends as *const () as usize;
        let Covered::By(low, high) = functions.covering(here) else { panic!("not covered") };
        assert!(low <= here && here < high);
        assert_eq!(functions.covering(high - 1), Covered::By(low, high));
        assert_eq!(functions.covering(low), Covered::By(low, high));
        assert_eq!(functions.covering(own.low), Covered::Not);
        let without = Component { unwind: 0, ..own };
        assert_eq!(Functions::of(&without).covering(here), Covered::Not);
    }

    #[test]
    fn a_table_in_another_form_is_not_believed() {
        let mut own = None;
        list(&mut |listed, _| own = own.take().or_else(|| listed.describe()));
        let own = own.expect("an executable");
        let here = a_table_in_another_form_is_not_believed as *const () as usize;
        let moved = Component { unwind: own.unwind + 1, ..own };
        assert_eq!(Functions::of(&moved).covering(here), Covered::Unknown);
    }
}
