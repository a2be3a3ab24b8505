//! Answers as they should not be, each once: what becomes of the delivery, and
//! that nothing of it is left for the next one.

use bytes::Bytes;
use callboard_domain::delivery::Cause;
use callboard_engine::http::Endpoint;
use http::HeaderMap;

use super::{PATIENT, SHORT, answer, assert_fault, assert_hostile, client};
use crate::receiver::{Act, Receiver};

fn head(lines: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes()
}

/// The answer is refused, with these words.
async fn refused(bytes: impl Into<Vec<u8>>, words: &[&str]) {
    assert_hostile(Act::Answer(bytes.into()), PATIENT, Cause::InvalidAnswer, words).await;
}

/// The answer is taken, whatever else is wrong with it.
async fn taken(bytes: impl Into<Vec<u8>>, status: u16, body: &[u8]) {
    let bytes = bytes.into();
    let receiver = Receiver::start([Act::AnswerAndClose(bytes.clone())]).await;
    let client = client();
    let found = answer(&client, &receiver.url()).await;
    assert_eq!((found.status, &found.body[..]), (status, body), "{:?}", String::from_utf8_lossy(&bytes));
    assert_eq!(answer(&client, &receiver.url()).await.body, "ok", "the next one has its own answer");
}

#[tokio::test]
async fn statuses_that_are_none_are_refused() {
    for line in
        ["HTTP/1.1 000 X", "HTTP/1.1 99 X", "HTTP/1.1 1000 X", "HTTP/1.1 -20 X", "HTTP/1.1 2OO X", "HTTP/1.1"]
    {
        refused(format!("{line}\r\ncontent-length: 0\r\n\r\n"), &["the answer is not HTTP"]).await;
    }
    taken("HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n", 999, b"").await;
    taken("HTTP/1.1 600\r\ncontent-length: 0\r\n\r\n", 600, b"").await;
}

#[tokio::test]
async fn other_versions_are_refused() {
    // HTTP/0.9 sends the body and nothing else.
    refused("<html>taken</html>\r\n", &["the answer is not HTTP", "<html>taken</html>"]).await;
    // The frame with which every HTTP/2 server begins.
    refused(&b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\r\n\r\n"[..], &["the answer is not HTTP"]).await;
    refused("HTTP/2 200\r\ncontent-length: 0\r\n\r\n", &["the answer is not HTTP", "HTTP/2 200"]).await;
    refused("HTTP/1.9 200 OK\r\ncontent-length: 0\r\n\r\n", &["the answer is not HTTP"]).await;
    refused("ICY 200 OK\r\n\r\n", &["the answer is not HTTP"]).await;
}

#[tokio::test]
async fn lengths_that_contradict_themselves_are_refused() {
    for lines in [
        "content-length: -1\r\n",
        "content-length: +2\r\n",
        "content-length: 2, 3\r\n",
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 99999999999999999999999\r\n",
    ] {
        refused([head(lines), b"ok".to_vec()].concat(), &["the answer is not HTTP"]).await;
    }
    let chunked = |body: &str| [head("transfer-encoding: chunked\r\n"), body.into()].concat();
    for body in ["FFFFFFFFFFFFFFFFF\r\nok", "-1\r\nok", "2\r\nokay\r\n0\r\n\r\n", " \r\nok"] {
        refused(chunked(body), &["the answer's body is not HTTP, after status 200"]).await;
    }
    // Both lengths: the chunks count, and what follows them is nobody's answer.
    let both = head("content-length: 1\r\ntransfer-encoding: chunked\r\n");
    taken([both, b"2\r\nhi\r\n0\r\n\r\n".to_vec()].concat(), 200, b"hi").await;
}

#[tokio::test]
async fn a_body_that_is_longer_than_announced_is_nobody_elses_answer() {
    let second = "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
    taken(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi{second}"), 200, b"hi").await;
    taken(format!("HTTP/1.1 204 X\r\n\r\n{second}"), 204, b"").await;
    taken(format!("HTTP/1.1 304 X\r\ncontent-length: 9\r\n\r\n{second}"), 304, b"").await;
}

#[tokio::test]
async fn chunks_and_trailers_without_measure_end() {
    let start = head("transfer-encoding: chunked\r\n");
    let extensions = Act::Flood(start.clone(), format!("1;{}\r\nx\r\n", "e".repeat(9_000)).into_bytes());
    let trailers = Act::Flood([start.clone(), b"0\r\n".to_vec()].concat(), b"x-trailer: 1\r\n".repeat(99));
    for act in [extensions, trailers] {
        assert_hostile(act, PATIENT, Cause::InvalidAnswer, &["200"]).await;
    }
    // A byte at a time is a body like any other, and cut like any other.
    let receiver = Receiver::start([Act::Flood(start, b"1\r\nx\r\n".repeat(500))]).await;
    let found = answer(&client(), &receiver.url()).await;
    assert_eq!((found.status, found.cut, found.body.len()), (200, true, callboard_engine::http::BODY_LIMIT));
}

#[tokio::test]
async fn headers_that_are_no_headers_are_refused() {
    for lines in ["x: a\0b\r\n", "no colon\r\n", ": nameless\r\n", "x y: z\r\n", "\u{e9}: x\r\n"] {
        refused([head(lines), b"ok".to_vec()].concat(), &["the answer is not HTTP"]).await;
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_as_text() {
    let bytes =
        b"HTTP/1.1 500 \xff\xfe\r\nx-odd: \xff\xc3\x28\r\ncontent-length: 4\r\n\r\n\0\xff\x1b[".to_vec();
    let receiver = Receiver::start([Act::Answer(bytes)]).await;
    let found = answer(&client(), &receiver.url()).await;
    assert_eq!((found.status, &found.body[..]), (500, &b"\0\xff\x1b["[..]));
    assert_eq!(found.headers[0], ("x-odd".to_owned(), "\u{fffd}\u{fffd}(".to_owned()));
}

#[tokio::test]
async fn a_flood_of_cookies_is_cut() {
    let cookies = format!("set-cookie: a={}\r\n", "c".repeat(500)).repeat(90);
    let receiver = Receiver::start([Act::Answer(head(&format!("{cookies}content-length: 0\r\n")))]).await;
    let client = client();
    let found = answer(&client, &receiver.url()).await;
    assert!(found.headers.len() < 10, "{}", found.headers.len());
    answer(&client, &receiver.url()).await;
    assert!(!receiver.received()[1].head.contains("cookie"), "none is ever sent back");
}

#[tokio::test]
async fn a_waiting_time_is_kept_only_if_it_is_short_enough_to_be_one() {
    let wait = |text: &str| format!("HTTP/1.1 503 X\r\nretry-after: {text}\r\ncontent-length: 0\r\n\r\n");
    let endless = "9".repeat(65);
    let receiver =
        Receiver::start(["-1", &endless, "\u{ff}", "99999999999999999999"].map(|t| Act::answer(wait(t))))
            .await;
    let client = client();
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(answer(&client, &receiver.url()).await.retry_after);
    }
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(kept, [text("-1"), None, None, text("99999999999999999999")]);
}

/// More than the kernel buffers of a request that nobody reads.
fn large() -> Bytes {
    Bytes::from(vec![b' '; 32 * 1024 * 1024])
}

#[tokio::test]
async fn an_answer_before_the_request_is_read_is_an_answer() {
    let early = Act::Early(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n".to_vec());
    let receiver = Receiver::start([early]).await;
    let (client, endpoint) = (client(), Endpoint::parse(&receiver.url()).unwrap());
    let exchange = client.post(&endpoint, HeaderMap::new(), large(), PATIENT).await;
    assert_eq!(exchange.result.unwrap().status, 413);
    assert_eq!(client.idle(), 0, "the rest of the request would be taken for the next one");
    assert_eq!(answer(&client, &receiver.url()).await.status, 200);
}

#[tokio::test]
async fn a_request_that_nobody_reads_ends_at_the_deadline() {
    let receiver = Receiver::start([Act::Hang]).await;
    let (client, endpoint) = (client(), Endpoint::parse(&receiver.url()).unwrap());
    let exchange = client.post(&endpoint, HeaderMap::new(), large(), SHORT).await;
    assert_fault(&exchange, Cause::Timeout, &["no answer within 300 ms", "then silence"]);
    assert!(exchange.timings.exchange_us < 5_000_000);
}

#[tokio::test]
async fn a_receiver_that_closes_one_way_only_is_not_called_again_over_it() {
    let receiver = Receiver::start([Act::AnswerAndHalfClose(super::OK.to_vec())]).await;
    let client = client();
    assert_eq!(answer(&client, &receiver.url()).await.status, 200);
    assert_eq!(answer(&client, &receiver.url()).await.status, 200);
    assert_eq!((receiver.connections(), receiver.received().len()), (2, 2));
}

#[tokio::test]
async fn a_redirect_to_itself_is_one_answer() {
    let receiver = Receiver::start(vec![
        Act::answer(
            "HTTP/1.1 308 X\r\nlocation: /hook?a=b\r\ncontent-length: 0\r\n\r\n"
        );
        2
    ])
    .await;
    assert_eq!(answer(&client(), &receiver.url()).await.status, 308);
    assert_eq!(receiver.received().len(), 1);
}
