//! The report as one HTML page that needs nothing but itself.
//!
//! The page is a fixed frame with fixed script and style; everything measured is one JSON text in
//! it. Names from the traced program are hostile: the JSON holds no `<`, `>` or `&` in the open, the
//! script puts text into the page only as text nodes, and the content policy lets no script run
//! and no byte be fetched that is not this page's own.

mod data;
mod rows;
mod system_calls;
mod waited;

use crate::analysis::{Finding, Footprint};
use crate::model::Profile;
use serde::Serialize;
use std::hash::{DefaultHasher, Hash, Hasher};

const FRAME: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
const BASE: &str = include_str!("html/base.js");
const TABLES: &str = include_str!("html/tables.js");
const START: &str = include_str!("html/start.js");
/// The footprint's page alone.
const FOOTPRINT: [&str; 4] = [BASE, TABLES, include_str!("html/footprint.js"), START];
/// In the order they are read: the first defines what the others use, the last runs them.
const SCRIPTS: [&str; 13] = [
    BASE,
    include_str!("html/overview.js"),
    include_str!("html/groups.js"),
    include_str!("html/histogram.js"),
    include_str!("html/calls.js"),
    include_str!("html/tree.js"),
    include_str!("html/flow.js"),
    include_str!("html/slow.js"),
    include_str!("html/waits.js"),
    TABLES,
    include_str!("html/system_calls.js"),
    include_str!("html/recording.js"),
    START,
];

/// The whole page.
pub fn html(profile: &Profile, findings: &[Finding]) -> String {
    let page = data::Page::new(profile, findings);
    let title = escape(&format!("perfvisor: {}", page.command));
    // Serialisation fails only on maps without string keys; the page has none. An empty object
    // makes the page say that it could not be drawn.
    let data = script_safe(&serde_json::to_string(&page).unwrap_or_else(|_| "{}".into()));
    framed(&title, &data, &SCRIPTS.concat())
}

/// The page of footprints.
pub fn footprint_html(profile: &Profile, found: &[Footprint]) -> String {
    let mut document = super::footprint_json::document(profile, found);
    let footer =
        format!("Drawn by perfvisor {} from {}.", env!("CARGO_PKG_VERSION"), profile.run.directory);
    document["footer"] = footer.into();
    let command = super::names::command_line(&profile.run.command);
    let title = escape(&format!("perfvisor footprint: {command}"));
    framed(&title, &script_safe(&document.to_string()), &FOOTPRINT.concat())
}

/// The page that `scripts` draw of `data`.
pub(super) fn page(title: &str, data: &impl Serialize, scripts: &[&str]) -> String {
    // As above, serialisation does not fail.
    let data = script_safe(&serde_json::to_string(data).unwrap_or_else(|_| "{}".into()));
    framed(&escape(title), &data, &scripts.concat())
}

fn framed(title: &str, data: &str, script: &str) -> String {
    let nonce = nonce(data);
    fill(&[
        ("nonce", &nonce),
        ("title", title),
        ("style", STYLE),
        ("script", script),
        ("data", data),
    ])
}

/// The frame with its `{{names}}` filled; what is filled in is not looked at again.
fn fill(values: &[(&str, &str)]) -> String {
    let size: usize = values.iter().map(|(_, value)| value.len()).sum();
    let mut page = String::with_capacity(FRAME.len() + size);
    let mut rest = FRAME;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// JSON in which nothing can end a script element or begin a tag or comment.
fn script_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Text for between tags or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in super::names::clean(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A word for the content policy that a name in the data cannot foresee: it depends on all of them.
fn nonce(data: &str) -> String {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn page() -> String {
        html(&sample::profile(), &sample::findings())
    }

    #[test]
    fn hostile_names_stay_text() {
        let page = page();
        assert!(!page.contains("<img"), "a name became a tag");
        assert!(!page.contains('\u{1b}'));
        // The frame's own scripts, and no other end of one.
        assert_eq!(page.matches("</script>").count(), FRAME.matches("</script>").count());
        assert!(page.contains("\\u003c/script\\u003e"));
    }

    fn data(page: &str) -> serde_json::Value {
        let start = page.find("id=\"data\">").expect("the data stands in the page") + 10;
        let end = page[start..].find("</script>").expect("its element ends") + start;
        serde_json::from_str(&page[start..end]).expect("it is JSON")
    }

    #[test]
    fn every_timed_call_has_bars_that_say_whether_they_are_estimates() {
        let data = data(&page());
        let rows = data["calls"].as_array().expect("calls are a list");
        for row in rows {
            let Some(bars) = row["bars"][1].as_array() else {
                assert_eq!(row["timed"], 0, "{row}");
                continue;
            };
            let calls: u64 = bars.iter().filter_map(serde_json::Value::as_u64).sum();
            assert_eq!(row["count"], calls, "{row}");
            assert_eq!(row["estimated"], row["count"] != row["timed"], "{row}");
        }
        assert!(rows.iter().any(|row| row["estimated"] == true));
    }

    #[test]
    fn the_data_reads_back_as_it_was() {
        let data = data(&page());
        assert_eq!(data["command"], "./packer -T3 big.tar");
        let names: Vec<&str> = data["calls"]
            .as_array()
            .expect("calls are a list")
            .iter()
            .filter_map(|row| row["name"].as_str())
            .collect();
        assert!(names.iter().any(|name| name.contains("</script><img src=x")), "{names:?}");
    }

    #[test]
    fn nothing_is_fetched() {
        for page in [page(), html(&Profile::default(), &[])] {
            for word in ["http://", "https://", "src=", "href=\"//", "@import", "url(", "fetch("] {
                let scripts = page.replace("img src=x", "");
                assert!(!scripts.contains(word), "{word}");
            }
            assert!(page.contains("default-src 'none'"));
            assert!(!page.contains("unsafe-inline") && !page.contains("innerHTML"));
            assert!(!page.contains("{{"));
        }
    }

    #[test]
    fn a_title_cannot_leave_its_element() {
        assert_eq!(escape("</title>&\"'\n"), "&lt;/title&gt;&amp;&quot;&#39;�");
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let mut profile = sample::profile();
        profile.run.command = vec!["{{script}}".into()];
        let page = html(&profile, &[]);
        assert!(page.contains("<title>perfvisor: &#39;{{script}}&#39;</title>"));
    }
}
