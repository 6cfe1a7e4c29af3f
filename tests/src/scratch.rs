//! Directories of one test, gone when the test has passed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A fresh directory, removed on drop unless the test is failing (then it is left to look at).
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A fresh directory; `name` tells a reader whose it is.
    ///
    /// # Panics
    /// When the directory cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            target_tmp().join("scratch").join(format!("{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("scratch directory");
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for inspection: {}", self.path.display());
        } else {
            // What cannot be removed is only litter in the target directory.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// `target/tmp` of the build the running test belongs to.
///
/// Cargo tells CARGO_TARGET_TMPDIR to tests only, not to their libraries; the test's own place
/// (`target/PROFILE/deps/NAME`) says the same.
pub(crate) fn target_tmp() -> PathBuf {
    let test = std::env::current_exe().expect("path of the test");
    let target = test.ancestors().nth(3).expect("target directory").to_path_buf();
    let tmp = target.join("tmp");
    std::fs::create_dir_all(&tmp).expect("target/tmp");
    tmp
}

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace").to_path_buf()
}
