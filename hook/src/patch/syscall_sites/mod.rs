//! System calls: the instructions that make them, led to us.
//!
//! ```text
//! find    the `syscall` instructions of a component, and what before each may become a jump
//! thunk   what the jump leads to: the moved instructions, then shim-c/src/syscall_x86_64.S
//! swap    how code is changed while threads run it
//! ```
//!
//! What may not happen here: no `syscall` instruction is changed, because a thread may be inside it and
//! the kernel restarts an interrupted call by going back to it; no instruction is replaced that is not
//! proven to be one, nor more than one at a time; no page is writable and executable at once. What
//! cannot be led away is left, counted and named (`SyscallSites`, `SyscallSkipped`).

mod find;
mod swap;
mod thunk;

use super::elf::{Component, FLAG_HOOK};
use crate::store::process;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use find::{Found, Way, JUMP};
use perfvisor_format::{syscall, SyscallSkip};
use swap::Edit;
pub use thunk::Thunks;

/// Numbers of the places, over all components.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// What is known of a component's `syscall` instructions, to be written again for a forked child.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Instructions found.
    pub found: u32,
    /// Those led to us, `entry_only` included.
    pub patched: u32,
    /// Those seen only when they begin.
    pub entry_only: u32,
    /// The others, by address in the file.
    pub left: Vec<(usize, SyscallSkip)>,
}

/// Leads the system calls of `component` to us. The thunks must live as long as its code.
pub fn patch(component: &Component, wanted: bool) -> (Option<Thunks>, Coverage) {
    if component.flags & FLAG_HOOK != 0 {
        return (None, Coverage::default());
    }
    let alone = is_alone();
    let sites = find::find(component, alone);
    let mut coverage = Coverage {
        found: (sites.found.len() + sites.left.len()) as u32,
        left: sites.left,
        ..Coverage::default()
    };
    let mut leave = |found: &Found, why| coverage.left.push((found.address, why));
    let mut thunks = None;
    let mut led = Vec::new();
    if !wanted {
        sites.found.iter().for_each(|found| leave(found, SyscallSkip::Filtered));
    } else if !sites.found.is_empty() {
        thunks = Thunks::reserve(sites.found.len(), component.low, component.high);
        led = lead(&sites.found, thunks.as_mut(), &mut leave);
        let sealed = thunks.as_ref().is_some_and(Thunks::seal);
        if !sealed {
            led.drain(..).for_each(|(found, _)| leave(found, SyscallSkip::Protected));
        }
    }
    let mut edits: Vec<Edit> = led.iter().flat_map(|(_, edits)| edits.clone()).collect();
    edits.sort_unstable_by_key(|edit| edit.address);
    let mut refused = Vec::new();
    swap::apply(&edits, alone, &mut |address| refused.push(address));
    for (found, edits) in led {
        if edits.iter().any(|edit| refused.contains(&edit.address)) {
            coverage.left.push((found.address, SyscallSkip::Protected));
            continue;
        }
        coverage.patched += 1;
        coverage.entry_only += u32::from(is_entry_only(found));
    }
    for (address, _) in &mut coverage.left {
        *address = address.wrapping_sub(component.base);
    }
    (thunks, coverage)
}

/// Whether the process has one thread.
fn is_alone() -> bool {
    let stat = crate::files::read(c"/proc/self/stat").unwrap_or_default();
    let stat = alloc::string::String::from_utf8_lossy(&stat);
    // Field 20 of proc(5), counted behind the command's parenthesis.
    let threads = stat.rsplit(')').next().and_then(|rest| rest.split_ascii_whitespace().nth(17));
    threads == Some("1")
}

/// Writes thunks for `found` and says how each is to be reached.
fn lead<'a>(
    found: &'a [Found],
    thunks: Option<&mut Thunks>,
    leave: &mut dyn FnMut(&Found, SyscallSkip),
) -> Vec<(&'a Found, Vec<Edit>)> {
    let Some(thunks) = thunks else {
        found.iter().for_each(|found| leave(found, SyscallSkip::NoRoom));
        return Vec::new();
    };
    let mut led = Vec::with_capacity(found.len());
    for found in found {
        let site = NEXT.fetch_add(1, Ordering::Relaxed);
        match thunks.add(found, site).and_then(|thunk| edits_of(found, thunk)) {
            Some(edits) => led.push((found, edits)),
            None => leave(found, SyscallSkip::NoRoom),
        }
    }
    led
}

/// What is stored to lead `found` to `thunk`.
fn edits_of(found: &Found, thunk: usize) -> Option<Vec<Edit>> {
    let first = found.moved.first()?;
    let at = first.ip() as usize;
    let jump = |from: usize| {
        let mut bytes = alloc::vec![0xe9];
        bytes.extend_from_slice(&thunk::distance(thunk, from + JUMP)?.to_le_bytes());
        Some(Edit { address: from, bytes })
    };
    match found.way {
        Way::Long => Some(alloc::vec![jump(at)?]),
        Way::Hole(hole) => {
            let short = i8::try_from(hole as isize - (at as isize + 2)).ok()?;
            Some(alloc::vec![
                jump(hole)?,
                Edit { address: at, bytes: alloc::vec![0xeb, short as u8] }
            ])
        }
    }
}

fn is_entry_only(found: &Found) -> bool {
    found.number.and_then(syscall).is_some_and(|info| info.entry_only)
}

/// Writes what is known of a component's instructions.
pub fn write(component: u32, coverage: &Coverage) {
    if coverage.found == 0 {
        return;
    }
    process::write_syscall_sites(component, coverage.found, coverage.patched, coverage.entry_only);
    for &(address, why) in &coverage.left {
        process::write_syscall_skipped(component, why, address as u64);
    }
}
