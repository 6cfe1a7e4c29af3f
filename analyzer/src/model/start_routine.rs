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
    }
    StartRoutine { address: symbol.address, name }
}

/// The callable's name in `std::thread::_State_impl<_Invoker<tuple<CALLABLE, …>>>::_M_run`.
fn cpp_callable(name: &str) -> Option<String> {
    let rest = name.strip_prefix("std::thread::_State_impl<")?;
    let from = rest.find("tuple<")? + "tuple<".len();
    let rest = &rest[from..];
    let mut depth = 0usize;
    let mut end = rest.len();
    for (at, c) in rest.char_indices() {
        match c {
            '<' | '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth = depth.saturating_sub(1),
            '>' if depth == 0 => {
                end = at;
                break;
            }
            '>' => depth -= 1,
            ',' if depth == 0 => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let callable = rest[..end].trim();
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
    fn rust_library_names() {
        assert!(is_rust_library("<alloc::boxed::Box<F> as core::ops::FnOnce<A>>::call_once"));
        assert!(is_shim("core::ops::function::FnOnce::call_once{{vtable.shim}}"));
        assert!(!is_rust_library("app::worker"));
    }
}
