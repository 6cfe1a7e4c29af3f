//! What is recorded of a system call; `shim-c/src/syscall_x86_64.S` leads here.
//!
//! ```text
//! a jump in place of `mov $nr,%eax` → thunk → entry in assembly
//!     same site, path, object as last time, not its turn → count → syscall → (bytes) → back
//!     else: time stamp → syscall → time stamp → done → back
//!     comes back twice or never: begin → the instruction where it stands
//! ```
//!
//! Counts, errors and bytes are exact. A call is timed unless its cell has proved short and steady
//! ([`cell`]); waiting ones always are. The call path is that of the open timed calls, and of the
//! notes of those that were only counted ([`crate::notes`]).

mod cell;
mod done;
mod fast;
mod object;
pub mod seam;

pub use cell::find as find_cell;
pub use done::AUDIT;
pub use fast::{Fast, FAST};
pub use object::{find as find_object, Name};
