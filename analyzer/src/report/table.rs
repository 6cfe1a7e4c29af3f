//! Tables that fit: columns are left out by rank, and only names are shortened, never numbers.

use super::names::{clean, columns, cut, fit};
use super::style::{Style, Tone};

/// Columns between two columns.
const GUTTER: usize = 2;

/// Head of a column.
#[derive(Clone, Debug)]
pub struct Column {
    head: String,
    right: bool,
    rank: u8,
    least: Option<usize>,
    shorten: fn(&str, usize) -> String,
}

impl Column {
    /// A number: right-aligned, shown whole or not at all; the highest `rank` goes first when
    /// there is no room, rank 0 never.
    pub fn number(head: impl Into<String>, rank: u8) -> Self {
        Self { head: head.into(), right: true, rank, least: None, shorten: cut }
    }

    /// A short word: left-aligned, shown whole or not at all.
    pub fn word(head: impl Into<String>, rank: u8) -> Self {
        Self { head: head.into(), right: false, rank, least: None, shorten: cut }
    }

    /// A name: left-aligned, may be shortened down to `least` columns.
    pub fn name(head: impl Into<String>, rank: u8, least: usize) -> Self {
        Self { head: head.into(), right: false, rank, least: Some(least), shorten: cut }
    }

    /// A function's name: like a name, but shortened where it tells least.
    pub fn function(head: impl Into<String>, rank: u8, least: usize) -> Self {
        Self { shorten: fit, ..Self::name(head, rank, least) }
    }
}

/// One field.
#[derive(Clone, Debug, Default)]
pub struct Field {
    text: String,
    tone: Tone,
}

impl Field {
    /// `text` in a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Rows under named columns.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
enum Row {
    Fields(Vec<Field>),
    /// A line across all columns.
    Across(Field),
}

impl Row {
    fn field(&self, at: usize) -> Option<&Field> {
        match self {
            Self::Fields(fields) => fields.get(at),
            Self::Across(_) => None,
        }
    }
}

impl Table {
    /// An empty table.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row, one field a column.
    pub fn row(&mut self, fields: Vec<Field>) {
        debug_assert_eq!(fields.len(), self.columns.len(), "one field a column");
        self.rows.push(Row::Fields(fields));
    }

    /// Adds a line across all columns; it is shortened where it does not fit.
    pub fn across(&mut self, field: Field) {
        self.rows.push(Row::Across(field));
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in at most `width` columns (but never less than its rank-0 columns ask for),
    /// each line after `indent` blanks, with a newline behind every line.
    pub fn draw(&self, width: usize, indent: usize, style: Style) -> String {
        let shown = self.choose(width.saturating_sub(indent));
        let mut out = String::new();
        let blank = " ".repeat(indent);
        let heads =
            shown.iter().map(|&(at, room)| (room, at, self.columns[at].head.as_str(), Tone::Faint));
        out.push_str(&self.line(&blank, heads, style));
        for row in &self.rows {
            if let Row::Across(field) = row {
                let text = cut(&clean(&field.text), width.saturating_sub(indent));
                out.push_str(&format!("{blank}{}\n", style.paint(field.tone, &text)));
                continue;
            }
            let fields = shown.iter().filter_map(|&(at, room)| {
                let field = row.field(at)?;
                Some((room, at, field.text.as_str(), field.tone))
            });
            out.push_str(&self.line(&blank, fields, style));
        }
        out
    }

    /// Heads of the columns that say something but find no room at that width.
    pub fn left_out(&self, width: usize, indent: usize) -> Vec<&str> {
        let shown = self.choose(width.saturating_sub(indent));
        (0..self.columns.len())
            .filter(|&at| self.said(at) && !shown.iter().any(|&(other, _)| other == at))
            .map(|at| self.columns[at].head.as_str())
            .collect()
    }

    fn line<'a>(
        &self,
        blank: &str,
        fields: impl Iterator<Item = (usize, usize, &'a str, Tone)>,
        style: Style,
    ) -> String {
        let mut line = blank.to_owned();
        let mut owed = 0;
        for (room, at, text, tone) in fields {
            let text = (self.columns[at].shorten)(&clean(text), room);
            let rest = room - columns(&text).min(room);
            let (before, after) = if self.columns[at].right { (rest, 0) } else { (0, rest) };
            // Blanks are written only before something, so that no line ends in them.
            owed += before;
            if !text.is_empty() {
                line.push_str(&" ".repeat(owed));
                line.push_str(&style.paint(tone, &text));
                owed = 0;
            }
            owed += after + GUTTER;
        }
        line.push('\n');
        line
    }

    /// Which columns are shown, and how wide each is.
    fn choose(&self, width: usize) -> Vec<(usize, usize)> {
        let natural: Vec<usize> = (0..self.columns.len()).map(|at| self.natural(at)).collect();
        let least = |at: usize| match self.columns[at].least {
            Some(least) => least.min(natural[at]),
            None => natural[at],
        };
        let mut shown: Vec<usize> = (0..self.columns.len()).filter(|&at| self.said(at)).collect();
        let needed = |shown: &[usize]| {
            shown.iter().map(|&at| least(at)).sum::<usize>()
                + GUTTER * shown.len().saturating_sub(1)
        };
        while needed(&shown) > width {
            let Some(worst) = shown
                .iter()
                .copied()
                .filter(|&at| self.columns[at].rank > 0)
                .max_by_key(|&at| (self.columns[at].rank, at))
            else {
                break;
            };
            shown.retain(|&at| at != worst);
        }
        let mut spare = width.saturating_sub(needed(&shown));
        let mut rooms: Vec<(usize, usize)> = shown.iter().map(|&at| (at, least(at))).collect();
        // What is left goes to the names, the most wanted first.
        let mut order: Vec<usize> = (0..rooms.len()).collect();
        order.sort_by_key(|&slot| self.columns[rooms[slot].0].rank);
        for slot in order {
            let (at, room) = rooms[slot];
            let more = (natural[at] - room).min(spare);
            rooms[slot].1 += more;
            spare -= more;
        }
        rooms
    }

    fn natural(&self, at: usize) -> usize {
        let widest =
            self.rows.iter().filter_map(|row| row.field(at)).map(|f| columns(&clean(&f.text)));
        widest.max().unwrap_or(0).max(columns(&clean(&self.columns[at].head)))
    }

    /// Whether any row says something in that column.
    fn said(&self, at: usize) -> bool {
        self.rows.iter().any(|row| row.field(at).is_some_and(|field| !field.text.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(vec![
            Column::name("API", 0, 8),
            Column::number("calls", 0),
            Column::number("p99", 2),
            Column::name("callers", 1, 6),
            Column::number("never", 0),
        ]);
        table.row(vec![
            "a_rather_long_function_name".into(),
            "1,234".into(),
            "3.00 µs".into(),
            "libone.so.1, libtwo.so.2".into(),
            "".into(),
        ]);
        table.row(vec!["b".into(), "2".into(), "".into(), "x".into(), "".into()]);
        table
    }

    #[test]
    fn all_is_shown_whole_where_there_is_room() {
        let drawn = sample().draw(120, 2, Style { color: false });
        assert_eq!(
            drawn,
            "  API                          calls      p99  callers\n  \
             a_rather_long_function_name  1,234  3.00 µs  libone.so.1, libtwo.so.2\n  \
             b                                2           x\n"
        );
    }

    #[test]
    fn the_least_wanted_columns_go_first_and_numbers_are_never_cut() {
        for width in 18..70 {
            let drawn = sample().draw(width, 2, Style { color: false });
            for line in drawn.lines() {
                assert!(columns(line) <= width, "{width}: {line:?}");
                assert!(!line.ends_with(' '), "{line:?}");
            }
            assert!(drawn.contains("1,234"), "{drawn}");
            assert_eq!(drawn.contains("p99"), drawn.contains("3.00 µs"));
        }
        assert!(!sample().draw(30, 0, Style { color: false }).contains("p99"));
    }
}
