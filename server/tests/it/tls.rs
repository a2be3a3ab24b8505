//! The program with a certificate of its own.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::harness::Harness;

/// A certificate as a client knows it, after it and its key were written.
fn write(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("certificate.pem"), made.cert.pem()).expect("written");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    made.cert.der().clone()
}

fn start(folder: &Path) -> Harness {
    Harness::configured(|settings| {
        settings.tls.certificate_file = Some(folder.join("certificate.pem"));
        settings.tls.private_key_file = Some(folder.join("key.pem"));
        settings.tls.reload_seconds = 0.05;
        settings.limits.header_seconds = 1.0;
        settings.viagogo.require_https = true;
    })
}

#[expect(clippy::disallowed_methods, reason = "a test calls the program as its clients do")]
fn connect(house: &Harness) -> TcpStream {
    TcpStream::connect(house.address).expect("a connection")
}

/// Sends a request to whoever has this certificate; `None` when it has another.
fn ask(
    house: &Harness,
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    request: &str,
) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(connection, connect(house));
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Some(String::from_utf8(answer).expect("a text"))
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[test]
fn it_speaks_tls_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = write(folder.path());
    let house = start(folder.path());
    for version in rustls::ALL_VERSIONS {
        let answer = ask(&house, &certificate, &[*version], HEALTH).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let list = "GET /viagogo/v2/webhooks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                authorization: Bearer the-operator-of-the-tests\r\n\r\n";
    let listed = ask(&house, &certificate, rustls::ALL_VERSIONS, list).expect("an answer");
    assert!(listed.starts_with("HTTP/1.1 200 "), "{listed}");
    assert!(listed.contains("https://localhost/viagogo/v2/webhooks"), "{listed}");
    // Without TLS nothing is answered.
    let mut plain = connect(&house);
    plain.write_all(HEALTH.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
}

#[test]
fn who_does_not_shake_hands_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let house = start(folder.path());
    let mut silent = connect(&house);
    silent.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    assert_eq!(silent.read(&mut [0]).expect("closed"), 0);
}

#[test]
fn a_new_certificate_needs_no_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = write(folder.path());
    let house = start(folder.path());
    assert!(ask(&house, &first, rustls::ALL_VERSIONS, HEALTH).is_some());
    let second = write(folder.path());
    house.until("the new one is used", || ask(&house, &second, rustls::ALL_VERSIONS, HEALTH));
    assert!(ask(&house, &first, rustls::ALL_VERSIONS, HEALTH).is_none());
}
