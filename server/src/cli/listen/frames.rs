//! Reads server-sent events.

use std::io::{BufRead, Error, ErrorKind, Read as _};

/// Longest frame, in bytes: several times the longest delivery.
const LONGEST: usize = 4 * 1024 * 1024;

/// What came between two empty lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// The place in the stream; empty where none is told.
    pub(super) id: String,
    /// The type; none of a frame that only tells a place.
    pub(super) event: Option<String>,
    /// The body.
    pub(super) data: String,
    /// All other fields: the headers of a delivery.
    pub(super) headers: Vec<(String, String)>,
}

impl Frame {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The next frame; none at the end. What was cut off in the middle is no frame: it
/// comes again.
///
/// # Errors
/// When it can't be read, or is longer than any delivery.
pub(super) fn next(from: &mut impl BufRead) -> std::io::Result<Option<Frame>> {
    let (mut frame, mut lines_of_data, mut length) = (Frame::default(), Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        let left = u64::try_from(LONGEST - length).unwrap_or_default();
        length += from.take(left).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            let too_long =
                || Error::new(ErrorKind::InvalidData, "the server sent more than a delivery can be");
            return if length < LONGEST { Ok(None) } else { Err(too_long()) };
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let line = String::from_utf8(line).map_err(|_| Error::from(ErrorKind::InvalidData))?;
        if line.is_empty() {
            if frame == Frame::default() && lines_of_data.is_empty() {
                continue;
            }
            frame.data = lines_of_data.join("\n");
            return Ok(Some(frame));
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            // A comment, and how long browsers wait before they come again.
            "" | "retry" => {}
            "id" => frame.id = value,
            "event" => frame.event = Some(value),
            "data" => lines_of_data.push(value),
            name => frame.headers.push((name.to_owned(), value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(text: &str) -> Vec<Frame> {
        let mut from = text.as_bytes();
        std::iter::from_fn(|| next(&mut from).expect("a frame")).collect()
    }

    #[test]
    fn a_frame_has_a_place_a_type_a_body_and_headers() {
        let text = "retry: 2000\nid: AAA\n\nid: AAB\nevent: order.paid\nwebhook-id: e1\n\
                    webhook-signature: v1,a b\ndata: {\"a\":\ndata:  1}\n\n: quiet\n\n\nid: AAC\nevent: cut";
        let told = frames(text);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!((&*told[0].id, &told[0].event), ("AAA", &None));
        assert_eq!((&*told[1].id, told[1].event.as_deref()), ("AAB", Some("order.paid")));
        assert_eq!(told[1].data, "{\"a\":\n 1}");
        assert_eq!(told[1].header("webhook-signature"), Some("v1,a b"));
        assert_eq!(told[1].headers.len(), 2);
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        let endless = format!("data: {}", "x".repeat(LONGEST));
        assert!(next(&mut endless.as_bytes()).is_err());
        let many = "data: x\n".repeat(LONGEST);
        assert!(next(&mut many.as_bytes()).is_err());
    }
}
