//! The JSON report against its schema, and the schema against its description.

use super::{json, sample, JSON_SCHEMA};
use crate::model::Profile;
use serde_json::Value;
use std::collections::BTreeSet;

const SCHEMA_FILE: &str = include_str!("report.schema.json");
const DESCRIPTION: &str = include_str!("SCHEMA.md");

fn schema() -> Value {
    serde_json::from_str(SCHEMA_FILE).expect("the schema is JSON")
}

fn written(profile: &Profile) -> Value {
    let mut out = Vec::new();
    json(profile, &sample::findings(), &mut out).expect("a vector can be written");
    assert!(out.ends_with(b"}\n"));
    serde_json::from_slice(&out).expect("the report is JSON")
}

#[test]
fn what_is_written_holds_to_the_schema() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is a schema");
    for profile in [sample::profile(), Profile::default()] {
        let report = written(&profile);
        let errors: Vec<String> = validator
            .iter_errors(&report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
        assert_eq!(report["schema"], JSON_SCHEMA);
    }
}

#[test]
fn the_schema_refuses_what_is_not_in_it() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is a schema");
    let mut report = written(&sample::profile());
    report["api_rows"][0]["count"] = "many".into();
    assert!(!validator.is_valid(&report));
    let mut report = written(&sample::profile());
    report["groups"][0]["surprise"] = 1.into();
    assert!(!validator.is_valid(&report));
}

/// Every key of every object, as "Object.key"; "report" is the whole.
fn keys_of_the_schema() -> BTreeSet<String> {
    let schema = schema();
    let mut objects = vec![("The report".to_owned(), schema["properties"].clone())];
    for (name, object) in schema["$defs"].as_object().expect("definitions") {
        objects.push((name.clone(), object["properties"].clone()));
    }
    let mut keys = BTreeSet::new();
    for (name, properties) in objects {
        for key in properties.as_object().into_iter().flat_map(|map| map.keys()) {
            keys.insert(format!("{name}.{key}"));
        }
    }
    keys
}

fn keys_of_the_description() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut object = String::new();
    for line in DESCRIPTION.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            object = name.to_owned();
        }
        let key = line.strip_prefix("| `").and_then(|rest| rest.split_once('`'));
        // Values of enumerations stand in quotation marks.
        if let Some((key, _)) = key.filter(|(key, _)| !key.starts_with('"')) {
            keys.insert(format!("{object}.{key}"));
        }
    }
    keys
}

#[test]
fn schema_and_description_list_the_same_keys() {
    let (schema, description) = (keys_of_the_schema(), keys_of_the_description());
    let missing: Vec<_> = schema.symmetric_difference(&description).collect();
    assert!(missing.is_empty(), "only in one of both: {missing:?}");
    assert!(schema.len() > 150);
}

#[test]
fn registers_are_strings_that_hold_all_bits() {
    let report = written(&sample::profile());
    assert_eq!(report["slow_calls"][0]["args"][2], "0xffffffffffffffff");
    assert_eq!(report["slow_calls"][1]["path_names"][1], "pthread_mutex_lock");
}
