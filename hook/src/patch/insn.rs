//! Which GLOB_DAT slots are only ever called through, and from where.
//!
//! A slot may be replaced only if no code loads the pointer it holds, since that pointer may be
//! compared with others. Instead of decoding instructions, which a foreign text section with data
//! in it would lead astray, every byte position is read as a 32-bit displacement: whatever reaches
//! a slot relative to the instruction pointer is found, aligned to an instruction or not. A
//! displacement is a call only behind `ff 15` (`call *slot(%rip)`) or `ff 25`
//! (`jmp *slot(%rip)`): the byte before a displacement is ModRM and the one before that the
//! opcode, whatever prefixes stand in front. All else counts as a load of the pointer, chance
//! matches too: the mistake then costs a hook, never the program.
//!
//! Where calls shall be changed themselves, their displacements are noted too; that they are
//! instructions is then to be proven (`calls.rs`).

use alloc::vec::Vec;
use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_castsi128_ps, _mm_cmplt_epi32, _mm_loadu_si128, _mm_movemask_epi8,
    _mm_movemask_ps, _mm_or_si128, _mm_set1_epi32,
};

/// How code uses a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotUse {
    /// Some instruction calls or jumps through it.
    pub called: bool,
    /// Something else refers to it.
    pub loaded: bool,
}

impl SlotUse {
    /// Whether the slot may be replaced.
    pub fn call_only(self) -> bool {
        self.called && !self.loaded
    }
}

/// A displacement that reads as that of a call or jump through a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Index of the slot.
    pub slot: usize,
    /// Address of the displacement.
    pub at: usize,
}

/// What is found out about slots.
#[derive(Debug)]
pub struct Uses {
    /// By slot.
    pub slots: Vec<SlotUse>,
    /// Every call, by slots that are loaded too. `None`: they are not wanted, and the scan ends
    /// when all slots are known to be loaded.
    pub calls: Option<Vec<Call>>,
}

impl Uses {
    /// Nothing known yet of `count` slots.
    pub fn new(count: usize, want_calls: bool) -> Self {
        Self { slots: vec![SlotUse::default(); count], calls: want_calls.then(Vec::new) }
    }

    /// Supposes the worst of every slot.
    pub fn suspect_all(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.loaded = true);
        if let Some(calls) = &mut self.calls {
            calls.clear();
        }
    }

    fn settled(&self) -> bool {
        self.calls.is_none() && self.slots.iter().all(|slot| slot.loaded)
    }
}

/// Immediate bytes that can follow a displacement and move the end of the instruction.
const TRAILING: [usize; 4] = [0, 1, 2, 4];
/// Text between two looks at whether anything is left to find out, in bytes.
const STRIDE: usize = 64 << 10;

/// Adds to `uses` how `text`, mapped at `text_addr`, uses `slots` (sorted, 8-aligned addresses).
///
///
/// A slot is settled once it is seen loaded; when all are and nobody asks for the calls, the rest of
/// the text is not read.
pub fn scan_slots(text: &[u8], text_addr: usize, slots: &[usize], uses: &mut Uses) {
    let (Some(&lowest), Some(&highest)) = (slots.first(), slots.last()) else { return };
    let span = highest - lowest;
    // The comparison below is one of 32-bit displacements; a wider table cannot be searched so.
    if span > i32::MAX as usize / 2 || slots.len() != uses.slots.len() {
        uses.suspect_all();
        return;
    }
    let mut begin = 0;
    while begin + 4 <= text.len() && !uses.settled() {
        // Displacements that begin in this stride may end in the next.
        let end = text.len().min(begin + STRIDE + 3);
        let Some(part) = text.get(begin..end) else { return };
        let mut hit = |at| classify(text, begin + at, text_addr, slots, uses);
        // SAFETY: SSE2 belongs to every x86-64 processor.
        unsafe { scan_part(part, text_addr + begin, lowest, span, &mut hit) };
        begin += STRIDE;
    }
}

/// Calls `hit` with every offset in `part` whose displacement comes near the table.
#[target_feature(enable = "sse2")]
fn scan_part(part: &[u8], address: usize, lowest: usize, span: usize, hit: &mut dyn FnMut(usize)) {
    // The displacement's target, immediates left out, lies in lowest-4 ..= highest exactly when
    // displacement + offset + bias is in 0 ..= span+4; in 32 bits, so far targets may match too
    // and are told apart in `classify`.
    let bias = (address.wrapping_add(4).wrapping_sub(lowest).wrapping_add(4)) as u32;
    let limit = span as u32 + 4;
    let mut at = 0;
    // Unsigned x <= limit is signed (x ^ MIN) < (limit + 1) ^ MIN; the flip is folded into the bias
    // since adding MIN equals flipping its bit.
    let flipped = bias.wrapping_add(0x8000_0000);
    let bound = _mm_set1_epi32((limit.wrapping_add(1) ^ 0x8000_0000) as i32);
    // What is added to the words at each shift; 16 more in every round.
    let mut starts = [0u32, 1, 2, 3].map(|shift| lanes(flipped.wrapping_add(shift)));
    let step = _mm_set1_epi32(16);
    while at + 19 <= part.len() {
        let mut near = [step; 4];
        for (shift, (near, start)) in near.iter_mut().zip(&mut starts).enumerate() {
            // SAFETY: at + shift + 16 <= at + 19 <= part.len(); the load needs no alignment.
            let words = unsafe { _mm_loadu_si128(part.as_ptr().add(at + shift).cast()) };
            *near = _mm_cmplt_epi32(_mm_add_epi32(words, *start), bound);
            *start = _mm_add_epi32(*start, step);
        }
        let [a, b, c, d] = near;
        if _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))) != 0 {
            for (shift, near) in near.into_iter().enumerate() {
                let mut lanes = _mm_movemask_ps(_mm_castsi128_ps(near));
                while lanes != 0 {
                    hit(at + shift + 4 * lanes.trailing_zeros() as usize);
                    lanes &= lanes - 1;
                }
            }
        }
        at += 16;
    }
    while at + 4 <= part.len() {
        let word = displacement(part, at).unwrap_or(0) as u32;
        if word.wrapping_add(at as u32).wrapping_add(bias) <= limit {
            hit(at);
        }
        at += 1;
    }
}

/// `start`, and 4, 8 and 12 more: what the offsets of the four lanes add.
#[inline]
#[target_feature(enable = "sse2")]
fn lanes(start: u32) -> __m128i {
    let steps = [0u32, 4, 8, 12];
    // SAFETY: the array is 16 bytes; the load needs no alignment.
    let steps = unsafe { _mm_loadu_si128(steps.as_ptr().cast()) };
    _mm_add_epi32(steps, _mm_set1_epi32(start as i32))
}

fn displacement(text: &[u8], at: usize) -> Option<i32> {
    let bytes = text.get(at..at.checked_add(4)?)?;
    Some(i32::from_le_bytes(bytes.try_into().ok()?))
}

/// Notes what the displacement at `at` does to the slots it may reach.
fn classify(text: &[u8], at: usize, text_addr: usize, slots: &[usize], uses: &mut Uses) {
    let Some(distance) = displacement(text, at) else { return };
    let target = (text_addr + at + 4).wrapping_add_signed(distance as isize);
    let opcode = at.checked_sub(2).and_then(|from| text.get(from..at));
    let is_call = matches!(opcode, Some([0xff, 0x15 | 0x25]));
    // Slots are 8-aligned, so at most one length of immediate can make the target a slot.
    let trailing = target.wrapping_neg() & 7;
    if !TRAILING.contains(&trailing) {
        return;
    }
    let Ok(index) = slots.binary_search(&target.wrapping_add(trailing)) else { return };
    let Some(slot) = uses.slots.get_mut(index) else { return };
    if is_call && trailing == 0 {
        slot.called = true;
        if let Some(calls) = &mut uses.calls {
            calls.push(Call { slot: index, at: text_addr + at });
        }
    } else {
        slot.loaded = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::elf::list;
    use goblin::elf64::program_header::PF_X;

    const TEXT: usize = 0x40_1000;
    const SLOTS: [usize; 3] = [0x40_8000, 0x40_8008, 0x40_8ff8];

    /// `head`, a displacement to `slot`, `tail`.
    fn push(text: &mut Vec<u8>, head: &[u8], slot: usize, tail: &[u8]) {
        text.extend(head);
        let next = TEXT + text.len() + 4 + tail.len();
        text.extend((slot.wrapping_sub(next) as i32).to_le_bytes());
        text.extend(tail);
    }

    fn uses(text: &[u8]) -> [SlotUse; 3] {
        let mut uses = Uses::new(3, false);
        scan_slots(text, TEXT, &SLOTS, &mut uses);
        let mut all = Uses::new(3, true);
        scan_slots(text, TEXT, &SLOTS, &mut all);
        assert!(all.slots.iter().zip(&uses.slots).all(|(all, uses)| all.loaded == uses.loaded));
        all.slots.try_into().expect("three slots")
    }

    #[test]
    fn calls_and_jumps_with_any_prefix_are_calls() {
        let heads: [&[u8]; 7] = [
            &[0xff, 0x15],
            &[0xff, 0x25],
            &[0x67, 0xff, 0x15],
            &[0x3e, 0xff, 0x15],
            &[0xf2, 0xff, 0x25],
            &[0x48, 0xff, 0x25],
            &[0x66, 0x48, 0xff, 0x15],
        ];
        for head in heads {
            for pad in 0..40 {
                let mut text = vec![0x90; pad];
                push(&mut text, head, SLOTS[1], &[]);
                text.extend(vec![0x90; 40 - pad]);
                let found = uses(&text);
                assert!(found[1].call_only(), "{head:x?} behind {pad} bytes");
                assert_eq!([found[0], found[2]], [SlotUse::default(); 2]);
            }
        }
    }

    #[test]
    fn loads_compares_and_stores_are_not_calls() {
        let cases: [(&[u8], &[u8]); 7] = [
            (&[0x48, 0x8b, 0x05], &[]),           // mov slot(%rip),%rax
            (&[0x48, 0x3b, 0x3d], &[]),           // cmp slot(%rip),%rdi
            (&[0x48, 0x83, 0x3d], &[0]),          // cmpq $0,slot(%rip)
            (&[0x48, 0x81, 0x3d], &[1, 2, 3, 4]), // cmpq $imm32,slot(%rip)
            (&[0x66, 0x81, 0x3d], &[1, 2]),       // cmpw $imm16,slot(%rip)
            (&[0xff, 0x35], &[]),                 // push slot(%rip)
            (&[0x48, 0x8d, 0x15], &[]),           // lea slot(%rip),%rdx
        ];
        for (head, tail) in cases {
            let mut text = vec![0x90; 3];
            push(&mut text, &[0xff, 0x15], SLOTS[0], &[]);
            push(&mut text, head, SLOTS[0], tail);
            push(&mut text, &[0xff, 0x15], SLOTS[2], &[]);
            let found = uses(&text);
            assert_eq!(found[0], SlotUse { called: true, loaded: true }, "{head:x?}");
            assert!(found[2].call_only());
        }
    }

    #[test]
    fn references_across_strides_and_at_both_ends_are_seen() {
        for at in [0, STRIDE - 5, STRIDE - 2, STRIDE, 3 * STRIDE - 6] {
            let mut text = vec![0x90; at];
            push(&mut text, &[0xff, 0x15], SLOTS[2], &[]);
            assert!(uses(&text)[2].call_only(), "at {at}");
        }
        assert_eq!(uses(&[0xff, 0x15, 0]), [SlotUse::default(); 3]);
    }

    #[test]
    fn calls_are_noted_with_their_place_though_the_slot_is_loaded() {
        let mut text = vec![0x90; 5];
        push(&mut text, &[0x48, 0x8b, 0x05], SLOTS[1], &[]);
        push(&mut text, &[0xff, 0x25], SLOTS[1], &[]);
        text.extend(vec![0x90; 3 * STRIDE]);
        push(&mut text, &[0xff, 0x15], SLOTS[1], &[]);
        let mut uses = Uses::new(3, true);
        scan_slots(&text, TEXT, &SLOTS, &mut uses);
        let at = |offset| Call { slot: 1, at: TEXT + offset };
        assert_eq!(uses.calls, Some(vec![at(5 + 7 + 2), at(text.len() - 4)]));
        uses.suspect_all();
        assert!(uses.calls.is_some_and(|calls| calls.is_empty()));
        assert!(uses.slots.iter().all(|slot| slot.loaded));
    }

    #[test]
    fn a_displacement_of_its_own_is_never_a_call() {
        let mut text = Vec::new();
        push(&mut text, &[], SLOTS[0], &[]);
        assert!(uses(&text)[0].loaded);
    }

    /// An independent decoder finds no use that the scan calls call-only and it does not.
    #[test]
    fn a_decoder_agrees_on_a_real_library() {
        use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind, Register};
        // The text of this very test, against random-looking slots: every address that some
        // instruction of it names relative to rip.
        let mut own = None;
        list(&mut |listed, _| own = own.take().or_else(|| listed.describe()));
        let own = own.expect("an executable");
        let code = own.segments.iter().find(|segment| segment.flags & PF_X != 0).expect("code");
        let text = own.view::<u8>((code.low + code.high) / 2, 40_000).expect("text");
        let text = text.bytes();
        let mut decoder = Decoder::with_ip(64, text, TEXT as u64, DecoderOptions::NONE);
        let mut oracle = std::collections::BTreeMap::<usize, SlotUse>::new();
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if instruction.is_invalid() || instruction.memory_base() != Register::RIP {
                continue;
            }
            let memory =
                (0..instruction.op_count()).any(|op| instruction.op_kind(op) == OpKind::Memory);
            if memory {
                let slot = oracle.entry(instruction.memory_displacement64() as usize).or_default();
                match instruction.mnemonic() {
                    Mnemonic::Call | Mnemonic::Jmp => slot.called = true,
                    _ => slot.loaded = true,
                }
            }
        }
        let slots: Vec<usize> = oracle.keys().copied().collect();
        let near: Vec<usize> =
            slots.iter().copied().filter(|s| s.abs_diff(TEXT) < 1 << 28 && s % 8 == 0).collect();
        let mut uses = Uses::new(near.len(), true);
        scan_slots(text, TEXT, &near, &mut uses);
        let found = uses.slots;
        assert!(near.len() > 20, "only {} references", near.len());
        for (slot, found) in near.iter().zip(found) {
            let truth = oracle[slot];
            assert!(!truth.loaded || found.loaded, "{slot:#x} is loaded");
            assert!(!truth.called || found.called, "{slot:#x} is called");
        }
    }
}
