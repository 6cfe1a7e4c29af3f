//! System calls of an ended thread, added to its group's segment: `fold.rs`, for blocks 6 to 8.

use super::fold::{elements, fold_histogram};
use perfvisor_format::{BlockKind, Cell, SlowSyscall, SyscallCell, SyscallObject, ERRNOS};
use perfvisor_probe::buffer;
use perfvisor_probe::sync::count_low;
use perfvisor_probe::syscall::{find_cell, find_object, Name};
use perfvisor_probe::thread::{at, reference, Thread};

/// Adds all of `thread`, record `index`, to `group`.
///
/// # Safety
/// Under the cold lock, after the thread's cells were folded; `thread` runs nowhere.
pub unsafe fn fold(thread: *mut Thread, group: *mut Thread, index: u32) {
    // SAFETY: contract handed on.
    unsafe {
        elements::<SyscallCell>(thread, BlockKind::Syscalls, |cell| {
            fold_cell(thread, group, cell);
        });
        elements::<SyscallObject>(thread, BlockKind::SyscallObjects, |object| {
            fold_object(thread, group, object);
        });
        elements::<SlowSyscall>(thread, BlockKind::SlowSyscalls, |slow| {
            fold_slow(thread, group, slow, index);
        });
    }
}

unsafe fn fold_cell(thread: *mut Thread, group: *mut Thread, from: *mut SyscallCell) {
    // SAFETY: call paths were folded before, so their translation is known.
    unsafe {
        let path = match (*from).path {
            0 => 0,
            reference => (*at::<Cell>(thread, reference)).folded_into as u32,
        };
        let to = find_cell(group, path, (*from).number);
        if to.is_null() {
            (*(*group).segment).lost_syscall_cells += 1;
            return;
        }
        (*from).folded_into = u64::from(reference(group, to));
        let fresh = count_low(&raw const (*from).word).wrapping_sub((*from).base_count as u32);
        (*to).base_count += (*from).base_count + u64::from(fresh);
        (*to).flags |= (*from).flags;
        (*to).timed += (*from).timed;
        (*to).represented += (*from).represented;
        (*to).sum += (*from).sum;
        (*to).weighted_sum += (*from).weighted_sum;
        (*to).min = (*to).min.min((*from).min);
        (*to).max = (*to).max.max((*from).max);
        (*to).variance_0 += (*from).variance_0;
        (*to).variance_1 += (*from).variance_1;
        (*to).variance_2 += (*from).variance_2;
        (*to).errors += (*from).errors;
        (*to).bytes += (*from).bytes;
        (*to).wait_sum += (*from).wait_sum;
        (*to).slow_threshold = (*to).slow_threshold.max((*from).slow_threshold);
        (*to).slow_seen += (*from).slow_seen;
        (*to).slow_sum += (*from).slow_sum;
        (*to).noted += (*from).noted;
        (*to).gap = (*to).gap.max((*from).gap);
        fold_errnos(from, to);
        let chunks = (&raw const (*from).histogram).cast::<u32>();
        let to_chunks = (&raw mut (*to).histogram).cast::<u32>();
        let to_shift = &raw mut (*to).histogram_shift;
        fold_histogram(thread, group, (chunks, (*from).histogram_shift), (to_chunks, to_shift));
    }
}

/// Adds errors by errno; those the group's cell has no place for stay in the sum of all errors.
unsafe fn fold_errnos(from: *const SyscallCell, to: *mut SyscallCell) {
    const COUNT: u64 = (1 << 48) - 1;
    // SAFETY: live cells, ERRNOS elements each.
    unsafe {
        let (from, to) =
            ((&raw const (*from).errno).cast::<u64>(), (&raw mut (*to).errno).cast::<u64>());
        for word in (0..ERRNOS).map(|at| from.add(at).read()).filter(|&word| word != 0) {
            let place = (0..ERRNOS)
                .map(|at| to.add(at))
                .find(|&place| *place == 0 || *place & !COUNT == word & !COUNT);
            if let Some(place) = place {
                *place = (word & !COUNT) | ((*place & COUNT) + (word & COUNT));
            }
        }
    }
}

unsafe fn fold_object(thread: *mut Thread, group: *mut Thread, from: *mut SyscallObject) {
    // SAFETY: the object's cell was folded before.
    unsafe {
        let cell = (*at::<SyscallCell>(thread, (*from).cell)).folded_into as u32;
        let name =
            Name { kind: (*from).kind, operation: (*from).operation, object: (*from).object };
        let to = find_object(group, name, (*from).number, at(group, cell));
        if to.is_null() {
            return;
        }
        (*to).count += (*from).count;
        (*to).errors += (*from).errors;
        (*to).bytes += (*from).bytes;
        (*to).timed += (*from).timed;
        (*to).sum += (*from).sum;
        (*to).weighted_sum += (*from).weighted_sum;
        (*to).wait_sum += (*from).wait_sum;
        if (*from).max > (*to).max {
            (*to).max = (*from).max;
            (*to).max_tsc = (*from).max_tsc;
        }
    }
}

unsafe fn fold_slow(thread: *mut Thread, group: *mut Thread, from: *mut SlowSyscall, index: u32) {
    // SAFETY: the call's cell was folded before.
    unsafe {
        let to: *mut SlowSyscall = if (*group).slow_syscalls_kept < (*group).slow_limit {
            buffer::take(group, BlockKind::SlowSyscalls)
        } else {
            core::ptr::null_mut()
        };
        if to.is_null() {
            (*(*group).segment).lost_slow_syscalls += 1;
            return;
        }
        (*group).slow_syscalls_kept += 1;
        *to = *from;
        (*to).cell = (*at::<SyscallCell>(thread, (*from).cell)).folded_into as u32;
        (*to).thread_index_1 = index + 1;
        buffer::publish(group, BlockKind::SlowSyscalls);
    }
}
