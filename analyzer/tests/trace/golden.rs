//! The golden traces of format version 1: their bytes and the profiles they must give.
//!
//! `hook/format/golden/v1/NAME.trace` holds the files of a trace as text, zeros left out;
//! `NAME.json` the profile. `PERFVISOR_REGENERATE_GOLDEN=1` writes both anew: a change of either
//! is a change of the contract or of the model, to be looked at in the diff.

use crate::case::Files;
use crate::folder::Folder;
use crate::sample;
use serde_json::Value;
use std::fmt::Write;
use std::path::PathBuf;

const ROW: usize = 32;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../hook/format/golden/v1").join(name)
}

/// Files as text: `file NAME BYTES`, then `OFFSET HEX` for rows that are not zero.
fn to_text(files: &Files) -> String {
    let mut text = String::new();
    for (name, bytes) in files {
        writeln!(text, "file {name} {}", bytes.len()).expect("a string takes all");
        for (at, row) in
            bytes.chunks(ROW).enumerate().filter(|(_, row)| row.iter().any(|&b| b != 0))
        {
            let hex: String = row.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(text, "{:x} {hex}", at * ROW).expect("a string takes all");
        }
    }
    text
}

fn from_text(text: &str) -> Files {
    let mut files = Files::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["file", name, bytes] => {
                files.push((name.to_owned(), vec![0; bytes.parse().expect("a length")]));
            }
            [offset, hex] => {
                let offset = usize::from_str_radix(offset, 16).expect("an offset");
                let bytes = &mut files.last_mut().expect("a file line first").1;
                for (at, pair) in hex.as_bytes().chunks(2).enumerate() {
                    let pair = std::str::from_utf8(pair).expect("digits");
                    bytes[offset + at] = u8::from_str_radix(pair, 16).expect("digits");
                }
            }
            _ => panic!("a golden line: {line}"),
        }
    }
    files
}

/// Equal up to the last digits of sums that threads add in no fixed order.
fn assert_same(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{place}: {:?}, expected {:?}", a.keys(), b.keys());
            for (key, value) in a {
                assert_same(value, &b[key], &format!("{place}.{key}"));
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{place}");
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                assert_same(a, b, &format!("{place}[{at}]"));
            }
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().expect("a number"), b.as_f64().expect("a number"));
            assert!((a - b).abs() <= 1e-9 * b.abs() + 1e-9, "{place}: {a}, expected {b}");
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

fn check(name: &str, files: &Files) {
    let (trace, json) = (golden(&format!("{name}.trace")), golden(&format!("{name}.json")));
    let regenerate = std::env::var_os("PERFVISOR_REGENERATE_GOLDEN").is_some();
    if regenerate {
        std::fs::write(&trace, to_text(files)).expect("a writable golden trace");
    }
    let text = std::fs::read_to_string(&trace).expect("a golden trace");
    assert!(text == to_text(files), "the bytes of {name}.trace are not what the format gives");
    let folder = Folder::new(&from_text(&text));
    let mut profile = folder.load().expect("a readable golden trace");
    profile.run.directory = name.to_owned();
    let found = serde_json::to_value(&profile).expect("a profile is JSON");
    if regenerate {
        let text = serde_json::to_string_pretty(&found).expect("a profile is JSON") + "\n";
        std::fs::write(&json, text).expect("a writable golden profile");
    }
    let expected = std::fs::read(&json).expect("a golden profile");
    let expected = serde_json::from_slice(&expected).expect("a golden profile is JSON");
    assert_same(&found, &expected, name);
}

#[test]
fn workers() {
    check("workers", &sample::workers());
}

#[test]
fn folding() {
    check("folding", &sample::folding());
}

#[test]
fn syscalls() {
    check("syscalls", &sample::syscalls());
}

#[test]
fn events() {
    check("events", &sample::events());
}
