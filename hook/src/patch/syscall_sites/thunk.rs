//! Thunks: what the replaced code leads to, in pages near it.
//!
//! ```text
//! thunk:  the moved instructions          addresses relative to themselves are changed
//!         mov  $site, %ecx
//!         lea  behind the syscall(%rip), %r11
//!         lea  -128(%rsp), %rsp           the red zone
//!         call entry                      one of five in shim-c/src/syscall_x86_64.S
//!         lea  128(%rsp), %rsp
//!         jrcxz 1f                        only where the number is not known
//!         jmp  behind the syscall
//! 1:      jmp  the syscall                where it must be made in its place
//! ```
//! A page is written before it becomes executable, and never again.

use super::super::elf::PAGE;
use super::super::near::STEP;
use super::find::Found;
use alloc::vec::Vec;
use iced_x86::{FlowControl, Instruction};
use perfvisor_format::syscall;

unsafe extern "C" {
    fn perfvisor_syscall_plain();
    fn perfvisor_syscall_address();
    fn perfvisor_syscall_object();
    fn perfvisor_syscall_bytes();
    fn perfvisor_syscall_dynamic();
    fn perfvisor_syscall_begin();
}

/// Bytes of one thunk: eight moved instructions, of which branches may grow, the way out, and a pointer to
/// the entry for code that is far from this library.
const MOST: usize = 192;
/// Farthest from the code, in steps of `near::STEP`, that room is looked for.
const FARTHEST: isize = 96;
/// Lowest and highest address tried.
const BOUNDS: core::ops::Range<usize> = 0x1_0000..0x7fff_ffff_0000;

/// Pages of thunks; unmapped when dropped, with the component that leads there.
#[derive(Debug)]
pub struct Thunks {
    low: usize,
    bytes: usize,
    used: usize,
}

impl Drop for Thunks {
    fn drop(&mut self) {
        // SAFETY: mapped by `reserve`, and the code that leads here is gone.
        unsafe { libc::munmap(self.low as *mut _, self.bytes) };
    }
}

impl Thunks {
    /// Reserves room for `count` thunks within reach of all of `low..high`; writable, not executable.
    pub fn reserve(count: usize, low: usize, high: usize) -> Option<Self> {
        let bytes = (count * MOST).next_multiple_of(PAGE);
        let below =
            (1..=FARTHEST).map(|step| low.checked_sub(bytes)?.checked_add_signed(-step * STEP));
        let above =
            (1..=FARTHEST).map(|step| high.next_multiple_of(PAGE).checked_add_signed(step * STEP));
        below.chain(above).flatten().map(|at| at & !(PAGE - 1)).find_map(|at| map(at, bytes))
    }

    /// Appends a thunk for `found`, number `site`; its address, or `None` if something is out of reach.
    pub fn add(&mut self, found: &Found, site: u32) -> Option<usize> {
        let begin = self.low + self.used;
        let mut code = Vec::with_capacity(MOST);
        for instruction in &found.moved {
            relocate(instruction, begin, &mut code)?;
        }
        code.push(0xb9);
        code.extend_from_slice(&site.to_le_bytes());
        let behind = found.address + 2;
        reach(&mut code, begin, &[0x4c, 0x8d, 0x1d], behind)?;
        code.extend_from_slice(&[0x48, 0x8d, 0x64, 0x24, 0x80]);
        let entry = entry_of(found.number);
        let pointer = begin + MOST - 8;
        if reach(&mut code, begin, &[0xe8], entry).is_none() {
            reach(&mut code, begin, &[0xff, 0x15], pointer)?;
        }
        code.extend_from_slice(&[0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0]);
        let leaves = found.number.map(|number| syscall(number).is_some_and(|info| info.entry_only));
        if leaves.is_none() {
            code.extend_from_slice(&[0xe3, 5]);
        }
        if leaves != Some(true) {
            reach(&mut code, begin, &[0xe9], behind)?;
        }
        if leaves != Some(false) {
            reach(&mut code, begin, &[0xe9], found.address)?;
        }
        if code.len() > MOST - 8 {
            return None;
        }
        code.resize(MOST - 8, 0xcc);
        code.extend_from_slice(&(entry as u64).to_le_bytes());
        if self.used + MOST > self.bytes {
            return None;
        }
        // SAFETY: inside the reserved room, which is still writable.
        unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), begin as *mut u8, code.len()) };
        self.used += MOST;
        Some(begin)
    }

    /// Makes the pages executable and no more writable; false if that is not allowed.
    pub fn seal(&self) -> bool {
        // SAFETY: whole pages of ours.
        unsafe {
            libc::mprotect(self.low as *mut _, self.bytes, libc::PROT_READ | libc::PROT_EXEC) == 0
        }
    }
}

fn map(address: usize, bytes: usize) -> Option<Thunks> {
    if !BOUNDS.contains(&address) {
        return None;
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping that replaces none; kernels that do not know the flag take a hint.
    let got = unsafe { libc::mmap(address as *mut _, bytes, access, flags, -1, 0) };
    if got == libc::MAP_FAILED {
        return None;
    }
    if got as usize != address {
        // SAFETY: mapped just now, and nobody knows of it.
        unsafe { libc::munmap(got, bytes) };
        return None;
    }
    Some(Thunks { low: address, bytes, used: 0 })
}

/// Appends an instruction, given without its last four bytes, which make it reach `to`. Nothing is appended
/// if they cannot.
fn reach(code: &mut Vec<u8>, begin: usize, head: &[u8], to: usize) -> Option<()> {
    let next = begin + code.len() + head.len() + 4;
    let distance = distance(to, next)?;
    code.extend_from_slice(head);
    code.extend_from_slice(&distance.to_le_bytes());
    Some(())
}

/// The entry in assembly for calls of `number`.
fn entry_of(number: Option<u32>) -> usize {
    let address = |function: unsafe extern "C" fn()| function as *const () as usize;
    let Some(number) = number else { return address(perfvisor_syscall_dynamic) };
    const FUTEX: u32 = 202;
    match syscall(number) {
        Some(info) if info.entry_only => address(perfvisor_syscall_begin),
        Some(info) if info.fd == 0 && info.bytes => address(perfvisor_syscall_bytes),
        Some(info) if info.fd == 0 => address(perfvisor_syscall_object),
        Some(_) if number == FUTEX => address(perfvisor_syscall_address),
        // Those whose descriptor is not the first argument, or that move bytes without one, must not be
        // taken for the last call there.
        Some(info) if info.fd != 255 || info.bytes => address(perfvisor_syscall_dynamic),
        _ => address(perfvisor_syscall_plain),
    }
}

/// What leads from `next` to `to`, if 32 bits do.
pub fn distance(to: usize, next: usize) -> Option<i32> {
    i32::try_from(to as i128 - next as i128).ok()
}

/// Appends `instruction` to the `code` that begins at `begin`.
fn relocate(instruction: &Instruction, begin: usize, code: &mut Vec<u8>) -> Option<()> {
    let at = instruction.ip() as usize;
    // SAFETY: the instruction was decoded from these bytes of mapped code.
    let bytes = unsafe { core::slice::from_raw_parts(at as *const u8, instruction.len()) };
    if instruction.flow_control() == FlowControl::ConditionalBranch {
        let short = bytes.len() == 2;
        let condition = if short { bytes.first()? & 15 } else { bytes.get(bytes.len() - 5)? & 15 };
        code.extend_from_slice(&[0x0f, 0x80 | condition]);
        let next = begin + code.len() + 4;
        let to = instruction.near_branch_target() as usize;
        code.extend_from_slice(&distance(to, next)?.to_le_bytes());
        return Some(());
    }
    if !instruction.is_ip_rel_memory_operand() {
        code.extend_from_slice(bytes);
        return Some(());
    }
    // The displacement of an address relative to itself is always four bytes; it is found by its value.
    let to = instruction.ip_rel_memory_address() as usize;
    let old = distance(to, at + bytes.len())?.to_le_bytes();
    let place = bytes.windows(4).rposition(|window| window == old)?;
    let new = distance(to, begin + code.len() + bytes.len())?.to_le_bytes();
    let start = code.len();
    code.extend_from_slice(bytes);
    code.get_mut(start + place..start + place + 4)?.copy_from_slice(&new);
    Some(())
}
