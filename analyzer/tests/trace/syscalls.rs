//! What the model says of system calls whose truth is known.

use crate::folder::Folder;
use crate::sample;
use perfvisor::model::{ApiId, Profile, SyscallRow, SyscallSums, TargetKind};
use perfvisor::read::{dump, DumpFilter};
use perfvisor_format::ObjectKind;

fn profile() -> Profile {
    let profile = Folder::new(&sample::syscalls()).load().expect("a readable trace");
    assert_eq!(profile.losses.damages, []);
    profile
}

fn api(profile: &Profile, name: &str) -> ApiId {
    let at = profile.apis.iter().position(|api| api.name == name);
    ApiId(at.unwrap_or_else(|| panic!("an API {name}")) as u32)
}

fn sum<'a>(rows: impl Iterator<Item = &'a SyscallRow>) -> SyscallSums {
    let mut all = SyscallSums::default();
    rows.for_each(|row| all.merge(&row.sums));
    all
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-6 * expected.abs()
}

#[test]
fn sampled_calls_stand_for_all_and_their_bytes_are_exact() {
    let profile = profile();
    let read = sum(profile.syscalls_below(api(&profile, "fread")));
    assert_eq!((read.count, read.timed, read.bytes, read.errors), (1_000, 100, 4_096_000, 0));
    let time = read.time().expect("timed calls");
    assert!(near(time.value_ns, 1_000.0 * 1_000.0), "{time:?}");
    // ±4 cycles of 0.5 ns in each call, and no spread.
    assert!(!time.exact && near(time.high_ns - time.value_ns, 2_000.0), "{time:?}");
    assert_eq!(read.waited_ns(), 0.0);
    let p50 = read.distribution().expect("timed calls").p50_ns;
    assert!((p50 / 1_000.0 - 1.0).abs() < 0.02, "{p50}");
    assert_eq!(read.durations().map(|(_, calls)| calls).sum::<u64>(), 1_000);
}

#[test]
fn errors_stand_by_errno_and_waits_apart_from_the_rest() {
    let profile = profile();
    let recv = sum(profile.syscalls_below(api(&profile, "recv")));
    assert_eq!((recv.errors, recv.errnos[&11], recv.errnos[&104]), (2, 1, 1));
    assert!(near(recv.waited_ns(), 36e6) && recv.exec_ns() < 1.0, "{recv:?}");
    let futexes = profile.syscalls.rows.iter().filter(|row| row.number == 202);
    assert_eq!(futexes.clone().filter(|row| row.thread.is_none()).count(), 1);
    let futex = sum(futexes);
    assert_eq!((futex.count, futex.errors, futex.errnos[&110]), (40, 10, 10));
    assert!(near(futex.waited_ns(), 400e6) && futex.time().is_some_and(|time| time.exact));
}

#[test]
fn calls_below_an_api_that_is_only_counted_are_its() {
    let profile = profile();
    let malloc = sum(profile.syscalls_below(api(&profile, "malloc")));
    assert_eq!((malloc.count, malloc.noted), (10, 10));
    // compute holds the seven of the malloc that it called, the workers' waits besides.
    let compute = api(&profile, "work::compute");
    let numbers: Vec<(u32, u64)> =
        profile.syscalls_below(compute).map(|row| (row.number, row.sums.count)).collect();
    assert_eq!(numbers.iter().filter(|(number, _)| *number == 9).count(), 1, "{numbers:?}");
    assert_eq!(sum(profile.syscalls_below(compute)).count, 7 + 40);
    // Its paths are in the tree, and claim no time.
    let untimed: Vec<_> = profile.call_nodes.iter().filter(|node| node.timed == 0).collect();
    assert_eq!(untimed.len(), 2);
    assert!(untimed.iter().all(|node| node.total.value_ns == 0.0 && node.count == 0));
    let row = profile.api_rows.iter().find(|row| row.api == api(&profile, "malloc"));
    let row = row.expect("a row of malloc");
    assert_eq!((row.count, row.timed, row.total.value_ns), (1_000, 0, 0.0));
}

#[test]
fn entry_only_and_unplaced_calls_are_counted_and_have_no_time() {
    let profile = profile();
    let exit = profile.syscalls.rows.iter().find(|row| row.number == 231).expect("exit_group");
    assert!(exit.entry_only && exit.node.is_none() && exit.sums.time().is_none());
    assert_eq!((exit.sums.count, exit.sums.unknown), (1, 1));
    let outside = &profile.syscalls.outside;
    let told: Vec<_> = outside.iter().map(|o| (o.number, o.unplaced, o.own, o.missed)).collect();
    assert_eq!(told, [(9, 0, 12, 0), (39, 0, 0, 2), (202, 5, 0, 0)]);
    assert_eq!(profile.syscalls.count(), 1_000 + 4 + 3 + 7 + 1 + 40 + 5);
}

#[test]
fn targets_carry_names_and_sampled_uses_stand_for_all() {
    let profile = profile();
    let syscalls = &profile.syscalls;
    let kinds: Vec<(TargetKind, &str)> =
        syscalls.targets.iter().map(|target| (target.kind, target.name.as_str())).collect();
    assert!(kinds.contains(&(TargetKind::Descriptor(ObjectKind::File), "/data/input")));
    assert!(kinds.contains(&(TargetKind::Descriptor(ObjectKind::Socket), "tcp 127.0.0.1:80")));
    assert!(kinds.contains(&(TargetKind::Futex, "app+0x500")), "{kinds:?}");
    let of = |name: &str| {
        syscalls.uses.iter().find(|row| syscalls.targets[row.target.index()].name == name)
    };
    let file = of("/data/input").expect("the file");
    assert_eq!((file.count, file.timed, file.bytes), (1_000, 100, 4_096_000));
    assert!(near(file.total_ns, 1e6) && file.wait_ns == 0.0, "{file:?}");
    let socket = of("tcp 127.0.0.1:80").expect("the socket");
    assert!(near(socket.wait_ns, 36e6) && near(socket.total_ns, 36e6), "{socket:?}");
    let slow = &syscalls.slow[0];
    assert_eq!(
        (slow.errno(), slow.start_ns, slow.target),
        (Some(104), 200_000_000, Some(socket.target))
    );
    assert!(near(slow.duration_ns, 9e6));
}

#[test]
fn coverage_and_losses_are_told() {
    let syscalls = profile().syscalls;
    let libc = &syscalls.coverage[0];
    assert_eq!((libc.found, libc.patched, libc.entry_only), (300, 298, 6));
    assert_eq!(libc.skipped[0], ("no room for a jump".to_owned(), vec![0x1_2400]));
    assert_eq!(syscalls.losses.lost_objects, 2);
    // 147 timed calls of 100 cycles and 908 counted ones of 8, at 2 cycles a ns.
    assert!(near(syscalls.overhead.timed_ns, 154.0 * 50.0), "{:?}", syscalls.overhead);
    assert!(near(syscalls.overhead.counted_ns, 901.0 * 4.0), "{:?}", syscalls.overhead);
    assert!(near(syscalls.overhead.patch_ns, 1e6));
}

#[test]
fn a_trace_of_before_has_none() {
    let profile = Folder::new(&sample::workers()).load().expect("a readable trace");
    assert!(profile.syscalls.is_empty());
    assert_eq!(profile.syscalls.count(), 0);
}

#[test]
fn dump_tells_every_record_of_system_calls() {
    let folder = Folder::new(&sample::syscalls());
    let mut text = Vec::new();
    dump(folder.path(), &mut text, &DumpFilter::default()).expect("a readable trace");
    let text = String::from_utf8(text).expect("text");
    let kinds = [
        "syscall-sites",
        "syscall-skipped",
        "object",
        "syscall-total",
        "syscall",
        "syscall-object",
        "slow-syscall",
    ];
    for kind in kinds {
        assert!(text.contains(&format!("p100.0 {kind} ")), "{kind}");
    }
    assert!(text.contains("name=\"recvfrom\" flags=0 calls=4"), "{text}");
}
