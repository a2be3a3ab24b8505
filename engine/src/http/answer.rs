//! What a receiver answered, and how much of it is kept.

use std::error::Error;
use std::io;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Most bytes of a body that are read.
pub const BODY_LIMIT: usize = 16 * 1024;

/// Most headers that are kept.
const KEPT_HEADERS: usize = 32;

/// Most bytes of headers that are kept, names included.
const KEPT_HEADER_BYTES: usize = 4 * 1024;

/// Most bytes of headers that are put up with.
const HEADER_LIMIT: usize = 64 * 1024;

/// Longest `Retry-After` worth reading; a date takes 29 bytes.
const RETRY_AFTER_LIMIT: usize = 64;

/// A complete answer, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The status, 100 to 999; redirects are not followed.
    pub status: u16,
    /// The headers in order, at most 32 and 4 KiB; text that is not UTF-8 is
    /// kept with replacement characters.
    pub headers: Vec<(String, String)>,
    /// The body's first bytes, at most [`BODY_LIMIT`], as they were sent: a
    /// compressed body is not expanded.
    pub body: Bytes,
    /// Whether the body was longer.
    pub cut: bool,
    /// The `Retry-After` header as it was sent.
    pub retry_after: Option<String>,
}

pub(super) fn headers_too_large(headers: &HeaderMap) -> bool {
    headers.iter().map(|(name, value)| size(name, value)).sum::<usize>() > HEADER_LIMIT
}

/// Bytes of a header on the wire, but for its colon and line end.
fn size(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len()
}

/// Reads the answer; `so_far` counts the body's bytes as they come.
pub(super) async fn read(response: Response<Incoming>, so_far: &mut usize) -> Result<Answer, hyper::Error> {
    let (head, mut incoming) = response.into_parts();
    let ends_with_connection = !head.headers.contains_key(header::CONTENT_LENGTH)
        && !head.headers.contains_key(header::TRANSFER_ENCODING);
    let mut body = BytesMut::new();
    let mut cut = false;
    while let Some(frame) = incoming.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            // Where only the connection's end marks the body's end, many TLS
            // servers leave without the farewell that TLS asks for.
            Err(error) if ends_with_connection && is_unexpected_end(&error) => break,
            Err(error) => return Err(error),
        };
        let Some(data) = frame.data_ref() else { continue };
        let room = BODY_LIMIT - body.len();
        // Copied, because a slice would keep hyper's whole buffer alive.
        body.extend_from_slice(data.get(..room).unwrap_or(data));
        *so_far = body.len();
        if data.len() > room {
            cut = true;
            break;
        }
    }
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    Ok(Answer {
        status: head.status.as_u16(),
        retry_after: retry_after.filter(|text| text.len() <= RETRY_AFTER_LIMIT).map(str::to_owned),
        headers: kept(&head.headers),
        body: body.freeze(),
        cut,
    })
}

fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut kept = Vec::with_capacity(headers.len().min(KEPT_HEADERS));
    let mut room = KEPT_HEADER_BYTES;
    for (name, value) in headers {
        // Measured as it is kept: a replacement character is longer than what it stands for.
        let text = String::from_utf8_lossy(value.as_bytes());
        let size = name.as_str().len() + text.len();
        if kept.len() < KEPT_HEADERS && size <= room {
            room -= size;
            kept.push((name.as_str().to_owned(), text.into_owned()));
        }
    }
    kept
}

fn is_unexpected_end(error: &hyper::Error) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::UnexpectedEof;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacement_characters_count_too() {
        let mut headers = HeaderMap::new();
        for _ in 0..3 {
            headers.append("x", HeaderValue::from_bytes(&[0x80; 1_000]).unwrap());
        }
        let kept = kept(&headers);
        let size: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= KEPT_HEADER_BYTES, "{size} bytes are kept");
        assert_eq!(kept.len(), 1);
    }
}
