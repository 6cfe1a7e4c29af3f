//! Entry of a timed call.

use crate::clock::now;
use crate::cold;
use crate::every;
use crate::guard;
use crate::notes;
use crate::numbers::{self, Request};
use crate::pace;
use crate::path;
use crate::seam::{Entry, Frame};
use crate::shadow;
use crate::sites::{self, SiteInfo};
use crate::sync::{count_low, count_one, rearm, remaining};
use crate::thread::{idle_table, local, reference, Local, Thread};
use crate::unwind::Walk;
use core::ptr::null_mut;
use perfvisor_format::{SiteState, WaitKind, TABLE_BYTES};

unsafe extern "C" {
    static mut perfvisor_targets: [u64; perfvisor_format::MAX_SITES];
}

/// Calls between two slow paths of a site that is only counted.
const COUNT_ONLY_GAP: u32 = 4096;
/// Calls between two slow paths of a site that has no room for its state.
const NO_ROOM_GAP: u32 = 1024;

/// The trampoline's question: time this call (a shadow entry) or pass it on (null)?
///
/// `slot` is where the caller's return address stands, `word` the counter word that was decremented
/// (of this thread's table or of the idle one), `forced` is 1 when a lock word said "blocked".
///
/// # Safety
/// Called by the trampoline only.
#[no_mangle]
pub unsafe extern "C" fn perfvisor_probe_entry(
    frame: *mut Frame,
    slot: u64,
    word: *mut u64,
    forced: u32,
) -> *mut Entry {
    // SAFETY: the trampoline hands over a live frame; tables are 128 KiB aligned, so the low bits
    // of the word's address name the site, except in the idle table, whose address is known.
    unsafe {
        let local = local();
        let into_idle = (word as usize).wrapping_sub(idle_table() as usize);
        let from_idle = into_idle < TABLE_BYTES;
        let site = if from_idle { into_idle / 8 } else { (word as usize & (TABLE_BYTES - 1)) / 8 };
        (*frame).target = (&raw const perfvisor_targets).cast::<u64>().add(site).read_volatile();
        let thread = (*local).thread;
        if !from_idle && !thread.is_null() {
            let entry = every::enter(frame, slot, word, site, thread);
            if !entry.is_null() {
                (*entry).start = now();
                return entry;
            }
        }
        enter(frame, slot, word, forced, site)
    }
}

/// The general way of [`perfvisor_probe_entry`].
#[inline(never)]
unsafe fn enter(
    frame: *mut Frame,
    slot: u64,
    word: *mut u64,
    forced: u32,
    site: usize,
) -> *mut Entry {
    // SAFETY: contract of `perfvisor_probe_entry`.
    unsafe {
        let local = local();
        let info = sites::info(site);
        let mut thread = (*local).thread;
        let mut word = word;
        if (word as usize).wrapping_sub(idle_table() as usize) < TABLE_BYTES {
            // All threads without a table count down here: two thousand million calls would end above 0,
            // from where a stub passes calls on.
            word.cast::<u32>().write_volatile(0);
            thread = from_idle_table(local, site, frame, info);
            if thread.is_null() {
                return null_mut();
            }
            word = (*thread).table.add(site);
        }
        if thread.is_null() || !guard::take(thread, slot) {
            return null_mut();
        }
        let entry = timed(frame, slot, word, forced, site, info, thread);
        if entry.is_null() {
            guard::leave(thread);
            return entry;
        }
        guard::leave(thread);
        (*entry).start = now();
        entry
    }
}

/// The thread has no table in force: it is new, or it was asked to come here on its next call.
#[cold]
unsafe fn from_idle_table(
    local: *mut Local,
    site: usize,
    frame: *mut Frame,
    info: SiteInfo,
) -> *mut Thread {
    // SAFETY: contract of the caller.
    unsafe {
        let mut thread = (*local).thread;
        if thread.is_null() {
            thread = cold::attach();
            if thread.is_null() {
                cold::count_late(site);
                if info.flags & sites::SPECIAL != 0 {
                    cold::special(null_mut(), site, frame);
                }
                return null_mut();
            }
        } else {
            (*local).table = (*thread).table;
        }
        count_one((*thread).table.add(site));
        thread
    }
}

#[inline(always)]
unsafe fn timed(
    frame: *mut Frame,
    slot: u64,
    word: *mut u64,
    forced: u32,
    site: usize,
    mut info: SiteInfo,
    thread: *mut Thread,
) -> *mut Entry {
    // SAFETY: guard held, everything belongs to this thread.
    unsafe {
        if (*thread).table_pages & (1 << (site / 512)) == 0 && !place_page(thread, site) {
            return null_mut();
        }
        let state = path::site_state(thread, site);
        if state.is_null() {
            (*(*thread).segment).lost_cells += 1;
            if remaining(word) < 0 {
                rearm(word, NO_ROOM_GAP);
            }
            return null_mut();
        }
        let unusual = info.flags & (sites::COUNT_ONLY | sites::SPECIAL) != 0;
        if (unusual || (*thread).rescan != 0)
            && !stays(frame, slot, word, site, &mut info, thread, state)
        {
            return null_mut();
        }
        let blocked = info.flags & sites::ALWAYS_TIMED != 0
            && sites::would_block(site, (*frame).args[0])
            && !is_own_lock(thread, info, (*frame).args[0]);
        let (weight, calls) = if forced == 0 && remaining(word) < 0 {
            take_turn(thread, state, word, blocked, blocked && site < sites::MUTEX_FIRST)
        } else {
            (1, 0)
        };
        let return_to = (slot as *const u64).read_volatile();
        let entry = shadow::push(thread, slot, return_to);
        if entry.is_null() {
            return entry;
        }
        notes::clear(thread, slot, site);
        if !place_on_path(thread, state, entry) {
            return null_mut();
        }
        (*entry).place.site = site as u32;
        (*entry).place.site_state = reference(thread, state);
        (*entry).place.weight = weight;
        (*entry).wait = if blocked { info.wait } else { 0 };
        (*entry).calls = calls;
        shadow::copy_arguments(entry, frame);
        (*entry).object = 0;
        (*entry).holder = 0;
        if blocked && info.object < 6 {
            (*entry).object = (*entry).args[(info.object & 7) as usize];
            (*entry).holder = holder(info.wait, (*entry).object);
        }
        if info.flags & !(sites::ALWAYS_TIMED | sites::MAKES_SYSTEM_CALLS) == 0
            && !(blocked && site < sites::MUTEX_FIRST)
        {
            every::remember(thread, entry);
        }
        entry
    }
}

/// Does what is unusual about a call; false when it is only counted and passed on.
#[cold]
unsafe fn stays(
    frame: *mut Frame,
    slot: u64,
    word: *mut u64,
    site: usize,
    info: &mut SiteInfo,
    thread: *mut Thread,
    state: *mut SiteState,
) -> bool {
    // SAFETY: contract of `timed`.
    unsafe {
        unusual(frame, site, *info, thread);
        let gap = if info.flags & sites::COUNT_ONLY != 0 {
            if info.flags & sites::SPECIAL != 0 {
                1
            } else {
                COUNT_ONLY_GAP
            }
        } else if info.flags & sites::BY_NUMBER != 0 && !by_number(frame, info) {
            1
        } else {
            return true;
        };
        advance(state, word, gap);
        notes::leave(thread, slot, site);
        false
    }
}

/// The site's turn to be timed: draws the next one. Returns for how many calls this one stands and
/// how many there were since the last turn, this one included.
#[inline(always)]
unsafe fn take_turn(
    thread: *mut Thread,
    state: *mut SiteState,
    word: *mut u64,
    blocked: bool,
    always: bool,
) -> (u32, u32) {
    // SAFETY: contract of `timed`.
    unsafe {
        let mut weight = 1;
        if !blocked {
            weight = u32::from((*state).gap);
            let site = (*state).site as usize;
            let often = sites::often_makes_system_calls(site, (*state).base_count);
            pace::adapt(thread, state, often);
        }
        let before = (*state).base_count;
        let gap = if always { 1 } else { pace::draw(thread, state) };
        advance(state, word, gap);
        (weight, ((*state).base_count - before).min(u64::from(u32::MAX)) as u32)
    }
}

/// Finds the cell of the entry's call path; false when there is no room, and the entry is gone.
#[inline(always)]
unsafe fn place_on_path(thread: *mut Thread, state: *mut SiteState, entry: *mut Entry) -> bool {
    // SAFETY: guard held; the parent index names an entry of this thread.
    unsafe {
        (*entry).depth = 1;
        let above = (*entry).parent;
        if !above.is_null() {
            (*entry).depth = (*above).depth + 1;
        }
        // The trampoline pushed the host's rbp right below the slot.
        let slot = (*entry).slot;
        let rbp = ((slot - 8) as *const u64).read_volatile();
        let walk = Walk { address: (*entry).return_address, sp: slot + 8, rbp };
        let parent = notes::path_at(thread, walk, above).cell;
        let cell = path::cell(thread, state, parent);
        if cell.is_null() {
            (*(*thread).segment).lost_cells += 1;
            shadow::pop(thread, entry);
            return false;
        }
        (*entry).place.cell = reference(thread, cell);
        true
    }
}

/// A recursive mutex that this thread holds already: its word is not free, and yet it never blocks.
#[inline(always)]
unsafe fn is_own_lock(thread: *const Thread, info: SiteInfo, object: u64) -> bool {
    // SAFETY: contract of `holder`.
    info.wait == WaitKind::Mutex as u8 && unsafe { holder(info.wait, object) == (*thread).tid }
}

/// Rearms the site's word and moves the base of its count up to now.
#[inline(always)]
unsafe fn advance(state: *mut SiteState, word: *mut u64, gap: u32) {
    // SAFETY: guard held; the low half is negative unless a handler rearmed it meanwhile.
    unsafe {
        if remaining(word) < 0 {
            let fresh = count_low(word).wrapping_sub((*state).base_count as u32);
            (*state).base_count += u64::from(fresh);
            // Where every call is timed the word sinks on the short way, which does not rearm.
            rearm(word, gap.wrapping_add((-1 - remaining(word)) as u32));
        }
    }
}

/// Makes the table page of `site` part of the file; false if that cannot be.
#[cold]
unsafe fn place_page(thread: *mut Thread, site: usize) -> bool {
    // SAFETY: guard held.
    unsafe {
        let bit = 1 << (site / 512);
        if (*thread).table_failed & bit == 0
            && cold::call(cold::calls().table_page, thread as u64, (site / 512) as u64, 0) != 0
        {
            (*thread).table_pages |= bit;
            return true;
        }
        (*thread).table_failed |= bit;
        cold::count_late(site);
        false
    }
}

#[cold]
unsafe fn unusual(frame: *mut Frame, site: usize, info: SiteInfo, thread: *mut Thread) {
    use core::sync::atomic::Ordering;
    if info.flags & sites::SWITCHES_STACK != 0 {
        // Relaxed: only this thread's later calls depend on it soon; others see it in time.
        shadow::STACKS_SWITCH.store(true, Ordering::Relaxed);
    }
    // SAFETY: guard held.
    unsafe {
        if info.flags & sites::SPECIAL != 0 || (*thread).rescan != 0 {
            cold::special(thread, site, frame);
        }
    }
}

/// Puts what this call of `syscall` waits for into `info`; false when it must be passed on.
#[cold]
unsafe fn by_number(frame: *const Frame, info: &mut SiteInfo) -> bool {
    // SAFETY: contract of `timed`.
    (info.wait, info.object) = match unsafe { numbers::request(frame) } {
        Request::Leaves => return false,
        Request::Plain => (0, sites::NO_OBJECT),
        Request::Waits(kind, object) => (kind as u8, object),
    };
    true
}

/// Thread id of the holder that a lock of glibc names, or 0.
///
/// Offsets: `struct __pthread_mutex_s.__owner` = 8, `struct __pthread_rwlock_arch_t.__cur_writer`
/// = 24 (x86-64, glibc ≥ 2.25).
#[inline(always)]
unsafe fn holder(wait: u8, object: u64) -> u32 {
    let offset = if wait == WaitKind::Mutex as u8 {
        8
    } else if wait == WaitKind::ReadLock as u8 || wait == WaitKind::WriteLock as u8 {
        24
    } else {
        return 0;
    };
    if object == 0 {
        return 0;
    }
    // SAFETY: the API is about to read the same object; both fields lie inside it.
    unsafe { ((object + offset) as *const u32).read_volatile() }
}
