//! The delivery client against hostile receivers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::{Clock, SystemClock};
use callboard_domain::delivery::Cause;
use callboard_engine::guard::Guard;
use callboard_engine::http::{Answer, BODY_LIMIT, Client, ClientOptions, Endpoint, Exchange, Fault};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::receiver::{Act, Receiver};

mod addresses;
mod check;
mod client_certificates;
mod egress;
mod hostile;
mod proxy;
mod tls;

/// Long enough never to be what ends a post.
const PATIENT: Duration = Duration::from_secs(20);

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn guard(allow: &[&str]) -> Guard {
    Guard::new(allow.iter().map(|net| net.parse().unwrap()).collect())
}

fn client_with(guard: Guard, options: ClientOptions) -> Client {
    Client::new(guard, options, Arc::new(SystemClock::new()))
}

/// A client that may call this machine.
fn client() -> Client {
    client_with(guard(&["127.0.0.0/8"]), ClientOptions::default())
}

async fn post(client: &Client, url: &str, deadline: Duration) -> Exchange {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let endpoint = Endpoint::parse(url).unwrap();
    client.post(&endpoint, headers, Bytes::from_static(b"{\"a\":1}"), deadline).await
}

async fn answer(client: &Client, url: &str) -> Answer {
    post(client, url, PATIENT).await.result.unwrap()
}

#[track_caller]
fn assert_fault(exchange: &Exchange, cause: Cause, words: &[&str]) {
    let Fault { cause: found, message } = exchange.result.as_ref().unwrap_err();
    assert_eq!(*found, cause, "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
}

/// Posts to a receiver that does `act` once, checks the fault, and that the
/// next delivery through the same client arrives.
async fn assert_hostile(act: Act, deadline: Duration, cause: Cause, words: &[&str]) {
    let receiver = Receiver::start([act]).await;
    let client = client();
    let exchange = post(&client, &receiver.url(), deadline).await;
    assert_fault(&exchange, cause, words);
    assert_eq!(exchange.peer, Some(receiver.address));
    assert_eq!(client.idle(), 0, "a doubtful connection was kept");
    assert_eq!(answer(&client, &receiver.url()).await.status, 200);
}

#[tokio::test]
async fn a_request_arrives_as_it_was_meant() {
    let receiver = Receiver::start([Act::answer(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nretry-after: 7\r\nx-odd: \u{e9}\r\n\r\nok",
    )])
    .await;
    let client = client();
    let exchange = post(&client, &receiver.url(), PATIENT).await;
    let requests = receiver.received();
    assert!(requests[0].head.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{}", requests[0].head);
    assert!(requests[0].head.contains(&format!("\r\nhost: {}\r\n", receiver.address)));
    assert!(requests[0].head.contains("\r\ncontent-type: application/json\r\n"));
    assert!(requests[0].head.contains("\r\ncontent-length: 7\r\n"));
    assert!(!requests[0].head.contains("encoding"));
    assert_eq!(requests[0].body, b"{\"a\":1}");
    assert_eq!(exchange.peer, Some(receiver.address));
    assert!(!exchange.reused);
    assert!(exchange.timings.exchange_us > 0);
    assert_eq!((exchange.timings.dns_us, exchange.timings.tls_us), (0, 0));
    let answer = exchange.result.unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.cut), (200, &b"ok"[..], false));
    assert_eq!(answer.retry_after.as_deref(), Some("7"));
    assert_eq!(answer.headers, [], "nobody asks for those of a success");
}

#[tokio::test]
async fn an_empty_body_states_its_length() {
    let receiver = Receiver::start([]).await;
    let endpoint = Endpoint::parse(&receiver.url()).unwrap();
    let exchange = client().post(&endpoint, HeaderMap::new(), Bytes::new(), PATIENT).await;
    assert_eq!(exchange.result.unwrap().status, 200);
    assert_eq!(receiver.received()[0].head.matches("content-length: 0\r\n").count(), 1);
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let words = ["no answer within 300 ms: connected after ", ", then silence"];
    assert_hostile(Act::Silence, SHORT, Cause::Timeout, &words).await;
    assert_hostile(Act::Hang, SHORT, Cause::Timeout, &words).await;
}

#[tokio::test]
async fn dripping_does_not_stretch_the_deadline() {
    let words = ["no answer within 300 ms", "then 1 bytes of headers that did not end"];
    assert_hostile(Act::Drip(OK.to_vec()), SHORT, Cause::Timeout, &words).await;
}

#[tokio::test]
async fn the_deadline_covers_the_body() {
    let act = Act::answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    let words =
        ["no complete answer within 300 ms", "then status 200 and 3 bytes of a body that did not end"];
    assert_hostile(act, SHORT, Cause::Timeout, &words).await;
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_connection_dropped() {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096)).into_bytes();
    let act = Act::Flood(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(), chunk);
    let receiver = Receiver::start([act]).await;
    let client = client();
    let long = answer(&client, &receiver.url()).await;
    assert_eq!((long.status, long.body.len(), long.cut), (200, BODY_LIMIT, true));
    assert_eq!(client.idle(), 0);
    assert_eq!(answer(&client, &receiver.url()).await.body, "ok");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_long_body_is_cut_and_one_at_the_limit_is_not() {
    let receiver = Receiver::start([
        Act::status(200, &"x".repeat(BODY_LIMIT)),
        Act::status(200, &"x".repeat(20 * 1024)),
    ])
    .await;
    let client = client();
    let full = answer(&client, &receiver.url()).await;
    assert_eq!((full.body.len(), full.cut), (BODY_LIMIT, false));
    assert_eq!(client.idle(), 1);
    let cut = answer(&client, &receiver.url()).await;
    assert_eq!((cut.body.len(), cut.cut), (BODY_LIMIT, true));
    assert_eq!(client.idle(), 0);
    assert_eq!(answer(&client, &receiver.url()).await.body, "ok");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_grew_large_buffers_is_not_kept() {
    let large = format!("HTTP/1.1 204 X\r\n{}\r\n", format!("x-x: {}\r\n", "y".repeat(2048)).repeat(20));
    let receiver = Receiver::start([Act::answer(large)]).await;
    let client = client();
    assert_eq!(answer(&client, &receiver.url()).await.status, 204);
    assert_eq!(client.idle(), 0);
}

#[tokio::test]
async fn headers_without_measure_are_refused() {
    let large = format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("x-x: {}\r\n", "y".repeat(2048)).repeat(50));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let endless = Act::Flood(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 4096]);
    for act in [Act::answer(large), Act::answer(many), endless] {
        assert_hostile(act, PATIENT, Cause::InvalidAnswer, &["headers are too large: more than 64 KiB"])
            .await;
    }
}

#[tokio::test]
async fn headers_of_a_failure_are_kept_and_only_so_many() {
    let odd = "HTTP/1.1 500 X\r\ncontent-length: 0\r\nX-Odd: \u{e9}\r\n\r\n".to_owned();
    let many = format!("HTTP/1.1 304 X\r\n{}\r\n", "x-x: yyyy\r\n".repeat(60));
    let large = format!("HTTP/1.1 304 X\r\n{}\r\n", format!("x-x: {}\r\n", "y".repeat(1000)).repeat(10));
    let receiver = Receiver::start([Act::answer(odd), Act::answer(many), Act::answer(large)]).await;
    let client = client();
    let odd = answer(&client, &receiver.url()).await.headers;
    assert_eq!(odd[1], ("x-odd".to_owned(), "\u{e9}".to_owned()));
    assert_eq!(answer(&client, &receiver.url()).await.headers.len(), 32);
    assert_eq!(answer(&client, &receiver.url()).await.headers.len(), 4);
}

#[tokio::test]
async fn a_flood_of_interim_answers_ends() {
    let act = Act::Flood(Vec::new(), b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(64));
    assert_hostile(act, PATIENT, Cause::InvalidAnswer, &["more than 256 KiB without ending its answer"])
        .await;
}

#[tokio::test]
async fn a_few_interim_answers_are_skipped() {
    let receiver = Receiver::start([Act::answer([b"HTTP/1.1 103 Early Hints\r\n\r\n", OK].concat())]).await;
    assert_eq!(answer(&client(), &receiver.url()).await.status, 200);
}

#[tokio::test]
async fn a_connection_that_ends_early_is_a_reset() {
    assert_hostile(
        Act::Reset,
        PATIENT,
        Cause::Reset,
        &["the connection was reset by 127.0.0.1:", " before any answer"],
    )
    .await;
    let closed = ["the connection was closed by 127.0.0.1:", " before any answer"];
    assert_hostile(Act::AnswerAndClose(Vec::new()), PATIENT, Cause::Reset, &closed).await;
    let half = Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\ncontent".to_vec());
    assert_hostile(half, PATIENT, Cause::Reset, &["in the middle of the answer's headers"]).await;
    let short = Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec());
    assert_hostile(short, PATIENT, Cause::Reset, &["after status 200 and 3 bytes of its body"]).await;
}

#[tokio::test]
async fn a_connection_closed_unread_is_a_reset() {
    // Whether the end is told as a close or a reset depends on what is read first.
    assert_hostile(Act::HangUp, PATIENT, Cause::Reset, &["by 127.0.0.1:", " before any answer"]).await;
}

#[tokio::test]
async fn what_is_not_http_is_quoted() {
    let ssh = b"SSH-2.0-OpenSSH_9.7\r\n".to_vec();
    let words = ["the answer is not HTTP", "it begins with \"SSH-2.0-OpenSSH_9.7\""];
    assert_hostile(Act::Answer(ssh.clone()), PATIENT, Cause::InvalidAnswer, &words).await;
    assert_hostile(Act::Greet(ssh), PATIENT, Cause::InvalidAnswer, &words).await;
    let bad_length = Act::answer("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n");
    assert_hostile(bad_length, PATIENT, Cause::InvalidAnswer, &["the answer is not HTTP"]).await;
}

#[tokio::test]
async fn garbage_in_chunks_is_refused() {
    let act = Act::answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc");
    assert_hostile(act, PATIENT, Cause::InvalidAnswer, &["the answer's body is not HTTP, after status 200"])
        .await;
    let act =
        Act::Flood(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;".to_vec(), vec![b'x'; 4096]);
    assert_hostile(act, PATIENT, Cause::InvalidAnswer, &["after status 200"]).await;
}

#[tokio::test]
async fn redirects_are_answers() {
    let elsewhere = Receiver::start([]).await;
    let redirect = format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let receiver = Receiver::start([Act::answer(redirect)]).await;
    let client = client();
    let redirected = answer(&client, &receiver.url()).await;
    assert_eq!(redirected.status, 307);
    assert_eq!(redirected.headers[0], ("location".to_owned(), elsewhere.url()));
    assert_eq!(elsewhere.connections(), 0);
    assert_eq!(answer(&client, &receiver.url()).await.status, 200);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn answers_without_a_body_keep_the_connection() {
    let receiver =
        Receiver::start([Act::answer("HTTP/1.1 204 No Content\r\n\r\n"), Act::status(500, "")]).await;
    let client = client();
    for status in [204, 500, 200] {
        assert_eq!(answer(&client, &receiver.url()).await.status, status);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_body_may_end_with_its_connection() {
    let receiver = Receiver::start([Act::AnswerAndClose(b"HTTP/1.0 200 OK\r\n\r\nold".to_vec())]).await;
    let client = client();
    assert_eq!(answer(&client, &receiver.url()).await.body, "old");
    assert_eq!(answer(&client, &receiver.url()).await.body, "ok");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_compressed_body_stays_compressed() {
    let receiver = Receiver::start([Act::answer(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x08z",
    )])
    .await;
    assert_eq!(answer(&client(), &receiver.url()).await.body, "\x1f\x08z");
}

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_an_answer() {
    let act = Act::answer("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    let receiver = Receiver::start([act]).await;
    let client = client();
    assert_eq!(answer(&client, &receiver.url()).await.status, 101);
    assert_eq!(client.idle(), 0);
    assert_eq!(answer(&client, &receiver.url()).await.status, 200);
}

#[tokio::test]
async fn connections_are_kept_and_reused() {
    let receiver = Receiver::start([]).await;
    let client = client();
    for round in 0..20 {
        let exchange = post(&client, &receiver.url(), PATIENT).await;
        assert_eq!(exchange.reused, round > 0);
        assert_eq!(exchange.peer, Some(receiver.address));
        assert_eq!(exchange.result.unwrap().status, 200);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_delivery() {
    let (close, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let act = Act::AnswerAndCloseLater(OK.to_vec(), Arc::clone(&close), Arc::clone(&closed));
    let receiver = Receiver::start(vec![act; 10]).await;
    let client = client();
    for round in 1..=10 {
        let exchange = post(&client, &receiver.url(), PATIENT).await;
        assert!(!exchange.reused);
        assert_eq!(exchange.result.unwrap().status, 200);
        assert_eq!(client.idle(), 1);
        close.notify_one();
        closed.notified().await;
        assert_eq!(receiver.received().len(), round, "something was sent twice");
    }
    assert_eq!(receiver.connections(), 10);
}

#[tokio::test]
async fn a_kept_connection_that_ends_in_use_is_told_and_nothing_sent_again() {
    let receiver = Receiver::start([Act::status(200, ""), Act::AnswerAndClose(Vec::new())]).await;
    let client = client();
    assert_eq!(answer(&client, &receiver.url()).await.status, 200);
    let exchange = post(&client, &receiver.url(), PATIENT).await;
    assert!(exchange.reused);
    assert_fault(&exchange, Cause::Reset, &["while it was in use", "kept open from an earlier delivery"]);
    assert_eq!(receiver.received().len(), 2);
    assert_eq!(answer(&client, &receiver.url()).await.status, 200);
}

#[tokio::test]
async fn bytes_nobody_asked_for_end_a_kept_connection() {
    let receiver = Receiver::start([Act::answer([OK, OK].concat())]).await;
    let client = client();
    for _ in 0..2 {
        assert_eq!(answer(&client, &receiver.url()).await.status, 200);
    }
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn idle_connections_are_capped_and_reaped() {
    let (one, two) = (Receiver::start([]).await, Receiver::start([]).await);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let options = ClientOptions { max_idle_per_origin: 2, max_idle_total: 3, ..ClientOptions::default() };
    let client = Client::new(guard(&["127.0.0.0/8"]), options, Arc::clone(&clock));
    let (url, other) = (one.url(), two.url());
    tokio::join!(answer(&client, &url), answer(&client, &url), answer(&client, &url));
    assert_eq!((one.connections(), client.idle()), (3, 2));
    tokio::join!(answer(&client, &other), answer(&client, &other));
    assert_eq!(client.idle(), 3);
    client.reap(clock.elapsed());
    assert_eq!(client.idle(), 3);
    client.reap(clock.elapsed() + Duration::from_secs(50));
    assert_eq!(client.idle(), 0);
    assert_eq!(answer(&client, &url).await.status, 200);
}

#[tokio::test]
async fn a_connection_that_rested_too_long_is_not_used() {
    let receiver = Receiver::start([]).await;
    let options = ClientOptions { idle_timeout: Duration::ZERO, ..ClientOptions::default() };
    let client = client_with(guard(&["127.0.0.1/32"]), options);
    for _ in 0..3 {
        assert!(!post(&client, &receiver.url(), PATIENT).await.reused);
    }
    assert!(client.idle() <= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_posts_at_once() {
    let receiver = Receiver::start([]).await;
    let client = client();
    let endpoint = Endpoint::parse(&receiver.url()).unwrap();
    for _ in 0..2 {
        let mut posts = JoinSet::new();
        for number in 0..1_000_u32 {
            let (client, endpoint) = (client.clone(), endpoint.clone());
            posts.spawn(async move {
                let body = Bytes::from(number.to_string());
                client.post(&endpoint, HeaderMap::new(), body, PATIENT).await.result.unwrap().status
            });
        }
        while let Some(status) = posts.join_next().await {
            assert_eq!(status.unwrap(), 200);
        }
    }
    let mut bodies: Vec<Vec<u8>> = receiver.received().into_iter().map(|received| received.body).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!((bodies.len(), receiver.received().len()), (1_000, 2_000));
    assert!(client.idle() <= 128);
}

#[tokio::test]
async fn a_post_given_up_closes_its_connection() {
    let receiver = Receiver::start([Act::Silence]).await;
    let client = client();
    let url = receiver.url();
    let abandoned = timeout(SHORT, post(&client, &url, PATIENT)).await;
    assert!(abandoned.is_err());
    assert_eq!(client.idle(), 0);
    assert_eq!(answer(&client, &url).await.status, 200);
    assert_eq!(receiver.connections(), 2);
}
