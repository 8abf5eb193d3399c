//! Tables for a terminal: aligned columns, of which the last one takes what is left of the width.

use console::{Style, measure_text_width};

use crate::console::Look;

/// Between two columns.
const GAP: &str = "  ";

/// Bars longer than this tell nothing more.
const LONGEST_BAR: usize = 48;

/// The last column is never squeezed below this, however narrow the terminal is.
const NARROWEST: usize = 12;

/// On which side a column's cells are filled up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    Left(&'static str),
    Right(&'static str),
}

/// What the last column shows.
#[derive(Debug)]
pub(crate) enum Last {
    /// A path, shortened in its middle: what it begins and ends with tells the most.
    Path(String),
    /// A bar of this share, from 0 to 1, of the column.
    Bar(f64),
}

/// A table: all columns but the last, then the title of that one.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    last: &'static str,
    rows: Vec<(Vec<String>, Last)>,
}

impl Table {
    pub(crate) fn new(columns: &[Column], last: &'static str) -> Self {
        Self { columns: columns.to_owned(), last, rows: Vec::new() }
    }

    /// Adds a row with one cell per column.
    pub(crate) fn row(&mut self, cells: Vec<String>, last: Last) {
        assert_eq!(cells.len(), self.columns.len(), "one cell per column");
        self.rows.push((cells, last));
    }

    /// The table as lines that are no longer than the look is wide, if that can be.
    pub(crate) fn render(&self, look: Look) -> String {
        let widths: Vec<_> = (0..self.columns.len()).map(|column| self.width_of(column)).collect();
        let used: usize = widths.iter().map(|width| width + GAP.len()).sum::<usize>() + GAP.len();
        let left = look.width.saturating_sub(used).max(NARROWEST);
        let bar = Style::new().cyan().force_styling(look.colour);
        let head = Style::new().bold().force_styling(look.colour);

        let titles = self.columns.iter().map(|column| column.title().to_owned()).collect();
        let titles = self.line(&widths, titles, self.last);
        let mut text = format!("{}\n", head.apply_to(titles.trim_end()));
        for (cells, last) in &self.rows {
            let last = match last {
                Last::Path(path) => shorten(path, left),
                Last::Bar(0.0) => String::new(),
                Last::Bar(share) => bar.apply_to(blocks(*share, left.min(LONGEST_BAR))).to_string(),
            };
            text.push_str(self.line(&widths, cells.clone(), &last).trim_end());
            text.push('\n');
        }
        text
    }

    fn width_of(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|(cells, _)| measure_text_width(&cells[column]));
        cells.max().unwrap_or(0).max(measure_text_width(self.columns[column].title()))
    }

    fn line(&self, widths: &[usize], cells: Vec<String>, last: &str) -> String {
        let mut line = String::from(GAP);
        for ((column, width), cell) in self.columns.iter().zip(widths).zip(cells) {
            let fill = " ".repeat(width.saturating_sub(measure_text_width(&cell)));
            match column {
                Column::Left(_) => line.extend([&cell, &fill, GAP]),
                Column::Right(_) => line.extend([&fill, &cell, GAP]),
            }
        }
        line + last
    }
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Left(title) | Self::Right(title) => title,
        }
    }
}

/// A bar in eighths of a character. Nothing is drawn for nothing, and at least something for the rest.
fn blocks(share: f64, width: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let eighths = eighths.max(usize::from(share > 0.0));
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

/// `text` in at most `width` columns, with an ellipsis for its middle. The end gets the larger part.
fn shorten(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let front = (width - 1) / 3;
    let start = console::truncate_str(text, front, "");
    let mut end = text;
    while measure_text_width(end) > width - 1 - front {
        let mut chars = end.chars();
        chars.next();
        end = chars.as_str();
    }
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_fills_the_width() {
        let mut table = Table::new(&[Column::Left("Name"), Column::Right("N")], "Path");
        table.row(vec!["größe".into(), "1".into()], Last::Path("short".into()));
        table.row(vec!["b".into(), "1,000".into()], Last::Path("a/very/long/path/of/a/file.rs".into()));
        let text = table.render(Look { width: 40, colour: false });
        let lines: Vec<_> = text.lines().collect();
        let long = "  b      1,000  a/very/…ath/of/a/file.rs";
        assert_eq!(lines, ["  Name       N  Path", "  größe      1  short", long]);
        assert_eq!(measure_text_width(long), 40);
    }

    #[test]
    fn bars_are_drawn_in_eighths() {
        let table = [(0.0, ""), (1e-9, "▏"), (0.5, "██"), (0.55, "██▎"), (1.0, "████"), (7.0, "████")];
        for (share, bar) in table {
            assert_eq!(blocks(share, 4), bar, "{share}");
        }
    }

    #[test]
    fn wide_characters_are_shortened_by_their_width() {
        let text = shorten("日本語/日本語/日本語.rs", 13);
        assert_eq!(text, "日本…本語.rs");
        assert!(measure_text_width(&text) <= 13);
    }
}
