//! Pages of a trace with system calls against files a person has looked at. `PERFVISOR_BLESS=1
//! cargo test` writes them anew; the difference then belongs into the commit.

use crate::folder::Folder;
use crate::sample;
use perfvisor::analysis::{findings, footprints, Footprint, SyscallSort, SyscallsBy};
use perfvisor::model::Profile;
use perfvisor::report::{
    footprint, footprint_html, footprint_json, html, syscalls, syscalls_json, text, SyscallOptions,
    TextOptions, SYSCALLS_BY,
};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

fn profile() -> Profile {
    let mut profile = Folder::new(&sample::syscalls()).load().expect("a readable trace");
    // The folder's name is another one each time.
    profile.run.directory = "sample".into();
    profile
}

fn check(name: &str, drawn: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/trace/pages").join(name);
    if std::env::var_os("PERFVISOR_BLESS").is_some() {
        std::fs::write(&path, drawn).expect("the page can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = wanted.lines().zip(drawn.lines()).position(|(want, got)| want != got);
    assert!(
        wanted == drawn,
        "{name} differs from line {:?} on; drawn:\n{drawn}",
        differs.map(|at| at + 1)
    );
}

fn fits(drawn: &str, width: usize) {
    for line in drawn.lines() {
        assert!(line.chars().count() <= width, "wider than {width}: {line}");
        assert!(!line.ends_with(' '), "blanks at the end: {line:?}");
    }
}

fn options(width: usize, by: SyscallsBy) -> SyscallOptions {
    let text = TextOptions { width, top: 0, ..TextOptions::default() };
    SyscallOptions { text, by, ..SyscallOptions::default() }
}

#[test]
fn system_calls_at_three_widths_are_as_they_were_looked_at() {
    let profile = profile();
    for width in [80, 120, 200] {
        let drawn = syscalls(&profile, &options(width, SyscallsBy::Api));
        fits(&drawn, width);
        check(&format!("syscalls-{width}.txt"), &drawn);
    }
    check("syscalls-fd.txt", &syscalls(&profile, &options(120, SyscallsBy::Target)));
}

#[test]
fn the_report_shows_system_calls_as_they_were_looked_at() {
    let profile = profile();
    let found = findings(&profile);
    for width in [80, 120, 200] {
        let options = TextOptions { width, ..TextOptions::default() };
        let drawn = text(&profile, &found, &options);
        fits(&drawn, width);
        check(&format!("report-{width}.txt"), &drawn);
    }
    let options = TextOptions { api_filter: vec!["recv".into()], ..TextOptions::default() };
    let drawn = text(&profile, &found, &options);
    assert!(drawn.contains("ECONNRESET") && !drawn.contains("/data/input"), "{drawn}");
    let options = TextOptions { top: 2, ..TextOptions::default() };
    let drawn = text(&profile, &found, &options);
    assert!(drawn.contains("… and 4 APIs more: perfvisor syscalls sample"), "{drawn}");
    assert!(drawn.contains("… and 1 object more: perfvisor syscalls sample --by fd"), "{drawn}");
}

#[test]
fn the_page_carries_the_same_tables() {
    let profile = profile();
    let page = html(&profile, &findings(&profile));
    let start = page.find("id=\"data\">").expect("the data stands in the page") + 10;
    let end = page[start..].find("</script>").expect("its element ends") + start;
    let data: Value = serde_json::from_str(&page[start..end]).expect("it is JSON");
    let calls = &data["system_calls"];
    let names: Vec<&str> =
        calls["apis"].as_array().expect("rows").iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(names[..3], ["work::compute", "recv", "fread"]);
    assert!(names.contains(&"(no thread)") && names.contains(&"(no API)"), "{names:?}");
    let fread = &calls["apis"][2];
    assert_eq!((fread["calls"].as_u64(), fread["count"].as_u64()), (Some(10), Some(1_000)));
    assert_eq!(fread["parts"][0]["category"], "file");
    let sum: u64 =
        calls["targets"].as_array().expect("rows").iter().filter_map(|r| r["count"].as_u64()).sum();
    assert_eq!(sum, 1_044);
    assert!(data["coverage"].to_string().contains("299 of 301 places"));
    let without = Folder::new(&sample::workers()).load().expect("a readable trace");
    assert!(html(&without, &[]).contains("\"system_calls\":null"));
}

#[test]
fn the_tree_keeps_timed_calls_below_one_that_was_never_timed() {
    let mut profile = profile();
    let compute = profile.call_nodes.iter().position(|node| node.timed == 2).expect("compute");
    let malloc = profile
        .call_nodes
        .iter()
        .position(|node| node.parent.is_some_and(|parent| parent.index() == compute));
    let malloc = malloc.expect("malloc below compute");
    // As if compute had not returned, and malloc had been timed.
    (profile.call_nodes[compute].timed, profile.call_nodes[compute].total.value_ns) = (0, 0.0);
    (profile.call_nodes[malloc].timed, profile.call_nodes[malloc].total.value_ns) = (7, 9e6);
    let options = TextOptions { tree: true, ..TextOptions::default() };
    let drawn = text(&profile, &[], &options);
    let tree = drawn.split("CALL TREE").nth(1).unwrap_or_default();
    let tree = tree.split("SYSTEM CALLS").next().unwrap_or_default();
    assert!(tree.contains(" malloc") && tree.contains("9.00 ms"), "{tree}");
}

#[test]
fn waits_in_system_calls_below_no_blocking_function_are_waits_of_the_thread() {
    let profile = profile();
    let worker = profile.threads.iter().find(|thread| thread.tid == 101).expect("the worker");
    assert!((worker.wait_by_kind_ns["futex"] - 200e6).abs() < 1e3, "{worker:?}");
    // Those below recv are its own, once.
    let main = &profile.threads[0];
    assert!((main.wait_ns - 40e6).abs() < 1e3, "{main:?}");
}

#[test]
fn every_table_holds_each_call_once() {
    let profile = profile();
    for (word, by) in SYSCALLS_BY {
        let mut out = Vec::new();
        syscalls_json(&profile, &options(80, by), &mut out).expect("a vector can be written");
        let page: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(page["by"], word);
        assert_eq!(page["total"]["count"], 1_060);
        let rows = page["rows"].as_array().expect("rows");
        let sum: u64 = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
        // Of the calls on something all are kept with it; exit_group, brk, mmap are on nothing.
        let all = if by == SyscallsBy::Target { 1_044 } else { 1_060 };
        assert_eq!(sum, all, "{word}");
        let exec: f64 = rows.iter().filter_map(|row| row["exec_ns"].as_f64()).sum();
        let wait: f64 = rows.iter().filter_map(|row| row["wait_ns"].as_f64()).sum();
        assert!((1e6..1.1e6).contains(&exec), "{word}: {exec}");
        assert!((wait - 436e6).abs() < 1e3, "{word}: {wait}");
    }
}

#[test]
fn filters_choose_by_the_path_and_by_category() {
    let profile = profile();
    let mut below = options(120, SyscallsBy::Syscall);
    below.text.api_filter = vec!["work::*".into()];
    let drawn = syscalls(&profile, &below);
    assert!(drawn.contains("mmap") && drawn.contains("futex"), "{drawn}");
    assert!(!drawn.contains("recvfrom") && drawn.contains("Only: --api 'work::*'."), "{drawn}");
    let mut network = options(120, SyscallsBy::Api);
    network.syscall_filter = vec!["network".into()];
    let drawn = syscalls(&profile, &network);
    assert!(drawn.contains("recvfrom") && !drawn.contains("  futex"), "{drawn}");
    let mut nothing = options(120, SyscallsBy::Api);
    nothing.syscall_filter = vec!["swapon".into()];
    assert!(syscalls(&profile, &nothing).contains("No system call passes the filters."));
}

#[test]
fn orders_put_first_what_they_are_called_by() {
    let profile = profile();
    for (sort, first) in [
        (SyscallSort::Time, " futex "),
        (SyscallSort::Wait, " futex "),
        (SyscallSort::Errors, " futex "),
        (SyscallSort::Max, " futex "),
        (SyscallSort::Name, " brk "),
        (SyscallSort::Bytes, " read "),
    ] {
        let options = SyscallOptions { sort, ..options(120, SyscallsBy::Api) };
        let drawn = syscalls(&profile, &options);
        let table = drawn.split("usecs/call ").last().unwrap_or_default();
        let row = table.lines().nth(1).unwrap_or_default();
        assert!(row.contains(first), "{sort:?}: {row}");
    }
}

#[test]
fn rows_left_out_are_counted() {
    let mut two = options(120, SyscallsBy::Api);
    two.text.top = 2;
    let drawn = syscalls(&profile(), &two);
    assert!(drawn.contains("… and 5 rows more (--top 0 shows all)."), "{drawn}");
    assert!(drawn.contains("  total"), "{drawn}");
}

fn all_footprints(profile: &Profile) -> Vec<Footprint> {
    footprints(profile, false, |_| true, |_| true)
}

#[test]
fn footprints_at_three_widths_are_as_they_were_looked_at() {
    let profile = profile();
    for width in [80, 120, 200] {
        let drawn =
            footprint(&profile, &all_footprints(&profile), &options(width, SyscallsBy::Api));
        fits(&drawn, width);
        check(&format!("footprint-{width}.txt"), &drawn);
    }
}

#[test]
fn a_footprint_is_of_one_call_and_of_all_below() {
    let profile = profile();
    let found = all_footprints(&profile);
    let of = |name: &str| {
        let named = |f: &&Footprint| profile.apis[f.api.index()].name == name;
        found.iter().find(named).unwrap_or_else(|| panic!("a footprint of {name}"))
    };
    let compute = of("work::compute");
    // Its own waits and what malloc below it did.
    assert_eq!((compute.calls, compute.all.count), (4, 47));
    assert_eq!(compute.syscalls.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [202, 9]);
    let user = compute.user_ns.expect("timed calls");
    let kernel = compute.all.total_ns();
    assert!((user + kernel - compute.total_ns.expect("timed calls")).abs() < 1.0);
    let malloc = of("malloc");
    assert_eq!((malloc.total_ns, malloc.user_ns, malloc.spread), (None, None, None));
    assert!((malloc.per_call(malloc.all.count as f64) - 0.01).abs() < 1e-12);
    // In main's threads alone compute made no futex call.
    let main = |group: perfvisor::model::GroupId| profile.groups[group.index()].name == "main";
    let of_main = footprints(&profile, false, |_| true, main);
    assert!(of_main.iter().all(|f| !f.all.errnos.contains_key(&110)));
}

#[test]
fn footprints_as_json_and_as_a_page_hold_the_same() {
    let profile = profile();
    let found = all_footprints(&profile);
    let mut out = Vec::new();
    footprint_json(&profile, &found, &mut out).expect("a vector can be written");
    let written: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(written["schema"], "perfvisor.footprint/1");
    let rows = written["footprints"].as_array().expect("rows");
    let fread = rows.iter().find(|row| row["api_name"] == "fread").expect("fread");
    assert_eq!(fread["all"]["per_call"], 100.0);
    assert_eq!(fread["syscalls"][0]["bytes_per_call"], 409_600.0);
    assert_eq!(fread["categories"][0]["category"], "file");
    let page = footprint_html(&profile, &found);
    assert_eq!(page.matches("</script>").count(), 2);
    for word in ["http://", "https://", "src=", "innerHTML", "{{"] {
        assert!(!page.contains(word), "{word}");
    }
    let start = page.find("id=\"data\">").expect("the data stands in the page") + 10;
    let end = page[start..].find("</script>").expect("its element ends") + start;
    let data: Value = serde_json::from_str(&page[start..end]).expect("it is JSON");
    assert_eq!(data["footprints"], written["footprints"]);
}

#[test]
fn the_commands_print_pages_and_refuse_recordings_without_system_calls() {
    let with = Folder::new(&sample::syscalls());
    let without = Folder::new(&sample::workers());
    let of = |words: &[&str], folder: &Folder| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perfvisor"));
        command.args(words).arg(folder.path()).output().expect("the command runs")
    };
    for words in [
        &["syscalls"][..],
        &["footprint"],
        &["syscalls", "--by", "fd"],
        &["footprint", "--api", "fread"],
    ] {
        let done = of(words, &with);
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && printed.contains("read"), "{words:?}: {printed}");
        assert!(!printed.contains('\x1b'), "{words:?}");
    }
    for words in [["syscalls"], ["footprint"]] {
        let refused = of(&words, &without);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("holds no system calls"), "{said}");
    }
    assert_eq!(of(&["syscalls", "--by", "fd", "--api", "fread"], &with).status.code(), Some(2));
    let nothing = of(&["footprint", "--api", "nosuch"], &with);
    assert_eq!(nothing.status.code(), Some(1));
    for page in ["syscalls", "footprint"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perfvisor"));
        let done = command.args(["man", page]).output().expect("the command runs");
        assert!(String::from_utf8_lossy(&done.stdout).contains(&format!("perfvisor {page}")));
    }
}
