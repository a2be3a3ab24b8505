//! Sentences of the document as HTML: what stands between backticks is code.

use std::fmt;

use askama::filters::{Escaper as _, Html, HtmlSafe};

/// A description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Prose(pub(super) String);

impl Prose {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.0.split('`').collect();
        // A backtick without another is one.
        let paired = parts.len() % 2 == 1;
        for (index, part) in parts.iter().enumerate() {
            let is_code = paired && index % 2 == 1;
            f.write_str(if is_code { "<code>" } else { "" })?;
            Html.write_escaped_str(&mut *f, part)?;
            f.write_str(if is_code { "</code>" } else { "" })?;
            if !paired && index + 1 < parts.len() {
                f.write_str("`")?;
            }
        }
        Ok(())
    }
}

impl HtmlSafe for Prose {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_marked_and_nothing_is_markup() {
        let said = |text: &str| Prose(text.to_owned()).to_string();
        assert_eq!(said("`a<b>` & more"), "<code>a&#60;b&#62;</code> &#38; more");
        assert_eq!(said("one ` alone"), "one ` alone");
    }
}
