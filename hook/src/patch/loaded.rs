//! What is loaded and what was done to it: the state that scans bring up to date.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::elf::{self, Changes, Component};
use super::filter::Filter;
use super::near::NearPage;
use super::page;
use super::ranges::{self, Place};
use super::redirect::Redirect;
use super::scope::closure;
use super::settled::Settled;
use super::slots::Slot;
use super::syscall_sites::{Coverage, Thunks};
use crate::store;

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
pub(super) struct Patched {
    pub(super) slot: usize,
    pub(super) original: usize,
    pub(super) stub: usize,
}

/// A slot whose symbol nobody defines so far, or two might.
pub(super) struct Pending {
    pub(super) slot: Slot,
    /// What it held when it was looked at.
    pub(super) held: usize,
}

/// A component and what was done to it.
pub(super) struct Loaded {
    pub(super) component: Component,
    /// Its slots were decided on.
    pub(super) claimed: bool,
    /// There since the program began: never unloaded.
    pub(super) startup: bool,
    /// Ids of its dlopen group, in the loader's order; empty for what the program began with.
    pub(super) local: Vec<u32>,
    pub(super) patched: Vec<Patched>,
    /// Slots that cannot be decided on so far.
    pub(super) pending: Vec<Pending>,
    /// Calls led past their slots.
    pub(super) redirects: Vec<Redirect>,
    /// Where these lead.
    pub(super) near: Vec<NearPage>,
    /// Where its system calls are led.
    pub(super) thunks: Vec<Thunks>,
    /// Which of them are.
    pub(super) coverage: Option<Coverage>,
}

pub(super) struct Retired {
    pub(super) path: Vec<u8>,
    pub(super) build_id: Vec<u8>,
    pub(super) id: u32,
}

/// A pointer handed out by dlsym: who asked, what it pointed to, under which name.
pub(super) type WrapKey = (u32, usize, Box<[u8]>);

pub(super) struct State {
    pub(super) loaded: Vec<Loaded>,
    pub(super) retired: Vec<Retired>,
    pub(super) next_id: u32,
    pub(super) changes: Changes,
    /// Ids of the global scope, in order.
    pub(super) global: Vec<u32>,
    /// (low, high, index into `loaded`), by address.
    pub(super) index: Vec<(usize, usize, usize)>,
    /// Stub and target component of what dlsym handed out.
    pub(super) wrapped: BTreeMap<WrapKey, (usize, u32)>,
    /// Some component was not relocated yet when it was seen.
    pub(super) unsettled: bool,
    pub(super) filter: Filter,
    pub(super) self_calls: bool,
    pub(super) rewrite_calls: bool,
    pub(super) complained: bool,
    pub(super) slots_found: u64,
    pub(super) slots_patched: u64,
}

impl State {
    /// Nothing seen yet.
    pub(super) const fn new() -> Self {
        Self {
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
            rewrite_calls: false,
            complained: false,
            slots_found: 0,
            slots_patched: 0,
        }
    }

    /// Brings `loaded` in line with the loader's list. Whether anything changed.
    pub(super) fn refresh(&mut self, result: &mut ScanResult) -> bool {
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
        if old.iter().any(Option::is_some) {
            perfvisor_probe::unwind::forget();
        }
        for mut gone in old.into_iter().flatten() {
            result.unloaded += 1;
            if let Some((heir, _)) = kept.iter_mut().find(|(other, _)| other.is_heir_of(&gone)) {
                heir.inherit(&mut gone);
            }
            self.retire(gone);
        }
        for (mut loaded, new) in kept {
            if new {
                result.loaded += 1;
                loaded.component.id = self.identify(&loaded.component);
                let kin = elf::FLAG_LIBC | elf::FLAG_LOADER | elf::FLAG_VDSO;
                if loaded.component.flags & kin != 0 {
                    super::sites::note_c_library(loaded.component.id);
                }
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
        for Component { id, segments, unwind, .. } in
            self.loaded.iter().map(|loaded| &loaded.component)
        {
            places.extend(segments.iter().map(|segment| Place {
                low: segment.low,
                high: segment.high,
                id: *id,
                flags: segment.flags,
                unwind: *unwind,
            }));
        }
        places.sort_unstable();
        ranges::publish(&places);
    }

    pub(super) fn components(&self) -> Vec<&Component> {
        self.loaded.iter().map(|loaded| &loaded.component).collect()
    }

    /// Claims all components that are ready and returns the new ones' indices.
    pub(super) fn claim(&mut self, first: bool) -> Vec<usize> {
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
    pub(super) fn scope<'a>(&'a self, loaded: &'a Loaded, local_first: bool) -> Vec<&'a Component> {
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

    /// The component that `address` lies in.
    pub(super) fn find(&self, address: usize) -> Option<&Loaded> {
        let behind = self.index.partition_point(|&(low, ..)| low <= address);
        let &(_, high, at) = self.index.get(behind.checked_sub(1)?)?;
        self.loaded.get(at).filter(|_| address < high)
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
            redirects: Vec::new(),
            near: Vec::new(),
            thunks: Vec::new(),
            coverage: None,
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
            && self.redirects.first().is_none_or(|first| first.is_in_place(&now))
    }

    /// Whether this stands where `gone` stood.
    fn is_heir_of(&self, gone: &Self) -> bool {
        self.component.base == gone.component.base
            && self.component.dynamic == gone.component.dynamic
    }

    /// Takes over what must not be unmapped if it is in use after all: somebody else may have changed
    /// a slot, and the component was taken for another.
    fn inherit(&mut self, gone: &mut Self) {
        self.near = core::mem::take(&mut gone.near);
        self.thunks = core::mem::take(&mut gone.thunks);
        self.redirects = core::mem::take(&mut gone.redirects);
        let component = &self.component;
        self.redirects.retain(|redirect| redirect.is_in_place(component));
    }
}
