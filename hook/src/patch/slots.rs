//! What is to be done with each slot of a component, and why.

use alloc::vec::Vec;

use goblin::elf64::program_header::{PF_R, PF_X};
use goblin::elf64::reloc::{R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT};
use goblin::elf64::sym::{Sym, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE};
use perfvisor_format::{SiteHow, SkipReason};

use super::calls;
use super::elf::{Component, FLAG_EXECUTABLE, FLAG_HOOK, FLAG_LOADER};
use super::filter::Filter;
use super::insn::{scan_slots, Call, SlotUse, Uses};
use super::page;
use super::policy::{self, Action, Policy};
use super::scope::{resolve, Definition};
use super::sites;
use super::symbols::{Wanted, WantedVersion};

/// A slot that a relocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Where it is.
    pub address: usize,
    /// Index of its symbol.
    pub symbol: u32,
    /// JUMP_SLOT; else GLOB_DAT.
    pub jump: bool,
}

/// What a decision looks at besides the slot.
pub struct Rules<'a> {
    /// The component the slots are in.
    pub own: &'a Component,
    /// Where the loader looks for its symbols.
    pub scope: &'a [&'a Component],
    /// The same in another order that the loader may have been told to use; empty if it cannot be.
    /// Where the two orders disagree a lazy slot is left to the loader.
    pub other_scope: &'a [&'a Component],
    /// The component at an address.
    pub at: &'a dyn Fn(usize) -> Option<&'a Component>,
    /// What the user wants.
    pub filter: &'a Filter,
    /// Hook calls of the component to itself too.
    pub self_calls: bool,
    /// Calls through a slot that is also loaded as data may be changed themselves.
    pub rewrite_calls: bool,
}

/// A slot to be hooked.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What it holds now.
    pub value: usize,
    /// The function its calls shall reach.
    pub target: usize,
    /// Id of the component that function is in.
    pub component: u32,
    /// How it was found.
    pub how: SiteHow,
    /// Version of the symbol; empty when it has none.
    pub version: &'a [u8],
    /// How it may be hooked.
    pub policy: &'static Policy,
}

/// A decision.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// Hook it.
    Hook(Found<'a>),
    /// Leave it, but hook the calls through it whose displacements are at these addresses.
    HookCalls(Found<'a>, Vec<usize>),
    /// Leave it; true if calls through it lead to another component and go unseen.
    Skip(SkipReason, bool),
    /// Nobody defines its symbol yet.
    Unresolved,
}

/// All function slots of `component`, by address.
pub fn collect(component: &Component) -> Vec<Slot> {
    let tables = &component.tables;
    let mut slots = Vec::with_capacity(tables.plt_relocations.len());
    for table in [&tables.plt_relocations, &tables.relocations] {
        for entry in (0..table.len()).map_while(|index| table.get(index)) {
            let kind = entry.r_info as u32;
            let symbol = (entry.r_info >> 32) as u32;
            let address = component.base.wrapping_add(entry.r_offset as usize);
            let jump = kind == R_X86_64_JUMP_SLOT;
            let wanted = jump || kind == R_X86_64_GLOB_DAT;
            if wanted
                && symbol != 0
                && entry.r_addend == 0
                && address.is_multiple_of(8)
                && component.view::<u64>(address, 1).is_some()
            {
                slots.push(Slot { address, symbol, jump });
            }
        }
    }
    slots.sort_unstable();
    slots.dedup_by_key(|slot| slot.address);
    slots
}

/// Decides on each of `slots` (sorted) and tells `sink`, in order.
pub fn decide<'a>(
    rules: &Rules<'a>,
    slots: &[Slot],
    sink: &mut dyn FnMut(&Slot, &[u8], Outcome<'a>),
) {
    let mut candidates: Vec<(Slot, Found<'a>)> = Vec::new();
    for slot in slots {
        let Some(symbol) = rules.own.tables.symbol(slot.symbol as usize) else { continue };
        let Some(name) = rules.own.tables.name(&symbol) else { continue };
        if !slot.jump {
            candidates.extend(rules.candidate(slot, &symbol, name).map(|found| (*slot, found)));
        } else if let Some(outcome) = rules.judge(slot, &symbol, name) {
            sink(slot, name, outcome);
        }
    }
    if candidates.is_empty() {
        return;
    }
    let addresses: Vec<usize> = candidates.iter().map(|(slot, _)| slot.address).collect();
    let uses = code_uses(rules, &addresses);
    for ((slot, found), (slot_use, calls)) in candidates.iter().zip(uses) {
        let Some(symbol) = rules.own.tables.symbol(slot.symbol as usize) else { continue };
        let Some(name) = rules.own.tables.name(&symbol) else { continue };
        let outcome = match rules.permit(*found, name) {
            permitted if slot_use.call_only() => permitted,
            Outcome::Hook(found) if found.policy.is_never_compared() => Outcome::Hook(found),
            Outcome::Hook(found) if !calls.is_empty() => {
                Outcome::HookCalls(Found { how: SiteHow::CallSites, ..found }, calls)
            }
            skipped @ Outcome::Skip(..) if slot_use.called => skipped,
            _ => Outcome::Skip(SkipReason::DataUse, slot_use.called),
        };
        sink(slot, name, outcome);
    }
}

/// How all code of the component uses `slots`, and the calls through each that may be changed: of a
/// slot that is loaded too, if all that look like calls are. Code that cannot be read may do anything.
fn code_uses(rules: &Rules<'_>, slots: &[usize]) -> Vec<(SlotUse, Vec<usize>)> {
    let component = rules.own;
    let mut uses = Uses::new(slots.len(), rules.rewrite_calls);
    for segment in component.segments.iter().filter(|segment| segment.flags & PF_X != 0) {
        let bytes = segment.high - segment.low;
        match component.view::<u8>(segment.low, bytes).filter(|_| segment.flags & PF_R != 0) {
            Some(text) => scan_slots(text.bytes(), segment.low, slots, &mut uses),
            None => {
                uses.suspect_all();
                break;
            }
        }
    }
    let Uses { slots: uses, calls } = uses;
    let mixed = |call: &Call| uses.get(call.slot).is_some_and(|slot| slot.loaded);
    let calls: Vec<Call> = calls.into_iter().flatten().filter(mixed).collect();
    let places: Vec<usize> = calls.iter().map(|call| call.at).collect();
    let mut by_slot = vec![Vec::new(); uses.len()];
    let mut doubted = vec![false; uses.len()];
    for (call, proven) in calls.iter().zip(calls::proven(component, &places)) {
        if let (Some(calls), Some(doubt)) = (by_slot.get_mut(call.slot), doubted.get_mut(call.slot))
        {
            calls.push(call.at);
            *doubt |= !proven;
        }
    }
    for (calls, _) in by_slot.iter_mut().zip(doubted).filter(|(_, doubt)| *doubt) {
        calls.clear();
    }
    uses.into_iter().zip(by_slot).collect()
}

impl<'a> Rules<'a> {
    fn version(&self, slot: &Slot) -> Option<WantedVersion<'a>> {
        self.own.tables.version(slot.symbol as usize)
    }

    fn found(
        &self,
        slot: &Slot,
        value: usize,
        to: Definition,
        how: SiteHow,
        name: &[u8],
    ) -> Found<'a> {
        Found {
            value,
            target: to.address,
            component: to.component,
            how,
            version: self.version(slot).map_or(&[], |version| version.name),
            policy: policy::lookup(name),
        }
    }

    /// A GLOB_DAT slot that holds a function of another component (or of its own, if asked for).
    fn candidate(&self, slot: &Slot, symbol: &Sym, name: &[u8]) -> Option<Found<'a>> {
        let kind = symbol.st_info & 0xf;
        let value = page::load(slot.address);
        if ![STT_FUNC, STT_NOTYPE, STT_GNU_IFUNC].contains(&kind) || sites::is_stub(value) {
            return None;
        }
        let target = (self.at)(value).filter(|target| target.is_code(value))?;
        let to = Definition { component: target.id, address: value };
        let found = self.found(slot, value, to, SiteHow::GlobDat, name);
        let wanted = target.id != self.own.id || self.self_calls;
        (wanted && found.policy.action != Action::LeaveAlone).then_some(found)
    }

    /// A JUMP_SLOT. `None` if it is hooked already.
    fn judge(&self, slot: &Slot, symbol: &Sym, name: &[u8]) -> Option<Outcome<'a>> {
        let value = page::load(slot.address);
        if sites::is_stub(value) {
            return None;
        }
        if policy::lookup(name).action == Action::LeaveAlone {
            return Some(Outcome::Skip(SkipReason::Policy, false));
        }
        let own = self.own;
        let (to, how) = if own.low <= value && value < own.high {
            if !own.is_code(value) {
                return Some(Outcome::Skip(SkipReason::NotCode, false));
            }
            match self.unbound(slot, symbol, name, value) {
                Some(found) => found,
                None => return Some(Outcome::Unresolved),
            }
        } else {
            match (self.at)(value) {
                Some(target) => {
                    (Definition { component: target.id, address: value }, SiteHow::JumpSlot)
                }
                None if value == 0 => return Some(Outcome::Unresolved),
                None => return Some(Outcome::Skip(SkipReason::NotCode, false)),
            }
        };
        if to.component == own.id && !self.self_calls {
            return Some(Outcome::Skip(SkipReason::SelfCall, false));
        }
        Some(self.permit(self.found(slot, value, to, how, name), name))
    }

    /// Where a slot leads that points into its own component: it is either bound there, or lazy
    /// and still leads to the linkage table entry behind it.
    fn unbound(
        &self,
        slot: &Slot,
        symbol: &Sym,
        name: &[u8],
        value: usize,
    ) -> Option<(Definition, SiteHow)> {
        let own = self.own;
        let here = own.base.wrapping_add(symbol.st_value as usize);
        let defined = symbol.st_shndx != 0;
        let to_self = Definition { component: own.id, address: here };
        if defined && here == value {
            return Some((to_self, SiteHow::JumpSlot));
        }
        let local = symbol.st_other & 3 != 0;
        if defined && local && symbol.st_info & 0xf != STT_GNU_IFUNC {
            return Some((to_self, SiteHow::LazySlot));
        }
        let wanted = Wanted::new(name, self.version(slot));
        let found = resolve(self.scope, &wanted)?;
        if !self.other_scope.is_empty() && resolve(self.other_scope, &wanted) != Some(found) {
            return None;
        }
        Some((found, SiteHow::LazySlot))
    }

    /// The last word on a slot whose target is known.
    fn permit(&self, found: Found<'a>, name: &[u8]) -> Outcome<'a> {
        let Some(target) = (self.at)(found.target).filter(|target| target.is_code(found.target))
        else {
            return Outcome::Skip(SkipReason::NotCode, false);
        };
        let loader_internal = target.is(FLAG_LOADER) && name != b"__tls_get_addr";
        if loader_internal || target.is(FLAG_HOOK) {
            return Outcome::Skip(SkipReason::Policy, false);
        }
        // The executable's linkage entry stands in for a function of yet another component; the
        // call is seen there.
        let foreign = target.id != self.own.id;
        if foreign
            && target.is(FLAG_EXECUTABLE)
            && target.tables.is_canonical_plt(found.target, target.base)
        {
            return Outcome::Skip(SkipReason::NotCode, false);
        }
        if !self.filter.allows(&self.own.path, &target.path, name) {
            return Outcome::Skip(SkipReason::Filtered, foreign);
        }
        // An IFUNC may lead out of the component that defines it, into the vdso.
        Outcome::Hook(Found { component: target.id, ..found })
    }
}
