//! The comparison as one HTML page, in the frame and under the rules of the report's.
use crate::analysis::compare::Comparison;

/// The whole page.
pub fn html(_comparison: &Comparison) -> String {
    String::new()
}
