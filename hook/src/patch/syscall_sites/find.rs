//! Finds `syscall` instructions and, for each, what may be replaced by a jump.
//!
//! A function is walked from its first instruction, as the unwind table gives it; bytes `0f 05` that no
//! walk arrives at are no instruction. What is replaced is one instruction of at least five bytes before
//! the `syscall`, best of all the `mov $nr,%eax` right in front of it: since it is one instruction, no
//! branch can lead into what it becomes. Where none is long enough, one of two to four bytes becomes a
//! short jump to padding near by, in which the long jump fits; or, while the process has one thread, which
//! is not there, two or three of them together become the jump. The `syscall` itself stays.
//!
//! What lies between the replaced instruction and the `syscall` is copied into the thunk. So nothing may
//! branch there, or those calls would not be seen; and behind the `syscall` no code may read the flags,
//! which the kernel keeps and we do not.

use super::super::elf::Component;
use super::super::functions::{Covered, Functions};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;
use goblin::elf64::program_header::PF_X;
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register, RflagsBits,
};
use perfvisor_format::SyscallSkip;

/// The bytes of the instruction.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Bytes of `jmp rel32`.
pub const JUMP: usize = 5;
/// Instructions looked at before a `syscall`.
const BEFORE: usize = 8;
/// Instructions looked at behind it.
const BEHIND: usize = 64;
/// Longest function that is walked.
const LONGEST: usize = 1 << 16;

/// How control comes to the thunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `jmp rel32` in place of an instruction.
    Long,
    /// `jmp rel8` in place of an instruction, to a `jmp rel32` at this address.
    Hole(usize),
}

/// One `syscall` instruction that can be led to a thunk.
#[derive(Clone, Debug)]
pub struct Found {
    /// Address of the `syscall` instruction.
    pub address: usize,
    /// Its number, if the code before it says so.
    pub number: Option<u32>,
    /// The instructions from the replaced one up to the `syscall`.
    pub moved: Vec<Instruction>,
    /// How control leaves.
    pub way: Way,
}

/// What was found in one component.
#[derive(Debug, Default)]
pub struct Sites {
    /// Those that can be led away.
    pub found: Vec<Found>,
    /// Those that cannot, and why.
    pub left: Vec<(usize, SyscallSkip)>,
}

/// `mov $15,%rax; syscall`: how every signal handler returns. Unwinders know a signal's frame by these
/// bytes, but ask the unwind table first, which is where glibc says so, too.
const RT_SIGRETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

/// Looks through the code of `component`. `alone`: the process has no other thread.
pub fn find(component: &Component, alone: bool) -> Sites {
    let mut sites = Sites::default();
    let functions = Functions::of(component);
    for segment in component.segments.iter().filter(|segment| segment.flags & PF_X != 0) {
        let bytes = segment.high - segment.low;
        let Some(view) = component.view::<u8>(segment.low, bytes) else { continue };
        let code = view.bytes();
        let mut last = 0..0;
        for offset in candidates(code) {
            let address = segment.low + offset;
            if last.contains(&address) {
                continue;
            }
            // Assembly without unwind information (clone), or with one that begins a byte early.
            let bare = bare_length(code, offset, &functions, address);
            if let Some(length) = bare {
                match bare_site(code, offset, address, length) {
                    Some(found) => sites.found.push(found),
                    None => sites.left.push((address, SyscallSkip::Policy)),
                }
                continue;
            }
            match functions.covering(address) {
                Covered::By(low, high) if high - low <= LONGEST && high <= segment.high => {
                    last = low..high;
                    let text = code.get(low.wrapping_sub(segment.low)..high - segment.low);
                    let text = text.unwrap_or_default();
                    let function = Walked {
                        text,
                        low,
                        alone,
                        before: padding(code, segment.low, low, &functions),
                    };
                    walk(&function, &mut sites);
                }
                _ if is_likely(code, offset) => {
                    sites.left.push((address, SyscallSkip::NotDecoded));
                }
                _ => {}
            }
        }
    }
    sites
}

/// Offsets of the bytes of a `syscall`, instructions or not.
fn candidates(code: &[u8]) -> impl Iterator<Item = usize> + '_ {
    // The C library's search goes through a megabyte of code in a fraction of a millisecond.
    let mut from = 0;
    core::iter::from_fn(move || {
        let rest = code.get(from..)?;
        // SAFETY: both are live buffers of the lengths given.
        let found = unsafe {
            libc::memmem(rest.as_ptr().cast(), rest.len(), SYSCALL.as_ptr().cast(), SYSCALL.len())
        };
        if found.is_null() {
            return None;
        }
        let at = found as usize - code.as_ptr() as usize;
        from = at + SYSCALL.len();
        Some(at)
    })
}

/// Whether the bytes before look like a number put into eax.
fn is_likely(code: &[u8], offset: usize) -> bool {
    let before = offset.checked_sub(JUMP).and_then(|from| code.get(from..offset));
    matches!(before, Some([0xb8, _, 0..=3, 0, 0]) | Some([_, 0xc0, _, 0, 0]))
}

/// Bytes of the instruction before a `syscall` that can be told without a walk: of one that no function
/// covers, or of a signal's return.
fn bare_length(code: &[u8], offset: usize, functions: &Functions, address: usize) -> Option<usize> {
    let begin = offset.checked_sub(7)?;
    if code.get(begin..offset + 2)? == RT_SIGRETURN {
        return Some(7);
    }
    let &[0xb8, low, high, 0, 0] = code.get(offset.checked_sub(JUMP)?..offset)? else {
        return None;
    };
    let number = u32::from(u16::from_le_bytes([low, high]));
    let known = perfvisor_format::syscall(number).is_some();
    (known && functions.covering(address) == Covered::Not).then_some(JUMP)
}

fn bare_site(code: &[u8], offset: usize, address: usize, length: usize) -> Option<Found> {
    let bytes = code.get(offset - length..offset)?;
    let at = (address - length) as u64;
    let behind = Decoder::new(64, code.get(offset + 2..)?, DecoderOptions::NONE);
    if length == JUMP && reads_flags(behind.into_iter()) {
        return None;
    }
    let instruction = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE).decode();
    let number = Some(instruction.immediate32());
    Some(Found { address, number, moved: alloc::vec![instruction], way: Way::Long })
}

/// Where five bytes of padding begin right before the function at `low`; nothing runs there.
fn padding(code: &[u8], base: usize, low: usize, functions: &Functions) -> Option<usize> {
    let end = low.checked_sub(base)?;
    let free = |at: &usize| functions.covering(base + at) == Covered::Not;
    let begin = (end.saturating_sub(32)..end).rev().take_while(free).last()?;
    let bytes = code.get(begin..end)?;
    let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
    let mut all_nops = bytes.len() >= JUMP;
    while all_nops && decoder.can_decode() {
        let mnemonic = decoder.decode().mnemonic();
        all_nops = matches!(mnemonic, Mnemonic::Nop | Mnemonic::Int3 | Mnemonic::Xchg);
    }
    all_nops.then_some(low - JUMP)
}

/// A function to be walked.
struct Walked<'a> {
    text: &'a [u8],
    low: usize,
    alone: bool,
    before: Option<usize>,
}

/// Walks one function.
fn walk(function: &Walked, sites: &mut Sites) {
    let Walked { text, low, alone, before } = *function;
    let mut all = Vec::new();
    let mut targets = Vec::new();
    let mut decoder = Decoder::with_ip(64, text, low as u64, DecoderOptions::NONE);
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            break;
        }
        if matches!(
            instruction.flow_control(),
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
        ) {
            targets.push(instruction.near_branch_target() as usize);
        }
        all.push(instruction);
    }
    targets.sort_unstable();
    let holes = RefCell::default();
    let function = Function { all: &all, targets: &targets, holes, alone, before };
    for (index, instruction) in all.iter().enumerate() {
        if instruction.mnemonic() == Mnemonic::Syscall {
            let address = instruction.ip() as usize;
            match function.choose(index) {
                Ok(found) => sites.found.push(found),
                Err(why) => sites.left.push((address, why)),
            }
        }
    }
}

/// Whether this is the one place where glibc since 2.41 makes all calls that can be cancelled
/// (`__syscall_cancel_arch`): a thread that waits there must be found there by the cancelling signal. It is
/// told by its eight arguments, two of which come from the stack.
fn is_cancellable_bridge(before: &[Instruction]) -> bool {
    let loads = |offset: u64| {
        before.iter().any(|i| {
            i.mnemonic() == Mnemonic::Mov
                && i.op0_kind() == OpKind::Register
                && i.op1_kind() == OpKind::Memory
                && i.memory_base() == Register::RSP
                && i.memory_index() == Register::None
                && i.memory_displacement64() == offset
        })
    };
    number_of(before).is_none() && loads(8) && loads(16)
}

/// Whether the code behind a `syscall` may read flags that were set before it. The kernel keeps them;
/// compilers take them for lost, and so do we.
fn reads_flags(behind: impl Iterator<Item = Instruction>) -> bool {
    let mut live = RflagsBits::OF
        | RflagsBits::SF
        | RflagsBits::ZF
        | RflagsBits::AF
        | RflagsBits::CF
        | RflagsBits::PF;
    for (number, instruction) in behind.enumerate() {
        // The next system call keeps the flags as this one does, which a decoder calls reading.
        if instruction.mnemonic() == Mnemonic::Syscall {
            continue;
        }
        let pushes = matches!(instruction.mnemonic(), Mnemonic::Pushf | Mnemonic::Pushfq);
        if number == BEHIND || pushes || instruction.rflags_read() & live != 0 {
            return true;
        }
        live &= !instruction.rflags_modified();
        // Nothing is handed to a call or a return in flags.
        if live == 0 || instruction.flow_control() != FlowControl::Next {
            return false;
        }
    }
    false
}

struct Function<'a> {
    all: &'a [Instruction],
    targets: &'a [usize],
    /// Padding that is taken.
    holes: RefCell<Vec<usize>>,
    /// The process has no other thread.
    alone: bool,
    /// Padding in front of the function.
    before: Option<usize>,
}

impl Function<'_> {
    /// Decides on the `syscall` at `index`.
    fn choose(&self, index: usize) -> Result<Found, SyscallSkip> {
        let Some(syscall) = self.all.get(index) else { return Err(SyscallSkip::NotDecoded) };
        let address = syscall.ip() as usize;
        if reads_flags(self.all.iter().skip(index + 1).copied()) {
            return Err(SyscallSkip::Policy);
        }
        let first = self.straight(index);
        if is_cancellable_bridge(self.all.get(first..index).unwrap_or_default()) {
            return Err(SyscallSkip::Policy);
        }
        // `exit` in a loop that never goes round: the only branch there comes from behind it.
        let forever = self.all.get(index + 1).is_some_and(|next| {
            next.flow_control() == FlowControl::UnconditionalBranch
                && next.near_branch_target() <= syscall.ip()
        });
        // The nearest that is long enough, then the nearest with a hole, then one before a branch.
        let long = |crossing: bool| {
            (first..index).rev().find(|&at| {
                self.all.get(at).is_some_and(|i| i.len() >= JUMP && is_movable(i))
                    && (crossing || !self.branches(at..index))
                    && self.all.get(at..index).is_some_and(|moved| moved.iter().all(is_movable))
                    && (forever || !self.is_entered(at, address))
            })
        };
        let several = || {
            (first..index).rev().find(|&at| {
                let moved = self.all.get(at..index).unwrap_or_default();
                self.alone
                    && moved.iter().map(Instruction::len).sum::<usize>() >= JUMP
                    && moved.iter().all(is_movable)
                    && !self.branches(at..index)
                    && !self.is_entered(at, address)
            })
        };
        let short = || {
            (first..index).rev().find_map(|at| {
                let instruction = self.all.get(at)?;
                let fits = instruction.len() >= 2
                    && is_movable(instruction)
                    && self.all.get(at..index)?.iter().all(is_movable)
                    && !self.branches(at..index)
                    && !self.is_entered(at, address);
                let hole = if fits { self.hole_near(instruction.ip() as usize) } else { None };
                hole.map(|hole| (at, Way::Hole(hole)))
            })
        };
        let chosen = long(false)
            .map(|at| (at, Way::Long))
            .or_else(short)
            .or_else(|| several().map(|at| (at, Way::Long)))
            .or_else(|| long(true).map(|at| (at, Way::Long)));
        let (at, way) = chosen.ok_or(SyscallSkip::NoPatchPoint)?;
        if let Way::Hole(hole) = way {
            self.holes.borrow_mut().push(hole);
        }
        let moved = self.all.get(at..index).unwrap_or_default().to_vec();
        Ok(Found {
            address,
            number: number_of(self.all.get(first..index).unwrap_or_default()),
            moved,
            way,
        })
    }

    /// First of the instructions that run one after the other up to `index`, branches out left aside.
    fn straight(&self, index: usize) -> usize {
        let mut first = index;
        while first > 0 && index - first < BEFORE {
            let Some(before) = self.all.get(first - 1) else { break };
            let flow = before.flow_control();
            if flow != FlowControl::Next && flow != FlowControl::ConditionalBranch {
                break;
            }
            first -= 1;
        }
        first
    }

    fn branches(&self, range: Range<usize>) -> bool {
        let all = self.all.get(range).unwrap_or_default();
        all.iter().any(|i| i.flow_control() != FlowControl::Next)
    }

    /// Whether a branch of the function leads behind instruction `at`, up to the `syscall`.
    fn is_entered(&self, at: usize, address: usize) -> bool {
        let Some(begin) = self.all.get(at).map(|i| i.ip() as usize) else { return true };
        let from = self.targets.partition_point(|&target| target <= begin);
        self.targets.get(from).is_some_and(|&target| target <= address)
    }

    /// Padding of five bytes or more that a short jump at `address` reaches. Behind an instruction that
    /// does not go on, `nop`s up to the next branch target are never run.
    fn hole_near(&self, address: usize) -> Option<usize> {
        let reaches = |hole: usize| {
            let distance = hole as isize - (address as isize + 2);
            (-128..=127).contains(&distance)
        };
        let free = |hole: usize| reaches(hole) && !self.holes.borrow().contains(&hole);
        if let Some(hole) = self.before.filter(|&hole| free(hole)) {
            return Some(hole);
        }
        let is_nop = |i: &Instruction| matches!(i.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
        let mut dead = false;
        let mut begin = None;
        for instruction in self.all {
            let at = instruction.ip() as usize;
            if self.targets.binary_search(&at).is_ok() {
                dead = false;
            }
            if !dead || !is_nop(instruction) {
                begin = None;
            } else {
                let from = *begin.get_or_insert(at);
                if at + instruction.len() >= from + JUMP {
                    if free(from) {
                        return Some(from);
                    }
                    begin = None;
                }
            }
            dead = match instruction.flow_control() {
                FlowControl::Return
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch => true,
                _ => dead && is_nop(instruction),
            };
        }
        None
    }
}

/// Whether an instruction does the same elsewhere: plain ones, with an address relative to themselves
/// changed, and branches out.
fn is_movable(instruction: &Instruction) -> bool {
    match instruction.flow_control() {
        // jrcxz and loop have short forms only.
        FlowControl::ConditionalBranch => instruction.is_jcc_short_or_near(),
        FlowControl::Next => true,
        _ => false,
    }
}

/// The number that `before` leaves in eax, if it is the same whichever way control came.
fn number_of(before: &[Instruction]) -> Option<u32> {
    let mut number = None;
    for instruction in before {
        if instruction.op0_kind() != OpKind::Register
            || instruction.op0_register().full_register() != Register::RAX
        {
            continue;
        }
        number = match (instruction.mnemonic(), instruction.op1_kind()) {
            (Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push, _) => number,
            (Mnemonic::Mov, OpKind::Immediate32 | OpKind::Immediate32to64) => {
                Some(instruction.immediate32())
            }
            (Mnemonic::Xor | Mnemonic::Sub, OpKind::Register)
                if instruction.op1_register() == instruction.op0_register() =>
            {
                Some(0)
            }
            _ => None,
        };
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(code: &[u8]) -> Sites {
        let mut sites = Sites::default();
        walk(&Walked { text: code, low: 0x1000, alone: false, before: None }, &mut sites);
        sites
    }

    #[test]
    fn the_number_s_own_instruction_is_replaced() {
        let all = sites(&[0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3]);
        let found = &all.found[0];
        assert_eq!((found.address, found.number, found.way), (0x1005, Some(39), Way::Long));
        assert_eq!(found.moved.len(), 1);
    }

    #[test]
    fn read_is_led_through_its_padding() {
        // glibc's: xor %eax,%eax; syscall; cmp; ja; ret; nopw (10 bytes).
        let all = sites(&[
            0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0x77, 0x0b, 0xc3, 0x66, 0x2e,
            0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0xc3,
        ]);
        let found = &all.found[0];
        assert_eq!((found.number, found.way), (Some(0), Way::Hole(0x100d)));
    }

    #[test]
    fn what_is_branched_to_or_reads_flags_is_left() {
        // mov $0xca,%eax; (target:) syscall; test %eax,%eax; js target.
        let all = sites(&[0xb8, 0xca, 0, 0, 0, 0x0f, 0x05, 0x85, 0xc0, 0x78, 0xfa, 0xc3]);
        assert_eq!(all.left, [(0x1005, SyscallSkip::NoPatchPoint)]);
        // mov $1,%eax; syscall; je.
        let all = sites(&[0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0x74, 0, 0xc3]);
        assert_eq!(all.left, [(0x1005, SyscallSkip::Policy)]);
    }

    #[test]
    fn the_bridge_of_cancellable_calls_is_left() {
        // glibc 2.41: mov %rdi,%r11; mov %rsi,%rax; mov %rdx,%rdi; mov %rcx,%rsi; mov %r8,%rdx; mov %r9,%r10;
        // mov 8(%rsp),%r8; mov 16(%rsp),%r9; mov %r11,8(%rsp); syscall; ret.
        let all = sites(&[
            0x49, 0x89, 0xfb, 0x48, 0x89, 0xf0, 0x48, 0x89, 0xd7, 0x48, 0x89, 0xce, 0x4c, 0x89,
            0xc2, 0x4d, 0x89, 0xca, 0x4c, 0x8b, 0x44, 0x24, 8, 0x4c, 0x8b, 0x4c, 0x24, 16, 0x4c,
            0x89, 0x5c, 0x24, 8, 0x0f, 0x05, 0xc3,
        ]);
        assert_eq!((all.found.len(), all.left.len()), (0, 1));
        assert_eq!(all.left[0].1, SyscallSkip::Policy);
    }

    #[test]
    fn a_number_from_a_register_is_not_known() {
        // mov $0x80,%esi; mov %r8d,%eax; syscall.
        let all = sites(&[0xbe, 0x80, 0, 0, 0, 0x44, 0x89, 0xc0, 0x0f, 0x05, 0xc3]);
        let found = &all.found[0];
        assert_eq!((found.number, found.way, found.moved.len()), (None, Way::Long, 2));
    }

    #[test]
    fn bytes_inside_another_instruction_are_none() {
        // mov $0x50f0000,%eax; ret.
        let all = sites(&[0xb8, 0, 0, 0x0f, 0x05, 0xc3]);
        assert!(all.found.is_empty() && all.left.is_empty());
    }
}
