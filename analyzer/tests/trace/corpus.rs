//! The fuzzer's corpus, replayed: what once reached new code, or broke something, stays tried.
//!
//! `seed-*` are the golden traces in the fuzzer's framing, written anew with the golden files
//! (`PERFVISOR_REGENERATE_GOLDEN=1`); the others came out of runs of `analyzer/fuzz`.

use crate::case::{decode, Files, MEND, NAMES};
use crate::folder::Folder;
use crate::promises::examine;
use crate::sample;
use perfvisor::analysis::findings;
use perfvisor::report::{html, json};
use serde_json::Value;
use std::path::PathBuf;

/// Zeros in a row that are worth a new piece.
const HOLE: usize = 16;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/trace")
}

/// A case for `files`, all of which must be in [`NAMES`]; holes are left out.
fn encode(flags: u8, files: &Files) -> Vec<u8> {
    let mut case = vec![flags];
    for (name, bytes) in files {
        let file = NAMES.iter().position(|known| known == name).expect("a known file") as u8;
        let mut at = 0;
        while let Some(start) = bytes[at..].iter().position(|&b| b != 0).map(|gap| at + gap) {
            let hole = bytes[start..].windows(HOLE).position(|window| window == [0; HOLE]);
            let end = hole.map_or(bytes.len(), |gap| start + gap);
            at = end.min(start + usize::from(u16::MAX));
            piece(&mut case, file, start, &bytes[start..at]);
        }
        if at < bytes.len() || bytes.is_empty() {
            piece(&mut case, file, bytes.len(), &[]);
        }
    }
    case
}

fn piece(case: &mut Vec<u8>, file: u8, offset: usize, bytes: &[u8]) {
    let (offset, length) = ((offset as u32).to_le_bytes(), (bytes.len() as u16).to_le_bytes());
    case.extend_from_slice(&[file, offset[0], offset[1], offset[2], length[0], length[1]]);
    case.extend_from_slice(bytes);
}

/// A run of two images, with what `perfvisor run` leaves beside them.
fn two_images() -> Files {
    let run =
        br#"{"command":["app","-x"],"wall_ns":2000000000,"exit_code":3,"user_ns":5,"system_ns":6}"#;
    let mut files: Files = vec![("run.json".into(), run.to_vec())];
    for (folder, image) in [("p100.0", sample::events()), ("p100.1", sample::folding())] {
        let placed = image.into_iter().map(|(name, bytes)| (name.replace("p100.0", folder), bytes));
        files.extend(placed.filter(|(name, _)| NAMES.contains(&name.as_str())));
    }
    files
}

#[test]
fn the_seeds_are_the_golden_traces() {
    let seeds = [
        ("seed-events", sample::events()),
        ("seed-folding", sample::folding()),
        ("seed-syscalls", sample::syscalls()),
        ("seed-two-images", two_images()),
        ("seed-workers", sample::workers()),
    ];
    for (name, files) in seeds {
        let path = corpus().join(name);
        if std::env::var_os("PERFVISOR_REGENERATE_GOLDEN").is_some() {
            std::fs::write(&path, encode(MEND, &files)).expect("a writable corpus");
        }
        let case = std::fs::read(&path).expect("a seed");
        assert!(case == encode(MEND, &files), "{name} is not what the format gives");
        let sorted = |mut files: Files| {
            files.sort();
            files
        };
        assert!(sorted(decode(&case)) == sorted(files), "{name} loses bytes");
    }
}

#[test]
fn every_case_of_the_corpus_keeps_the_promises() {
    let schema = include_str!("../../src/report/report.schema.json");
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let mut read = 0;
    for entry in std::fs::read_dir(corpus()).expect("the corpus") {
        let path = entry.expect("a case").path();
        println!("{}", path.display());
        let folder = Folder::new(&decode(&std::fs::read(&path).expect("a case")));
        let Ok(profile) = examine(folder.path()) else { continue };
        let mut report = Vec::new();
        json(&profile, &findings(&profile), &mut report).expect("a vector can be written");
        let report = serde_json::from_slice(&report).expect("the report is JSON");
        let errors: Vec<String> = validator
            .iter_errors(&report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
        let page = html(&profile, &findings(&profile));
        assert_eq!(page.matches("</script>").count(), 2, "a name ended the page's script");
        read += 1;
    }
    assert!(read >= 4, "only {read} cases are readable traces");
}

#[test]
fn every_string_is_some_trace() {
    assert!(decode(&[]).is_empty() && decode(&[0, 1, 2]).is_empty());
    // A piece longer than what is left, and one for a number beyond the names.
    let files = decode(&[0, 17 + 5, 2, 0, 0, 9, 0, b'x', b'y']);
    assert_eq!(files, [("p100.0/t1.pv".to_owned(), b"\0\0xy".to_vec())]);
}
