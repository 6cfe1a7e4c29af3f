//! The table of system calls against the system's own header.

use perfvisor_format::{syscall, syscalls, SyscallInfo, WaitKind, SYSCALL_NUMBERS};
use std::collections::{BTreeMap, BTreeSet};

/// Where Debian and Fedora have the numbers of x86-64.
const HEADERS: [&str; 2] =
    ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"];

fn installed() -> BTreeMap<u32, String> {
    let text = HEADERS
        .iter()
        .find_map(|header| std::fs::read_to_string(header).ok())
        .unwrap_or_else(|| panic!("none of {HEADERS:?}: apt-get install linux-libc-dev"));
    text.lines()
        .filter_map(|line| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            Some((number.trim().parse().ok()?, name.to_string()))
        })
        .collect()
}

#[test]
fn no_number_of_the_installed_header_is_missing() {
    let installed = installed();
    assert!(installed.len() > 350, "the header is not understood: {installed:?}");
    let faults: Vec<_> = installed
        .iter()
        .filter(|(number, name)| syscall(**number).map(|row| row.name) != Some(name))
        .map(|(number, name)| format!("{number} {name}: {:?}", syscall(*number)))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The kernel says ENOSYS to a number it does not have, whatever the arguments: so a row of the
/// table that it has, and an answer to a number the table lacks, can be told from outside.
#[test]
fn no_number_of_the_running_kernel_is_missing() {
    let highest = syscalls().map(|row| u32::from(row.number)).max().expect("rows");
    // Kernels of the year after the table was written; 512 to 547 belong to x32.
    let unknown: Vec<_> = (highest + 1..512).filter(|number| answers(*number)).collect();
    assert!(unknown.is_empty(), "the kernel has system calls that the table lacks: {unknown:?}");
    // The end of the header's own numbers, which every kernel this test runs on has.
    assert!(answers(449), "the way of asking is broken");
}

fn answers(number: u32) -> bool {
    let bad = -1isize;
    let result: isize;
    // SAFETY: every argument is −1: no pointer of it can be read or written, and no flag set of it
    // is valid, so that the kernel answers with an error and does nothing.
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") number as isize => result, in("rdi") bad,
            in("rsi") bad, in("rdx") bad, in("r10") bad, in("r8") bad, in("r9") bad,
            out("rcx") _, out("r11") _);
    }
    result != -38
}

#[test]
fn each_row_stands_at_its_number_and_each_name_once() {
    for number in 0..SYSCALL_NUMBERS as u32 {
        assert!(syscall(number).is_none_or(|row| u32::from(row.number) == number), "{number}");
    }
    let names: BTreeSet<_> = syscalls().map(|row| row.name).collect();
    assert_eq!(names.len(), syscalls().count());
    assert!(syscalls().all(|row| usize::from(row.number) < SYSCALL_NUMBERS));
    assert_eq!(syscall(u32::MAX), None);
    assert_eq!(syscall(400), None, "a number between those of the old and the common tables");
}

#[test]
fn what_is_said_of_a_call_fits_together() {
    for row in syscalls() {
        assert!(row.fd < 6 || row.fd == SyscallInfo::NO_FD, "{row:?}");
        assert!(!row.waits_by_fd || (row.fd < 6 && row.wait == WaitKind::None), "{row:?}");
        assert!(!row.entry_only || (!row.bytes && row.wait == WaitKind::None), "{row:?}");
    }
    let named = |name: &str| syscalls().find(|row| row.name == name).expect("a row");
    assert!(named("read").bytes && named("read").waits_by_fd && named("read").fd == 0);
    assert_eq!(named("futex").wait, WaitKind::Futex);
    assert_eq!(named("symlinkat").fd, 1);
    assert!(named("vfork").entry_only && !named("recvmmsg").bytes);
}
