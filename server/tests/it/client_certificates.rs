//! A webhook's client certificate, from the request that sets it to the
//! receiver that sees it.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::harness::{Harness, event, text};

/// A certificate that signed itself, and its key.
struct Pair {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Pair {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        Self { certificate: params.self_signed(&key).expect("a certificate"), key }
    }

    fn json(&self) -> Value {
        json!({"certificate": self.certificate.pem(), "private_key": self.key.serialize_pem()})
    }
}

/// Takes one request from a client that `known` vouches for; yields its
/// certificate.
fn take_one(listener: TcpListener, own: &Pair, known: &Pair) -> JoinHandle<Option<CertificateDer<'static>>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(known.certificate.der().clone()).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivateKeyDer::Pkcs8(own.key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![own.certificate.der().clone()], key)
        .expect("a configuration");
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a connection");
        let connection = ServerConnection::new(Arc::new(config)).expect("a session");
        let mut stream = StreamOwned::new(connection, socket);
        let mut request = Vec::new();
        let mut piece = [0; 4_096];
        while !request.ends_with(b"}") {
            let count = stream.read(&mut piece).expect("a request");
            request.extend_from_slice(&piece[..count]);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).expect("an answer");
        stream.conn.peer_certificates().map(|shown| shown[0].clone().into_owned())
    })
}

#[test]
fn deliveries_name_themselves_by_it() {
    let (receiver, partner) = (Pair::new("localhost"), Pair::new("callboard.example"));
    let folder = tempfile::tempdir().expect("a folder");
    let roots = folder.path().join("ca.pem");
    std::fs::write(&roots, receiver.certificate.pem()).expect("a file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("an address").port());
    let seen = take_one(listener, &receiver, &partner);
    let house = Harness::configured(|settings| settings.egress.ca_file = Some(roots));
    let operator = house.operator();
    operator.make_webhook(&url, &json!({"events": ["ticket.*"], "client_certificate": partner.json()}));
    let id = operator.publish(&event("ticket.updated", "1"));
    house.delivery(&operator, &id, "delivered");
    assert_eq!(seen.join().expect("no panic"), Some(partner.certificate.der().clone()));
}

#[test]
fn the_key_is_masked_and_survives_the_round_trip() {
    let house = Harness::start();
    let operator = house.operator();
    let (pair, other) = (Pair::new("callboard.example"), Pair::new("other.example"));
    let settings = json!({"events": ["ticket.*"], "client_certificate": pair.json()});
    let made = operator.make_webhook("https://partner.example/", &settings);
    let masked = json!({"certificate": pair.certificate.pem(), "private_key": "********"});
    assert_eq!(made["client_certificate"], masked);
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    let answer = operator.get(&path);
    let secret = pair.key.serialize_pem();
    assert!(!String::from_utf8_lossy(&answer.body).contains(secret.lines().nth(1).expect("a line")));
    assert_eq!(answer.is(200)["client_certificate"], masked);
    assert_eq!(
        operator.patch(&path, &json!({"client_certificate": masked})).is(200)["client_certificate"],
        masked
    );

    let at = "/client_certificate";
    let key = format!("{at}/private_key");
    let mixed = json!({"certificate": other.certificate.pem(), "private_key": pair.key.serialize_pem()});
    let kept = json!({"certificate": other.certificate.pem(), "private_key": "********"});
    for (edit, wrong) in [
        (json!({"client_certificate": mixed}), &*key),
        (json!({"client_certificate": kept}), &*key),
        (
            json!({"client_certificate": {"certificate": "x", "private_key": "********"}}),
            "/client_certificate/certificate",
        ),
        (json!({"url": "http://partner.example/"}), at),
    ] {
        operator.patch(&path, &edit).blames(400, "invalid-input", &[wrong]);
    }
    assert_eq!(operator.get(&path).is(200)["client_certificate"], masked);
    operator
        .post(
            "/v1/webhooks",
            &json!({"url": "https://partner.example/", "events": ["*"], "client_certificate": mixed}),
        )
        .blames(400, "invalid-input", &[&key]);
    let gone = operator.patch(&path, &json!({"client_certificate": null})).is(200);
    assert_eq!(gone["client_certificate"], Value::Null);
}
