//! Draws a [`Profile`](crate::model::Profile) and its findings: as text, as JSON, as one HTML page.
//!
//! What may not happen here: no judging and no arithmetic that makes a new number (that is
//! `analysis` and `model`), beyond sums and shares of what is shown; no I/O; no number that looks
//! more exact than it is; and no name from the traced program written as it came, because symbol
//! names, thread names and paths are chosen by whoever wrote the program.

mod arity;
pub mod compare;
mod errno;
mod facts;
mod filter;
mod footprint_json;
mod html;
mod json;
mod json_syscalls;
mod lookup;
mod names;
mod options;
mod outliers;
mod slow_call;
mod style;
mod syscall_facts;
mod syscall_json;
mod syscall_options;
mod table;
mod text;
mod units;

pub use filter::unmatched;
pub use footprint_json::{footprint_json, SCHEMA as FOOTPRINT_SCHEMA};
pub use html::{footprint_html, html};
pub use json::{json, SCHEMA as JSON_SCHEMA};
pub use options::{SortBy, TextOptions};
pub use syscall_json::{syscalls_json, SCHEMA as SYSCALLS_SCHEMA};
pub use syscall_options::{SyscallOptions, SYSCALLS_BY, SYSCALL_SORTS};
pub use text::{footprint, syscalls, text};

#[cfg(test)]
mod sample;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod json_tests;
