//! Whether the loader of a program about to be run could read this library.

use core::ffi::CStr;

/// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with either, permissions do not matter.
const OVER_PERMISSIONS: [u32; 2] = [1, 2];
/// _LINUX_CAPABILITY_VERSION_3.
const VERSION: u32 = 0x2008_0522;

/// As capget and capset take it: version, thread (0 = the calling one).
type Head = [u32; 2];
/// Effective, permitted and inheritable set: the low words, then the high ones.
type Sets = [u32; 6];

/// Whether the file cannot be opened, as this process will be after an exec, for want of rights or
/// because it is not there.
///
/// A user other than root loses at exec all capabilities that are not ambient (capabilities(7)).
/// Who drops root may have kept them until then, as setpriv does.
pub fn is_out_of_reach(path: &CStr) -> bool {
    let mut head: Head = [VERSION, 0];
    let mut sets: Sets = [0; 6];
    // SAFETY: the calls read and write our arrays, of the sizes that the version says. What is taken
    // from the calling thread's effective set it still may have, and gets back.
    unsafe {
        let known = libc::syscall(libc::SYS_capget, &mut head, &mut sets) == 0;
        let had = sets;
        if known && libc::geteuid() != 0 {
            for capability in OVER_PERMISSIONS.into_iter().filter(|&c| !is_ambient(c)) {
                sets[0] &= !(1 << capability);
            }
        }
        let changed = sets != had && libc::syscall(libc::SYS_capset, &mut head, &sets) == 0;
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let why = *libc::__errno_location();
        if fd >= 0 {
            libc::close(fd);
        }
        if changed {
            libc::syscall(libc::SYS_capset, &mut head, &had);
        }
        fd < 0 && matches!(why, libc::EACCES | libc::ENOENT)
    }
}

fn is_ambient(capability: u32) -> bool {
    // SAFETY: a question of plain numbers.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1 }
}

#[cfg(test)]
mod tests {
    use super::is_out_of_reach;

    #[test]
    fn what_can_be_read_is_in_reach() {
        assert!(!is_out_of_reach(c"/proc/self/exe"));
        assert!(is_out_of_reach(c"/no/such/library.so"));
    }
}
