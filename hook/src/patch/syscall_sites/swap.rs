//! Changes code while threads run it: a whole mapping is exchanged for a changed copy of itself.
//!
//! The copy is mapped from the same file at the same offset, made equal to what is in memory now, then
//! changed, then made executable, then moved over the original by one `mremap`. A thread sees the old
//! page or the new one: the kernel takes and puts back the pages under its own lock, and flushes what
//! processors remember of them. No page is writable and executable at any time, none of a thread's
//! instructions is ever half written, and `/proc/PID/maps` shows the file as before.
//!
//! Code that is no file's (the vdso) and code whose file is gone is written through `/proc/self/mem`, but
//! only while the process has one thread.

use super::super::elf::PAGE;
use crate::files;
use alloc::vec::Vec;
use core::ptr::null_mut;

/// Bytes to be stored at an address.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Where.
    pub address: usize,
    /// What.
    pub bytes: Vec<u8>,
}

/// One line of `/proc/self/maps`: a private, executable mapping of a file.
struct Mapped {
    low: usize,
    high: usize,
    offset: u64,
    path: Vec<u8>,
}

/// The executable mapping of a file that holds `address`.
fn mapping_of(maps: &[u8], address: usize) -> Option<Mapped> {
    maps.split(|&byte| byte == b'\n').find_map(|line| {
        let text = core::str::from_utf8(line.get(..73.min(line.len()))?).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let (low, high) = fields.next()?.split_once('-')?;
        let low = usize::from_str_radix(low, 16).ok()?;
        let high = usize::from_str_radix(high, 16).ok()?;
        let access = fields.next()?;
        let offset = u64::from_str_radix(fields.next()?, 16).ok()?;
        if !(low..high).contains(&address) || access != "r-xp" {
            return None;
        }
        let path = line.iter().position(|&byte| byte == b'/').and_then(|at| line.get(at..))?;
        Some(Mapped { low, high, offset, path: path.to_vec() })
    })
}

/// Performs `edits`, sorted by address; those that could not be done are told to `refused`. `alone`: the
/// process has no other thread.
pub fn apply(edits: &[Edit], alone: bool, refused: &mut dyn FnMut(usize)) {
    let maps = files::read(c"/proc/self/maps").unwrap_or_default();
    let mut rest = edits;
    while let Some(first) = rest.first() {
        let Some(mapped) = mapping_of(&maps, first.address) else {
            if !alone || !write(core::slice::from_ref(first)) {
                refused(first.address);
            }
            rest = rest.get(1..).unwrap_or_default();
            continue;
        };
        let count = rest.iter().take_while(|edit| edit.address < mapped.high).count();
        let (run, behind) = rest.split_at(count.max(1));
        rest = behind;
        let inside = run.iter().all(|edit| edit.address + edit.bytes.len() <= mapped.high);
        if (!inside || exchange(&mapped, run).is_none()) && !(alone && write(run)) {
            run.iter().for_each(|edit| refused(edit.address));
        }
    }
}

/// Writes all of `run` as a debugger does, or nothing: the kernel gives the process its own copy of a page
/// and stores there whatever its protection.
fn write(run: &[Edit]) -> bool {
    // SAFETY: a C string and plain flags; the descriptor is ours. What is written was decoded from there,
    // and no other thread can be in the middle of it.
    unsafe {
        let fd = libc::open(c"/proc/self/mem".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let put = |address: usize, bytes: &[u8]| {
            let done = libc::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), address as i64);
            done == bytes.len() as isize
        };
        let mut before: Vec<(usize, Vec<u8>)> = Vec::with_capacity(run.len());
        let all = run.iter().all(|edit| {
            let old = core::slice::from_raw_parts(edit.address as *const u8, edit.bytes.len());
            before.push((edit.address, old.to_vec()));
            put(edit.address, &edit.bytes)
        });
        if !all {
            before.iter().for_each(|(address, old)| {
                put(*address, old);
            });
        }
        libc::close(fd);
        all
    }
}

/// Exchanges a mapping for a copy with the edits of `run`.
fn exchange(mapped: &Mapped, run: &[Edit]) -> Option<()> {
    let bytes = mapped.high - mapped.low;
    let copy = map_again(mapped, bytes)?;
    // SAFETY: both mappings have `bytes` bytes; the original is readable, the copy is ours alone until
    // it takes the original's place.
    unsafe {
        let done = fill(copy, mapped.low, bytes, run)
            && libc::mprotect(copy as *mut _, bytes, libc::PROT_READ | libc::PROT_EXEC) == 0;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let to = mapped.low as *mut libc::c_void;
        if done && libc::mremap(copy as *mut _, bytes, bytes, flags, to) == to {
            return Some(());
        }
        libc::munmap(copy as *mut _, bytes);
    }
    None
}

/// Maps the file's part again, writable.
fn map_again(mapped: &Mapped, bytes: usize) -> Option<usize> {
    let path = files::c_path(mapped.path.clone()).ok()?;
    // SAFETY: a C string; the descriptor is closed at once; addresses come from mmap.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return None;
        }
        let mut stat: libc::stat = core::mem::zeroed();
        // Behind the end of a file there is SIGBUS: a file that was replaced may be shorter.
        let long = libc::fstat(fd, &mut stat) == 0
            && stat.st_size as u64 + PAGE as u64 > mapped.offset + bytes as u64;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let at = if long {
            libc::mmap(null_mut(), bytes, access, libc::MAP_PRIVATE, fd, mapped.offset as i64)
        } else {
            libc::MAP_FAILED
        };
        libc::close(fd);
        (at != libc::MAP_FAILED).then_some(at as usize)
    }
}

/// Makes `copy` what is at `original`, with the edits; false if it is mostly something else, so that it
/// cannot be the same file.
unsafe fn fill(copy: usize, original: usize, bytes: usize, run: &[Edit]) -> bool {
    let pages = bytes / PAGE;
    let mut differing = 0;
    for page in (0..pages).map(|page| page * PAGE) {
        // SAFETY: contract of `exchange`.
        unsafe {
            let from = core::slice::from_raw_parts((original + page) as *const u8, PAGE);
            let to = core::slice::from_raw_parts_mut((copy + page) as *mut u8, PAGE);
            if from != to {
                differing += 1;
                to.copy_from_slice(from);
            }
        }
    }
    if differing > 8 + pages / 2 {
        return false;
    }
    for edit in run {
        let at = copy + (edit.address - original);
        // SAFETY: the caller has seen that the edit lies inside.
        unsafe {
            core::ptr::copy_nonoverlapping(edit.bytes.as_ptr(), at as *mut u8, edit.bytes.len());
        }
    }
    true
}

/// For messages: the path of the mapping that holds `address`.
#[cfg(test)]
fn path_at(address: usize) -> String {
    let maps = files::read(c"/proc/self/maps").unwrap_or_default();
    String::from_utf8_lossy(&mapping_of(&maps, address).expect("mapped").path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    /// A function of this test binary whose immediate is changed: `mov $n,%eax; ret`.
    #[unsafe(naked)]
    extern "C" fn number() -> u32 {
        core::arch::naked_asm!(".balign 64", "mov eax, 1", "ret")
    }

    #[test]
    fn threads_that_run_the_code_meanwhile_see_the_old_or_the_new() {
        let address = number as *const () as usize;
        let before = path_at(address);
        let seen = [const { AtomicU64::new(0) }; 3];
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        seen[number() as usize].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for round in 0..200u32 {
                let value = 1 + round % 2;
                let mut bytes = vec![0xb8];
                bytes.extend_from_slice(&value.to_le_bytes());
                apply(&[Edit { address, bytes }], false, &mut |_| panic!("refused"));
                assert_eq!(number(), value);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(seen[0].load(Ordering::Relaxed), 0);
        assert_eq!(path_at(address), before);
    }

    #[test]
    fn what_is_no_file_s_code_is_refused() {
        let mut refused = Vec::new();
        let here = &raw const refused as usize;
        apply(&[Edit { address: here, bytes: vec![0] }], false, &mut |at| refused.push(at));
        assert_eq!(refused, [here]);
    }
}
