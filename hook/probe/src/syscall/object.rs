//! What a system call was about: a descriptor's object or a futex.

use crate::buffer::{publish, take};
use crate::cold;
use crate::descriptors::{self, Descriptor};
use crate::path::{insert, room, slot};
use crate::syscall::seam::SyscallFrame;
use crate::thread::{at, reference, Thread};
use core::ptr::null_mut;
use perfvisor_format::{
    BlockKind, SyscallCell, SyscallInfo, SyscallObject, SyscallObjectKind, WaitKind,
};

/// Most objects one thread keeps.
const MAX_OBJECTS: u32 = 4096;
const OBJECT_KEY: u64 = 0xffff_fffd_0000_0000;
const FUTEX: u16 = 202;
const EBADF: i64 = -9;

/// Where calls without an object count theirs; many threads write to it and nobody reads it.
static mut UNKNOWN: SyscallObject = SyscallObject {
    kind: 0,
    operation: 0,
    object: 0,
    number: 0,
    cell: 0,
    count: 0,
    errors: 0,
    bytes: 0,
    timed: 0,
    sum: 0,
    weighted_sum: 0,
    wait_sum: 0,
    max: 0,
    max_tsc: 0,
    reserved: [0; 4],
};

/// The object that stands for none.
pub fn unknown() -> *mut SyscallObject {
    &raw mut UNKNOWN
}

/// What names the object of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// A [`SyscallObjectKind`]; 0 = none.
    pub kind: u32,
    /// Futex operation, or 0.
    pub operation: u32,
    /// Id or address.
    pub object: u64,
}

impl Name {
    const NONE: Self = Self { kind: 0, operation: 0, object: 0 };
}

/// Names the object of a call, asking the hook for a descriptor that is not known yet. Also whether the
/// descriptor may make it wait.
///
/// # Safety
/// `thread` is the calling thread's live state, guard held.
#[inline(always)]
pub unsafe fn name(
    thread: *mut Thread,
    frame: *const SyscallFrame,
    info: &SyscallInfo,
) -> (Name, bool) {
    // SAFETY: contract handed on.
    unsafe {
        let args = &(*frame).args;
        if info.number == FUTEX {
            let operation = (args[1] & 0x7f) as u32;
            let kind = SyscallObjectKind::Futex as u32;
            return (Name { kind, operation, object: args[0] }, false);
        }
        let Some(&descriptor) = args.get(usize::from(info.fd)) else {
            return (Name::NONE, false);
        };
        // AT_FDCWD and the like are no descriptors; a mapping without a file has −1.
        if (descriptor as i32) < 0 || (*frame).result == EBADF {
            return (Name::NONE, false);
        }
        let mut known = descriptors::known(descriptor);
        // To ask costs more than most calls: a file that is opened, looked at and closed is not worth it.
        let moves = info.bytes || info.wait as u8 != WaitKind::None as u8;
        if known.0 == 0 && moves && cold::has_room() {
            let learn = cold::calls().descriptor;
            known = Descriptor(cold::call(learn, thread as u64, descriptor, 0) as u32);
        }
        if known.id() == 0 {
            return (Name::NONE, known.waits());
        }
        let kind = SyscallObjectKind::Descriptor as u32;
        (Name { kind, operation: 0, object: u64::from(known.id()) }, known.waits())
    }
}

/// The element of `name`, made on first use; null when it has none or there is no room.
///
/// # Safety
/// As for [`name`]; `cell` is a cell of `thread`.
#[inline(always)]
pub unsafe fn find(
    thread: *mut Thread,
    name: Name,
    number: u32,
    cell: *const SyscallCell,
) -> *mut SyscallObject {
    if name.kind == 0 {
        return null_mut();
    }
    // SAFETY: contract handed on.
    unsafe {
        let mut hash = (name.object
            ^ (u64::from(number) << 40)
            ^ (u64::from(name.operation) << 52)
            ^ (u64::from(name.kind) << 60))
            .wrapping_mul(0xd6e8_feb8_6659_fd93)
            >> 32;
        loop {
            let key = OBJECT_KEY | (hash & 0xffff_ffff);
            let found = slot(thread, key);
            if (*found).key != key {
                return make(thread, name, number, cell, key);
            }
            let object: *mut SyscallObject = at(thread, (*found).value);
            if (*object).object == name.object
                && (*object).number == number
                && (*object).operation == name.operation
                && (*object).kind == name.kind
            {
                return object;
            }
            hash = hash.wrapping_add(1);
        }
    }
}

#[cold]
unsafe fn make(
    thread: *mut Thread,
    name: Name,
    number: u32,
    cell: *const SyscallCell,
    key: u64,
) -> *mut SyscallObject {
    // SAFETY: contract of `find`.
    unsafe {
        let object: *mut SyscallObject = if (*thread).syscall_objects < MAX_OBJECTS && room(thread)
        {
            take(thread, BlockKind::SyscallObjects)
        } else {
            null_mut()
        };
        if object.is_null() {
            (*(*thread).segment).lost_syscall_objects += 1;
            return object;
        }
        (*thread).syscall_objects += 1;
        (*object).kind = name.kind;
        (*object).operation = name.operation;
        (*object).object = name.object;
        (*object).number = number;
        (*object).cell = reference(thread, cell);
        publish(thread, BlockKind::SyscallObjects);
        insert(thread, key, reference(thread, object));
        object
    }
}
