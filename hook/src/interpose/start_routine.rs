//! The user's function behind a thread library's own start routine.
//!
//! Each wrapper keeps it at a known place behind the argument it gives to pthread_create:
//! - libstdc++ `std::thread`: argument → object with a vtable; its third entry is `_M_run`, whose
//!   name holds the callable's type; where the callable is a plain function pointer, that pointer is
//!   the first code address in the object. The analyzer decides by the name.
//! - GLib: `GRealThread` begins with the function. libgomp: `gomp_thread_start_data` likewise.
//!   CPython: `struct { func, arg }` likewise, one function for all of its threads.
//! - Rust `std::thread`: the argument leads to a `Box<dyn FnOnce()>`: two words, data and vtable
//!   {drop, size, align, call_once}; call_once names the closure.
//!
//! Memory is only read where it belongs to a loaded component or where the argument points, and
//! there through the kernel, so that a wrong guess is an error and not a fault.

use crate::patch::got;

/// Words of the argument's object that are looked at.
const WORDS: usize = 12;

/// What was found behind a start routine.
#[derive(Clone, Copy, Default)]
pub struct Inner {
    /// The user's function (or the one whose name tells it), or 0.
    pub function: usize,
    /// `std::thread` only: a code address where a plain function pointer would stand. The object's
    /// size is not known here, so it may be a leftover behind a smaller object.
    pub pointer: usize,
}

impl Inner {
    fn of(function: usize) -> Self {
        Self { function, pointer: 0 }
    }
}

/// The user's function behind `start`, called with `arg`.
pub fn inner(start: usize, arg: usize) -> Inner {
    if arg < 4096 || !arg.is_multiple_of(8) {
        return Inner::default();
    }
    let name = got::component_name_at(start);
    let is = |prefix: &str| name.as_deref().is_some_and(|n| n.starts_with(prefix.as_bytes()));
    let Some(words) = read_words(arg) else { return Inner::default() };
    if is("libstdc++") || is("libc++") {
        return standard_thread(&words);
    }
    if is("libglib-2.0") || is("libgomp") || is("libomp") || is("libpython") {
        return Inner::of(code(words[0]));
    }
    Inner::of(rust_closure(&words))
}

fn code(address: usize) -> usize {
    if got::is_code(address) {
        address
    } else {
        0
    }
}

/// `std::thread::_State_impl`: vtable, then the callable's arguments, last first, and the callable.
fn standard_thread(words: &[usize; WORDS]) -> Inner {
    let pointer = words[1..].iter().find(|&&word| got::is_code(word)).copied().unwrap_or(0);
    let function = got::read_word(words[0].wrapping_add(16)).map_or(0, code);
    Inner { function, pointer }
}

/// A pair (data, vtable) among the first words, told by the shape of the vtable.
fn rust_closure(words: &[usize; WORDS]) -> usize {
    for pair in words.windows(2) {
        let vtable = pair[1];
        if vtable % 8 != 0 {
            continue;
        }
        let word = |index: usize| got::read_word(vtable + 8 * index);
        let (Some(drop), Some(size), Some(align), Some(call)) =
            (word(0), word(1), word(2), word(3))
        else {
            continue;
        };
        let shaped = (drop == 0 || got::is_code(drop))
            && size < 1 << 20
            && align.is_power_of_two()
            && align <= 4096;
        if shaped && got::is_code(call) {
            return call;
        }
    }
    0
}

/// The first words at `address`, read through the kernel; `None` when it is not readable.
fn read_words(address: usize) -> Option<[usize; WORDS]> {
    let mut words = [0usize; WORDS];
    // SAFETY: process_vm_readv checks the source; the target is a local.
    unsafe {
        let bytes = core::mem::size_of_val(&words);
        let to = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: bytes };
        let from = libc::iovec { iov_base: address as *mut _, iov_len: bytes };
        let read = libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0);
        // An object near the end of its page may be shorter than what we ask for.
        (read >= 16).then_some(words)
    }
}
