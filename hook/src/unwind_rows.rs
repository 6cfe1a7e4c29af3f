//! Reads one row of an unwind table: how the frame of the code at an address is laid out.
//!
//! For `probe/unwind.rs`, once for each address. The address is on the calling thread's stack, so its
//! component stays mapped meanwhile; where it lies is told without a lock (`patch::ranges`).

use crate::patch::ranges::place_of;
use crate::store::lock::Quiet;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, Pointer, RegisterRule,
    UnwindContext, UnwindSection, X86_64,
};
use goblin::elf64::program_header::PF_R;
use perfvisor_probe::unwind::{learn, word_of, Base, Row};

/// What `probe::cold` calls.
pub extern "C" fn unwind_row(address: u64, _: u64, _: u64) -> u64 {
    let row = if crate::interpose::restricted() {
        // No room can be asked for.
        return word_of(address, Row::UNKNOWN);
    } else {
        let _quiet = Quiet::enter();
        row_at(address as usize).unwrap_or(Row::UNKNOWN)
    };
    learn(address, row);
    word_of(address, row)
}

type Bytes = EndianSlice<'static, LittleEndian>;

/// The bytes from `address` to the end of its segment.
fn bytes_from(address: usize) -> Option<Bytes> {
    let place = place_of(address).filter(|place| place.flags & PF_R != 0)?;
    // SAFETY: a readable segment of a component that stays mapped (module rule).
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, place.high - address) };
    Some(EndianSlice::new(bytes, LittleEndian))
}

/// The row of the instruction before `address`, which is a return address.
fn row_at(address: usize) -> Option<Row> {
    let code = address.checked_sub(1)?;
    let header = place_of(code).map(|place| place.unwind).filter(|&unwind| unwind != 0)?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(header as u64);
    let parsed = EhFrameHdr::from(bytes_from(header)?).parse(&bases, 8).ok()?;
    let Pointer::Direct(frames) = parsed.eh_frame_ptr() else { return None };
    let bases = bases.set_eh_frame(frames);
    let section = EhFrame::from(bytes_from(frames as usize)?);
    let fde = parsed
        .table()?
        .fde_for_address(&section, &bases, code as u64, EhFrame::cie_from_offset)
        .ok()?;
    // A signal's frame is no call's.
    if fde.is_signal_trampoline() {
        return None;
    }
    let mut context = UnwindContext::new();
    let row = fde.unwind_info_for_address(&section, &bases, &mut context, code as u64).ok()?;
    let (base, offset) = match *row.cfa() {
        CfaRule::RegisterAndOffset { register: X86_64::RSP, offset } => (Base::Rsp, offset),
        CfaRule::RegisterAndOffset { register: X86_64::RBP, offset } => (Base::Rbp, offset),
        _ => return None,
    };
    let returns = row.register(X86_64::RA);
    if !matches!(returns, Some(RegisterRule::Offset(-8))) {
        return None;
    }
    let rbp = match row.register(X86_64::RBP) {
        Some(RegisterRule::Offset(offset)) => i16::try_from(offset).ok()?,
        None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => 0,
        _ => return None,
    };
    Some(Row { base, offset: i32::try_from(offset).ok()?, rbp })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::ranges::{publish, Place};
    use perfvisor_probe::unwind::Walk;

    #[test]
    fn code_of_no_component_has_no_row() {
        assert_eq!(row_at(0x1000), None);
        assert_eq!(row_at(0), None);
    }

    #[test]
    fn rows_of_this_program_agree_with_where_a_return_address_stands() {
        let mut places = Vec::new();
        crate::patch::elf::list(&mut |listed, _| {
            let Some(component) = listed.describe() else { return };
            let unwind = component.unwind;
            places.extend(component.segments.iter().map(|segment| Place {
                low: segment.low,
                high: segment.high,
                id: 0,
                flags: segment.flags,
                unwind,
            }));
        });
        places.sort_unstable();
        publish(&places);
        let (address, sp, expected) = here();
        let row = row_at(address).expect("a row");
        assert_eq!(row.base, Base::Rsp);
        assert_eq!(sp + row.offset as usize - 8, expected);
    }

    #[test]
    fn a_walk_stays_on_the_stack() {
        let stack = [0u64, 0x1111, 0, 0x2222, 0, 0, 0, 0, 0, 0, 0];
        let low = stack.as_ptr() as u64;
        let high = low + 88;
        learn(0x1000, Row { base: Base::Rsp, offset: 16, rbp: 0 });
        learn(0x1111, Row { base: Base::Rbp, offset: 0, rbp: -16 });
        learn(0x2222, Row { base: Base::Rsp, offset: 1 << 20, rbp: 0 });
        let mut walk = Walk { address: 0x1000, sp: low, rbp: low + 32 };
        // SAFETY: the array is the stack.
        unsafe {
            assert_eq!(walk.step(low, high), Some(low + 8));
            assert_eq!((walk.address, walk.sp), (0x1111, low + 16));
            assert_eq!(walk.step(low, high), Some(low + 24));
            assert_eq!((walk.address, walk.sp, walk.rbp), (0x2222, low + 32, 0));
            assert_eq!(walk.step(low, high), None);
        }
    }

    /// An address in a function, its stack pointer there, and where its return address stands.
    #[inline(never)]
    fn here() -> (usize, usize, usize) {
        let (address, sp, slot): (usize, usize, usize);
        // SAFETY: a function of three instructions with its own unwind information.
        unsafe {
            core::arch::asm!(
                "call 2f",
                "jmp 3f",
                "2:",
                "lea {slot}, [rsp]",
                "lea {address}, [rip + perfvisor_test_frame_behind]",
                "lea {sp}, [rsp - 24]",
                "ret",
                "3:",
                slot = out(reg) slot, address = out(reg) address, sp = out(reg) sp,
            );
        }
        (address, sp, slot)
    }

    core::arch::global_asm!(
        ".text",
        ".type perfvisor_test_frame,@function",
        "perfvisor_test_frame:",
        ".cfi_startproc",
        "sub rsp, 24",
        ".cfi_adjust_cfa_offset 24",
        "nop",
        "perfvisor_test_frame_behind:",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "ret",
        ".cfi_endproc",
    );
}
