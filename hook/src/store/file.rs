//! Mapped files without a descriptor kept open.
//!
//! A file is made with its largest size (sparse), mapped whole and closed at once, so the host's
//! descriptor numbers stay its own. Before bytes of it are used they are populated: a full disk
//! then answers with an error here instead of SIGBUS in the host.

use alloc::ffi::CString;
use perfvisor_format::FileHeader;

/// Linux 5.14: allocates and maps pages writable, or fails.
const MADV_POPULATE_WRITE: i32 = 23;
/// One page.
pub const PAGE: usize = 4096;

/// A shared mapping of a whole file.
#[derive(Clone, Copy)]
pub struct Mapping {
    /// First byte.
    pub base: *mut u8,
    /// Bytes mapped.
    pub bytes: usize,
}

/// Largest file this process may make without SIGXFSZ, bytes.
pub fn size_limit() -> u64 {
    // SAFETY: getrlimit fills the struct.
    unsafe {
        let mut limit: libc::rlimit = core::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) != 0 {
            return u64::MAX;
        }
        limit.rlim_cur
    }
}

/// Opens (creating, mode 0600 minus umask) for reading and writing; −1 on failure.
pub fn open(path: &CString, create: bool) -> i32 {
    let flags = libc::O_RDWR | libc::O_CLOEXEC | if create { libc::O_CREAT } else { 0 };
    // SAFETY: a C string and plain flags.
    unsafe { libc::open(path.as_ptr(), flags, 0o600) }
}

/// Creates `path` with `bytes` (sparse) and maps it at a place where `base + offset` is a multiple
/// of `align`. `None` when the directory, disk, memory or a limit does not allow it.
pub fn create(path: &CString, bytes: usize, offset: usize, align: usize) -> Option<(Mapping, i32)> {
    if bytes as u64 > size_limit() {
        return None;
    }
    let fd = open(path, true);
    if fd < 0 {
        return None;
    }
    // SAFETY: a descriptor of ours; addresses come from mmap itself.
    unsafe {
        if libc::ftruncate(fd, bytes as i64) != 0 {
            libc::close(fd);
            return None;
        }
        let base = reserve(bytes, offset, align);
        if base.is_null() {
            libc::close(fd);
            return None;
        }
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let mapped = libc::mmap(base.cast(), bytes, access, flags, fd, 0);
        if mapped == libc::MAP_FAILED {
            libc::munmap(base.cast(), bytes);
            libc::close(fd);
            return None;
        }
        no_readahead(base, bytes);
        Some((Mapping { base, bytes }, fd))
    }
}

/// Keeps the kernel from reading ahead: a fault on a hole would otherwise fill and zero up to 2 MiB of
/// page cache around it (measured: 4 ms of system time a thread instead of 0.1 ms).
pub fn no_readahead(base: *mut u8, bytes: usize) {
    // SAFETY: advice on a mapping of ours changes no contents.
    unsafe { libc::madvise(base.cast(), bytes, libc::MADV_RANDOM) };
}

/// Reserves address space such that `base + offset` is a multiple of `align`.
unsafe fn reserve(bytes: usize, offset: usize, align: usize) -> *mut u8 {
    // SAFETY: only trims what it mapped itself.
    unsafe {
        let total = bytes + align;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let start = libc::mmap(core::ptr::null_mut(), total, libc::PROT_NONE, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return core::ptr::null_mut();
        }
        let start = start as usize;
        let base = (start + offset).next_multiple_of(align) - offset;
        if base > start {
            libc::munmap(start as *mut _, base - start);
        }
        let end = (base + bytes).next_multiple_of(PAGE);
        if start + total > end {
            libc::munmap(end as *mut _, start + total - end);
        }
        base as *mut u8
    }
}

/// Gives the pages of a part of a mapping their disk blocks; false when there is no room.
pub fn populate(base: *mut u8, offset: usize, bytes: usize) -> bool {
    let start = (base as usize + offset) & !(PAGE - 1);
    let end = (base as usize + offset + bytes).next_multiple_of(PAGE);
    // SAFETY: madvise on our own mapping changes no contents.
    unsafe {
        if libc::madvise(start as *mut _, end - start, MADV_POPULATE_WRITE) == 0 {
            return true;
        }
        // Kernels before 5.14 do not know the advice: touching is then all we can do.
        *libc::__errno_location() == libc::EINVAL && has_room()
    }
}

/// Cuts a file to `bytes`. What is cut off was never populated and never will be.
pub fn shorten(path: &CString, bytes: usize) {
    // SAFETY: a C string; a failure leaves the file sparse and long.
    unsafe { libc::truncate(path.as_ptr(), bytes as i64) };
}

/// Whether the trace's file system has room to spare, for kernels that cannot say page by page.
fn has_room() -> bool {
    // SAFETY: statvfs fills the struct.
    unsafe {
        let mut stat: libc::statvfs = core::mem::zeroed();
        let Some(directory) = crate::store::process::directory() else { return false };
        libc::statvfs(directory.as_ptr(), &mut stat) == 0
            && stat.f_bavail * stat.f_frsize > 16 << 20
    }
}

/// Writes a structure to the start of a mapping.
pub fn put_header(mapping: &Mapping, header: &FileHeader) {
    let bytes = header.as_bytes();
    // SAFETY: every mapping of ours is at least a page long and its first page is populated.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), mapping.base, bytes.len()) };
}
