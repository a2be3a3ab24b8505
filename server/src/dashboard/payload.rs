//! Texts of others as pages show them: JSON laid out without changing a byte of what
//! it says, and nothing in it that could hide or turn what stands beside it.

use super::mark::bytes;

/// Most bytes of a text that a page shows.
const SHOWN: usize = 256 * 1024;

/// How deep JSON is indented; what is deeper stands where that ends.
const DEEPEST: usize = 40;

/// A text, and what is to be said of it.
pub(super) struct Payload {
    pub(super) text: String,
    /// How much is not shown.
    pub(super) cut: Option<String>,
}

impl Payload {
    /// The text as it is.
    pub(super) fn exact(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let mut end = text.len().min(SHOWN);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let left = u64::try_from(text.len() - end).unwrap_or(u64::MAX);
        Self { text: visible(&text[..end]), cut: (left > 0).then(|| bytes(left)) }
    }

    /// JSON with a line for each member.
    pub(super) fn laid_out(body: &[u8]) -> Self {
        Self::exact(laid_out(&String::from_utf8_lossy(body)).as_bytes())
    }
}

/// Valid JSON, laid out: white space changes, and nothing else. Numbers and escapes
/// stay as they were written.
fn laid_out(text: &str) -> String {
    let mut out = String::with_capacity(2 * text.len());
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
    };
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if in_text {
            out.push(letter);
            (in_text, escaped) = (escaped || letter != '"', !escaped && letter == '\\');
            continue;
        }
        match letter {
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            letter if letter.is_ascii_whitespace() => {}
            letter => {
                in_text = letter == '"';
                out.push(letter);
            }
        }
    }
    out
}

/// A text in which what would not be seen is: control characters, and those that turn
/// the direction of writing or take no room.
pub(super) fn visible(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => out.push(letter),
            '\0'..='\u{1f}' => out.extend(char::from_u32(0x2400 + u32::from(letter))),
            '\u{7f}' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                // Writing to a String can't fail.
                let _ = write!(out, "⟨U+{:04X}⟩", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_says_the_same() {
        let text = r#"{"a":[1.50,{"b":"x,:{}\"\\"}],"c":{}, "d":[ ],"e":1e400}"#;
        let shown = laid_out(text);
        let wanted = "{\n  \"a\": [\n    1.50,\n    {\n      \"b\": \"x,:{}\\\"\\\\\"\n    }\n  ],\n  \"c\": {},\n  \
                      \"d\": [],\n  \"e\": 1e400\n}";
        assert_eq!(shown, wanted);
        let squeezed = |text: &str| text.replace([' ', '\n'], "");
        assert_eq!(squeezed(&shown), squeezed(text));
    }

    #[test]
    fn what_hides_or_turns_is_shown() {
        assert_eq!(visible("a\u{1b}[31m\u{7f}\r\n\tz"), "a␛[31m␡␍\n\tz");
        assert_eq!(visible("pay\u{202e}cod\u{200b}\u{85}"), "pay⟨U+202E⟩cod⟨U+200B⟩⟨U+0085⟩");
    }

    #[test]
    fn what_is_huge_is_cut_and_that_is_said() {
        let small = Payload::exact("é".as_bytes());
        assert_eq!((&*small.text, small.cut), ("é", None));
        let huge = Payload::exact("é".repeat(SHOWN).as_bytes());
        assert_eq!((huge.text.len(), huge.cut), (SHOWN, Some("256.0 KiB".to_owned())));
    }
}
