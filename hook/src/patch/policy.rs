//! How each API may be hooked: one row and one reason each (`policy_rows.rs`), found by hash.
//!
//! The default is to time. A row says otherwise where a call that is *called through* would not
//! come back (or would come back twice), where the callee looks at its caller or its caller's
//! frame, or what a blocking API waits for.

use perfvisor_format::WaitKind;

use super::policy_rows::{PREFIXES, ROWS};

/// What may be done with calls of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Counted, and timed by calling through.
    Time,
    /// Counted by tail jump only: the callee sees the caller's own frame and return address.
    CountOnly,
    /// The slot stays as it is.
    LeaveAlone,
}

/// How to tell, before a call, that it will not block. Reads the 32-bit word its first argument
/// points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeCheck {
    /// It cannot be told.
    None,
    /// Blocks if any of these bits is set.
    BlocksIfBits(u32),
    /// Blocks if the word is 0.
    BlocksIfZero,
}

/// No argument names what is waited for.
pub const NO_OBJECT: u8 = 255;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Symbol name; empty in rows that stand for many.
    pub name: &'static str,
    /// What may be done.
    pub action: Action,
    /// What the API waits for.
    pub wait: WaitKind,
    /// Index (0 to 5) of the integer argument that names what is waited for, or [`NO_OBJECT`].
    pub object: u8,
    /// How to tell that a call will not block.
    pub free_check: FreeCheck,
    /// Timed on each call that may block. False where the wait is rare or short and adaptive
    /// timing finds it: streams, which mostly stay in their buffer, and spin locks.
    pub always_timed: bool,
    /// Why.
    pub reason: &'static str,
}

impl Policy {
    /// Whether nobody asks if two pointers to this API are the same: then its slot may lead to a stub
    /// even where code loads it, as compilers do ahead of a loop. These are the functions a thread
    /// sleeps in. To miss them turns waiting into work, as in all of Rust's `thread::sleep`.
    pub fn is_never_compared(&self) -> bool {
        use WaitKind::{Barrier, Condition, Futex, Join, Poll, Semaphore, Sleep};
        self.always_timed
            && matches!(self.wait, Sleep | Poll | Condition | Semaphore | Barrier | Join | Futex)
    }
}

const ANY: Policy = Policy {
    name: "",
    action: Action::Time,
    wait: WaitKind::None,
    object: NO_OBJECT,
    free_check: FreeCheck::None,
    always_timed: false,
    reason: "nothing speaks against timing it",
};

/// Policy of every API without a row.
pub static DEFAULT: Policy = ANY;

/// A row that is counted only.
pub(super) const fn count(name: &'static str, reason: &'static str) -> Policy {
    Policy { name, action: Action::CountOnly, reason, ..ANY }
}

/// A row that is left alone.
pub(super) const fn leave(name: &'static str, reason: &'static str) -> Policy {
    Policy { name, action: Action::LeaveAlone, reason, ..ANY }
}

/// A row that blocks and is timed each time.
pub(super) const fn wait(
    name: &'static str,
    wait: WaitKind,
    object: u8,
    reason: &'static str,
) -> Policy {
    Policy { name, wait, object, always_timed: true, reason, ..ANY }
}

/// A row that blocks unless `free_check` says otherwise.
pub(super) const fn lock(
    name: &'static str,
    wait: WaitKind,
    free_check: FreeCheck,
    reason: &'static str,
) -> Policy {
    Policy { name, wait, object: 0, free_check, always_timed: true, reason, ..ANY }
}

/// A row that seldom blocks and is timed adaptively.
pub(super) const fn seldom(
    name: &'static str,
    wait: WaitKind,
    object: u8,
    reason: &'static str,
) -> Policy {
    Policy { name, wait, object, reason, ..ANY }
}

/// Slots of the hash index: a power of two, at least twice the rows.
const INDEX_SLOTS: usize = 1024;
const EMPTY: u16 = u16::MAX;
const _: () = assert!(ROWS.len() * 2 <= INDEX_SLOTS);

/// Open addressing with linear steps, built when the crate is.
static INDEX: [u16; INDEX_SLOTS] = index();

const fn hash(name: &[u8]) -> usize {
    let mut hash = 0x811c_9dc5u32;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 15)) as usize % INDEX_SLOTS
}

const fn index() -> [u16; INDEX_SLOTS] {
    let mut index = [EMPTY; INDEX_SLOTS];
    let mut row = 0;
    while row < ROWS.len() {
        let mut at = hash(ROWS[row].name.as_bytes());
        while index[at] != EMPTY {
            at = (at + 1) % INDEX_SLOTS;
        }
        index[at] = row as u16;
        row += 1;
    }
    index
}

/// The row of API `name`.
pub fn lookup(name: &[u8]) -> &'static Policy {
    let mut at = hash(name);
    // The index is never full, so an empty slot ends every chain.
    while let Some(row) = INDEX.get(at).and_then(|&row| ROWS.get(usize::from(row))) {
        if row.name.as_bytes() == name {
            return row;
        }
        at = (at + 1) % INDEX_SLOTS;
    }
    let by_prefix = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix.as_bytes()));
    match by_prefix {
        Some((_, policy)) => policy,
        None if is_std_throw(name) => &STD_THROW,
        None => &DEFAULT,
    }
}

static STD_THROW: Policy = count("", "throws (std::__throw_…) and never returns");

/// `std::__throw_length_error` and its kin, mangled: `_ZSt`, a length, `__throw_…`.
fn is_std_throw(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"_ZSt") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    rest.get(digits..).is_some_and(|rest| rest.starts_with(b"__throw_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn rows_are_unique_reasoned_and_found() {
        let mut seen = HashSet::new();
        for row in ROWS {
            assert!(!row.name.is_empty() && seen.insert(row.name), "{} twice", row.name);
            assert!(row.reason.len() >= 10, "{} without a reason", row.name);
            assert_eq!(lookup(row.name.as_bytes()), row);
            assert!(row.object < 6 || row.object == NO_OBJECT, "{}", row.name);
        }
    }

    #[test]
    fn rows_do_not_contradict_themselves() {
        for row in ROWS {
            let waits = row.wait != WaitKind::None;
            assert!(!waits || row.action == Action::Time, "{} waits untimed", row.name);
            assert!(waits || (row.object == NO_OBJECT && !row.always_timed), "{}", row.name);
            // The check reads memory behind the first argument: that must be the lock itself.
            assert!(row.free_check == FreeCheck::None || row.object == 0, "{}", row.name);
        }
    }

    #[test]
    fn what_must_never_be_called_through_is_not() {
        for name in [
            "setjmp",
            "_setjmp",
            "__sigsetjmp",
            "vfork",
            "clone",
            "clone3",
            "swapcontext",
            "longjmp",
            "__longjmp_chk",
            "exit",
            "_exit",
            "abort",
            "execve",
            "pthread_exit",
            "__cxa_throw",
            "_Unwind_Resume",
            "dlsym",
            "__tls_get_addr",
            "mcount",
            "_ZSt20__throw_length_errorPKc",
            "jump_fcontext",
            "__stack_chk_fail",
            "_Unwind_SomethingNew",
        ] {
            assert_eq!(lookup(name.as_bytes()).action, Action::CountOnly, "{name}");
        }
        for name in [
            "__gmon_start__",
            "__cxa_finalize",
            "_ITM_registerTMCloneTable",
            "__asan_report_load8",
            "__tsan_read8",
            "__morestack",
        ] {
            assert_eq!(lookup(name.as_bytes()).action, Action::LeaveAlone, "{name}");
        }
    }

    #[test]
    fn waits_name_their_object() {
        let row = |name: &str| lookup(name.as_bytes());
        let mutex = row("pthread_mutex_lock");
        assert_eq!((mutex.wait, mutex.object), (WaitKind::Mutex, 0));
        assert_eq!(mutex.free_check, FreeCheck::BlocksIfBits(u32::MAX));
        assert_eq!(row("sem_wait").free_check, FreeCheck::BlocksIfZero);
        assert_eq!((row("fread").wait, row("fread").object), (WaitKind::Stream, 3));
        assert!(!row("fread").always_timed && row("pread64").always_timed);
        assert!(row("clock_nanosleep").is_never_compared() && row("syscall").is_never_compared());
        assert!(!row("free").is_never_compared() && !row("read").is_never_compared());
        assert_eq!(row("strlen"), &DEFAULT);
        assert_eq!(row(""), &DEFAULT);
        assert_eq!(row("_ZSt4cout").action, Action::Time);
    }
}
