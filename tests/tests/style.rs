//! Habits that a reader can count on: sizes, names, the arrows between folders and crates, links.

use std::path::{Path, PathBuf};

/// The longest a source file may grow.
const MAX_FILE_LINES: usize = 600;
/// The longest a function may grow.
const MAX_FUNCTION_LINES: usize = 70;
/// The folders of the analyzer; each may use only those before it.
const ANALYZER_FOLDERS: [&str; 6] = ["remote", "read", "model", "analysis", "report", "cli"];
/// The crates, each with the crates of ours that it may link.
const CRATE_ARROWS: [(&str, &[&str]); 5] = [
    ("hook/format", &[]),
    ("hook/probe", &["perfvisor-format"]),
    ("hook", &["perfvisor-format", "perfvisor-probe"]),
    ("analyzer", &["perfvisor-format"]),
    ("tests", &["perfvisor-format"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace").to_path_buf()
}

/// All files below `folder` whose extension is one of `extensions`.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a folder entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn assert_none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn no_source_file_is_too_long() {
    let sources = files(&root(), &["rs", "c", "cc", "cpp", "h", "S", "py", "sh"]);
    assert!(sources.len() > 20, "the walk does not reach the sources: {sources:?}");
    let faults: Vec<_> = sources
        .iter()
        .map(|path| (path, text(path).lines().count()))
        .filter(|(_, lines)| *lines > MAX_FILE_LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", shown(path)))
        .collect();
    assert_none(&faults, "files over 600 lines");
}

/// Name and number of lines of each function in formatted Rust source.
///
/// rustfmt puts the closing brace at the indentation of the line with `fn`, which is all that is
/// needed to find it.
fn rust_functions(source: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words: Vec<&str> = code.split([' ', '(', '<']).collect();
        let Some(at) = words.iter().position(|word| *word == "fn") else { continue };
        let qualifiers = ["pub", "const", "unsafe", "extern", "async", "\"C\"", "crate)", "super)"];
        if !words[..at].iter().all(|word| qualifiers.contains(word)) {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        let body = lines[first..].iter().take_while(|line| !line.ends_with(';')).count();
        let end = lines[first..].iter().position(|line| *line == close);
        let opens = lines[first..].iter().position(|line| line.ends_with('{'));
        if let (Some(end), Some(opens)) = (end, opens) {
            if opens <= body {
                found.push((words.get(at + 1).unwrap_or(&"?").to_string(), end + 1));
            }
        }
    }
    found
}

#[test]
fn no_function_is_too_long() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in files(&root(), &["rs"]) {
        for (name, lines) in rust_functions(&text(&path)) {
            seen += 1;
            if lines > MAX_FUNCTION_LINES {
                faults.push(format!("{}: fn {name}: {lines} lines", shown(&path)));
            }
        }
    }
    assert!(seen > 200, "the search finds no functions ({seen})");
    assert_none(&faults, "functions over 70 lines");
}

#[test]
fn the_search_for_functions_counts_their_lines() {
    let source =
        "impl X {\n    pub(crate) fn short(&self) {\n        1;\n    }\n}\n\nfn two(\n    \
                  a: u8,\n) {\n    b();\n    c();\n}\n";
    let expected = [("short".to_string(), 3), ("two".to_string(), 6)];
    assert_eq!(rust_functions(source), expected);
}

#[test]
fn analyzer_folders_use_only_those_before_them() {
    let source = root().join("analyzer/src");
    let mut faults = Vec::new();
    for (at, folder) in ANALYZER_FOLDERS.iter().enumerate() {
        if !source.join(folder).is_dir() {
            continue;
        }
        for path in files(&source.join(folder), &["rs"]) {
            let code = text(&path);
            for later in &ANALYZER_FOLDERS[at + 1..] {
                if uses_folder(&code, later) {
                    faults.push(format!("{} uses {later}", shown(&path)));
                }
            }
        }
    }
    assert_none(&faults, "arrows against the way of the data");
}

/// Whether `code` names `crate::folder`, alone or in a list `crate::{…}`.
fn uses_folder(code: &str, folder: &str) -> bool {
    code.split("crate::").skip(1).any(|rest| {
        let list =
            rest.strip_prefix('{').map_or(rest, |inner| inner.split(';').next().unwrap_or(""));
        let grouped = list.len() != rest.len();
        let mut names = list.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        if grouped {
            names.any(|name| name == folder)
        } else {
            names.next() == Some(folder)
        }
    })
}

#[test]
fn a_use_of_a_folder_is_seen_alone_and_in_a_list() {
    assert!(uses_folder("use crate::report::table;", "report"));
    assert!(uses_folder("use crate::{\n    model::Profile,\n    report,\n};", "report"));
    assert!(!uses_folder("use crate::model::report;", "report"));
    assert!(!uses_folder("use crate::read::reporter;", "report"));
}

#[test]
fn crates_link_only_what_the_design_allows() {
    let mut faults = Vec::new();
    for (folder, allowed) in CRATE_ARROWS {
        let manifest = root().join(folder).join("Cargo.toml");
        for line in text(&manifest).lines() {
            let name = line.split(['=', '.', ' ']).next().unwrap_or("");
            if name.starts_with("perfvisor-") && !allowed.contains(&name) {
                faults.push(format!("{folder} links {name}"));
            }
        }
    }
    assert_none(&faults, "arrows between crates");
}

#[test]
fn names_say_what_they_hold() {
    let vague = ["util", "utils", "common", "helper", "helpers", "misc", "manager"];
    let faults: Vec<_> = files(&root(), &["rs", "c", "cc", "cpp", "h", "S", "py", "toml", "md"])
        .iter()
        .flat_map(|path| {
            let parts = shown(path);
            let stems: Vec<_> = parts.split(['/', '.']).map(str::to_owned).collect();
            stems.into_iter().filter(|s| vague.contains(&s.as_str())).map(move |_| parts.clone())
        })
        .collect();
    assert_none(&faults, "names that say nothing");
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, or this file would find itself.
    let needles = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimplemented", "!("),
        concat!("to", "do!("),
        concat!("#[", "ignore"),
        concat!("allow(", "dead_code"),
    ];
    let mut faults = Vec::new();
    for path in files(&root(), &["rs", "c", "cc", "cpp", "h", "S", "py", "toml", "md"]) {
        for (number, line) in text(&path).lines().enumerate() {
            if let Some(needle) = needles.iter().find(|needle| line.contains(**needle)) {
                faults.push(format!("{}:{}: {needle}", shown(&path), number + 1));
            }
        }
    }
    assert_none(&faults, "work left for later");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in files(&root(), &["md"]) {
        let folder = path.parent().expect("a folder").to_path_buf();
        for target in links(&text(&path)) {
            seen += 1;
            let file = target.split('#').next().unwrap_or("");
            if !file.is_empty() && !folder.join(file).exists() {
                faults.push(format!("{} → {target}", shown(&path)));
            }
        }
    }
    assert!(seen > 3, "the search finds no links ({seen})");
    assert_none(&faults, "links to nothing");
}

/// Targets of Markdown links that point into the repository.
fn links(document: &str) -> Vec<String> {
    document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.contains(char::is_whitespace))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_top_level_is_the_design_s() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "analyzer",
        "clippy.toml",
        "deny.toml",
        "hook",
        "rustfmt.toml",
        "scripts",
        "shim-c",
        "target",
        "testapps",
        "tests",
    ];
    let faults: Vec<_> = std::fs::read_dir(root())
        .expect("the repository")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !name.starts_with("perfvisor-"))
        .filter(|name| !allowed.contains(&name.as_str()))
        .collect();
    assert_none(&faults, "strangers at the top level");
}
