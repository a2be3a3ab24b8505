//! Where an answer begins and ends: its head, and how its body is framed (RFC 9112).

use std::mem::MaybeUninit;

use bytes::{Buf as _, BytesMut};
use httparse::{Header, ParserConfig, Status};

/// Most headers that are put up with.
const MOST_HEADERS: usize = 100;

/// Most bytes of a head that are put up with.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// Most bytes beside the data of chunks that are put up with: extensions, trailers.
const BESIDE_LIMIT: usize = 16 * 1024;

/// Why bytes are no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// There are too many headers, or they are too long.
    HeadTooLarge,
    /// They are not HTTP, in a few words.
    NotHttp(String),
}

impl Malformed {
    fn because(reason: &str) -> Self {
        Self::NotHttp(reason.to_owned())
    }
}

/// The start of an answer, up to the empty line.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// 100 to 999.
    pub(super) status: u16,
    /// In their order, names as they were spelt.
    pub(super) headers: &'a [Header<'a>],
    /// How the body ends.
    pub(super) framing: Framing,
    /// Whether the connection is meant to be used again (section 9.3).
    pub(super) persists: bool,
}

/// Reads a head off the front of `bytes` and hands it to `take`, with what that returns
/// and how long the head is. `None` when it does not end within them.
///
/// # Errors
/// When it can't become one, whatever follows.
pub(super) fn read_head<T>(
    bytes: &[u8],
    take: impl FnOnce(Head<'_>) -> T,
) -> Result<Option<(usize, T)>, Malformed> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parser = ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() <= HEAD_LIMIT => return Ok(None),
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(Malformed::HeadTooLarge),
        Err(error) => return Err(Malformed::NotHttp(error.to_string())),
    };
    if length > HEAD_LIMIT {
        return Err(Malformed::HeadTooLarge);
    }
    let status = response.code.filter(|status| *status >= 100);
    let status = status.ok_or_else(|| Malformed::because("a status below 100"))?;
    let is_old = response.version == Some(0);
    let headers = &*response.headers;
    let framing = Framing::of(status, headers, is_old)?;
    let persists = status != 101
        && framing != Framing::UntilClose
        && if is_old { has_token(headers, "keep-alive") } else { !has_token(headers, "close") };
    Ok(Some((length, take(Head { status, headers, framing, persists }))))
}

/// The values of a header, however it is spelt.
pub(super) fn values<'a>(
    headers: &'a [Header<'a>],
    name: &'static str,
) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Whether `Connection` has this among its words.
fn has_token(headers: &[Header<'_>], token: &str) -> bool {
    let mut words = values(headers, "connection").flat_map(|value| value.split(|byte| *byte == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// How a body ends (section 6.3).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// With the last chunk and what trails it.
    Chunked(Chunks),
    /// With the connection.
    UntilClose,
}

impl Framing {
    /// Of the answer to a POST.
    fn of(status: u16, headers: &[Header<'_>], is_old: bool) -> Result<Self, Malformed> {
        if matches!(status, 100..=199 | 204 | 304) {
            return Ok(Self::Length(0));
        }
        if let Some(last) = values(headers, "transfer-encoding").next_back() {
            let coding = last.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
            return match coding.eq_ignore_ascii_case(b"chunked") {
                _ if is_old => Err(Malformed::because("a transfer coding in HTTP/1.0")),
                true => Ok(Self::Chunked(Chunks::default())),
                false => Ok(Self::UntilClose),
            };
        }
        let mut lengths =
            values(headers, "content-length").flat_map(|value| value.split(|byte| *byte == b','));
        let Some(first) = lengths.next() else { return Ok(Self::UntilClose) };
        let first = length(first)?;
        for other in lengths {
            if length(other)? != first {
                return Err(Malformed::because("two different lengths"));
            }
        }
        Ok(Self::Length(first))
    }

    /// Moves what belongs to the body from `bytes` to `data`, until that has `limit` bytes.
    /// True when the body has ended; what follows stays where it is.
    ///
    /// # Errors
    /// When these are no chunks.
    pub(super) fn take(
        &mut self,
        bytes: &mut BytesMut,
        data: &mut BytesMut,
        limit: usize,
    ) -> Result<bool, Malformed> {
        let room = limit.saturating_sub(data.len());
        match self {
            Self::UntilClose => {
                let count = bytes.len().min(room);
                data.extend_from_slice(&bytes[..count]);
                bytes.advance(count);
                Ok(false)
            }
            Self::Length(left) => {
                let count = bytes.len().min(room).min(usize::try_from(*left).unwrap_or(usize::MAX));
                data.extend_from_slice(&bytes[..count]);
                bytes.advance(count);
                *left -= count as u64;
                Ok(*left == 0)
            }
            Self::Chunked(chunks) => {
                while !bytes.is_empty() && !chunks.has_ended() {
                    if chunks.step == Step::Data {
                        let count = bytes.len().min(usize::try_from(chunks.left).unwrap_or(usize::MAX));
                        let count = count.min(limit.saturating_sub(data.len()));
                        if count == 0 {
                            break;
                        }
                        data.extend_from_slice(&bytes[..count]);
                        bytes.advance(count);
                        chunks.took(count as u64);
                    } else {
                        chunks.see(bytes.get_u8())?;
                    }
                }
                Ok(chunks.has_ended())
            }
        }
    }
}

fn length(text: &[u8]) -> Result<u64, Malformed> {
    let text = text.trim_ascii();
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| Malformed::because("a length that is none"))
}

/// Where in a chunked body (section 7.1) the reader is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    step: Step,
    /// Bytes of the chunk that are still to come, or its length so far.
    left: u64,
    /// Bytes that were no data.
    beside: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Before the first digit of a length.
    #[default]
    Start,
    Length,
    /// White space behind the length.
    Space,
    Extension,
    /// The line of the length ends with what comes.
    LengthEnd,
    Data,
    DataReturn,
    DataEnd,
    /// At the start of a trailer, or of the last line.
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
    Over,
}

impl Chunks {
    fn has_ended(&self) -> bool {
        self.step == Step::Over
    }

    fn took(&mut self, count: u64) {
        self.left -= count;
        if self.left == 0 {
            self.step = Step::DataReturn;
        }
    }

    /// Goes on by a byte that is no data.
    fn see(&mut self, byte: u8) -> Result<(), Malformed> {
        self.step = match (self.step, byte) {
            (Step::Start | Step::Length, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let longer = self.left.checked_mul(16).map(|left| left + u64::from(digit));
                self.left = longer.ok_or_else(|| Malformed::because("a chunk's length that is too long"))?;
                Step::Length
            }
            (Step::Length | Step::Space | Step::Extension, b'\r') => Step::LengthEnd,
            (Step::Length | Step::Space, b' ' | b'\t') => self.beside(Step::Space)?,
            (Step::Length | Step::Space, b';') => Step::Extension,
            (Step::Extension, other) if other != b'\n' => self.beside(Step::Extension)?,
            (Step::LengthEnd, b'\n') if self.left == 0 => Step::TrailerStart,
            (Step::LengthEnd, b'\n') => Step::Data,
            (Step::DataReturn, b'\r') => Step::DataEnd,
            (Step::DataEnd, b'\n') => Step::Start,
            (Step::TrailerStart, b'\r') => Step::LastEnd,
            (Step::LastEnd, b'\n') => Step::Over,
            (Step::Trailer, b'\r') => Step::TrailerEnd,
            (Step::TrailerStart | Step::Trailer, other) if other != b'\n' => self.beside(Step::Trailer)?,
            (Step::TrailerEnd, b'\n') => Step::TrailerStart,
            (Step::DataReturn | Step::DataEnd, _) => {
                return Err(Malformed::because("a chunk that is longer than announced"));
            }
            (Step::TrailerStart | Step::Trailer | Step::TrailerEnd | Step::LastEnd, _) => {
                return Err(Malformed::because("a trailer that is none"));
            }
            _ => return Err(Malformed::because("a chunk's length that is none")),
        };
        Ok(())
    }

    fn beside(&mut self, step: Step) -> Result<Step, Malformed> {
        self.beside += 1;
        if self.beside > BESIDE_LIMIT {
            return Err(Malformed::because("more than 16 KiB of chunk extensions and trailers"));
        }
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<(u16, Framing, bool)>, Malformed> {
        let taken = read_head(text.as_bytes(), |head| (head.status, head.framing, head.persists))?;
        Ok(taken.map(|(_, head)| head))
    }

    #[test]
    fn a_body_ends_as_its_head_says() {
        let until_close = Framing::UntilClose;
        let chunked = || Framing::Chunked(Chunks::default());
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", (200, Framing::Length(5), true)),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\ncontent-length: 5\r\n\r\n",
                (200, Framing::Length(5), true),
            ),
            ("HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\n", (204, Framing::Length(0), true)),
            ("HTTP/1.1 100 Continue\r\n\r\n", (100, Framing::Length(0), true)),
            ("HTTP/1.1 101 X\r\n\r\n", (101, Framing::Length(0), false)),
            ("HTTP/1.1 200 OK\r\n\r\n", (200, until_close, false)),
            ("HTTP/1.1 200\r\ntransfer-encoding: gzip, Chunked\r\n\r\n", (200, chunked(), true)),
            (
                "HTTP/1.1 200\r\ntransfer-encoding: gzip\r\ncontent-length: 1\r\n\r\n",
                (200, Framing::UntilClose, false),
            ),
            (
                "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n",
                (200, Framing::Length(0), false),
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", (200, Framing::Length(0), false)),
            (
                "HTTP/1.0 200 OK\nconnection: keep-alive\ncontent-length: 0\n\n",
                (200, Framing::Length(0), true),
            ),
        ] {
            assert_eq!(head(text), Ok(Some(expected)), "{text}");
        }
        assert_eq!(head("HTTP/1.1 200 OK\r\ncontent-le"), Ok(None));
        for text in [
            "HTTP/1.1 099 X\r\n\r\n",
            "HTTP/1.0 200 X\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 X\r\ncontent-length: 5, 6\r\n\r\n",
            "HTTP/1.1 200 X\r\ncontent-length: \r\n\r\n",
            "SSH-2.0",
        ] {
            assert!(matches!(head(text), Err(Malformed::NotHttp(_))), "{text}");
        }
        let long = format!("HTTP/1.1 200 X\r\nx: {}", "y".repeat(HEAD_LIMIT));
        assert_eq!(head(&long), Err(Malformed::HeadTooLarge));
        let many = format!("HTTP/1.1 200 X\r\n{}\r\n", "x: y\r\n".repeat(MOST_HEADERS + 1));
        assert_eq!(head(&many), Err(Malformed::HeadTooLarge));
    }

    /// Reads chunks that come in pieces of these sizes, over and over: the data, what
    /// is left, and whether they have ended.
    fn chunks(text: &[u8], sizes: &[usize]) -> Result<(Vec<u8>, Vec<u8>, bool), Malformed> {
        let (mut framing, mut data) = (Framing::Chunked(Chunks::default()), BytesMut::new());
        let (mut unread, mut rest, mut sizes) = (BytesMut::new(), text, sizes.iter().cycle());
        let mut ended = false;
        while !ended && !rest.is_empty() {
            let (piece, more) = rest.split_at((*sizes.next().unwrap_or(&1)).min(rest.len()));
            unread.extend_from_slice(piece);
            rest = more;
            ended = framing.take(&mut unread, &mut data, usize::MAX)?;
        }
        Ok((data.to_vec(), [&unread, rest].concat(), ended))
    }

    #[test]
    fn chunks_end_with_the_last_one_and_its_trailers() {
        let text = b"2;x=\"y\"\r\nok\r\n0A \t;\r\n0123456789\r\n000\r\nx: y\r\n\r\nHTTP";
        assert_eq!(chunks(text, &[usize::MAX]), Ok((b"ok0123456789".to_vec(), b"HTTP".to_vec(), true)));
        for text in ["\r\n", "g\r\n", "2\nok", "2\r\nokay", "1 1\r\nx", "1;\nx", "0\r\nx: y\n", "0\r\n\rx"] {
            assert!(chunks(text.as_bytes(), &[usize::MAX]).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn chunks_are_the_same_however_they_are_cut(
            datas in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            sizes in prop::collection::vec(1_usize..20, 1..5),
            noise in prop::collection::vec(any::<u8>(), 0..12),
            place in any::<prop::sample::Index>(),
        ) {
            let mut text = Vec::new();
            for data in &datas {
                text.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                text.extend_from_slice(data);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(chunks(&text, &sizes), Ok((datas.concat(), Vec::new(), true)));
            let place = place.index(text.len());
            text.splice(place..place, noise);
            prop_assert_eq!(chunks(&text, &sizes), chunks(&text, &[usize::MAX]));
        }
    }
}
