//! A request as it goes out: one POST, framed by its length.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;

/// Headers that belong to the connection, not to the caller: a second length
/// or a foreign host would let one request be read as two.
const RESERVED: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
];

/// Bytes of a head beside headers: method, version, host, length.
const HEAD_ROOM: usize = 128;

/// The headers of a request: those that it shares with others, which are written out
/// once for all of them, and its own. A clone copies its own.
#[derive(Debug, Clone)]
pub struct Headers {
    shared: Arc<Shared>,
    own: Vec<(HeaderName, String)>,
}

#[derive(Debug)]
struct Shared {
    headers: HeaderMap,
    /// The same as lines.
    text: Vec<u8>,
}

impl From<HeaderMap> for Headers {
    /// Headers to be shared, but for those that belong to the connection.
    fn from(mut headers: HeaderMap) -> Self {
        for name in RESERVED {
            headers.remove(name);
        }
        let mut text = Vec::new();
        for (name, value) in &headers {
            write_line(&mut text, name, value.as_bytes());
        }
        Self { shared: Arc::new(Shared { headers, text }), own: Vec::new() }
    }
}

impl Headers {
    /// Gives the request a header of its own, in place of others of that name. One that
    /// belongs to the connection, or can't be written on a line, is left out.
    pub fn set(&mut self, name: HeaderName, value: String) {
        let is_line = value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
        if !is_line || RESERVED.contains(&name) {
            return;
        }
        self.own.retain(|(other, _)| *other != name);
        self.own.push((name, value));
    }

    /// Whether one of its own stands in place of one that is shared.
    fn replaces(&self) -> bool {
        self.own.iter().any(|(name, _)| self.shared.headers.contains_key(name))
    }

    /// Those that it shares and does not replace.
    fn shared(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let is_own = |name: &HeaderName| self.own.iter().any(|(own, _)| own == name);
        self.shared.headers.iter().filter(move |(name, _)| !is_own(name))
    }

    /// As they are written, one after the other.
    fn write(&self, out: &mut Vec<u8>) {
        if self.replaces() {
            for (name, value) in self.shared() {
                write_line(out, name, value.as_bytes());
            }
        } else {
            out.extend_from_slice(&self.shared.text);
        }
        for (name, value) in &self.own {
            write_line(out, name, value.as_bytes());
        }
    }

    fn size(&self) -> usize {
        let own = self.own.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        self.shared.text.len() + own.sum::<usize>()
    }
}

fn write_line(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// A request that is ready to be sent.
pub(super) struct Request {
    /// Everything up to the body.
    pub(super) head: Bytes,
    pub(super) body: Bytes,
}

impl Request {
    /// A POST of `body` to `target` at `host`.
    pub(super) fn post(target: &PathAndQuery, host: &HeaderValue, headers: &Headers, body: Bytes) -> Self {
        let mut head = Vec::with_capacity(headers.size() + target.as_str().len() + host.len() + HEAD_ROOM);
        for part in [b"POST ", target.as_str().as_bytes(), b" HTTP/1.1\r\n"] {
            head.extend_from_slice(part);
        }
        headers.write(&mut head);
        write_line(&mut head, &header::HOST, host.as_bytes());
        write_line(&mut head, &header::CONTENT_LENGTH, body.len().to_string().as_bytes());
        head.extend_from_slice(b"\r\n");
        Self { head: head.into(), body }
    }
}

/// The headers of [`Request::post`] in the order of the wire.
pub(super) fn lines(host: &HeaderValue, headers: &Headers, length: usize) -> Vec<(HeaderName, HeaderValue)> {
    let own = headers.own.iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)));
    let shared = headers.shared().map(|(name, value)| (name, value.clone()));
    let framing = [(&header::HOST, host.clone()), (&header::CONTENT_LENGTH, HeaderValue::from(length))];
    shared.chain(own).chain(framing).map(|(name, value)| (name.clone(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HeaderValue = HeaderValue::from_static("x");

    fn head(headers: &Headers, body: &'static str) -> String {
        let target = PathAndQuery::from_static("/hook?a=b");
        let request = Request::post(&target, &HOST, headers, Bytes::from_static(body.as_bytes()));
        let text = String::from_utf8(request.head.to_vec()).expect("text");
        let mut listed = b"POST /hook?a=b HTTP/1.1\r\n".to_vec();
        for (name, value) in lines(&HOST, headers, body.len()) {
            write_line(&mut listed, &name, value.as_bytes());
        }
        assert_eq!(text.as_bytes(), [&*listed, b"\r\n"].concat(), "it is listed as it is sent");
        text
    }

    #[test]
    fn a_request_is_written_as_it_goes_out() {
        let mut map = HeaderMap::new();
        map.insert("content-type", HeaderValue::from_static("text/plain"));
        map.append("x-two", HeaderValue::from_static("1"));
        map.append("x-two", HeaderValue::from_static("2"));
        let shared = Headers::from(map);
        let mut own = shared.clone();
        own.set(HeaderName::from_static("x-own"), "3".to_owned());
        let start = "POST /hook?a=b HTTP/1.1\r\ncontent-type: text/plain\r\nx-two: 1\r\nx-two: 2\r\n";
        let end = "host: x\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(head(&shared, "ok"), format!("{start}{end}"));
        assert_eq!(head(&own, "ok"), format!("{start}x-own: 3\r\n{end}"));
        own.set(HeaderName::from_static("x-two"), "4".to_owned());
        own.set(HeaderName::from_static("x-own"), "5".to_owned());
        let start = "POST /hook?a=b HTTP/1.1\r\ncontent-type: text/plain\r\n";
        assert_eq!(head(&own, "ok"), format!("{start}x-two: 4\r\nx-own: 5\r\n{end}"));
    }

    #[test]
    fn the_caller_cannot_reframe_the_request() {
        let names = RESERVED.map(|name| (name, HeaderValue::from_static("9")));
        let mut headers = Headers::from(HeaderMap::from_iter(names));
        for name in RESERVED {
            headers.set(name, "9".to_owned());
        }
        headers.set(HeaderName::from_static("x-two"), "1\r\nhost: y".to_owned());
        assert_eq!(head(&headers, ""), "POST /hook?a=b HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    }
}
