//! Finds components and patches their slots.
//!
//! ```text
//!  scan ── loader's list lock ── patch lock ── refresh   which components came and went
//!                                           ── claim     whose slots are ours to patch, and in
//!                                           │            which scope their symbols are looked up
//!                                           ── slots     decide on each slot, intern, store
//!                                           ── publish   address ranges for dlsym's callers
//! ```
//!
//! The loader's list lock is held throughout, so that no component is unmapped under our eyes, and
//! always taken before ours. Its other lock (dlopen, dlsym) is never wanted, so a constructor that
//! runs inside another thread's dlopen can wait for a scan without a circle.
//!
//! A component that another thread is just loading stands in the list before it is relocated. Such
//! a component is left for a later scan (`settled.rs`).

use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, TryLockError};

use goblin::elf64::program_header::{PF_R, PF_X};
use perfvisor_format::SkipReason;

use super::elf::{self, Changes, Component, FLAG_HOOK, FLAG_LOADER, FLAG_VDSO};
use super::filter::Filter;
use super::page::{self, Store};
use super::policy::{self, Action};
use super::ranges::{self, Place};
use super::scope::closure;
use super::settled::Settled;
use super::sites::{self, SiteRequest};
use super::slots::{self, Found, Outcome, Rules, Slot};
use super::symbols::Wanted;
use crate::config::Config;
use crate::{diag, store};

/// What one scan did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanResult {
    /// Components that came.
    pub loaded: u32,
    /// Components that went.
    pub unloaded: u32,
    /// Slots found that lead to another component.
    pub slots_found: u64,
    /// Of these, patched.
    pub slots_patched: u64,
}

#[derive(Clone, Copy)]
struct Patched {
    slot: usize,
    original: usize,
    stub: usize,
}

/// A component and what was done to it.
struct Loaded {
    component: Component,
    /// Its slots were decided on.
    claimed: bool,
    /// There since the program began: never unloaded.
    startup: bool,
    /// Ids of its dlopen group, in the loader's order; empty for what the program began with.
    local: Vec<u32>,
    patched: Vec<Patched>,
    /// Slots whose symbol nobody defines so far.
    pending: Vec<Slot>,
}

struct Retired {
    path: Vec<u8>,
    build_id: Vec<u8>,
    id: u32,
}

/// A pointer handed out by dlsym: who asked, what it pointed to, under which name.
type WrapKey = (u32, usize, Box<[u8]>);

struct State {
    loaded: Vec<Loaded>,
    retired: Vec<Retired>,
    next_id: u32,
    changes: Changes,
    /// Ids of the global scope, in order.
    global: Vec<u32>,
    /// (low, high, index into `loaded`), by address.
    index: Vec<(usize, usize, usize)>,
    /// Stub and target component of what dlsym handed out.
    wrapped: BTreeMap<WrapKey, (usize, u32)>,
    /// Some component was not relocated yet when it was seen.
    unsettled: bool,
    filter: Filter,
    self_calls: bool,
    complained: bool,
    slots_found: u64,
    slots_patched: u64,
}

static STATE: Mutex<State> = Mutex::new(State {
    loaded: Vec::new(),
    retired: Vec::new(),
    next_id: 0,
    changes: Changes { added: 0, removed: 0 },
    global: Vec::new(),
    index: Vec::new(),
    wrapped: BTreeMap::new(),
    unsettled: false,
    filter: Filter::NONE,
    self_calls: false,
    complained: false,
    slots_found: 0,
    slots_patched: 0,
});

/// Some dlopen asked for RTLD_DEEPBIND.
static DEEP_BIND: AtomicBool = AtomicBool::new(false);

/// Pauses of 50 µs before the patch lock is given up.
const LOCK_TRIES: u32 = 20;

/// The patch lock. `None` if it cannot be had soon: held by a thread that fork left behind, or by
/// this very thread (an IFUNC resolver or a signal handler that calls dlopen).
fn lock() -> Option<MutexGuard<'static, State>> {
    for _ in 0..LOCK_TRIES {
        match STATE.try_lock() {
            Ok(state) => return Some(state),
            Err(TryLockError::Poisoned(state)) => return Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(core::time::Duration::from_micros(50));
            }
        }
    }
    None
}

/// Patches what has come since the last scan and forgets what has gone. At load, everything.
pub fn scan(config: &Config) -> ScanResult {
    let mut result = ScanResult::default();
    elf::while_listed(&mut || {
        if let Some(mut state) = lock() {
            result = state.scan(config);
        }
    });
    result
}

/// Takes note of the flags given to a dlopen. After RTLD_DEEPBIND the order in which the loader
/// searches cannot be told from outside, and lazy slots with two possible targets are left to it.
pub fn note_open(flags: u64) {
    if flags & libc::RTLD_DEEPBIND as u64 != 0 {
        DEEP_BIND.store(true, Ordering::Relaxed);
    }
}

/// Writes all components again, into a forked child's own image.
pub fn rewrite() {
    let Some(state) = lock() else { return };
    for loaded in &state.loaded {
        store::write_component(&loaded.component);
    }
    store::add_slots(state.slots_found, state.slots_patched);
}

/// Id of the component that `address` lies in. Takes no lock.
pub fn component_at(address: usize) -> Option<u32> {
    Some(ranges::place_of(address)?.id)
}

/// Whether `address` lies in an executable segment. Takes no lock.
pub fn is_code(address: usize) -> bool {
    ranges::place_of(address).is_some_and(|place| place.flags & PF_X != 0)
}

/// The word at `address`, if it lies in a readable segment of a component. Takes no lock; the
/// component must not be on its way out.
pub fn read_word(address: usize) -> Option<usize> {
    let place = ranges::place_of(address)?;
    let inside = place.high - address >= size_of::<usize>();
    // SAFETY: eight bytes of a mapped, readable segment; read_unaligned asks for no alignment.
    (inside && place.flags & PF_R != 0)
        .then(|| unsafe { core::ptr::read_unaligned(address as *const usize) })
}

/// File name of the component that `address` lies in.
pub fn component_name_at(address: usize) -> Option<Vec<u8>> {
    let state = lock()?;
    Some(state.find(address)?.component.file_name().to_vec())
}

/// Stands between dlsym and its caller: the stub for `address` if it is a function that may be
/// hooked, else `address` itself. The same question has the same answer.
pub fn wrap_pointer(caller_pc: usize, name: &[u8], address: usize) -> usize {
    let Some(caller) = component_at(caller_pc) else { return address };
    let wrapped = lock().and_then(|mut state| state.wrap(caller, name, address));
    wrapped.unwrap_or(address)
}

/// Puts every patched slot back to what it held. Pointers that dlsym handed out stay stubs.
pub fn restore_all() {
    elf::while_listed(&mut || {
        let Some(mut state) = lock() else { return };
        // What is gone must not be written to.
        state.refresh(&mut ScanResult::default());
        for loaded in &mut state.loaded {
            let mut stores: Vec<Store> = loaded
                .patched
                .drain(..)
                .filter(|patched| page::load(patched.slot) == patched.stub)
                .map(|patched| Store { slot: patched.slot, value: patched.original })
                .collect();
            stores.sort_unstable_by_key(|item| item.slot);
            page::write(&loaded.component, &stores, &mut |_| {});
            loaded.claimed = false;
            loaded.pending.clear();
        }
    });
}

impl State {
    fn scan(&mut self, config: &Config) -> ScanResult {
        let mut result = ScanResult::default();
        let first = self.loaded.is_empty();
        if first {
            self.filter = config.filter.clone();
            self.self_calls = config.self_calls;
        }
        let changed = self.refresh(&mut result);
        let fresh = if changed || self.unsettled { self.claim(first) } else { Vec::new() };
        for index in 0..self.loaded.len() {
            if fresh.contains(&index) {
                self.patch(index, None, &mut result);
            } else if changed {
                let pending = self.loaded.get_mut(index).map(|l| std::mem::take(&mut l.pending));
                if let Some(pending) = pending.filter(|pending| !pending.is_empty()) {
                    self.patch(index, Some(pending), &mut result);
                }
            }
        }
        self.slots_found += result.slots_found;
        self.slots_patched += result.slots_patched;
        store::add_slots(result.slots_found, result.slots_patched);
        result
    }

    /// Brings `loaded` in line with the loader's list. Whether anything changed.
    fn refresh(&mut self, result: &mut ScanResult) -> bool {
        if !self.loaded.is_empty() && elf::changes() == self.changes {
            return false;
        }
        let mut old: Vec<Option<Loaded>> = self.loaded.drain(..).map(Some).collect();
        let (before, mut after) = (self.changes, self.changes);
        let mut kept = Vec::with_capacity(old.len() + 4);
        elf::list(&mut |listed, changes| {
            after = changes;
            let known = old.iter_mut().find(|known| {
                known.as_ref().is_some_and(|known| {
                    let component = &known.component;
                    component.base == listed.base && component.dynamic == listed.dynamic
                })
            });
            let same = known.filter(|known| {
                let suspect = changes.removed != before.removed;
                !suspect || known.as_ref().is_some_and(|known| known.is_still(listed))
            });
            match same.and_then(Option::take) {
                Some(known) => kept.push((known, false)),
                None => kept.extend(listed.describe().map(|new| (Loaded::new(new), true))),
            }
        });
        for gone in old.into_iter().flatten() {
            result.unloaded += 1;
            self.retire(gone);
        }
        for (mut loaded, new) in kept {
            if new {
                result.loaded += 1;
                loaded.component.id = self.identify(&loaded.component);
                store::write_component(&loaded.component);
            }
            self.loaded.push(loaded);
        }
        self.changes = after;
        let changed = result.loaded + result.unloaded > 0;
        if changed {
            self.publish();
        }
        changed
    }

    fn retire(&mut self, gone: Loaded) {
        let Component { id, path, build_id, .. } = gone.component;
        store::write_unload(id);
        self.global.retain(|&other| other != id);
        self.wrapped.retain(|key, value| key.0 != id && value.1 != id);
        for loaded in &mut self.loaded {
            loaded.local.retain(|&other| other != id);
        }
        self.retired.push(Retired { path, build_id, id });
    }

    /// The id of a new component: the one it had before, if it was loaded before.
    fn identify(&mut self, component: &Component) -> u32 {
        let known = self.retired.iter().position(|retired| {
            retired.path == component.path && retired.build_id == component.build_id
        });
        if let Some(known) = known {
            return self.retired.swap_remove(known).id;
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn publish(&mut self) {
        self.index = self
            .loaded
            .iter()
            .enumerate()
            .map(|(at, loaded)| (loaded.component.low, loaded.component.high, at))
            .collect();
        self.index.sort_unstable();
        let mut places: Vec<Place> = Vec::with_capacity(self.loaded.len() * 4);
        for Component { id, segments, .. } in self.loaded.iter().map(|loaded| &loaded.component) {
            places.extend(segments.iter().map(|segment| Place {
                low: segment.low,
                high: segment.high,
                id: *id,
                flags: segment.flags,
            }));
        }
        places.sort_unstable();
        ranges::publish(&places);
    }

    fn components(&self) -> Vec<&Component> {
        self.loaded.iter().map(|loaded| &loaded.component).collect()
    }

    /// Claims all components that are ready and returns the new ones' indices.
    fn claim(&mut self, first: bool) -> Vec<usize> {
        if first {
            self.claim_startup();
        }
        let components = self.components();
        let settled = Settled::new(&components);
        let unclaimed: Vec<usize> =
            (0..self.loaded.len()).filter(|&at| self.is_unclaimed(at)).collect();
        let fresh: Vec<usize> = unclaimed
            .iter()
            .copied()
            .filter(|&at| {
                first || components.get(at).is_some_and(|component| settled.is(component))
            })
            .collect();
        let groups = dlopen_groups(&components, &fresh);
        let groups: Vec<Vec<u32>> = groups.iter().map(|group| self.ids(group)).collect();
        self.unsettled = fresh.len() < unclaimed.len();
        for (&index, group) in fresh.iter().zip(groups) {
            let Some(loaded) = self.loaded.get_mut(index) else { continue };
            loaded.claimed = true;
            if !loaded.startup {
                loaded.local = group;
            }
        }
        fresh
    }

    /// Settles what the program began with: the global scope.
    fn claim_startup(&mut self) {
        let components = self.components();
        // Preloaded objects follow the executable in the list and are roots like it.
        let own = closure(&components, &[0]);
        let preloaded = (1..components.len()).take_while(|index| !own.contains(index));
        let roots: Vec<usize> = core::iter::once(0).chain(preloaded).collect();
        let mut global = closure(&components, &roots);
        global.sort_unstable();
        self.global = self.ids(&global);
        for index in global {
            if let Some(loaded) = self.loaded.get_mut(index) {
                loaded.startup = true;
            }
        }
    }

    fn is_unclaimed(&self, index: usize) -> bool {
        self.loaded.get(index).is_some_and(|loaded| !loaded.claimed)
    }

    fn ids(&self, indices: &[usize]) -> Vec<u32> {
        indices.iter().filter_map(|&at| Some(self.loaded.get(at)?.component.id)).collect()
    }

    /// The components among which the loader looks for the symbols of `loaded`, in its order.
    fn scope<'a>(&'a self, loaded: &'a Loaded, local_first: bool) -> Vec<&'a Component> {
        let by_id = |&id: &u32| {
            self.loaded.iter().map(|other| &other.component).find(|component| component.id == id)
        };
        let own = Some(&loaded.component).filter(|component| component.tables.symbolic);
        let global = self.global.iter().filter_map(by_id);
        let local = loaded.local.iter().filter_map(by_id);
        if local_first {
            own.into_iter().chain(local).chain(global).collect()
        } else {
            own.into_iter().chain(global).chain(local).collect()
        }
    }

    /// Decides on the slots of a component (all, or `only` some), and stores the stubs.
    fn patch(&mut self, index: usize, only: Option<Vec<Slot>>, result: &mut ScanResult) {
        let Some(loaded) = self.loaded.get(index) else { return };
        let component = &loaded.component;
        if component.flags & (FLAG_HOOK | FLAG_LOADER | FLAG_VDSO) != 0 {
            return;
        }
        let retry = only.is_some();
        let deep = DEEP_BIND.load(Ordering::Relaxed) && !loaded.startup;
        let other_scope = if deep { self.scope(loaded, true) } else { Vec::new() };
        let rules = Rules {
            own: component,
            scope: &self.scope(loaded, false),
            other_scope: &other_scope,
            at: &|address| self.find(address).map(|loaded| &loaded.component),
            filter: &self.filter,
            self_calls: self.self_calls,
        };
        let slots = only.unwrap_or_else(|| slots::collect(component));
        let mut work = Work::default();
        slots::decide(&rules, &slots, &mut |slot, name, outcome| match outcome {
            Outcome::Hook(found) => work.hook(component, slot, name, &found),
            Outcome::Skip(reason, crossing) => {
                work.found += u64::from(crossing);
                store::write_skip(component.id, reason, name);
            }
            Outcome::Unresolved => {
                if !retry {
                    store::write_skip(component.id, SkipReason::Unresolved, name);
                }
                work.pending.push(*slot);
            }
        });
        let refused = work.store(component);
        result.slots_found += work.found;
        result.slots_patched += work.patched.len() as u64;
        if refused && !self.complained {
            self.complained = true;
            diag::message("some pages could not be opened for writing; calls there go uncounted");
        }
        if let Some(loaded) = self.loaded.get_mut(index) {
            loaded.patched.append(&mut work.patched);
            loaded.pending = work.pending;
        }
    }

    fn find(&self, address: usize) -> Option<&Loaded> {
        let behind = self.index.partition_point(|&(low, ..)| low <= address);
        let &(_, high, at) = self.index.get(behind.checked_sub(1)?)?;
        self.loaded.get(at).filter(|_| address < high)
    }

    fn wrap(&mut self, caller: u32, name: &[u8], address: usize) -> Option<usize> {
        let key = (caller, address, Box::from(name));
        if let Some(&(stub, _)) = self.wrapped.get(&key) {
            return Some(stub);
        }
        let target = &self.find(address)?.component;
        let own = self.loaded.iter().map(|l| &l.component).find(|c| c.id == caller)?;
        let row = policy::lookup(name);
        let foreign = target.id != caller || self.self_calls;
        let unfit =
            (own.flags & (FLAG_HOOK | FLAG_LOADER)) | (target.flags & (FLAG_HOOK | FLAG_LOADER));
        if unfit != 0
            || !foreign
            || row.action == Action::LeaveAlone
            || !target.is_code(address)
            || sites::is_stub(address)
            || !self.filter.allows(&own.path, &target.path, name)
            // The vdso's own names differ from those of the IFUNCs that lead to it.
            || !(target.is(FLAG_VDSO) || target.tables.is_function(&Wanted::new(name, None)))
        {
            return None;
        }
        let stub = sites::intern(&SiteRequest {
            caller,
            target_component: target.id,
            how: perfvisor_format::SiteHow::Dlsym,
            target: address,
            slot: 0,
            name,
            version: b"",
            policy: row,
        })?;
        let target = target.id;
        self.wrapped.insert(key, (stub, target));
        Some(stub)
    }
}

/// For each of `fresh` the dlopen group it came with: what its root, a fresh component that no
/// other needs, reaches.
fn dlopen_groups(components: &[&Component], fresh: &[usize]) -> Vec<Vec<usize>> {
    let groups: Vec<Vec<usize>> =
        fresh.iter().map(|&index| closure(components, &[index])).collect();
    let group_of = |index: usize| {
        // Of all fresh components that reach this one, the root reaches most.
        let reaching = groups.iter().filter(|group| group.contains(&index));
        reaching.max_by_key(|group| group.len()).cloned().unwrap_or_default()
    };
    fresh.iter().map(|&index| group_of(index)).collect()
}

impl Loaded {
    fn new(component: Component) -> Self {
        Self {
            component,
            claimed: false,
            startup: false,
            local: Vec::new(),
            patched: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Whether what is now listed at this place is still the object we know, not one loaded there
    /// after it was closed: then its slots are fresh.
    fn is_still(&self, listed: &elf::Listed<'_>) -> bool {
        if self.startup {
            return true;
        }
        let Some(now) = listed.describe() else { return false };
        now.path == self.component.path
            && now.build_id == self.component.build_id
            && now.high == self.component.high
            && self.patched.first().is_none_or(|first| page::load(first.slot) == first.stub)
    }
}

/// What is to be stored in one component.
#[derive(Default)]
struct Work {
    found: u64,
    patched: Vec<Patched>,
    pending: Vec<Slot>,
    names: Vec<Box<[u8]>>,
}

impl Work {
    fn hook(&mut self, caller: &Component, slot: &Slot, name: &[u8], found: &Found<'_>) {
        self.found += 1;
        let stub = sites::intern(&SiteRequest {
            caller: caller.id,
            target_component: found.component,
            how: found.how,
            target: found.target,
            slot: slot.address,
            name,
            version: found.version,
            policy: found.policy,
        });
        match stub {
            Some(stub) => {
                self.patched.push(Patched { slot: slot.address, original: found.value, stub });
                self.names.push(name.into());
            }
            None => store::write_skip(caller.id, SkipReason::NoStub, name),
        }
    }

    /// Writes the stubs. Whether a page refused.
    fn store(&mut self, component: &Component) -> bool {
        let mut stores: Vec<Store> = self
            .patched
            .iter()
            .map(|patched| Store { slot: patched.slot, value: patched.stub })
            .collect();
        stores.sort_unstable_by_key(|item| item.slot);
        let mut refused = Vec::new();
        page::write(component, &stores, &mut |item| refused.push(item.slot));
        if refused.is_empty() {
            return false;
        }
        for (patched, name) in self.patched.iter().zip(&self.names) {
            if refused.contains(&patched.slot) {
                store::write_skip(component.id, SkipReason::Protected, name);
            }
        }
        self.patched.retain(|patched| !refused.contains(&patched.slot));
        true
    }
}
