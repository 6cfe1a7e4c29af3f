//! The environment, read and edited in `environ` itself.
//!
//! A program may export a getenv, setenv and unsetenv of its own (bash does), and ours would bind to
//! those: they answer from the program's variables, or change nothing that a child gets.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{c_char, CStr};
use core::ptr::null_mut;

/// What begins the name of every variable of ours.
const OURS: &[u8] = b"PERFVISOR_";
/// The loader's list of libraries.
const PRELOAD: &[u8] = b"LD_PRELOAD=";

/// `NAME=VALUE` strings, with a null behind the last.
type Vector = *mut *mut c_char;

unsafe extern "C" {
    static mut environ: Vector;
}

/// The entries of a vector, which may be null.
fn entries(vector: Vector) -> impl Iterator<Item = (*mut c_char, &'static [u8])> {
    let mut at = vector;
    core::iter::from_fn(move || {
        // SAFETY: a vector of the host's: readable up to its null, its entries C strings.
        unsafe {
            if at.is_null() || (*at).is_null() {
                return None;
            }
            let entry = *at;
            at = at.add(1);
            Some((entry, CStr::from_ptr(entry).to_bytes()))
        }
    })
}

/// The value of an environment variable, as bytes; to be copied before the host runs on.
pub fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: the host's pointer, read while it makes no change: at load, or in its own exec.
    let vector = unsafe { (&raw const environ).read() };
    let value = |entry: &'static [u8]| entry.strip_prefix(name.to_bytes())?.strip_prefix(b"=");
    entries(vector).find_map(|(_, entry)| value(entry))
}

/// Names of all variables.
pub fn names() -> impl Iterator<Item = &'static [u8]> {
    // SAFETY: as in `variable`.
    let vector = unsafe { (&raw const environ).read() };
    entries(vector).map(|(_, entry)| entry.split(|&byte| byte == b'=').next().unwrap_or_default())
}

/// `entry` without `library`, if it is an LD_PRELOAD that names it: an empty list if nothing else
/// was to be preloaded.
fn without(entry: &[u8], library: &[u8]) -> Option<Vec<u8>> {
    let list = entry.strip_prefix(PRELOAD)?;
    let mut parts = list.split(|&byte| byte == b':' || byte == b' ');
    if !parts.clone().any(|part| part == library) {
        return None;
    }
    let rest: Vec<&[u8]> = parts.by_ref().filter(|p| !p.is_empty() && *p != library).collect();
    Some(rest.join(&b':'))
}

/// The string of an LD_PRELOAD of `list`, which lives for ever, as the environment wants it; null
/// for an empty list.
fn preload_of(list: &[u8]) -> *mut c_char {
    if list.is_empty() {
        return null_mut();
    }
    CString::new([PRELOAD, list].concat()).map_or(null_mut(), CString::into_raw)
}

/// Takes `library` out of LD_PRELOAD, and all variables of ours away, in place: what the program
/// was given as main's third argument is the same vector.
pub fn hide(library: &[u8]) {
    // SAFETY: the constructor runs before the program's threads; entries only move forward.
    unsafe {
        let mut to = (&raw const environ).read();
        for (entry, text) in entries(to) {
            let kept = match without(text, library) {
                Some(list) => preload_of(&list),
                None if text.starts_with(OURS) => null_mut(),
                None => entry,
            };
            if !kept.is_null() {
                *to = kept;
                to = to.add(1);
            }
        }
        if !to.is_null() {
            *to = null_mut();
        }
    }
}

/// A copy of `vector` (null = the process's own) that does not preload `library`; `None` if it does
/// not anyway. The copy lives for ever: it is for exec.
pub fn copy_without(vector: Option<Vector>, library: &[u8]) -> Option<Vector> {
    // SAFETY: as in `variable`.
    let vector = vector.unwrap_or_else(|| unsafe { (&raw const environ).read() });
    let list = entries(vector).find_map(|(_, text)| without(text, library))?;
    let preload = preload_of(&list);
    let kept = |(entry, text): (*mut c_char, &[u8])| match without(text, library) {
        None => Some(entry),
        Some(_) => (!preload.is_null()).then_some(preload),
    };
    let mut copy: Vec<*mut c_char> = entries(vector).filter_map(kept).collect();
    copy.push(null_mut());
    Some(Box::leak(copy.into_boxed_slice()).as_mut_ptr())
}

/// Makes `vector` the process's own.
///
/// # Safety
/// The vector lives for ever, and no other thread reads the environment.
pub unsafe fn set(vector: Vector) {
    // SAFETY: by contract.
    unsafe { (&raw mut environ).write(vector) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(vector: Vector) -> Vec<&'static [u8]> {
        entries(vector).map(|(_, text)| text).collect()
    }

    #[test]
    fn our_library_is_taken_out_of_the_list_and_nothing_else() {
        let rest = |entry: &[u8]| without(entry, b"/h.so");
        assert_eq!(rest(b"LD_PRELOAD=/h.so"), Some(b"".to_vec()));
        assert_eq!(rest(b"LD_PRELOAD=/h.so:/b.so c.so"), Some(b"/b.so:c.so".to_vec()));
        assert_eq!(rest(b"LD_PRELOAD=/b.so:/h.so"), Some(b"/b.so".to_vec()));
        assert_eq!(rest(b"LD_PRELOAD=/x/h.so"), None);
        assert_eq!(rest(b"LD_PRELOADED=/h.so"), None);
    }

    #[test]
    fn an_exec_gets_a_copy_and_the_original_stays() {
        let strings = [c"A=1", c"LD_PRELOAD=/h.so /b.so", c"B=2", c"PERFVISOR_OUT=x"];
        let mut vector: Vec<*mut c_char> = strings.iter().map(|s| s.as_ptr().cast_mut()).collect();
        vector.push(null_mut());
        let vector = vector.as_mut_ptr();
        let copy = copy_without(Some(vector), b"/h.so").expect("a copy");
        let expected: [&[u8]; 4] = [b"A=1", b"LD_PRELOAD=/b.so", b"B=2", b"PERFVISOR_OUT=x"];
        assert_eq!(texts(copy), expected);
        assert_eq!(texts(vector)[1], b"LD_PRELOAD=/h.so /b.so");
        assert!(copy_without(Some(copy), b"/h.so").is_none());
        let alone = copy_without(Some(copy), b"/b.so").expect("a copy");
        assert_eq!(texts(alone), [expected[0], expected[2], expected[3]]);
        assert!(copy_without(Some(null_mut()), b"/h.so").is_none());
    }
}
