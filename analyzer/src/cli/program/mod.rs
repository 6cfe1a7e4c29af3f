//! Can LD_PRELOAD enter this program? Found out before it runs, so that nothing is run under a
//! false pretence.
//!
//! The loader that honours LD_PRELOAD is glibc's, for programs of our own word size and machine,
//! and only when the kernel does not mark the start as privileged (AT_SECURE). Scripts are
//! followed to their interpreter, as the kernel does.

mod elf;
mod privilege;

pub use elf::{ElfFile, Symbols};

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{EXIT_CANNOT_EXECUTE, EXIT_NOT_FOUND, EXIT_OURS};

/// Scripts whose interpreter is a script: the kernel follows no more than this.
const MAX_SCRIPTS: usize = 5;
/// The kernel reads this much of a script's first line.
const FIRST_LINE_BYTES: usize = 256;

/// Why a program cannot be recorded, or not be run at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No such file, or none in PATH.
    NotFound(String),
    /// There, but not executable; the text says why.
    NotExecutable(String),
    /// No program interpreter: no loader, so no LD_PRELOAD.
    Static,
    /// Another loader than glibc's; its path.
    OtherLibc(PathBuf),
    /// Its loader does not exist; its path.
    NoLoader(PathBuf),
    /// A 32-bit program.
    Bits32,
    /// Made for another machine; its name.
    OtherMachine(String),
    /// The kernel starts it privileged; the text says by what.
    Privileged(String),
}

impl Obstacle {
    /// The exit code of `run`.
    pub fn code(&self) -> u8 {
        match self {
            Self::NotFound(_) | Self::NoLoader(_) => EXIT_NOT_FOUND,
            Self::NotExecutable(_) => EXIT_CANNOT_EXECUTE,
            _ => EXIT_OURS,
        }
    }

    /// What the user can do about it.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotFound(_) | Self::NotExecutable(_) => return None,
            Self::NoLoader(_) => "install the C library that the program was built for",
            Self::Static => {
                "link it dynamically (without -static; Go: CGO_ENABLED=1 and \
                 -ldflags=-linkmode=external; Rust: a -gnu target, not -musl)"
            }
            Self::OtherLibc(_) => "build it for glibc (a -gnu target); the hook needs glibc 2.34+",
            Self::Bits32 | Self::OtherMachine(_) => "only 64-bit x86 programs can be recorded",
            Self::Privileged(_) => {
                "record a copy without the privilege, \
                 or run perfvisor as the user the program becomes"
            }
        })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(why) | Self::NotExecutable(why) => out.write_str(why),
            Self::Static => {
                out.write_str("statically linked: it has no loader, so LD_PRELOAD cannot enter it")
            }
            Self::OtherLibc(loader) => write!(
                out,
                "its loader is {}, not glibc's: a library for glibc cannot enter it",
                loader.display()
            ),
            Self::NoLoader(loader) => write!(out, "its loader {} does not exist", loader.display()),
            Self::Bits32 => out.write_str("a 32-bit program: a 64-bit library cannot enter it"),
            Self::OtherMachine(machine) => {
                write!(out, "built for {machine}: a library for x86-64 cannot enter it")
            }
            Self::Privileged(by) => write!(out, "{by}: the loader ignores LD_PRELOAD for it"),
        }
    }
}

/// A program that LD_PRELOAD can enter.
#[derive(Debug)]
pub struct Program {
    /// The file to execute.
    pub path: PathBuf,
    /// The file that the kernel loads in the end: `path`, or the interpreter of a script.
    pub binary: PathBuf,
}

/// The file a shell would run for `command`: itself if it holds a slash, else from PATH.
pub fn find(command: &OsStr) -> Result<PathBuf, Obstacle> {
    if command.is_empty() {
        return Err(Obstacle::NotFound("the command is empty".into()));
    }
    if command.as_bytes().contains(&b'/') {
        return executable(Path::new(command)).map(|()| PathBuf::from(command));
    }
    let search = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let mut first_refusal = None;
    for directory in env::split_paths(&search) {
        // An empty element is the working directory, as for a shell.
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
        let path = directory.join(command);
        match executable(&path) {
            Ok(()) => return Ok(path),
            Err(Obstacle::NotFound(_)) => {}
            Err(refusal) => first_refusal = first_refusal.or(Some(refusal)),
        }
    }
    Err(first_refusal.unwrap_or_else(|| {
        Obstacle::NotFound(format!("{}: command not found", command.to_string_lossy()))
    }))
}

fn executable(path: &Path) -> Result<(), Obstacle> {
    let shown = path.display();
    let found = fs::metadata(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            Obstacle::NotExecutable(format!("{shown}: {error}"))
        } else {
            Obstacle::NotFound(format!("{shown}: {error}"))
        }
    })?;
    if !found.is_file() {
        let what = if found.is_dir() { "a directory" } else { "not a regular file" };
        return Err(Obstacle::NotExecutable(format!("{shown}: {what}")));
    }
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Obstacle::NotFound(format!("{shown}: a path cannot hold a NUL")))?;
    // SAFETY: name is NUL-terminated; faccessat only reads it.
    let denied =
        unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if denied != 0 {
        let error = std::io::Error::last_os_error();
        return Err(Obstacle::NotExecutable(format!("{shown}: not executable: {error}")));
    }
    Ok(())
}

/// Follows `path` to the binary the kernel will load and judges that. An obstacle comes with the
/// file it is about.
pub fn inspect(path: &Path) -> Result<Program, (PathBuf, Obstacle)> {
    let mut binary = path.to_owned();
    for _ in 0..MAX_SCRIPTS {
        let head = head(&binary).map_err(|obstacle| (binary.clone(), obstacle))?;
        if head.starts_with(b"\x7fELF") {
            judge(&binary).map_err(|obstacle| (binary.clone(), obstacle))?;
            return Ok(Program { path: path.to_owned(), binary });
        }
        binary = match interpreter(&head) {
            Some(line) => {
                let next = PathBuf::from(&line[0]);
                executable(&next).map_err(|obstacle| {
                    let text = format!("{}: its interpreter: {obstacle}", binary.display());
                    let obstacle = match obstacle {
                        Obstacle::NotFound(_) => Obstacle::NotFound(text),
                        _ => Obstacle::NotExecutable(text),
                    };
                    (binary.clone(), obstacle)
                })?;
                match behind_env(&next, &line[1..]) {
                    Some(behind) => behind,
                    None => next,
                }
            }
            // What has no first line for the kernel is run by the shell, as execvp does.
            None if is_text(&head) => PathBuf::from("/bin/sh"),
            None => {
                let text = format!("{}: neither an ELF file nor a script", binary.display());
                return Err((binary, Obstacle::NotExecutable(text)));
            }
        };
    }
    let text = format!("{}: more than {MAX_SCRIPTS} scripts in a row", path.display());
    Err((binary, Obstacle::NotExecutable(text)))
}

/// The first bytes of a file.
fn head(path: &Path) -> Result<Vec<u8>, Obstacle> {
    let mut bytes = Vec::with_capacity(FIRST_LINE_BYTES);
    match fs::File::open(path)
        .and_then(|file| file.take(FIRST_LINE_BYTES as u64).read_to_end(&mut bytes))
    {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Obstacle::NotExecutable(format!(
            "{}: cannot be read to see what it is: {error}",
            path.display()
        ))),
    }
}

/// The words of a `#!` line: the interpreter and at most one argument.
fn interpreter(head: &[u8]) -> Option<Vec<OsString>> {
    let line = head.strip_prefix(b"#!")?;
    let end = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
    let line = line[..end].trim_ascii();
    let cut = line.iter().position(|byte| *byte == b' ' || *byte == b'\t').unwrap_or(line.len());
    let words = [&line[..cut], line[cut..].trim_ascii()];
    let words: Vec<OsString> = words
        .iter()
        .filter(|word| !word.is_empty())
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    (!words.is_empty()).then_some(words)
}

/// The program that `env` would run, when `interpreter` is `env`.
fn behind_env(interpreter: &Path, arguments: &[OsString]) -> Option<PathBuf> {
    if interpreter.file_name() != Some(OsStr::new("env")) {
        return None;
    }
    let line = arguments.first()?.to_str()?;
    let line = line.strip_prefix("-S").unwrap_or(line);
    let word =
        line.split_whitespace().find(|word| !word.starts_with('-') && !word.contains('='))?;
    find(OsStr::new(word)).ok()
}

fn is_text(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    !line.contains(&0)
}

/// Judges an ELF file.
fn judge(path: &Path) -> Result<(), Obstacle> {
    let elf = ElfFile::open(path)
        .map_err(|why| Obstacle::NotExecutable(format!("{}: {why}", path.display())))?;
    if let Some(obstacle) = elf.obstacle(path) {
        return Err(obstacle);
    }
    match privilege::gained_by_executing(path) {
        Some(by) => Err(Obstacle::Privileged(by)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_split_as_the_kernel_splits_them() {
        let words = |line: &str| {
            interpreter(line.as_bytes())
                .map(|words| words.iter().map(|w| w.to_string_lossy().into_owned()).collect())
        };
        let expect = |list: &[&str]| Some(list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(words("#!/bin/sh\necho"), expect(&["/bin/sh"]));
        assert_eq!(words("#! /usr/bin/env  -S a b \n"), expect(&["/usr/bin/env", "-S a b"]));
        assert_eq!(words("#!\n"), None);
        assert_eq!(words("echo"), None);
    }

    #[test]
    fn env_is_looked_through() {
        let env = Path::new("/usr/bin/env");
        let behind = |argument: &str| behind_env(env, &[argument.into()]);
        assert_eq!(behind("sh"), find(OsStr::new("sh")).ok());
        assert_eq!(behind("-S A=1 sh -e"), find(OsStr::new("sh")).ok());
        assert_eq!(behind_env(Path::new("/bin/sh"), &["x".into()]), None);
    }

    #[test]
    fn commands_are_found_or_refused_with_the_shells_codes() {
        assert!(find(OsStr::new("sh")).is_ok());
        let code = |command: &str| find(OsStr::new(command)).unwrap_err().code();
        assert_eq!(code("no-such-command-anywhere"), 127);
        assert_eq!(code("./no/such/file"), 127);
        assert_eq!(code("/"), 126);
        assert_eq!(code("/etc/passwd"), 126);
        assert_eq!(code(""), 127);
    }

    #[test]
    fn a_dynamic_program_is_let_through() {
        let path = find(OsStr::new("sh")).unwrap();
        let program = inspect(&path).unwrap();
        assert_eq!(program.binary, path);
    }
}
