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
//! A slot whose pointer code also loads keeps it; the calls through it are changed instead
//! (`redirect.rs`).
//!
//! A component that another thread is just loading stands in the list before it is relocated. Such
//! a component is left for a later scan (`settled.rs`).

use alloc::boxed::Box;
use alloc::vec::Vec;

use goblin::elf64::program_header::{PF_R, PF_X};
use perfvisor_format::SkipReason;

use super::elf::{self, Component, FLAG_HOOK, FLAG_LOADER, FLAG_VDSO};
use super::exclusive::{Exclusive, Taken};
pub use super::loaded::ScanResult;
use super::loaded::{Loaded, Patched, Pending, State};
use super::page::{self, Store};
use super::policy::{self, Action};
use super::ranges;
use super::redirect::{self, Redirect};
use super::sites::{self, SiteRequest};
use super::slots::{self, Found, Outcome, Rules, Slot};
use super::symbols::Wanted;
use super::syscall_sites;
use crate::config::Config;
use crate::{diag, store};

static STATE: Exclusive<State> = Exclusive::new(State::new());

/// Pauses before the patch lock is given up.
const LOCK_TRIES: u32 = 20;
/// Length of a pause.
const PAUSE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 50_000 };

/// The patch lock. `None` if it cannot be had soon: held by a thread that fork left behind, or by
/// this very thread (an IFUNC resolver or a signal handler that calls dlopen).
fn lock() -> Option<Taken<'static, State>> {
    for _ in 0..LOCK_TRIES {
        if let Some(state) = STATE.take() {
            return Some(state);
        }
        // SAFETY: reads a constant; the time left after a signal is not wanted.
        unsafe { libc::nanosleep(&PAUSE, core::ptr::null_mut()) };
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

/// Writes all components again, into a forked child's own image.
pub fn rewrite() {
    let Some(state) = lock() else { return };
    for loaded in &state.loaded {
        store::write_component(&loaded.component);
        if let Some(coverage) = &loaded.coverage {
            syscall_sites::write(loaded.component.id, coverage);
        }
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
            redirect::switch(&loaded.redirects, false);
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
            self.rewrite_calls = config.rewrite_calls;
        }
        let changed = self.refresh(&mut result);
        let fresh = if changed || self.unsettled { self.claim(first) } else { Vec::new() };
        for index in 0..self.loaded.len() {
            if fresh.contains(&index) {
                if config.system_calls() {
                    self.lead_system_calls(index, config);
                }
                self.patch(index, None, &mut result);
            } else {
                let again = self.take_pending(index, changed);
                if !again.is_empty() {
                    self.patch(index, Some(again), &mut result);
                }
            }
        }
        self.slots_found += result.slots_found;
        self.slots_patched += result.slots_patched;
        store::add_slots(result.slots_found, result.slots_patched);
        result
    }

    /// Leads the system calls of a component to us, once.
    fn lead_system_calls(&mut self, index: usize, config: &Config) {
        let Some(loaded) = self.loaded.get_mut(index) else { return };
        if loaded.coverage.is_some() {
            return;
        }
        let begin = perfvisor_probe::clock::now();
        let wanted = config.syscall_filter.allows_component(&loaded.component.path);
        let (thunks, coverage) = syscall_sites::patch(&loaded.component, wanted);
        loaded.thunks.extend(thunks);
        syscall_sites::write(loaded.component.id, &coverage);
        loaded.coverage = Some(coverage);
        if let Some(header) = store::process::header() {
            header.syscall_patch_cycles += perfvisor_probe::clock::now() - begin;
        }
    }

    /// Takes the open slots of a component if something may have changed for them: new
    /// definitions, or the loader has bound one.
    fn take_pending(&mut self, index: usize, changed: bool) -> Vec<Slot> {
        let Some(loaded) = self.loaded.get_mut(index) else { return Vec::new() };
        let moved = || loaded.pending.iter().any(|open| page::load(open.slot.address) != open.held);
        if !changed && !moved() {
            return Vec::new();
        }
        loaded.pending.drain(..).map(|open| open.slot).collect()
    }

    /// Decides on the slots of a component (all, or `only` some), and stores the stubs.
    fn patch(&mut self, index: usize, only: Option<Vec<Slot>>, result: &mut ScanResult) {
        let Some(loaded) = self.loaded.get(index) else { return };
        let component = &loaded.component;
        if component.flags & (FLAG_HOOK | FLAG_LOADER | FLAG_VDSO) != 0 {
            return;
        }
        let retry = only.is_some();
        // RTLD_DEEPBIND, which nobody tells us of, turns the order round.
        let other_scope = if loaded.startup { Vec::new() } else { self.scope(loaded, true) };
        let rules = Rules {
            own: component,
            scope: &self.scope(loaded, false),
            other_scope: &other_scope,
            at: &|address| self.find(address).map(|loaded| &loaded.component),
            filter: &self.filter,
            self_calls: self.self_calls,
            rewrite_calls: self.rewrite_calls,
        };
        let mut slots = only.unwrap_or_else(|| slots::collect(component));
        let mut work = Work::default();
        // Calls that were led past their slots before still are.
        let known = |slot: &Slot| loaded.redirects.iter().any(|known| known.slot == slot.address);
        slots.retain(|slot| !known(slot));
        if !retry {
            redirect::switch(&loaded.redirects, true);
        }
        slots::decide(&rules, &slots, &mut |slot, name, outcome| match outcome {
            Outcome::Hook(found) => work.hook(component, slot, name, &found),
            Outcome::HookCalls(found, calls) => work.lead(component, slot, name, &found, calls),
            Outcome::Skip(reason, crossing) => {
                work.found += u64::from(crossing);
                store::write_skip(component.id, reason, name);
            }
            Outcome::Unresolved => {
                if !retry {
                    store::write_skip(component.id, SkipReason::Unresolved, name);
                }
                work.pending.push(Pending { slot: *slot, held: page::load(slot.address) });
            }
        });
        let mut refused = work.store(component);
        result.slots_found += work.found;
        if let Some(loaded) = self.loaded.get_mut(index) {
            refused |= work.redirect(loaded);
            result.slots_patched += (work.patched.len() + work.redirects.len()) as u64;
            loaded.redirects.append(&mut work.redirects);
            loaded.patched.append(&mut work.patched);
            loaded.pending = work.pending;
        }
        if refused && !self.complained {
            self.complained = true;
            diag::message("some pages could not be opened for writing; calls there go uncounted");
        }
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

/// What is to be stored in one component.
#[derive(Default)]
struct Work {
    found: u64,
    patched: Vec<Patched>,
    pending: Vec<Pending>,
    names: Vec<Box<[u8]>>,
    redirects: Vec<Redirect>,
    /// Names of `redirects`, by slot.
    redirect_names: Vec<(usize, Box<[u8]>)>,
}

impl Work {
    fn hook(&mut self, caller: &Component, slot: &Slot, name: &[u8], found: &Found<'_>) {
        if let Some(stub) = self.stub(caller, slot, name, found) {
            self.patched.push(Patched { slot: slot.address, original: found.value, stub });
            self.names.push(name.into());
        }
    }

    /// As `hook`, for the `calls` through the slot but not the slot.
    fn lead(
        &mut self,
        caller: &Component,
        slot: &Slot,
        name: &[u8],
        found: &Found<'_>,
        calls: Vec<usize>,
    ) {
        if let Some(stub) = self.stub(caller, slot, name, found) {
            let (slot, original) = (slot.address, found.value);
            self.redirects.push(Redirect { slot, shift: 0, original, stub, calls });
            self.redirect_names.push((slot, name.into()));
        }
    }

    /// Notes a slot that leads elsewhere, and finds its stub.
    fn stub(
        &mut self,
        caller: &Component,
        slot: &Slot,
        name: &[u8],
        found: &Found<'_>,
    ) -> Option<usize> {
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
        if stub.is_none() {
            store::write_skip(caller.id, SkipReason::NoStub, name);
        }
        stub
    }

    /// Leads calls past their slots. Whether memory refused.
    fn redirect(&mut self, loaded: &mut Loaded) -> bool {
        let Loaded { component, near, .. } = loaded;
        let (names, mut protected) = (&self.redirect_names, false);
        redirect::apply(component, near, &mut self.redirects, &mut |redirect, why| {
            protected |= why == SkipReason::Protected;
            let name = names.iter().find(|(slot, _)| *slot == redirect.slot);
            store::write_skip(component.id, why, name.map_or(b"", |(_, name)| name));
        });
        protected
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
