//! The hook library: it travels inside this binary and is unpacked once, where only we can write.
//!
//! A file that the loader maps into every program the user runs must not be replaceable by
//! anybody else. So the directory is ours and private (mode 0700) or it is not used, the file is
//! written under a temporary name and renamed, and before each use all of its bytes are compared
//! with ours. When a version is unpacked, those that nobody used for long are removed ([`old`]).

use std::env;
use std::ffi::{CString, OsString};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Failure;

mod old;

/// The library, built by `build.rs`.
static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libperfvisor_hook.so"));

/// Its name in the cache: version and contents, so that two versions never meet in one file.
const FILE_NAME: &str = include!(concat!(env!("OUT_DIR"), "/file_name.rs"));

/// Where the hook library lies, unpacked and verified. Fails with exit code 125 when no place for
/// it can be used.
pub fn unpack() -> Result<PathBuf, Failure> {
    unpack_into_first(&candidates())
}

/// `perfvisor hook-path`.
pub fn print_path() -> Result<(), Failure> {
    let mut line = unpack().map_err(|failure| failure.with_code(1))?.into_os_string().into_vec();
    line.push(b'\n');
    io::stdout()
        .write_all(&line)
        .map_err(|error| Failure::new(format!("cannot write to standard output: {error}")))
}

/// The newest version of glibc that the library asks for, as (major, minor).
pub fn needed_glibc() -> Option<(u32, u32)> {
    let elf = goblin::elf::Elf::parse(BYTES).ok()?;
    let needed = elf.verneed.as_ref()?;
    needed
        .iter()
        .flat_map(|library| library.iter().map(|version| version.vna_name).collect::<Vec<_>>())
        .filter_map(|name| {
            let (major, minor) =
                elf.dynstrtab.get_at(name)?.strip_prefix("GLIBC_")?.split_once('.')?;
            Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
        })
        .max()
}

/// The directories tried, in order.
fn candidates() -> Vec<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let mut places = Vec::new();
    if let Some(cache) = absolute("XDG_CACHE_HOME") {
        places.push(cache.join("perfvisor"));
    }
    if let Some(home) = absolute("HOME") {
        places.push(home.join(".cache/perfvisor"));
    }
    let user = format!("perfvisor-{}", user());
    places.extend(["/tmp", "/var/tmp", "/dev/shm"].iter().map(|dir| Path::new(dir).join(&user)));
    places
}

fn user() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

fn unpack_into_first(places: &[PathBuf]) -> Result<PathBuf, Failure> {
    let mut refusals = String::new();
    for place in places {
        match unpack_into(place) {
            Ok(path) => return Ok(path),
            Err(reason) => {
                let _ = write!(refusals, "\n  {}: {reason}", place.display());
            }
        }
    }
    Err(Failure::new(format!("no place to unpack the hook library:{refusals}"))
        .advise(
            "set XDG_CACHE_HOME to a directory you own on a writable file system mounted \
             without noexec",
        )
        .with_code(super::EXIT_OURS))
}

/// Unpacks into `directory`, or says why it cannot be used.
fn unpack_into(directory: &Path) -> Result<PathBuf, String> {
    // The loader splits LD_PRELOAD at blanks and colons and expands $ORIGIN; nothing escapes them.
    if directory.as_os_str().as_bytes().iter().any(|byte| b" \t\n:$".contains(byte)) {
        return Err("LD_PRELOAD cannot hold a path with a blank, a colon or a dollar sign".into());
    }
    make_private(directory)?;
    if is_noexec(directory) {
        return Err("its file system is mounted noexec".into());
    }
    let path = directory.join(FILE_NAME);
    if holds_our_bytes(&path) {
        old::note_use(&path);
        return Ok(path);
    }
    write_new(directory, &path).map_err(|error| format!("cannot write {FILE_NAME}: {error}"))?;
    if holds_our_bytes(&path) {
        old::remove(directory, FILE_NAME);
        Ok(path)
    } else {
        Err(format!("{FILE_NAME} does not hold what was written"))
    }
}

/// Makes `directory` if it is missing and checks that nobody else can change what is in it.
fn make_private(directory: &Path) -> Result<(), String> {
    if let Some(parent) = directory.parent() {
        if !parent.exists() {
            fs::create_dir_all(parent)
                .map_err(|error| format!("cannot create {}: {error}", parent.display()))?;
        }
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("cannot create it: {error}")),
    }
    let found = fs::symlink_metadata(directory).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Err("it is not a directory (a symbolic link is not followed)".into());
    }
    if found.uid() != user() {
        return Err(format!("it belongs to user {}, not to user {}", found.uid(), user()));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(format!("others can write to it (mode {mode:04o}, expected 0700)"));
    }
    if mode & 0o077 != 0 {
        // Ours, and nobody else could have changed it: only narrow it.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
            .map_err(|error| format!("cannot set its mode from {mode:04o} to 0700: {error}"))?;
    }
    Ok(())
}

fn is_noexec(directory: &Path) -> bool {
    let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else { return true };
    // SAFETY: path is NUL-terminated and statvfs only writes into the local, for which zeroes
    // are a valid value.
    unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        libc::statvfs(path.as_ptr(), &mut found) == 0 && found.f_flag & libc::ST_NOEXEC != 0
    }
}

/// Whether `path` is a regular file of ours that only we can write and that holds the library.
fn holds_our_bytes(path: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    found.is_file()
        && found.uid() == user()
        && found.mode() & 0o022 == 0
        && found.len() == BYTES.len() as u64
        && fs::read(path).is_ok_and(|bytes| bytes == BYTES)
}

/// Writes the library beside its place and renames it, so that a reader sees all of it or none.
fn write_new(directory: &Path, path: &Path) -> io::Result<()> {
    let mut name = OsString::from(".new-");
    name.push(std::process::id().to_string());
    let temporary = directory.join(name);
    // A process that died here may have left one; the directory is private, so it was ours.
    let _ = fs::remove_file(&temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o500)
        .open(&temporary)
        .and_then(|mut file| file.write_all(BYTES))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn scratch(name: &str) -> PathBuf {
        let place = env::temp_dir().join(format!("perfvisor-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).unwrap();
        place
    }

    #[test]
    fn unpacks_privately_and_reuses_what_it_unpacked() {
        let place = scratch("unpack").join("a/perfvisor");
        let path = unpack_into(&place).unwrap();
        assert_eq!(fs::read(&path).unwrap(), BYTES);
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0);
        let first = fs::metadata(&path).unwrap().ino();
        unpack_into(&place).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), first);
    }

    #[test]
    fn replaces_a_file_that_was_changed() {
        let place = scratch("changed").join("perfvisor");
        let path = unpack_into(&place).unwrap();
        let mut bytes = BYTES.to_vec();
        bytes[100] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        unpack_into(&place).unwrap();
        assert_eq!(fs::read(&path).unwrap(), BYTES);
    }

    #[test]
    fn refuses_a_directory_that_others_can_write_or_a_link() {
        let open = scratch("open").join("perfvisor");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(unpack_into(&open).unwrap_err().contains("mode 0777"));
        let link = open.with_file_name("link");
        symlink(&open, &link).unwrap();
        assert!(unpack_into(&link).unwrap_err().contains("not a directory"));
    }

    #[test]
    fn refuses_what_ld_preload_cannot_hold_and_falls_back() {
        let place = scratch("fall back");
        let good = scratch("fallback").join("perfvisor");
        let blocked = good.with_file_name("file");
        fs::write(&blocked, "").unwrap();
        let all = [place, blocked.join("perfvisor"), good.clone()];
        assert!(unpack_into_first(&all).unwrap().starts_with(good));
        let failure = unpack_into_first(&all[..2]).unwrap_err();
        assert_eq!(failure.code, 125);
        assert!(failure.text.contains("a blank") && failure.text.contains("file/perfvisor"));
    }
}
