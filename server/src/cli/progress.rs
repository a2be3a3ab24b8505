//! A line that shows how far a command is, for people.

use super::redraw;

/// Places of the bar.
const WIDTH: u64 = 30;

/// The line. It is only drawn where somebody watches, and again only when it
/// would say something else.
pub(super) struct Bar {
    watched: bool,
    drawn: String,
}

impl Bar {
    pub(super) fn new(watched: bool) -> Self {
        Self { watched, drawn: String::new() }
    }

    /// Shows that `done` of `all` is `what`.
    pub(super) fn show(&mut self, done: u64, all: u64, what: &str) {
        self.note(&line(done, all, what));
    }

    /// Shows words.
    pub(super) fn note(&mut self, line: &str) {
        if self.watched && self.drawn != line {
            redraw(line);
            line.clone_into(&mut self.drawn);
        }
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if !self.drawn.is_empty() {
            self.note("");
        }
    }
}

fn line(done: u64, all: u64, what: &str) -> String {
    // What grows while it is counted is never more than all of it.
    let part = |whole: u64| done.min(all).saturating_mul(whole).checked_div(all).unwrap_or(whole);
    let filled = usize::try_from(part(WIDTH)).unwrap_or_default();
    let empty = usize::try_from(WIDTH).unwrap_or_default().saturating_sub(filled);
    format!("[{}{}] {:3}% {what}", "#".repeat(filled), ".".repeat(empty), part(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_from_left_to_right() {
        assert_eq!(line(0, 10, "copied"), format!("[{}]   0% copied", ".".repeat(30)));
        assert_eq!(line(5, 10, "copied"), format!("[{}{}]  50% copied", "#".repeat(15), ".".repeat(15)));
        assert_eq!(line(0, 0, "copied"), format!("[{}] 100% copied", "#".repeat(30)));
        assert_eq!(line(12, 10, "copied"), format!("[{}] 100% copied", "#".repeat(30)));
    }
}
