//! What a receiver answered, and how much of it is kept.

use bytes::{Buf as _, Bytes, BytesMut};
use httparse::Header;

use super::framing::{self, Framing, HEAD_LIMIT, Head, Malformed};

/// Most bytes of a body that are read.
pub const BODY_LIMIT: usize = 16 * 1024;

/// Most headers that are kept.
const KEPT_HEADERS: usize = 32;

/// Most bytes of headers that are kept, names included.
const KEPT_HEADER_BYTES: usize = 4 * 1024;

/// Longest `Retry-After` worth reading; a date takes 29 bytes.
const RETRY_AFTER_LIMIT: usize = 64;

/// So much of a first line is looked at before it ends, to refuse at once what is not HTTP.
const FIRST_LINE: usize = 64;

/// A complete answer, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The status, 100 to 999; redirects are not followed.
    pub status: u16,
    /// The headers in order, at most 32 and 4 KiB; text that is not UTF-8 is
    /// kept with replacement characters. None of a 2xx, of which nobody asks for them.
    pub headers: Vec<(String, String)>,
    /// The body's first bytes, at most [`BODY_LIMIT`], as they were sent: a
    /// compressed body is not expanded.
    pub body: Bytes,
    /// Whether the body was longer.
    pub cut: bool,
    /// The `Retry-After` header as it was sent.
    pub retry_after: Option<String>,
}

/// Whether a receiver that answers so took the delivery: only with 2xx (Standard Webhooks).
pub(crate) const fn is_success(status: u16) -> bool {
    matches!(status, 200..=299)
}

/// Reads one answer as its bytes come.
#[derive(Debug, Default)]
pub(super) struct Reader {
    answer: Answer,
    /// How the body ends, once the head is complete.
    framing: Option<Framing>,
    body: BytesMut,
    /// Whether the receiver keeps the connection.
    persists: bool,
    /// How much of a head that has not ended was looked at.
    looked: usize,
}

impl Reader {
    /// Reads on, and takes what it has read off `bytes`; true when the answer is complete,
    /// or as much of it as is kept.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn read(&mut self, bytes: &mut BytesMut) -> Result<bool, Malformed> {
        while self.framing.is_none() {
            // A line that goes on tells nothing new, but for the start of the first one:
            // otherwise who sends a byte at a time would have all of it read each time.
            let is_new = self.looked <= FIRST_LINE || bytes[self.looked..].contains(&b'\n');
            let head = if is_new || bytes.len() > HEAD_LIMIT {
                framing::read_head(bytes, |head| self.take(head))?
            } else {
                None
            };
            let Some((length, ())) = head else {
                self.looked = bytes.len();
                return Ok(false);
            };
            bytes.advance(length);
            self.looked = 0;
        }
        let Some(framing) = &mut self.framing else { return Ok(false) };
        let ended = framing.take(bytes, &mut self.body, BODY_LIMIT)?;
        // What is left of a body that has not ended is more than is kept.
        self.answer.cut = !ended && !bytes.is_empty();
        Ok(ended || self.answer.cut)
    }

    fn take(&mut self, head: Head<'_>) {
        // Others follow one that only says that the answer will come.
        if head.status < 200 && head.status != 101 {
            return;
        }
        self.answer.status = head.status;
        if !is_success(head.status) {
            self.answer.headers = kept(head.headers);
        }
        let retry_after = framing::values(head.headers, "retry-after").next();
        let retry_after = retry_after.filter(|value| value.len() <= RETRY_AFTER_LIMIT);
        self.answer.retry_after = retry_after.and_then(plain_text).map(str::to_owned);
        self.framing = Some(head.framing);
        self.persists = head.persists;
    }

    /// The status, once the head is complete.
    pub(super) fn status(&self) -> Option<u16> {
        self.framing.is_some().then_some(self.answer.status)
    }

    /// Bytes of the body so far.
    pub(super) fn body(&self) -> usize {
        self.body.len()
    }

    /// Whether only the connection's end marks the answer's end.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.framing == Some(Framing::UntilClose)
    }

    /// The answer, and whether the connection may be used again after it.
    pub(super) fn finish(self) -> (Answer, bool) {
        let persists = self.persists && !self.answer.cut;
        (Answer { body: self.body.freeze(), ..self.answer }, persists)
    }
}

/// A value in which nothing but visible characters, spaces and tabs stand.
fn plain_text(value: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    std::str::from_utf8(value).ok().filter(|_| value.iter().all(is_plain))
}

fn kept(headers: &[Header<'_>]) -> Vec<(String, String)> {
    let mut kept = Vec::with_capacity(headers.len().min(KEPT_HEADERS));
    let mut room = KEPT_HEADER_BYTES;
    for header in headers {
        // Measured as it is kept: a replacement character is longer than what it stands for.
        let text = String::from_utf8_lossy(header.value);
        let size = header.name.len() + text.len();
        if kept.len() < KEPT_HEADERS && size <= room {
            room -= size;
            kept.push((header.name.to_ascii_lowercase(), text.into_owned()));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacement_characters_count_too() {
        let kept = kept(&[Header { name: "X", value: &[0x80; 1_000] }; 3]);
        let size: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= KEPT_HEADER_BYTES, "{size} bytes are kept");
        assert_eq!(kept.len(), 1);
    }

    /// Reads an answer that comes in pieces of `size`: how many were read until it ended.
    fn read_in_pieces(text: &[u8], size: usize) -> Result<(Answer, usize), Malformed> {
        let (mut reader, mut bytes) = (Reader::default(), BytesMut::new());
        for (number, piece) in text.chunks(size).enumerate() {
            bytes.extend_from_slice(piece);
            if reader.read(&mut bytes)? {
                return Ok((reader.finish().0, number + 1));
            }
        }
        panic!("it does not end")
    }

    #[test]
    fn an_answer_is_the_same_however_it_is_cut() {
        let text = format!(
            "HTTP/1.1 103 Early Hints\r\nlink: {0}\r\n\r\nHTTP/1.1 500 {0}\r\nx-long: {0}\r\ncontent-length: 2\r\n\r\nok",
            "x".repeat(3 * FIRST_LINE)
        );
        let whole = read_in_pieces(text.as_bytes(), text.len()).expect("an answer").0;
        assert_eq!((whole.status, &whole.body[..]), (500, &b"ok"[..]));
        for size in 1..100 {
            let read = read_in_pieces(text.as_bytes(), size);
            assert_eq!(read, Ok((whole.clone(), text.len().div_ceil(size))), "pieces of {size}");
        }
        for text in [b"SSH-2.0".to_vec(), vec![b'x'; 2 * FIRST_LINE]] {
            let refused = read_in_pieces(&text, text.len());
            assert!(matches!(refused, Err(Malformed::NotHttp(_))), "before its line ends");
        }
        let endless = [b"HTTP/1.1 200 ".to_vec(), vec![b'x'; HEAD_LIMIT]].concat();
        assert_eq!(read_in_pieces(&endless, 1_000), Err(Malformed::HeadTooLarge));
    }
}
