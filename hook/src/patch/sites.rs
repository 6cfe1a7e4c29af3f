//! Call sites: (caller component, API) → id, stub, target. The id decides the stub, and the stub's
//! range decides whether it looks at a lock word before it calls.
//!
//! All functions run under the scan lock (`scan.rs`).

use super::policy::{Action, FreeCheck, Policy};
use crate::interpose::{self, Special};
use crate::store::process::{write_site, SiteRecord};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use perfvisor_format::{SiteHow, MAX_SITES};
use perfvisor_probe::notes::{class_of, NOTES};
use perfvisor_probe::sites::{self as table, SiteInfo};

/// Bytes of one stub.
const STUB_BYTES: usize = 64;

unsafe extern "C" {
    static perfvisor_stubs: u8;
    static mut perfvisor_targets: [u64; MAX_SITES];
}

/// What a slot asks for.
pub struct SiteRequest<'a> {
    /// Caller component.
    pub caller: u32,
    /// Target component; `u32::MAX` = unknown.
    pub target_component: u32,
    /// How the slot reaches us.
    pub how: SiteHow,
    /// Address the slot leads to without us.
    pub target: usize,
    /// Slot address; 0 for dlsym.
    pub slot: usize,
    /// Symbol name.
    pub name: &'a [u8],
    /// Symbol version, or empty.
    pub version: &'a [u8],
    /// The API's policy.
    pub policy: &'static Policy,
}

struct Row {
    caller: u32,
    target_component: u32,
    how: SiteHow,
    policy: &'static Policy,
    target: usize,
    slot: usize,
    name: Vec<u8>,
    version: Vec<u8>,
}

/// Sites with one target each: the same API from the same component is one site, but a second
/// definition (another version, another namespace) is a second one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    caller: u32,
    name: Vec<u8>,
    version: Vec<u8>,
    /// Told apart only where one component really calls two definitions.
    dlsym: bool,
    target: usize,
}

#[derive(Default)]
struct Sites {
    rows: BTreeMap<u32, Row>,
    ids: BTreeMap<Key, u32>,
    next: [usize; 5],
    /// Plain ids given out, by class of their stubs' notes.
    plain: [usize; NOTES],
    /// Components that are the C library: the first class is theirs.
    c_library: Vec<u32>,
}

static mut SITES: Option<Sites> = None;

/// First id and end of each range, in the order of `range_of`.
const RANGES: [(usize, usize); 5] = [
    (0, interpose::calibrate::SITE),
    (table::MUTEX_FIRST, table::READ_FIRST),
    (table::READ_FIRST, table::WRITE_FIRST),
    (table::WRITE_FIRST, table::ZERO_FIRST),
    (table::ZERO_FIRST, MAX_SITES),
];

fn sites() -> &'static mut Sites {
    // SAFETY: only reached under the scan lock.
    unsafe {
        let sites: *mut Option<Sites> = &raw mut SITES;
        (*sites).get_or_insert_with(Sites::default)
    }
}

/// Which range of stubs an API needs.
fn range_of(policy: &Policy) -> usize {
    match policy.free_check {
        FreeCheck::None => 0,
        FreeCheck::BlocksIfBits(u32::MAX) => 1,
        FreeCheck::BlocksIfBits(2) => 2,
        FreeCheck::BlocksIfBits(_) => 3,
        FreeCheck::BlocksIfZero => 4,
    }
}

/// Component `id` belongs to the C library (itself, the loader, the vdso).
pub fn note_c_library(id: u32) {
    let known = &mut sites().c_library;
    if !known.contains(&id) {
        known.push(id);
    }
}

/// Class of notes (`probe/notes.rs`) for calls of a component's APIs.
fn class_for(target_component: u32) -> usize {
    if sites().c_library.contains(&target_component) {
        return 0;
    }
    1 + target_component as usize % (NOTES - 1)
}

/// A plain id of `class`; of another one when all of its own are given out.
fn plain_id(class: usize) -> Option<u32> {
    let take = |class: usize| {
        let given = sites().plain.get_mut(class)?;
        let id = if class == 0 { 2 * *given } else { 2 * class - 1 + 8 * *given };
        *given += 1;
        (id < RANGES[0].1).then_some(id as u32)
    };
    let found = core::iter::once(class).chain(0..NOTES).find_map(take);
    debug_assert!(found.is_none_or(|id| class_of(id as usize) < NOTES));
    found
}

fn new_id(policy: &Policy, target_component: u32) -> Option<u32> {
    let range = range_of(policy);
    if range == 0 {
        return plain_id(class_for(target_component));
    }
    let (first, end) = RANGES[range];
    let next = &mut sites().next[range];
    // A full lock range still has plain stubs: then the API is timed on each call.
    if first + *next >= end {
        return plain_id(class_for(target_component));
    }
    *next += 1;
    Some((first + *next - 1) as u32)
}

fn info_of(policy: &Policy, name: &[u8]) -> SiteInfo {
    let special = interpose::special_of(name);
    let mut flags = 0;
    if policy.always_timed {
        flags |= table::ALWAYS_TIMED;
    }
    if policy.action == Action::CountOnly {
        flags |= table::COUNT_ONLY;
    }
    if special != Special::None {
        flags |= table::SPECIAL;
    }
    if matches!(name, b"swapcontext" | b"setcontext" | b"makecontext")
        || name.ends_with(b"jump_fcontext")
    {
        flags |= table::SWITCHES_STACK;
    }
    if name == b"syscall" {
        flags |= table::BY_NUMBER;
    }
    SiteInfo { flags, wait: policy.wait as u8, object: policy.object, special: special as u8 }
}

/// Address of the stub for a request; `None` when no stub is left.
pub fn intern(request: &SiteRequest) -> Option<usize> {
    let key = Key {
        caller: request.caller,
        name: request.name.to_vec(),
        version: request.version.to_vec(),
        dlsym: request.how == SiteHow::Dlsym,
        target: if request.how == SiteHow::Dlsym { request.target } else { 0 },
    };
    let known = sites().ids.get(&key).copied();
    let id = match known {
        Some(id) => id,
        None => new_id(request.policy, request.target_component)?,
    };
    let changed = sites().rows.get(&id).is_none_or(|row| row.target != request.target);
    if changed {
        let target = interpose::stand_in(request.name, request.target);
        // SAFETY: id < MAX_SITES; the stub is not reachable yet, or its target moved and one
        // aligned store changes it.
        unsafe {
            let info = (&raw mut table::SITE_INFO).cast::<SiteInfo>().add(id as usize);
            info.write(info_of(request.policy, request.name));
            (&raw mut perfvisor_targets)
                .cast::<u64>()
                .add(id as usize)
                .write_volatile(target as u64);
        }
        let row = Row {
            caller: request.caller,
            target_component: request.target_component,
            how: request.how,
            policy: request.policy,
            target: request.target,
            slot: request.slot,
            name: request.name.to_vec(),
            version: request.version.to_vec(),
        };
        write_row(id, &row);
        sites().rows.insert(id, row);
        sites().ids.insert(key, id);
    }
    Some(stub_of(id))
}

fn write_row(id: u32, row: &Row) {
    write_site(&SiteRecord {
        id,
        caller: row.caller,
        target_component: row.target_component,
        how: row.how as u8,
        wait: if row.policy.always_timed { row.policy.wait as u8 } else { 0 },
        counted_only: row.policy.action == Action::CountOnly,
        target: row.target as u64,
        slot: row.slot as u64,
        name: &row.name,
        version: &row.version,
    });
}

/// Writes every site again, into a forked child's own image.
pub fn rewrite() {
    for (&id, row) in &sites().rows {
        write_row(id, row);
    }
}

fn stub_of(id: u32) -> usize {
    &raw const perfvisor_stubs as usize + id as usize * STUB_BYTES
}

fn id_of_stub(address: usize) -> Option<usize> {
    let offset = address.wrapping_sub(&raw const perfvisor_stubs as usize);
    (offset < MAX_SITES * STUB_BYTES && offset.is_multiple_of(STUB_BYTES))
        .then_some(offset / STUB_BYTES)
}

/// Whether `address` is one of our stubs.
pub fn is_stub(address: usize) -> bool {
    id_of_stub(address).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ids_are_of_the_class_asked_for_while_there_are_any() {
        let mut seen = alloc::collections::BTreeSet::new();
        for round in 0..RANGES[0].1 / 8 {
            for class in 0..NOTES {
                let id = plain_id(class).expect("there are some left");
                // The last id of the last class is calibration's.
                assert!(class_of(id as usize) == class || round > 1900, "{id} for {class}");
                assert!(seen.insert(id) && (id as usize) < RANGES[0].1);
            }
        }
        let rest = core::iter::from_fn(|| plain_id(3)).take(MAX_SITES);
        rest.for_each(|id| assert!(seen.insert(id)));
        assert_eq!(seen.len(), RANGES[0].1);
    }
}
