//! A directory of its own for one test, and the tool in it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A fresh directory, removed at the end.
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// The directory of the test `name`.
    pub fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    /// `name` below it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// `perfvisor`, started here, with no settings from outside.
    pub fn perfvisor(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perfvisor"));
        command.current_dir(&self.path).env("XDG_CONFIG_HOME", self.join("config"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PERFVISOR_") {
                command.env_remove(name);
            }
        }
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
