//! A request as it goes out: one POST, framed by its length.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;

/// Headers that belong to the connection, not to the caller: a second length
/// or a foreign host would let one request be read as two.
const OWN_HEADERS: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
];

/// What is said beside names and values: method, version, line ends.
const HEAD_ROOM: usize = 64;

/// A request that is ready to be sent.
pub(crate) struct Request {
    head: Bytes,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// A POST of `body` to `target`, with these headers beside those that belong to the
    /// connection.
    pub(super) fn post(
        target: &PathAndQuery,
        host: &HeaderValue,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Self {
        for name in OWN_HEADERS {
            headers.remove(name);
        }
        headers.insert(header::HOST, host.clone());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
        let room = headers.iter().map(size).sum::<usize>() + target.as_str().len() + HEAD_ROOM;
        let mut head = Vec::with_capacity(room);
        for part in ["POST ", target.as_str(), " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        for (name, value) in &headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        Self { head: head.into(), headers, body }
    }

    /// Its headers in the order of the wire.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Everything up to the body, as it goes out.
    pub(super) fn head(&self) -> Bytes {
        self.head.clone()
    }

    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(headers: HeaderMap, body: &'static str) -> Request {
        let target = PathAndQuery::from_static("/hook?a=b");
        Request::post(&target, &HeaderValue::from_static("x"), headers, Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn a_request_is_written_as_it_goes_out() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        headers.append("x-two", HeaderValue::from_static("1"));
        headers.append("x-two", HeaderValue::from_static("2"));
        let expected = "POST /hook?a=b HTTP/1.1\r\ncontent-type: text/plain\r\nx-two: 1\r\nx-two: 2\r\n\
                        host: x\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(post(headers, "ok").head(), expected);
    }

    #[test]
    fn the_caller_cannot_reframe_the_request() {
        let mut headers = HeaderMap::new();
        for name in ["content-length", "transfer-encoding", "connection", "expect", "host"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("9"));
        }
        let request = post(headers, "");
        assert_eq!(request.headers().len(), 2);
        assert_eq!(request.headers()["host"], "x");
        assert_eq!(request.headers()["content-length"], "0");
    }
}
