//! The comparison as JSON, in the schema of `compare.schema.json` and `SCHEMA.md`.

use crate::analysis::compare::Comparison;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::io::{self, Write};

/// Name and version of the schema; the number rises when a key goes or changes its meaning.
pub const SCHEMA: &str = "perfvisor.compare/1";

/// Writes the whole comparison to `out`, ended by a newline.
///
/// # Errors
/// When `out` cannot be written.
pub fn json(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Report(comparison))?;
    out.write_all(b"\n")
}

struct Report<'a>(&'a Comparison);

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let comparison = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("perfvisor", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("a", &comparison.a)?;
        map.serialize_entry("b", &comparison.b)?;
        map.serialize_entry("basis", &comparison.basis)?;
        map.serialize_entry("alpha", &comparison.alpha)?;
        map.serialize_entry("least_effect", &comparison.least_effect)?;
        map.serialize_entry("correction", &comparison.correction)?;
        map.serialize_entry("tests", &comparison.tests)?;
        map.serialize_entry("told", &comparison.told)?;
        map.serialize_entry("notes", &comparison.notes)?;
        map.serialize_entry("rules", &comparison.rules)?;
        map.serialize_entry("rows", &comparison.rows)?;
        map.end()
    }
}
