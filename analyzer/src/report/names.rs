//! Names from the traced program, made fit for a terminal: they are hostile until cleaned.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a terminal that `text` fills.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// `text` without what could steer a terminal or tear a line: control characters become `�`.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            // Bidirectional overrides reorder what is around them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' => '�',
            c if c.is_control() => '�',
            c => c,
        })
        .collect()
}

/// One word of a command line as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=:,./@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A command line as a shell reads it back.
pub fn command_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// `text` in at most `width` columns. A function's name first loses its parameters, then what
/// stands in its angle brackets; what is still too long loses its middle.
pub fn fit(text: &str, width: usize) -> String {
    let text = clean(text);
    if columns(&text) <= width {
        return text;
    }
    let bare = without_parameters(&text);
    if columns(&bare) <= width {
        return bare;
    }
    let short = without_generics(&bare);
    if columns(&short) <= width {
        return short;
    }
    cut_middle(&short, width)
}

/// "f(int, char)" as "f()": what stands between the last top-level parentheses goes.
fn without_parameters(name: &str) -> String {
    let Some(end) = name.rfind(')') else {
        return name.into();
    };
    let mut depth = 0usize;
    for (at, c) in name[..=end].char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            // "operator()" and "(anonymous namespace)" are names, not parameters.
            let inside = &name[at + 1..end];
            if inside.is_empty() || inside == "anonymous namespace" || at == 0 {
                return name.into();
            }
            return format!("{}(){}", &name[..at], &name[end + 1..]);
        }
    }
    name.into()
}

/// "map<int, long>::find" as "map<…>::find".
fn without_generics(name: &str) -> String {
    if name.contains("operator<") || name.contains("operator>") || name.contains("operator-") {
        return name.into();
    }
    let mut out = String::with_capacity(name.len());
    let mut depth = 0usize;
    for (at, c) in name.char_indices() {
        match c {
            // Rust's "<T as Trait>::f" begins with a bracket that holds the name itself.
            '<' if at > 0 => {
                depth += 1;
                if depth == 1 {
                    out.push_str("<…>");
                }
            }
            '>' if depth > 0 => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    if depth == 0 {
        out
    } else {
        name.into()
    }
}

/// `text` in at most `width` columns, without its middle where it is longer.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        text.to_owned()
    } else {
        cut_middle(text, width)
    }
}

/// Keeps both ends: the end of a name says more than its beginning, so it gets two thirds.
fn cut_middle(text: &str, width: usize) -> String {
    if width <= 1 {
        return "…".into();
    }
    let tail_room = (width - 1) * 2 / 3;
    let head_room = width - 1 - tail_room;
    let take = |chars: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        let mut taken = Vec::new();
        for c in chars {
            used += c.width().unwrap_or(0);
            if used > room {
                break;
            }
            taken.push(c);
        }
        taken
    };
    let head: String = take(&mut text.chars(), head_room).into_iter().collect();
    let tail: String = take(&mut text.chars().rev(), tail_room).into_iter().rev().collect();
    format!("{head}…{tail}")
}

/// Breaks `text` into lines of at most `width` columns, at spaces where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(16);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in clean(text).split_whitespace() {
        let word = if columns(word) > width { cut_middle(word, width) } else { word.to_owned() };
        if !line.is_empty() && columns(&line) + 1 + columns(&word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_quoted_as_a_shell_needs_it() {
        let words = ["sh", "-c", "echo 'a b' | wc", "", "$HOME", "a=b"].map(str::to_owned);
        assert_eq!(command_line(&words), r"sh -c 'echo '\''a b'\'' | wc' '' '$HOME' a=b");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\nc\u{202e}d"), "a�[31mb�c�d");
    }

    #[test]
    fn long_names_lose_the_least_telling_part_first() {
        let name = "std::map<int, std::vector<long>>::find(int const&) const";
        assert_eq!(fit(name, 80), name);
        assert_eq!(fit(name, 46), "std::map<int, std::vector<long>>::find() const");
        assert_eq!(fit(name, 30), "std::map<…>::find() const");
        assert_eq!(fit(name, 12), "std:…) const");
        assert_eq!(columns(&fit(name, 12)), 12);
        assert_eq!(fit("operator()", 4), "o…()");
        assert_eq!(fit("(anonymous namespace)", 9), "(an…pace)");
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(columns("日本"), 4);
        assert!(columns(&fit("日本語の長い名前", 7)) <= 7);
    }

    #[test]
    fn lines_wrap_at_spaces() {
        assert_eq!(wrap("one two three four five", 16), ["one two three", "four five"]);
    }
}
