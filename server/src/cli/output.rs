//! What verbs print: tables and lines for people, JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use serde::Serialize;

/// The space to the left and right of a column.
const PADDING: (u16, u16) = (0, 2);

/// Where a verb's results go, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

/// How a cell or word is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As any other text.
    Plain,
    /// Of less interest.
    Dim,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// In need of a person.
    Bad,
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    text: String,
    tone: Tone,
    right: bool,
}

impl Output {
    /// Output as JSON where `json` is set, else for people.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read the output.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a value for programs, or what `people` makes of it.
    pub(crate) fn show<T: Serialize>(
        self,
        value: &T,
        people: impl FnOnce(Self, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.json { self.json(value) } else { people(self, value) }
    }

    /// Prints one line of JSON.
    pub(crate) fn json(self, value: &impl Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, value)?;
        writeln!(out)?;
        out.flush()
    }

    /// Prints a line; colours in it are dropped where the output is no terminal or `NO_COLOR` is set.
    pub(crate) fn line(self, text: impl AsRef<str>) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{}", text.as_ref())?;
        out.flush()
    }

    /// Prints a table, or `empty` where it has no rows.
    pub(crate) fn table(self, head: &[&str], rows: Vec<Vec<Item>>, empty: &str) -> io::Result<()> {
        if rows.is_empty() {
            return self.line(Tone::Dim.paint(empty));
        }
        let mut table = Table::new();
        // Lines for a terminal are wrapped to its width; lines for a pipe stay whole, so that they can be searched.
        let arrangement =
            if io::stdout().is_terminal() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
        table.load_style(presets::NOTHING).set_content_arrangement(arrangement);
        if coloured() {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(head.iter().map(|name| Cell::new(name.to_uppercase()).fg(Color::DarkGrey)));
        for row in rows {
            table.add_row(row.into_iter().map(Item::cell));
        }
        for column in table.column_iter_mut() {
            column.set_padding(PADDING);
        }
        for line in table.to_string().lines() {
            self.line(line.trim_end())?;
        }
        Ok(())
    }
}

impl Tone {
    /// The text in this tone.
    pub(crate) fn paint(self, text: &str) -> String {
        let style = match self {
            Self::Plain => Style::new(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
            Self::Warn => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
            Self::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

impl Item {
    /// A plain cell.
    pub(crate) fn text(text: impl ToString) -> Self {
        Self { text: tidy(&text.to_string()), tone: Tone::Plain, right: false }
    }

    /// A number, aligned to the right.
    pub(crate) fn number(number: impl ToString) -> Self {
        Self { right: true, ..Self::text(number) }
    }

    /// A cell that may be empty.
    pub(crate) fn maybe(text: Option<impl ToString>) -> Self {
        text.map_or_else(|| Self::text("–").tone(Tone::Dim), Self::text)
    }

    /// The same cell in a tone.
    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    fn cell(self) -> Cell {
        let cell = Cell::new(self.text);
        let cell = match self.tone {
            Tone::Plain => cell,
            Tone::Dim => cell.fg(Color::DarkGrey),
            Tone::Good => cell.fg(Color::Green),
            Tone::Warn => cell.fg(Color::Yellow),
            Tone::Bad => cell.fg(Color::Red),
        };
        if self.right { cell.set_alignment(CellAlignment::Right) } else { cell }
    }
}

/// Text from outside, fit for a terminal: a record's value must not move the cursor or change colours.
pub(crate) fn tidy(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// JSON as a person writes it: text without quotes.
pub(crate) fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "–".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Whether standard output takes colours: it is a terminal and `NO_COLOR` is unset.
fn coloured() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_steer_the_terminal() {
        assert_eq!(tidy("a\u{1b}[31mb\nc"), "a [31mb c");
    }

    #[test]
    fn json_is_shown_as_people_write_it() {
        for (json, shown) in
            [(r#"null"#, "–"), (r#""a""#, "a"), (r#"["a","b"]"#, "a, b"), ("12", "12"), ("true", "true")]
        {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(plain(&value), shown);
        }
    }
}
