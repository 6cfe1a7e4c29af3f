use super::sample::{comparison, pair};
use super::*;
use crate::analysis::compare::Comparison;
use crate::report::names::columns;
use serde_json::Value;
use std::path::{Path, PathBuf};

const SCHEMA_FILE: &str = include_str!("../compare.schema.json");

fn draw(width: usize) -> String {
    text(&comparison(), &CompareOptions { width, ..CompareOptions::default() })
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/golden").join(name)
}

#[test]
fn text_at_three_widths_is_as_it_was_looked_at() {
    for width in [80, 120, 200] {
        let drawn = draw(width);
        for line in drawn.lines() {
            assert!(columns(line) <= width, "wider than {width}: {line}");
            assert!(!line.ends_with(' '), "blanks at the end: {line:?}");
        }
        let path = golden(&format!("compare-{width}.txt"));
        if std::env::var_os("PERFVISOR_BLESS").is_some() {
            std::fs::write(&path, &drawn).expect("the golden file can be written");
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(wanted == drawn, "{} differs; drawn:\n{drawn}", path.display());
    }
}

#[test]
fn colour_is_written_only_where_it_is_asked_for() {
    assert!(!draw(120).contains('\x1b'));
    let options = CompareOptions { color: true, ..CompareOptions::default() };
    let colored = text(&comparison(), &options);
    assert!(colored.contains("\x1b[1;31m") && !colored.contains("evil\x1b"));
}

#[test]
fn rules_say_which_holds_where_and_by_which_numbers() {
    let lines = rules(&comparison());
    let of =
        |rule: &str| -> Vec<&String> { lines.iter().filter(|line| line.contains(rule)).collect() };
    let compress = of("compress:p50>+5%");
    assert!(compress[0].contains("HOLDS at compress: p50 2.03 ms → 2.23 ms"), "{lines:?}");
    assert!(compress[0].contains("+10.0%") && compress[0].contains("p <0.0001"), "{lines:?}");
    assert!(of("calls>+1%")[0].contains("does not hold (1 place compared)"), "{lines:?}");
    assert!(of("per-call>+0")[0].contains("50 → 60 (+20.0%)"), "{lines:?}");
    assert!(of("wall>+0.1%")[0].contains("does not hold"), "{lines:?}");
}

#[test]
fn one_run_a_side_says_what_its_verdict_rests_on() {
    let drawn = text(&pair(), &CompareOptions::default());
    assert!(drawn.contains("One run a side: time differences below"), "{drawn}");
    assert!(drawn.contains("beyond its bound, but not beyond chance: compress"), "{drawn}");
}

fn written(comparison: &Comparison) -> Value {
    let mut out = Vec::new();
    json(comparison, &mut out).expect("a vector can be written");
    assert!(out.ends_with(b"}\n"));
    serde_json::from_slice(&out).expect("the comparison is JSON")
}

#[test]
fn json_holds_to_its_schema() {
    let schema: Value = serde_json::from_str(SCHEMA_FILE).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    for comparison in [comparison(), pair()] {
        let report = written(&comparison);
        let errors: Vec<String> = validator
            .iter_errors(&report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
        assert_eq!(report["schema"], JSON_SCHEMA);
    }
    let mut report = written(&pair());
    report["rows"][1]["differences"][0]["verdict"] = "perhaps".into();
    assert!(!validator.is_valid(&report));
    let mut report = written(&pair());
    report["rows"][0]["surprise"] = 1.into();
    assert!(!validator.is_valid(&report));
}

#[test]
fn the_schema_describes_every_key() {
    let schema: Value = serde_json::from_str(SCHEMA_FILE).expect("the schema is JSON");
    let mut open = vec![&schema];
    let mut seen = 0;
    while let Some(value) = open.pop() {
        for (name, property) in value["properties"].as_object().into_iter().flatten() {
            seen += 1;
            let described = property["description"].is_string() || property["const"].is_string();
            assert!(described, "{name} has no description");
        }
        open.extend(value.as_object().into_iter().flat_map(|map| map.values()));
        open.extend(value.as_array().into_iter().flatten());
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn the_page_is_one_file_and_hostile_names_stay_text() {
    let page = html(&comparison());
    assert!(!page.contains("<img") && !page.contains('\u{1b}'), "a name became a tag");
    assert!(page.contains("\\u003c/script\\u003e"));
    for word in ["http://", "https://", "href=\"//", "@import", "url(", "fetch(", "innerHTML"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'") && !page.contains("{{"));
    let start = page.find("id=\"data\">").expect("the data stands in the page") + 10;
    let end = page[start..].find("</script>").expect("its element ends") + start;
    let data: Value = serde_json::from_str(&page[start..end]).expect("it is JSON");
    assert_eq!(data["apis"][0]["name"], "compress");
    assert_eq!(data["apis"][0]["components"], "libold.so.1 → libnew.so.1");
    assert_eq!(data["apis"][0]["syscalls"][0]["name"], "compress / read");
    assert_eq!(data["rules"][0]["holds"], true);
}
