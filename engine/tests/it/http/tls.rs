//! TLS: certificates that are good, and all the ways in which they are not.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::ManualClock;
use callboard_domain::delivery::Cause;
use callboard_engine::http::{Client, ClientOptions, Exchange, Resolver, read_roots};
use rustls::pki_types::CertificateDer;
use tokio::sync::Notify;

use super::addresses::Answers;
use super::{OK, PATIENT, SHORT, assert_fault, client_with, guard, post};
use crate::receiver::{Act, Identity, Receiver};

/// A client that trusts `roots` and finds every name at 127.0.0.1.
fn tls_client(roots: Vec<CertificateDer<'static>>) -> Client {
    let resolver = Resolver::Custom(Arc::new(Answers::always(&["127.0.0.1"])));
    client_with(
        guard(&["127.0.0.1/32"]),
        ClientOptions { resolver, extra_roots: roots, ..ClientOptions::default() },
    )
}

/// Posts to `receiver` by the name shop.example over TLS.
async fn post_tls(client: &Client, receiver: &Receiver, deadline: Duration) -> Exchange {
    post(client, &format!("https://shop.example:{}/", receiver.address.port()), deadline).await
}

#[tokio::test]
async fn tls_connections_work_and_are_kept() {
    let (close, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let act = Act::AnswerAndCloseLater(OK.to_vec(), Arc::clone(&close), Arc::clone(&closed));
    let identity = Identity::new(&["shop.example"], |_| {});
    let client = tls_client(vec![identity.root.clone()]);
    let receiver = Receiver::start_tls([Act::status(200, "a"), act], identity).await;
    let first = post_tls(&client, &receiver, PATIENT).await;
    assert!(first.timings.tls_us > 0);
    assert_eq!(first.result.unwrap().body, "a");
    let second = post_tls(&client, &receiver, PATIENT).await;
    assert!(second.reused);
    assert_eq!(second.timings.tls_us, 0);
    assert_eq!((second.result.unwrap().status, receiver.connections()), (200, 1));
    close.notify_one();
    closed.notified().await;
    let third = post_tls(&client, &receiver, PATIENT).await;
    assert!(!third.reused);
    assert_eq!((third.result.unwrap().status, receiver.connections()), (200, 2));
}

/// Shows `bad` to a client that trusts `trusted`, and checks what it says of it.
async fn assert_certificate(bad: Identity, trusted: bool, words: &str) {
    let good = Identity::new(&["shop.example"], |_| {});
    let mut roots = vec![good.root.clone()];
    roots.extend(trusted.then(|| bad.root.clone()));
    let options = ClientOptions {
        resolver: Resolver::Custom(Arc::new(Answers::always(&["127.0.0.1"]))),
        extra_roots: roots,
        ..ClientOptions::default()
    };
    let clock = Arc::new(ManualClock::new("2026-11-24T19:00:00Z".parse().unwrap()));
    let client = Client::new(guard(&["127.0.0.1/32"]), options, clock);
    let receiver = Receiver::start_tls([], bad).await;
    assert_fault(&post_tls(&client, &receiver, PATIENT).await, Cause::Tls, &[words]);
    assert!(receiver.received().is_empty());
    let receiver = Receiver::start_tls([], good).await;
    assert_eq!(post_tls(&client, &receiver, PATIENT).await.result.unwrap().status, 200);
}

#[tokio::test]
async fn faulty_certificates_are_explained() {
    let plain = |_: &mut rcgen::CertificateParams| {};
    assert_certificate(
        Identity::new(&["shop.example"], plain),
        false,
        "the certificate of shop.example comes from an issuer that is not trusted: an intermediate certificate \
         is missing there, or the issuer is a private one, which egress.ca_file can name",
    )
    .await;
    assert_certificate(
        Identity::new(&["a.example", "b.example"], plain),
        true,
        "the certificate is for a.example, b.example, not for shop.example",
    )
    .await;
    assert_certificate(
        Identity::new(&["shop.example"], |params| params.not_after = rcgen::date_time_ymd(2026, 11, 21)),
        true,
        "the certificate of shop.example expired 3 days ago (2026-11-21T00:00:00Z)",
    )
    .await;
    assert_certificate(
        Identity::new(&["shop.example"], |params| params.not_before = rcgen::date_time_ymd(2026, 11, 25)),
        true,
        "the certificate of shop.example is not valid yet: it will be in 5 hours (2026-11-25T00:00:00Z)",
    )
    .await;
    assert_certificate(
        Identity::self_signed("shop.example", |_| {}),
        false,
        "the certificate of shop.example is self-signed, so nobody vouches for it",
    )
    .await;
    let authority = |params: &mut rcgen::CertificateParams| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    };
    for trusted in [true, false] {
        assert_certificate(
            Identity::self_signed("shop.example", authority),
            trusted,
            "the certificate of shop.example is that of an authority (CA:TRUE)",
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_not_tls_is_told() {
    let client = tls_client(Vec::new());
    let plain = Act::Greet(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec());
    let receiver = Receiver::start([plain, Act::HangUp, Act::Hang]).await;
    let words = "shop.example does not speak TLS on this port; perhaps the address should begin with http://";
    assert_fault(&post_tls(&client, &receiver, PATIENT).await, Cause::Tls, &[words]);
    let exchange = post_tls(&client, &receiver, PATIENT).await;
    assert_fault(&exchange, Cause::Tls, &["shop.example", "the connection during the TLS handshake"]);
    let exchange = post_tls(&client, &receiver, SHORT).await;
    assert_fault(&exchange, Cause::ConnectTimeout, &["the TLS handshake was not done within 300 ms"]);
    assert!(exchange.timings.tls_us >= 200_000);
}

#[tokio::test]
async fn tls_without_farewell_may_end_a_body_that_has_no_length() {
    let (close, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    close.notify_one();
    let old = b"HTTP/1.0 200 OK\r\n\r\nold".to_vec();
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnew".to_vec();
    let acts =
        [old, short].map(|bytes| Act::AnswerAndCloseLater(bytes, Arc::clone(&close), Arc::clone(&closed)));
    let identity = Identity::new(&["shop.example"], |_| {});
    let client = tls_client(vec![identity.root.clone()]);
    let receiver = Receiver::start_tls(acts, identity).await;
    assert_eq!(post_tls(&client, &receiver, PATIENT).await.result.unwrap().body, "old");
    close.notify_one();
    let exchange = post_tls(&client, &receiver, PATIENT).await;
    assert_fault(&exchange, Cause::Reset, &["after status 200 and 3 bytes of its body"]);
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_trusted_by_name_works() {
    let identity = Identity::self_signed("shop.example", |_| {});
    let client = tls_client(read_roots(identity.pem.0.as_bytes()).unwrap());
    let receiver = Receiver::start_tls([], identity).await;
    assert_eq!(post_tls(&client, &receiver, PATIENT).await.result.unwrap().status, 200);
}
