//! Checks of a program before it is run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::program::{self, ElfFile, Obstacle, Symbols};
use super::Check;

/// What would stop recording `command`, and what its report would lack.
pub fn checks(command: &OsStr) -> Vec<Check> {
    let path = match program::find(command) {
        Ok(path) => path,
        Err(obstacle) => return vec![stopped(None, &obstacle)],
    };
    match program::inspect(&path) {
        Err((file, obstacle)) => vec![stopped(Some(&file), &obstacle)],
        Ok(program) => {
            let text = if program.binary == program.path {
                format!("{}: LD_PRELOAD can enter it", program.path.display())
            } else {
                format!(
                    "{}: a script; LD_PRELOAD can enter its interpreter {}",
                    program.path.display(),
                    program.binary.display()
                )
            };
            let mut checks = vec![Check::ok("program", text), symbols(&program.binary)];
            checks.extend(libraries(&program.binary));
            checks
        }
    }
}

/// The obstacle as a line.
pub fn stopped(file: Option<&Path>, obstacle: &Obstacle) -> Check {
    let text = match (file, obstacle) {
        (_, Obstacle::NotFound(why) | Obstacle::NotExecutable(why)) => why.clone(),
        (Some(file), _) => format!("{}: {obstacle}", file.display()),
        (None, _) => obstacle.to_string(),
    };
    Check::fail("program", text, obstacle.advice().unwrap_or("name a program that can be run"))
}

/// Whether the functions of `binary` can be named.
pub fn symbols(binary: &Path) -> Check {
    let shown = binary.display();
    match Symbols::of(binary) {
        Ok(Symbols::Full) => Check::ok("symbols", format!("{shown} has a symbol table")),
        Ok(Symbols::DebugFile) => Check::ok("symbols", format!("{shown} has a debug file")),
        Ok(Symbols::DynamicOnly) => Check::warn(
            "symbols",
            format!("{shown} is stripped"),
            "calls to libraries have their names all the same; its own functions (start routines \
             of threads) show as component+0xoffset until its debug symbols are installed",
        ),
        Err(why) => {
            Check::warn("symbols", format!("{shown}: {why}"), "its functions will have no names")
        }
    }
}

/// Asks the program's own loader which libraries it would load; nothing of the program runs.
fn libraries(binary: &Path) -> Option<Check> {
    let loader = ElfFile::open(binary).ok()?.loader()?.to_owned();
    let listed = Command::new(loader)
        .arg("--list")
        .arg(binary)
        .env_remove("LD_PRELOAD")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let missing: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_suffix("=> not found"))
        .map(str::trim)
        .collect();
    if !missing.is_empty() {
        let names = missing.join(", ");
        let advice = "install them or set LD_LIBRARY_PATH: the program does not start without them";
        return Some(Check::fail("libraries", format!("not found: {names}"), advice));
    }
    let found: Vec<PathBuf> = text.lines().filter_map(path_of).collect();
    if found.is_empty() {
        return None;
    }
    let only_libc = found.iter().all(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libc.so") || name.starts_with("ld-linux")
    });
    let count = found.len();
    Some(Check::ok(
        "libraries",
        if only_libc {
            "only the C library: its calls to that are what can be seen".to_owned()
        } else {
            format!("{count} loaded at start")
        },
    ))
}

/// The path in a line such as `libz.so.1 => /lib/libz.so.1 (0x7f…)`.
fn path_of(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    let (before, _) = line.rsplit_once(" (0x")?;
    let path = before.rsplit_once("=> ").map_or(before, |(_, path)| path);
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_loaders_list_is_read() {
        let path = |line| path_of(line).map(|path| path.display().to_string());
        assert_eq!(
            path("\tlibz.so.1 => /lib/libz.so.1 (0x7f00)").as_deref(),
            Some("/lib/libz.so.1")
        );
        assert_eq!(
            path("\t/lib64/ld-linux-x86-64.so.2 (0x7f00)").as_deref(),
            Some("/lib64/ld-linux-x86-64.so.2")
        );
        assert_eq!(path("\tlinux-vdso.so.1 (0x7fff)"), None);
    }

    #[test]
    fn a_program_of_this_system_passes_and_a_missing_one_fails() {
        let levels = |command: &str| -> Vec<Level> {
            checks(OsStr::new(command)).iter().map(|check| check.level).collect()
        };
        assert!(!levels("sh").contains(&Level::Fail));
        assert!(levels("sh").len() >= 3);
        assert_eq!(levels("no-such-command-anywhere"), [Level::Fail]);
    }
}
