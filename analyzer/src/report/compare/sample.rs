//! A made-up comparison for the tests of this folder, with hostile names in it.

use crate::analysis::compare::{
    compare, ApiFootprint, Comparison, Footprint, Map, Options, Rule, Run,
};

/// A name that steers a terminal, closes a script and opens a tag.
pub const HOSTILE: &str = "evil\u{1b}[31m</script><img src=x onerror=alert(1)>&\"'`";

fn part(calls: u64, mean_ns: f64, errors: u64) -> Footprint {
    Footprint {
        calls,
        timed: calls,
        known: calls as f64,
        total_ns: mean_ns * calls as f64,
        wait_ns: mean_ns * calls as f64 * 0.25,
        max_ns: mean_ns * 9.0,
        times: vec![(mean_ns * 0.8, calls - calls / 10), (mean_ns * 2.8, calls / 10)],
        syscalls: Some(calls),
        errors: Some(errors),
        bytes: Some(calls * 4096),
        ..Footprint::default()
    }
}

fn run(directory: &str, at: usize, slower: f64, reads: u64) -> Run {
    // Runs differ by up to 3 %, each side in its own order.
    let noise = 1.0 + 0.01 * (at * 7 % 4) as f64;
    let mut run = Run {
        directory: format!("{directory}/{at}"),
        command: vec!["./packer".into(), "big file.tar".into()],
        start_realtime_ns: at as u64 + 1,
        wall_ns: (2e9 * noise) as u64,
        user_ns: Some((1.5e9 * noise * slower) as u64),
        system_ns: Some((0.2e9 * noise) as u64),
        threads: 1,
        program: part(90_000, 1_000.0, 12),
        ..Run::default()
    };
    let api = |whole: Footprint, syscalls: &[(&str, Footprint)]| ApiFootprint {
        whole,
        syscalls: syscalls.iter().map(|(name, part)| ((*name).to_owned(), part.clone())).collect(),
    };
    let read = part(reads, 2_000.0 * noise, 3);
    let compress = part(400, 2.5e6 * noise * slower, 0);
    run.apis.insert("compress".into(), api(compress, &[("read", read.clone())]));
    run.apis.insert(HOSTILE.into(), api(part(5_000, 700.0 * noise, 0), &[]));
    if directory == "old" {
        run.apis.insert("fread".into(), api(read.clone(), &[("read", read.clone())]));
    } else {
        run.apis.insert("read".into(), api(read.clone(), &[("read", read.clone())]));
        run.apis.insert("fsync".into(), api(part(7, 4e6 * noise, 0), &[]));
    }
    run.categories.insert("file".into(), read);
    run.components.insert("compress".into(), format!("lib{directory}.so.1"));
    run
}

/// Ten runs a side: compress takes a tenth more, fread became read and is called more often.
pub fn comparison() -> Comparison {
    let side = |name: &str, slower: f64, reads: u64| -> Vec<Run> {
        (0..10).map(|at| run(name, at, slower, reads)).collect()
    };
    let rules = ["compress:p50>+5%", "calls>+1%", "compress/read:per-call>+0", "wall>+0.1%"];
    let options = Options {
        maps: vec![Map { old: "fread".into(), new: "read".into() }],
        rules: rules.iter().map(|rule| Rule::parse(rule).expect("a rule")).collect(),
        ..Options::default()
    };
    compare(&side("old", 1.0, 20_000), &side("new", 1.1, 24_000), &options).expect("a comparison")
}

/// One run a side of the same.
pub fn pair() -> Comparison {
    let options =
        Options { rules: vec![Rule::parse("p50>+0%").expect("a rule")], ..Options::default() };
    compare(&[run("old", 0, 1.0, 20_000)], &[run("new", 3, 1.1, 20_000)], &options)
        .expect("a comparison")
}
