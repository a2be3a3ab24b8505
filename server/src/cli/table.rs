//! What commands show to people: tables whose columns are aligned, and the fields
//! of one thing.

use std::io::IsTerminal as _;

use serde_json::Value;

use super::{Outcome, note, print};

/// Between two columns.
const GAP: usize = 2;

/// No column is made narrower than this to fit a terminal.
const NARROWEST: usize = 8;

/// How a text looks where colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// As any other.
    Plain,
    Bold,
    /// All is well.
    Green,
    /// It waits, or somebody had it wait.
    Yellow,
    /// Something is wrong.
    Red,
    /// It is over, and of no concern.
    Dim,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Dim => "2",
        }
    }

    /// How a word for a state looks.
    pub(super) fn of_state(word: &str) -> Self {
        match word {
            "active" | "delivered" | "finished" | "enabled" => Self::Green,
            "paused" | "pending" | "waiting" | "running" | "retry" => Self::Yellow,
            "failed" | "failing" | "gone" | "stopped" => Self::Red,
            "disabled" | "cancelled" | "superseded" => Self::Dim,
            _ => Self::Plain,
        }
    }

    /// How the status of an answer looks.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Green,
            _ => Self::Red,
        }
    }

    /// The text with what a terminal needs to show it so.
    pub(super) fn on(self, text: &str, coloured: bool) -> String {
        if !coloured || self == Self::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", self.code())
    }
}

/// Whether colours are shown where this is written.
pub(super) fn coloured(terminal: bool) -> bool {
    decide(terminal, |name| std::env::var_os(name).and_then(|value| value.into_string().ok()))
}

/// By <https://no-color.org> and <https://bixense.com/clicolors>.
fn decide(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    terminal
        && set("CLICOLOR").is_none_or(|value| value != "0")
        && set("TERM").is_none_or(|term| term != "dumb")
}

/// One place of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    /// A text that looks like this.
    pub(super) fn painted(text: &str, paint: Paint) -> Self {
        Self { text: clean(text), paint }
    }

    /// A word for a state.
    pub(super) fn state(word: &str) -> Self {
        Self::painted(word, Paint::of_state(word))
    }

    /// A text, or a line that says that there is none.
    pub(super) fn maybe(text: Option<&str>) -> Self {
        text.filter(|text| !text.is_empty()).unwrap_or("-").into()
    }

    /// A member of an answer.
    pub(super) fn of(value: &Value) -> Self {
        Self::maybe(Some(&in_words(value)))
    }

    /// A time, as short as it is still clear.
    pub(super) fn time(value: &Value) -> Self {
        Self::maybe(value.as_str().map(short_time).as_deref())
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: AsRef<str> + ?Sized> From<&T> for Cell {
    fn from(text: &T) -> Self {
        Self::painted(text.as_ref(), Paint::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        (&text).into()
    }
}

/// A time without the parts of its second.
pub(super) fn short_time(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, rest)) if rest.ends_with('Z') => format!("{whole}Z"),
        _ => time.to_owned(),
    }
}

/// A value in a line: texts as they are, lists with commas.
pub(super) fn in_words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(in_words).collect::<Vec<_>>().join(", ")
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// The text without what could move a terminal's cursor: it comes from others.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    heads: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(heads: &[&str]) -> Self {
        Self { heads: heads.iter().map(|head| Cell::painted(head, Paint::Bold)).collect(), rows: Vec::new() }
    }

    /// Adds a row, which has as many cells as there are heads.
    pub(super) fn add<const N: usize>(&mut self, row: [Cell; N]) {
        self.rows.push(row.into());
    }

    /// Shows it, or where it has no row these words.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn show(&self, nothing: &str) -> Outcome {
        if self.rows.is_empty() {
            note(nothing);
            return Ok(());
        }
        let terminal = std::io::stdout().is_terminal();
        print(&self.render(if terminal { terminal_width() } else { None }, coloured(terminal)))
    }

    /// The lines of the table, at most `width` wide.
    fn render(&self, width: Option<usize>, coloured: bool) -> String {
        let lines = || std::iter::once(&self.heads).chain(&self.rows);
        let mut widths: Vec<usize> = (0..self.heads.len())
            .map(|column| {
                lines().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or_default()
            })
            .collect();
        if let Some(width) = width {
            // A cut id would be of no use.
            let whole: Vec<_> = self.heads.iter().map(|head| head.text == "ID").collect();
            fit(&mut widths, &whole, width);
        }
        let mut out = String::new();
        for row in lines() {
            let mut line = String::new();
            for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let text = cut(&cell.text, *width);
                let padding = if place + 1 == row.len() { 0 } else { width - text.chars().count() + GAP };
                line.push_str(&cell.paint.on(&text, coloured));
                line.extend(std::iter::repeat_n(' ', padding));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Makes the widest columns narrower until the line fits, as far as that goes. Those
/// that are to stay whole do.
fn fit(widths: &mut [usize], whole: &[bool], room: usize) {
    let room = room.saturating_sub(GAP * widths.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let over = widths.iter().sum::<usize>() - room;
        let yielding = || widths.iter().zip(whole).filter(|(_, whole)| !**whole).map(|(width, _)| *width);
        let Some(widest) = yielding().max().filter(|widest| *widest > NARROWEST) else { return };
        let next = yielding().filter(|width| *width < widest).max().unwrap_or(NARROWEST);
        let lower = widest.saturating_sub(over).max(next).max(NARROWEST).min(widest - 1);
        let first = widths.iter_mut().zip(whole).find(|(width, whole)| **width == widest && !**whole);
        if let Some((width, _)) = first {
            *width = lower;
        }
    }
}

/// The text in at most so many letters; a cut is shown.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// How many letters a line of the terminal has.
pub(super) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Shows the members of an object, one a line.
///
/// # Errors
/// When it can't be written.
pub(super) fn show_fields(object: &Value) -> Outcome {
    print(&fields(object, coloured(std::io::stdout().is_terminal())))
}

fn fields(object: &Value, coloured: bool) -> String {
    let members: Vec<_> = object.as_object().into_iter().flatten().collect();
    let widest = members.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for (name, value) in members {
        let words = match value.as_str().map(short_time) {
            Some(time) if name.ends_with("_at") => time,
            _ => in_words(value),
        };
        let words = if words.is_empty() { "-".to_owned() } else { clean(&words) };
        let paint = match name.as_str() {
            "status" | "state" => Paint::of_state(&words),
            _ => Paint::Plain,
        };
        let padding = " ".repeat(widest - name.chars().count() + GAP);
        let name = Paint::Bold.on(&clean(name), coloured);
        out.extend([&*name, &padding, &paint.on(&words, coloured), "\n"]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["ID", "NAME", "STATUS"]);
        table.add(["1".into(), "Box office of the opera".into(), Cell::state("active")]);
        table.add(["22".into(), "Bar".into(), Cell::state("disabled")]);
        table
    }

    #[test]
    fn columns_are_aligned_and_the_last_has_no_padding() {
        assert_eq!(
            table().render(None, false),
            "ID  NAME                     STATUS\n\
             1   Box office of the opera  active\n\
             22  Bar                      disabled\n"
        );
    }

    #[test]
    fn the_widest_column_gives_way_to_the_terminal() {
        let shown = table().render(Some(24), false);
        assert_eq!(
            shown,
            "ID  NAME        STATUS\n\
             1   Box offic…  active\n\
             22  Bar         disabled\n"
        );
        assert!(shown.lines().all(|line| line.chars().count() <= 24), "{shown}");
        let mut long = Table::new(&["ID", "NAME", "URL"]);
        long.add(["0198c0de-7c5e".into(), "A long name".into(), "https://partner.example/".into()]);
        assert_eq!(
            long.render(Some(40), false),
            "ID             NAME         URL\n0198c0de-7c5e  A long name  https://par…\n"
        );
        // It can't be made narrower than it can be read.
        assert!(table().render(Some(3), false).lines().count() == 3);
    }

    #[test]
    fn states_have_colours_only_where_they_are_wanted() {
        assert!(!table().render(None, false).contains('\x1b'));
        let shown = table().render(None, true);
        assert!(
            shown.contains("\x1b[32mactive\x1b[0m") && shown.contains("\x1b[2mdisabled\x1b[0m"),
            "{shown}"
        );
        let given = |pairs: &'static [(&str, &str)]| {
            move |name: &str| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            }
        };
        assert!(decide(true, given(&[])));
        assert!(!decide(false, given(&[])));
        assert!(!decide(true, given(&[("NO_COLOR", "1")])));
        assert!(decide(true, given(&[("NO_COLOR", "")])));
        assert!(!decide(true, given(&[("CLICOLOR", "0")])));
        assert!(decide(false, given(&[("CLICOLOR_FORCE", "1")])));
        assert!(!decide(false, given(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])));
        assert!(!decide(true, given(&[("TERM", "dumb")])));
    }

    #[test]
    fn what_others_wrote_can_not_move_the_cursor() {
        let mut table = Table::new(&["NAME"]);
        table.add(["\x1b[2Jgone\n".into()]);
        assert_eq!(table.render(None, false), "NAME\n\u{fffd}[2Jgone\u{fffd}\n");
    }

    #[test]
    fn fields_are_shown_one_a_line() {
        let object = serde_json::json!({
            "id": "1", "events": ["a.b", "c.*"], "filter": null, "retry": {"schedule_seconds": [5.0]},
            "created_at": "2026-11-21T19:00:00.123456Z",
        });
        assert_eq!(
            fields(&object, false),
            "id          1\nevents      a.b, c.*\nfilter      -\nretry       {\"schedule_seconds\":[5.0]}\n\
             created_at  2026-11-21T19:00:00Z\n"
        );
    }
}
