//! The report as text. Each part of it is one file of `text/`, drawn in the order a reader needs.

mod apis;
mod flow;
mod footprint;
mod groups;
mod head;
mod processes;
mod slow;
mod syscalls;
mod system_calls;
mod tree;
mod waits;

pub use footprint::footprint;
pub use syscalls::syscalls;

use super::filter::Filter;
use super::lookup::Lookup;
use super::names::wrap;
use super::options::TextOptions;
use super::style::{Style, Tone};
use super::table::Table;
use crate::analysis::Finding;
use crate::model::Profile;

/// The whole report, lines ended by newlines, none wider than `options.width` where its numbers
/// let it.
pub fn text(profile: &Profile, findings: &[Finding], options: &TextOptions) -> String {
    let mut page = Page {
        out: String::new(),
        profile,
        names: Lookup::new(profile),
        filter: Filter::new(profile, options),
        options,
        style: options.style(),
    };
    head::draw(&mut page, findings);
    processes::draw(&mut page);
    groups::draw(&mut page);
    apis::draw(&mut page);
    if options.tree {
        tree::draw(&mut page);
    }
    system_calls::draw(&mut page);
    flow::draw(&mut page);
    slow::draw(&mut page);
    waits::draw(&mut page);
    page.out
}

/// What is being written and what all parts need for it.
struct Page<'a> {
    out: String,
    profile: &'a Profile,
    names: Lookup<'a>,
    filter: Filter<'a>,
    options: &'a TextOptions,
    style: Style,
}

impl Page<'_> {
    /// Begins a section: its name and one sentence that says what it shows.
    fn section(&mut self, title: &str, caption: &str) {
        self.out.push('\n');
        self.toned(Tone::Strong, title);
        self.paragraph(Tone::Faint, 2, caption);
    }

    /// One line.
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// One line in a tone.
    fn toned(&mut self, tone: Tone, text: &str) {
        let painted = self.style.paint(tone, text);
        self.line(&painted);
    }

    /// Text over as many lines as it needs, each after `indent` blanks.
    fn paragraph(&mut self, tone: Tone, indent: usize, text: &str) {
        let blank = " ".repeat(indent);
        for line in wrap(text, self.options.width.saturating_sub(indent)) {
            let painted = self.style.paint(tone, &line);
            self.line(&format!("{blank}{painted}"));
        }
    }

    /// One of several sentences.
    fn bullet(&mut self, tone: Tone, text: &str) {
        let before = self.out.len();
        self.paragraph(tone, 4, text);
        if self.out.len() >= before + 4 {
            self.out.replace_range(before..before + 4, "  - ");
        }
    }

    /// A table, and which of its columns found no room.
    fn table(&mut self, table: &Table) {
        let drawn = table.draw(self.options.width, 2, self.style);
        self.out.push_str(&drawn);
        let left_out = table.left_out(self.options.width, 2);
        if !left_out.is_empty() {
            let text = format!("Not at this width: {}.", left_out.join(", "));
            self.paragraph(Tone::Faint, 2, &text);
        }
    }

    /// Says how many rows were cut off.
    fn rest(&mut self, hidden: usize, what: &str) {
        if hidden > 0 {
            let text = format!(
                "… and {} more ({} shows all).",
                super::units::plural(hidden as u64, what),
                self.options.show_all
            );
            self.paragraph(Tone::Faint, 2, &text);
        }
    }
}
