//! What a thread runs: the user's function behind the wrappers of C++ and Rust.
//!
//! The hook looks behind the wrapper's argument while the thread starts; what it finds may still
//! be a shim of the language's library. For those we follow direct calls in the code.

use super::demangle;
use super::symbols::Object;
use iced_x86::{Decoder, DecoderOptions, FlowControl};

/// Shims are this deep at most: vtable shim, closure, catch_unwind, do_call, backtrace marker.
const MAX_SHIMS: usize = 8;
/// No shim is longer than this, bytes.
const MAX_SHIM_BYTES: u64 = 16 << 10;

/// A start routine, named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRoutine {
    /// Its address in the component, without load bias.
    pub address: u64,
    /// Demangled name; empty when the component has none there.
    pub name: String,
}

/// Names the routine at `address` of `object`, following shims to the user's function.
pub fn resolve(object: &Object, address: u64) -> StartRoutine {
    let Some(symbol) = object.find(address) else {
        return StartRoutine { address, name: String::new() };
    };
    let name = demangle::short_name(&symbol.name);
    if let Some(callable) = cpp_callable(&name) {
        return StartRoutine { address, name: callable };
    }
    if is_rust_library(&name) && is_shim(&name) {
        let mut seen = vec![symbol.address];
        if let Some(found) = follow(object, symbol.address, &mut seen) {
            return found;
        }
        if let Some(name) = closure_of(object, symbol.address) {
            return StartRoutine { address: symbol.address, name };
        }
    }
    StartRoutine { address: symbol.address, name }
}

/// Whether a routine's name tells only that it is a closure: every closure's shim is called so.
pub fn is_bare_shim(name: &str) -> bool {
    is_rust_library(name) && name.contains("vtable")
}

/// Position of the drop function in a vtable before the closure's shim: drop, size, align, shim.
const DROP_BEFORE_SHIM_BYTES: u64 = 24;

/// The closure behind a vtable's shim into which all of it was inlined, told by the vtable's drop
/// function, whose name holds its type. Linkers merge drop functions of equal code: one that stands
/// in several vtables tells nothing.
fn closure_of(object: &Object, shim: u64) -> Option<String> {
    let [place] = object.pointers_to(shim)[..] else { return None };
    let drop = object.pointer_at(place.checked_sub(DROP_BEFORE_SHIM_BYTES)?)?;
    if object.pointers_to(drop).len() != 1 {
        return None;
    }
    spawned(&demangle::short_name(&object.find(drop)?.name))
}

/// `app::main::{{closure}}` in
/// `core::ptr::drop_in_place<std::thread::…spawn_unchecked…<app::main::{{closure}},()>::{{closure}}>`.
fn spawned(drop: &str) -> Option<String> {
    let rest = drop.strip_prefix("core::ptr::drop_in_place<")?;
    let from = rest.find("spawn_unchecked")?;
    let rest = &rest[from + rest[from..].find('<')? + 1..];
    first_argument(rest).map(str::to_owned)
}

/// What stands before the first comma or closing bracket of the outermost level.
fn first_argument(text: &str) -> Option<&str> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '{' | '[' => depth += 1,
            ',' | '>' if depth == 0 => return Some(text[..at].trim()).filter(|t| !t.is_empty()),
            '>' | ')' | '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// The callable's name in `std::thread::_State_impl<_Invoker<tuple<CALLABLE, …>>>::_M_run`.
fn cpp_callable(name: &str) -> Option<String> {
    let rest = name.strip_prefix("std::thread::_State_impl<")?;
    let from = rest.find("tuple<")? + "tuple<".len();
    let callable = first_argument(&rest[from..]).unwrap_or(&rest[from..]).trim();
    // A bare pointer type names no function.
    let pointer = callable.contains("(*)") || callable.contains("::*)");
    (!callable.is_empty() && !pointer).then(|| callable.to_owned())
}

fn is_rust_library(name: &str) -> bool {
    let name = name.trim_start_matches(['<', '&', '(']);
    ["std::", "core::", "alloc::", "std[", "core[", "alloc[", "__rust"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Library functions behind which a user's closure stands.
fn is_shim(name: &str) -> bool {
    [
        "call_once",
        "closure",
        "catch_unwind",
        "do_call",
        "short_backtrace",
        "r#try",
        "thread_start",
        "__rust_try",
    ]
    .iter()
    .any(|part| name.contains(part))
}

/// Depth first along direct calls and jumps, in code order, through shims only.
fn follow(object: &Object, address: u64, seen: &mut Vec<u64>) -> Option<StartRoutine> {
    for target in direct_targets(object, address) {
        let Some(symbol) = object.find(target) else { continue };
        if symbol.address != target || seen.contains(&target) {
            continue;
        }
        let name = demangle::short_name(&symbol.name);
        // Imports, drop glue and panics are no start routines.
        if name.contains("drop_in_place") || name.contains("panic") || name.starts_with('_') {
            continue;
        }
        if !is_rust_library(&name) {
            // Only Rust names have a path: a plain name here is a libc call.
            if name.contains("::") {
                return Some(StartRoutine { address: target, name });
            }
            continue;
        }
        if is_shim(&name) && seen.len() < MAX_SHIMS {
            seen.push(target);
            if let Some(found) = follow(object, target, seen) {
                return Some(found);
            }
        }
    }
    None
}

/// Targets of the direct calls and jumps of the function at `address` that leave it.
fn direct_targets(object: &Object, address: u64) -> Vec<u64> {
    let size = object.find(address).map_or(0, |symbol| symbol.size).min(MAX_SHIM_BYTES);
    let code = object.bytes(address, size);
    let end = address + code.len() as u64;
    let mut targets = Vec::new();
    for instruction in Decoder::with_ip(64, code, address, DecoderOptions::NONE).iter() {
        let flow = instruction.flow_control();
        if flow == FlowControl::Call || flow == FlowControl::UnconditionalBranch {
            let target = instruction.near_branch_target();
            if target != 0 && !(address..end).contains(&target) {
                targets.push(target);
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callable_of_a_cpp_thread() {
        let name = "std::thread::_State_impl<std::thread::_Invoker<std::tuple<main::{lambda(int, long)#1}, int> > >::_M_run";
        assert_eq!(cpp_callable(name).as_deref(), Some("main::{lambda(int, long)#1}"));
        let pointer = "std::thread::_State_impl<std::thread::_Invoker<std::tuple<void (*)(int), int> > >::_M_run";
        assert_eq!(cpp_callable(pointer), None);
        assert_eq!(cpp_callable("worker"), None);
    }

    #[test]
    fn the_closure_in_the_name_of_its_drop_function() {
        let name = "core::ptr::drop_in_place<std::thread::lifecycle::spawn_unchecked\
                    <two::main::{{closure}},()>::{{closure}}>";
        assert_eq!(spawned(name).as_deref(), Some("two::main::{{closure}}"));
        let name = "core::ptr::drop_in_place<std::thread::Builder::spawn_unchecked_\
                    <pool::run<alloc::vec::Vec<u8>, u8>::{{closure}}, ()>::{{closure}}>";
        let found = spawned(name);
        assert_eq!(found.as_deref(), Some("pool::run<alloc::vec::Vec<u8>, u8>::{{closure}}"));
        assert_eq!(spawned("core::ptr::drop_in_place<std::thread::Thread>"), None);
        assert!(is_bare_shim("core::ops::function::FnOnce::call_once{{vtable.shim}}"));
        assert!(!is_bare_shim("two::main::{{closure}}"));
    }

    #[test]
    fn rust_library_names() {
        assert!(is_rust_library("<alloc::boxed::Box<F> as core::ops::FnOnce<A>>::call_once"));
        assert!(is_shim("core::ops::function::FnOnce::call_once{{vtable.shim}}"));
        assert!(!is_rust_library("app::worker"));
    }
}
