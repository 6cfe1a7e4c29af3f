//! Draws a [`Comparison`](crate::analysis::compare::Comparison): as text, as JSON, as one HTML page.

mod html;
mod json;
mod rules;
mod text;
mod words;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use html::html;
pub use json::{json, SCHEMA as JSON_SCHEMA};
pub use rules::rules;
pub use text::text;

/// How the text is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompareOptions {
    /// Columns of the terminal.
    pub width: usize,
    /// Write ANSI colours.
    pub color: bool,
    /// Rows shown of each list; 0 = all.
    pub top: usize,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { width: 120, color: false, top: 12 }
    }
}
