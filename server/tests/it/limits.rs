//! What a client may take of the server: whoever keeps it waiting, or takes too
//! much, is given up, and nobody else notices.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use callboard::config::Limits;
use serde_json::{Value, json};

use crate::harness::{Harness, event};

/// Longest wait for something that has to come.
const LONG: Duration = Duration::from_secs(20);

/// Between two bytes of one who is slow.
const PACE: Duration = Duration::from_millis(20);

/// How often one who is slow goes on at most: as long as [`LONG`].
const STEPS: usize = 1_000;

/// A request as far as its headers go on.
const BEGINNING: &str = "host: callboard\r\nauthorization: Bearer the-operator-of-the-tests\r\ncontent-type: application/json\r\n";

fn limited(change: impl FnOnce(&mut Limits)) -> Harness {
    Harness::configured(|settings| change(&mut settings.limits))
}

#[expect(clippy::disallowed_methods, reason = "a test calls the program as its clients do")]
fn connect(house: &Harness) -> TcpStream {
    let stream = TcpStream::connect(house.address).expect("a connection");
    stream.set_read_timeout(Some(LONG)).expect("a time");
    stream.set_nodelay(true).expect("set");
    stream
}

fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).expect("sent");
}

/// Everything until the server closes the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is not closed: {error}"),
    }
    String::from_utf8_lossy(&rest).into_owned()
}

/// One answer with a body of known length.
fn answer(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        seen.push(byte[0]);
    }
    let head = String::from_utf8(seen).expect("a text").to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.expect("a length").parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body");
    head + &String::from_utf8_lossy(&body)
}

/// Sends a byte again and again until something comes back; returns all of it.
fn drip(stream: &mut TcpStream, byte: u8) -> String {
    stream.set_read_timeout(Some(PACE)).expect("a time");
    let mut first = [0];
    for _ in 0..STEPS {
        match stream.read(&mut first) {
            Ok(0) => return String::new(),
            Ok(_) => {
                stream.set_read_timeout(Some(LONG)).expect("a time");
                return String::from_utf8_lossy(&first).into_owned() + &rest(stream);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return String::new(),
        }
        if stream.write_all(&[byte]).is_err() {
            return String::new();
        }
    }
    unreachable!("the server waits for ever");
}

/// What makes a client slow.
fn pause() {
    let (_kept, nothing) = std::sync::mpsc::channel::<()>();
    assert!(nothing.recv_timeout(PACE).is_err());
}

/// Sends a byte again and again, reads nothing, and ends when the server has
/// closed the connection.
fn push(stream: &mut TcpStream) {
    for _ in 0..STEPS {
        if stream.write_all(b"x").is_err() {
            return;
        }
        pause();
    }
    unreachable!("the server waits for ever");
}

#[test]
fn headers_that_do_not_come_to_an_end_are_given_up() {
    let house = limited(|limits| limits.header_seconds = 0.2);
    let mut silent = connect(&house);
    assert_eq!(rest(&mut silent), "");
    let mut cut = connect(&house);
    send(&mut cut, "GET /healthz HTTP/1.1\r\nhost: callb");
    assert_eq!(rest(&mut cut), "");
    let mut slow = connect(&house);
    send(&mut slow, "GET /healthz HTTP/1.1\r\nhost: ");
    assert_eq!(drip(&mut slow, b'x'), "");
    // Also those of a later request.
    let mut kept = connect(&house);
    send(&mut kept, "GET /healthz HTTP/1.1\r\nhost: callboard\r\n\r\n");
    assert!(answer(&mut kept).starts_with("http/1.1 200"));
    send(&mut kept, "GET /healthz HTTP/1.1\r\nhost: ");
    assert_eq!(drip(&mut kept, b'x'), "");
    house.nobody().get("/healthz").is(200);
}

#[test]
fn a_body_that_does_not_come_to_an_end_is_given_up() {
    let house = limited(|limits| limits.body_seconds = 0.2);
    for (path, status) in [("/v1/events", "too-slow"), ("/oauth2/token", "too-slow")] {
        for kind in ["content-length: 100000", "transfer-encoding: chunked"] {
            let mut slow = connect(&house);
            send(&mut slow, &format!("POST {path} HTTP/1.1\r\n{BEGINNING}{kind}\r\n\r\n"));
            let began = if kind.starts_with('t') { "f000\r\n[" } else { "[" };
            send(&mut slow, began);
            let answer = drip(&mut slow, b' ');
            assert!(answer.starts_with("HTTP/1.1 408 "), "{path} {kind}: {answer}");
            assert!(answer.contains(status) && answer.contains("connection: close"), "{answer}");
        }
    }
    assert_eq!(house.operator().all("/v1/events", 200), [] as [Value; 0]);
    let form = "POST /openticket/webhook HTTP/1.1\r\nhost: callboard\r\nauthorization: Bearer the-operator-of-the-tests\r\n\
                content-type: multipart/form-data; boundary=x\r\ncontent-length: 1000\r\n\r\n--x\r\n";
    let mut slow = connect(&house);
    send(&mut slow, form);
    let answer = drip(&mut slow, b'x');
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_connection_without_a_request_is_kept_for_a_while() {
    let house = limited(|limits| limits.idle_seconds = 0.3);
    let mut kept = connect(&house);
    for _ in 0..3 {
        send(&mut kept, "GET /healthz HTTP/1.1\r\nhost: callboard\r\n\r\n");
        assert!(answer(&mut kept).starts_with("http/1.1 200"));
    }
    assert_eq!(rest(&mut kept), "");
}

#[test]
fn headers_are_limited_in_number_and_size() {
    let house = limited(|limits| (limits.header_kib, limits.max_headers) = (16, 20));
    for (more, status) in [
        (String::new(), "200"),
        ("x: y\r\n".repeat(19), "200"),
        ("x: y\r\n".repeat(20), "431"),
        (format!("x: {}\r\n", "y".repeat(15 * 1_024)), "200"),
        (format!("x: {}\r\n", "y".repeat(17 * 1_024)), "431"),
    ] {
        let mut stream = connect(&house);
        send(&mut stream, &format!("GET /healthz HTTP/1.1\r\nhost: callboard\r\n{more}\r\n"));
        let mut line = [0; 12];
        stream.read_exact(&mut line).expect("an answer");
        assert_eq!(line[9..], *status.as_bytes(), "{} bytes", more.len());
    }
    let mut stream = connect(&house);
    let long = "y".repeat(17 * 1_024);
    send(&mut stream, &format!("GET /healthz?{long} HTTP/1.1\r\nhost: callboard\r\n\r\n"));
    assert!(rest(&mut stream).starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_body_is_limited_in_size() {
    let house = limited(|limits| limits.body_mib = 1);
    let large = Value::from("x".repeat(1_048_576));
    house.operator().post("/v1/events", &large).problem(413, "too-large");
    house.operator().post("/openticket/webhook", &json!({"name": large})).openticket_error(413);
    // Anybody can send a form.
    let form = format!("grant_type={}", "x".repeat(65_536));
    house.nobody().form("/oauth2/token", &form).problem(413, "too-large");
}

#[test]
fn connections_are_limited_in_all() {
    let house = limited(|limits| limits.max_connections = 2);
    let mut first = connect(&house);
    send(&mut first, "GET /healthz HTTP/1.1\r\nhost: callboard\r\n\r\n");
    answer(&mut first);
    let mut second = connect(&house);
    send(&mut second, "GET /healthz HTTP/1.1\r\nhost: callboard\r\n\r\n");
    answer(&mut second);
    let mut third = connect(&house);
    let refused = answer(&mut third);
    assert!(refused.starts_with("http/1.1 503 ") && refused.contains("retry-after: 2\r\n"), "{refused}");
    assert_eq!(rest(&mut third), "");
    drop(second);
    house.until("there is a place again", || {
        let mut next = connect(&house);
        next.write_all(b"GET /healthz HTTP/1.1\r\nhost: callboard\r\nconnection: close\r\n\r\n").ok()?;
        rest(&mut next).starts_with("HTTP/1.1 200 ").then_some(())
    });
    send(&mut first, "GET /healthz HTTP/1.1\r\nhost: callboard\r\n\r\n");
    assert!(answer(&mut first).starts_with("http/1.1 200 "), "who has a place keeps it");
}

#[test]
fn connections_are_limited_by_address_but_for_proxies() {
    let take_place = |house: &Harness| {
        let mut held = connect(house);
        send(&mut held, "GET /healthz HTTP/1.1\r\nhost: callboard\r\n\r\n");
        let answer = answer(&mut held);
        (held, answer)
    };
    let house = limited(|limits| limits.max_connections_per_address = 1);
    let held = take_place(&house);
    let mut refused = connect(&house);
    let said = answer(&mut refused);
    assert!(said.starts_with("http/1.1 429 ") && said.contains("retry-after: 2\r\n"), "{said}");
    assert_eq!(rest(&mut refused), "");
    drop(held);
    let house = Harness::configured(|settings| {
        settings.limits.max_connections_per_address = 1;
        settings.http.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    });
    let held: Vec<_> = (0..5).map(|_| take_place(&house)).collect();
    assert!(held.iter().all(|(_, answer)| answer.starts_with("http/1.1 200 ")));
}

/// Publishes more than the sockets between the two hold.
fn fill(house: &Harness) {
    let mut large = event("order.paid", "1");
    large["data"] = json!({"text": "x".repeat(250_000)});
    let batch = Value::from(vec![large; 30]);
    for _ in 0..5 {
        house.operator().post("/v1/events", &batch).is(202);
    }
}

#[test]
fn who_does_not_read_an_answer_is_given_up() {
    let house = limited(|limits| limits.stall_seconds = 0.3);
    fill(&house);
    let mut stream = connect(&house);
    send(&mut stream, &format!("GET /v1/events?limit=200 HTTP/1.1\r\n{BEGINNING}\r\n"));
    push(&mut stream);
    stream.set_read_timeout(Some(LONG)).expect("a time");
    let read = rest(&mut stream).len();
    assert!(read < 30_000_000, "{read} bytes");
}

#[test]
fn who_reads_an_answer_slowly_is_given_up() {
    let house = limited(|limits| limits.answer_seconds = 0.5);
    fill(&house);
    let mut stream = connect(&house);
    send(&mut stream, &format!("GET /v1/events?limit=200 HTTP/1.1\r\n{BEGINNING}\r\n"));
    // Reads on, but less than there is.
    let mut some = vec![0; 100_000];
    let mut read = 0;
    for _ in 0..STEPS {
        match stream.read(&mut some) {
            Ok(0) | Err(_) => break,
            Ok(more) => read += more,
        }
        pause();
    }
    assert!(read < 30_000_000, "{read} bytes");
}

#[test]
fn a_stream_outlives_the_limits_of_answers() {
    let house = limited(|limits| {
        (limits.answer_seconds, limits.idle_seconds, limits.header_seconds) = (0.1, 0.1, 0.1);
        limits.body_seconds = 0.1;
    });
    let mut stream = connect(&house);
    send(&mut stream, &format!("GET /v1/stream HTTP/1.1\r\n{BEGINNING}\r\n"));
    let mut seen = String::new();
    let mut some = [0; 4_096];
    while !seen.contains("\nid: ") {
        let read = stream.read(&mut some).expect("its start");
        seen += &String::from_utf8_lossy(&some[..read]);
    }
    // All of these times pass, and it does not end.
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a time");
    let ended = stream.read(&mut some).expect_err("it is quiet");
    assert!(matches!(ended.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{ended}");
    house.operator().post("/v1/events", &event("order.paid", "1")).is(202);
    stream.set_read_timeout(Some(LONG)).expect("a time");
    let read = stream.read(&mut some).expect("an event");
    assert!(read > 0, "it has ended");
}
