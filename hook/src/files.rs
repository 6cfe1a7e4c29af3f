//! Small questions to the file system, asked of libc directly: Rust's standard library would bring
//! its thread-locals into the host's static TLS.
//!
//! Every function here may change errno and may be a cancellation point; all are called with both
//! kept (`store::lock::Quiet`).

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{c_char, CStr};
use core::fmt;

/// Bytes of the longest path and its NUL. On the heap: the host's stack may be a small one.
const PATH_BYTES: usize = libc::PATH_MAX as usize;

/// Why a call failed: the value of errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// That of the calling thread's last failed call.
    pub fn last() -> Self {
        // SAFETY: errno's address is valid in every thread.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 128];
        // SAFETY: at most the buffer's size is written, with a NUL; it began as NULs, should
        // nothing be written.
        unsafe { libc::strerror_r(self.0, text.as_mut_ptr().cast(), text.len()) };
        let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        write!(out, "{} (os error {})", text.to_string_lossy(), self.0)
    }
}

/// A path as the kernel takes it; `EINVAL` if there is a NUL in it.
pub fn c_path(path: impl Into<Vec<u8>>) -> Result<CString, Errno> {
    CString::new(path).map_err(|_| Errno(libc::EINVAL))
}

/// All bytes of a file; sizes are not believed (those of /proc are 0).
pub fn read(path: &CStr) -> Result<Vec<u8>, Errno> {
    // SAFETY: a C string and plain flags.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(Errno::last());
    }
    let (mut bytes, mut filled) = (vec![0u8; 1024], 0);
    let result = loop {
        if filled == bytes.len() {
            bytes.resize(2 * filled, 0);
        }
        let free = bytes.get_mut(filled..).unwrap_or_default();
        // SAFETY: our descriptor, and at most the free bytes are written.
        match unsafe { libc::read(fd, free.as_mut_ptr().cast(), free.len()) } {
            0 => break Ok(()),
            count if count > 0 => filled += count as usize,
            _ if Errno::last() == Errno(libc::EINTR) => {}
            _ => break Err(Errno::last()),
        }
    };
    // SAFETY: ours, closed once.
    unsafe { libc::close(fd) };
    bytes.truncate(filled);
    result.map(|()| bytes)
}

/// Makes a file with these bytes, as readable as the umask allows; false when it is there already.
pub fn write_new(path: &CStr, bytes: &[u8]) -> Result<bool, Errno> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: a C string and plain flags.
    let fd = unsafe { libc::open(path.as_ptr(), flags, 0o644) };
    if fd < 0 {
        return match Errno::last() {
            Errno(libc::EEXIST) => Ok(false),
            why => Err(why),
        };
    }
    // SAFETY: our descriptor and a live buffer, small enough to be written at once.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    let why = Errno::last();
    // SAFETY: ours, closed once; a file that could not be filled goes again.
    unsafe {
        libc::close(fd);
        if written == bytes.len() as isize {
            return Ok(true);
        }
        libc::unlink(path.as_ptr());
    }
    Err(if written < 0 { why } else { Errno(libc::ENOSPC) })
}

/// Offsets in a directory entry of the kernel (getdents64(2)): its length, its name.
const ENTRY_LENGTH: usize = 16;
const ENTRY_NAME: usize = 19;

/// Whether a directory holds an entry whose name is `wanted`. Asked of the kernel: opendir would
/// take memory of the host's.
pub fn any_entry(path: &CStr, wanted: impl Fn(&[u8]) -> bool) -> Result<bool, Errno> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string and plain flags.
    let fd = unsafe { libc::open(path.as_ptr(), flags) };
    if fd < 0 {
        return Err(Errno::last());
    }
    let mut buffer = vec![0u8; 4096];
    let result = loop {
        let (to, bytes) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: our descriptor, and at most the buffer's size is written.
        let filled = unsafe { libc::syscall(libc::SYS_getdents64, fd, to, bytes) };
        match usize::try_from(filled) {
            Ok(0) => break Ok(false),
            Ok(filled) if has_entry(buffer.get(..filled).unwrap_or_default(), &wanted) => {
                break Ok(true);
            }
            Ok(_) => {}
            Err(_) => break Err(Errno::last()),
        }
    };
    // SAFETY: ours, closed once.
    unsafe { libc::close(fd) };
    result
}

fn has_entry(mut entries: &[u8], wanted: &impl Fn(&[u8]) -> bool) -> bool {
    while let Some(&[low, high]) = entries.get(ENTRY_LENGTH..ENTRY_LENGTH + 2) {
        let length = usize::from(u16::from_le_bytes([low, high])).max(ENTRY_NAME);
        let name = entries.get(ENTRY_NAME..length).unwrap_or_default();
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        if name != b"." && name != b".." && wanted(name) {
            return true;
        }
        entries = entries.get(length..).unwrap_or_default();
    }
    false
}

/// Where a symbolic link leads.
pub fn read_link(path: &CStr) -> Result<Vec<u8>, Errno> {
    let mut target = vec![0u8; PATH_BYTES];
    // SAFETY: at most the buffer's size is written. No link of the kernel's is longer than that.
    let length = unsafe { libc::readlink(path.as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    target.truncate(usize::try_from(length).map_err(|_| Errno::last())?);
    target.shrink_to_fit();
    Ok(target)
}

/// The absolute path without links, `.` and `..`; the file must exist.
pub fn canonical(path: &CStr) -> Result<Vec<u8>, Errno> {
    // SAFETY: a C string; realpath writes at most PATH_MAX bytes, which is the buffer's size. With a
    // buffer of ours it has no need of the host's malloc.
    asked(|buffer, _| unsafe { libc::realpath(path.as_ptr(), buffer) })
}

/// The working directory.
pub fn working_directory() -> Result<Vec<u8>, Errno> {
    // SAFETY: at most `bytes` are written to the buffer.
    asked(|buffer, bytes| unsafe { libc::getcwd(buffer, bytes) })
}

/// The C string that `ask` writes into a buffer of PATH_MAX bytes; it returns null when it fails.
fn asked(ask: impl FnOnce(*mut c_char, usize) -> *mut c_char) -> Result<Vec<u8>, Errno> {
    let mut path = vec![0u8; PATH_BYTES];
    if ask(path.as_mut_ptr().cast(), path.len()).is_null() {
        return Err(Errno::last());
    }
    path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(PATH_BYTES));
    path.shrink_to_fit();
    Ok(path)
}

/// Makes an empty file; `EEXIST` if it is there.
pub fn make_new(path: &CStr) -> Result<(), Errno> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: a C string and plain flags; the descriptor is closed at once.
    unsafe {
        match libc::open(path.as_ptr(), flags, 0o600) {
            fd if fd < 0 => Err(Errno::last()),
            fd => {
                libc::close(fd);
                Ok(())
            }
        }
    }
}

/// Makes one directory, with all rights the umask allows.
pub fn make_directory(path: &CStr) -> Result<(), Errno> {
    // SAFETY: a C string.
    if unsafe { libc::mkdir(path.as_ptr(), 0o777) } == 0 {
        return Ok(());
    }
    Err(Errno::last())
}

/// Makes a directory and those above it, where they are missing.
pub fn make_directories(path: &[u8]) -> Result<(), Errno> {
    match make_or_find(path) {
        Err(Errno(libc::ENOENT)) => {}
        done => return done,
    }
    for (at, _) in path.iter().enumerate().skip(1).filter(|(_, &byte)| byte == b'/') {
        make_or_find(path.get(..at).unwrap_or_default())?;
    }
    make_or_find(path)
}

/// Makes a directory; whatever mkdir says, one that is there will do.
fn make_or_find(path: &[u8]) -> Result<(), Errno> {
    let path = c_path(path)?;
    make_directory(&path).or_else(|why| if is_directory(&path) { Ok(()) } else { Err(why) })
}

fn is_directory(path: &CStr) -> bool {
    // SAFETY: stat fills the struct.
    unsafe {
        let mut stat: libc::stat = core::mem::zeroed();
        libc::stat(path.as_ptr(), &mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFDIR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a scratch directory");
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn c(path: &Path) -> CString {
        c_path(path.as_os_str().as_bytes()).expect("a path")
    }

    #[test]
    fn files_are_read_whole_whatever_their_size_says() {
        let scratch = Scratch::new("files-read");
        let path = scratch.0.join("file");
        for length in [0, 1, 1023, 1024, 1025, 100_000] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| n as u8).collect();
            std::fs::write(&path, &bytes).expect("write");
            assert_eq!(read(&c(&path)), Ok(bytes));
        }
        let name = read(c"/proc/self/cmdline").expect("a command line");
        assert_eq!(Ok(name), std::fs::read("/proc/self/cmdline").map_err(|_| ()));
        assert_eq!(read(c"/nowhere/at/all"), Err(Errno(libc::ENOENT)));
        assert_eq!(read(c"/proc/self"), Err(Errno(libc::EISDIR)));
    }

    #[test]
    fn paths_are_those_of_the_standard_library() {
        let exe = std::env::current_exe().expect("an executable");
        assert_eq!(read_link(c"/proc/self/exe").as_deref(), Ok(exe.as_os_str().as_bytes()));
        assert_eq!(read_link(c"/proc"), Err(Errno(libc::EINVAL)));
        let here = std::env::current_dir().expect("a directory");
        assert_eq!(working_directory().as_deref(), Ok(here.as_os_str().as_bytes()));
        let scratch = Scratch::new("files-paths");
        let real = std::fs::canonicalize(&scratch.0).expect("a directory");
        std::os::unix::fs::symlink(&real, real.join("link")).expect("a link");
        let roundabout = real.join("link/./../");
        let parent = real.parent().expect("a parent");
        assert_eq!(canonical(&c(&roundabout)).as_deref(), Ok(parent.as_os_str().as_bytes()));
        assert_eq!(canonical(&c(&real.join("none"))), Err(Errno(libc::ENOENT)));
    }

    #[test]
    fn missing_directories_are_made_and_others_found() {
        let scratch = Scratch::new("files-made");
        let deep = scratch.0.join("a//b/c/");
        let bytes = deep.as_os_str().as_bytes();
        assert_eq!(make_directories(bytes), Ok(()));
        assert!(deep.is_dir());
        assert_eq!(make_directories(bytes), Ok(()));
        assert_eq!(make_directories(b"/"), Ok(()));
        assert_eq!(make_directory(&c(&deep)), Err(Errno(libc::EEXIST)));
        assert_eq!(make_new(&c(&deep.join("new"))), Ok(()));
        assert_eq!(make_new(&c(&deep.join("new"))), Err(Errno(libc::EEXIST)));
        let file = scratch.0.join("file");
        std::fs::write(&file, b"").expect("write");
        assert_eq!(make_directories(file.as_os_str().as_bytes()), Err(Errno(libc::EEXIST)));
        let below = file.join("x/y");
        assert_eq!(make_directories(below.as_os_str().as_bytes()), Err(Errno(libc::ENOTDIR)));
        assert_eq!(make_directories(b"/proc/none"), Err(Errno(libc::ENOENT)));
        assert_eq!(make_directories(b"a\0b"), Err(Errno(libc::EINVAL)));
    }

    #[test]
    fn new_files_are_written_once_and_entries_are_found() {
        let scratch = Scratch::new("files-new");
        let file = c(&scratch.0.join("file"));
        let own = c(&scratch.0);
        assert_eq!(any_entry(&own, |_| true), Ok(false));
        assert_eq!(write_new(&file, b"first"), Ok(true));
        assert_eq!(write_new(&file, b"second"), Ok(false));
        assert_eq!(read(&file).as_deref(), Ok(&b"first"[..]));
        assert_eq!(write_new(c"/nowhere/file", b""), Err(Errno(libc::ENOENT)));
        for number in 0..500 {
            let name = format!("an entry with a rather long name, number {number}");
            std::fs::write(scratch.0.join(name), b"").expect("write");
        }
        assert_eq!(any_entry(&own, |name| name.ends_with(b" number 499")), Ok(true));
        assert_eq!(any_entry(&own, |name| name.ends_with(b" number 500")), Ok(false));
        assert_eq!(any_entry(&file, |_| true), Err(Errno(libc::ENOTDIR)));
    }

    #[test]
    fn errors_read_as_they_did() {
        for code in [libc::ENOENT, libc::ENOSPC, 99_999] {
            let theirs = std::io::Error::from_raw_os_error(code).to_string();
            assert_eq!(Errno(code).to_string(), theirs);
        }
    }
}
