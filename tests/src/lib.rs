//! The harness of the end-to-end tests: it compiles testapps, finds the `perfvisor` binary, runs
//! programs natively and watched, and reads the truth the testapps print and the report.
//!
//! What may not happen here: no look into the recorder or the analyzer; the tests see what a user
//! sees, which is files, standard streams, exit statuses and `report --json`. Nothing is skipped
//! in silence: a missing program fails the test and says what to install.

pub mod apps;
mod perfvisor;
mod process;
mod report;
mod scratch;
mod server;
pub mod strace;
pub mod syscalls;
mod testapp;
mod truth;

pub use perfvisor::{hook_path, perfvisor_path, Mode, Perfvisor, Recording};
pub use process::{run, run_with_input, Outcome, TIME_LIMIT};
pub use report::Report;
pub use scratch::Scratch;
pub use server::{free_port, nginx_configuration, Server};
pub use testapp::Testapp;
pub use truth::Truth;

use std::path::PathBuf;

/// The path of an installed program; fails the test with what to install when it is missing.
///
/// # Panics
/// When no directory of `PATH` has `name`.
pub fn program(name: &str, package: &str) -> PathBuf {
    // The distribution's own come first: elsewhere on PATH may stand a wrapper script.
    let usual = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    usual
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}
