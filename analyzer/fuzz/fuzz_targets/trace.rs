//! Feeds the analyzer whole traces, steered by which of its code they reach.
//!
//! Each input is a trace directory in the framing of `case.rs`. It is written into a directory in
//! memory and read; `promises.rs` says how and what must hold. The ordinary tests replay
//! `corpus/trace` through the same two files.

#![no_main]

#[path = "../../tests/trace/case.rs"]
mod case;
#[path = "../../tests/trace/promises.rs"]
mod promises;

use libfuzzer_sys::{fuzz_target, Corpus};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Where traces are written, on a file system in memory where there is one.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    // One thread, this one: the order in which code is reached must depend on the input alone.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("no pool before this one");
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    parent.join(format!("perfvisor-fuzz-{}", std::process::id()))
});

/// What need not be written.
static HOLE: [u8; 4096] = [0; 4096];

fuzz_target!(|input: &[u8]| -> Corpus {
    let files = case::decode(input);
    if files.is_empty() {
        return Corpus::Reject;
    }
    // It is not there before the first input.
    let _ = fs::remove_dir_all(&*ROOT);
    for (name, bytes) in &files {
        let path = ROOT.join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        let file = fs::File::create(&path).expect("a file");
        file.set_len(bytes.len() as u64).expect("its length");
        for (at, page) in bytes.chunks(HOLE.len()).enumerate() {
            if page != &HOLE[..page.len()] {
                file.write_all_at(page, (at * HOLE.len()) as u64).expect("its bytes");
            }
        }
    }
    let _ = promises::examine(&ROOT);
    Corpus::Keep
});
