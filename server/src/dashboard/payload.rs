//! What others wrote, as a page can show it: cut where it is huge, and with nothing in
//! it that hides or turns around what it says.

use std::fmt::Write as _;

use serde::de::IgnoredAny;

use super::mark::bytes;

/// Most bytes of a body that a page shows.
const MOST: usize = 64 * 1024;

/// A body.
pub(super) struct Payload {
    pub(super) text: String,
    /// How much more there is that is not shown.
    pub(super) cut: Option<String>,
}

impl Payload {
    /// A body as it came.
    pub(super) fn new(body: &[u8]) -> Self {
        let shown = body.get(..MOST).unwrap_or(body);
        let left = body.len() - shown.len();
        let text = visible(&String::from_utf8_lossy(shown));
        Self { text, cut: (left > 0).then(|| bytes(left as u64)) }
    }

    /// The same in lines, if it is JSON. Numbers and texts keep their form.
    pub(super) fn pretty(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        let (pretty, rest) = in_lines(text);
        Some(Self { text: visible(&pretty), cut: (!rest.is_empty()).then(|| bytes(rest.len() as u64)) })
    }
}

/// Valid JSON with a line for each member, and what was too much of it.
fn in_lines(text: &str) -> (String, &str) {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped, mut opened) = (0_usize, false, false, false);
    for (at, own) in text.char_indices() {
        if out.len() > MOST {
            return (out, &text[at..]);
        }
        if in_string {
            out.push(own);
            in_string = escaped || own != '"';
            escaped = own == '\\' && !escaped;
            continue;
        }
        if own.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(own, '}' | ']');
        depth -= usize::from(closes);
        // What is empty stays in its line.
        if opened != closes && (opened || closes) {
            new_line(&mut out, depth);
        }
        out.push(own);
        opened = matches!(own, '{' | '[');
        depth += usize::from(opened);
        match own {
            ',' => new_line(&mut out, depth),
            ':' => out.push(' '),
            _ => in_string = own == '"',
        }
    }
    (out, "")
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// A text in which every character is seen: control characters by their pictures, and
/// what would turn the direction of writing by its number.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for own in text.chars() {
        match own {
            '\n' | '\t' => out.push(own),
            '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + u32::from(own))),
            '\x7f' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
                let _ = write!(out, "⟨U+{:04X}⟩", u32::from(own));
            }
            _ => out.push(own),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_hide_or_turn_a_text_is_seen() {
        assert_eq!(visible("a\u{202e}b\0\u{1b}[31m\r\n\tc\u{7f}"), "a⟨U+202E⟩b␀␛[31m␍\n\tc␡");
        assert_eq!(visible("héllo שלום 👩‍🚀"), "héllo שלום 👩‍🚀");
    }

    #[test]
    fn json_is_shown_in_lines_and_keeps_its_form() {
        let pretty = |text: &str| Payload::pretty(text.as_bytes()).map(|payload| payload.text);
        let text = r#"{"a":1.50,"b":[ ],"c":{"d":"x{,\"\\","e":[1e3,null]}}"#;
        let wanted = "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": {\n    \"d\": \"x{,\\\"\\\\\",\n    \"e\": [\n      1e3,\n      null\n    ]\n  }\n}";
        assert_eq!(pretty(text).as_deref(), Some(wanted));
        assert_eq!(pretty("[[[]]]").as_deref(), Some("[\n  [\n    []\n  ]\n]"));
        assert_eq!(pretty("{\"a\":"), None);
        assert_eq!(pretty("<p>"), None);
    }

    #[test]
    fn what_is_huge_is_cut_and_says_so() {
        let huge = vec![b'x'; MOST + 2_048];
        let shown = Payload::new(&huge);
        assert_eq!((shown.text.len(), shown.cut.as_deref()), (MOST, Some("2.0 KiB")));
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        let many = format!("[{}0]", format!("{deep},").repeat(500));
        let shown = Payload::pretty(many.as_bytes()).expect("it is JSON");
        assert!(shown.cut.is_some() && shown.text.len() < MOST + 512);
        assert!(Payload::new(b"short").cut.is_none());
    }
}
