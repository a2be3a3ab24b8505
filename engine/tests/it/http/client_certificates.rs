//! Client certificates: which are taken, and that no connection made as one
//! client carries what another sends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::{Clock as _, ManualClock};
use callboard_domain::delivery::Cause;
use callboard_domain::webhook::{ClientCertificate, Confidential};
use callboard_engine::http::{Client, ClientOptions, Endpoint, Exchange, Identity as Shown, Resolver};
use http::HeaderMap;
use rustls::pki_types::CertificateDer;

use super::addresses::Answers;
use super::{PATIENT, assert_fault, guard};
use crate::receiver::{Identity, Receiver};

fn certificate(chain: &str, key: &str) -> ClientCertificate {
    ClientCertificate { certificate: chain.to_owned(), private_key: Confidential::new(key.to_owned()) }
}

fn shown(identity: &Identity) -> Shown {
    let (chain, key) = &identity.pem;
    Shown::read(&certificate(chain, key)).unwrap()
}

/// A client that trusts `root`, and its clock.
fn client(root: CertificateDer<'static>) -> (Client, Arc<ManualClock>) {
    let options = ClientOptions {
        resolver: Resolver::Custom(Arc::new(Answers::always(&["127.0.0.1"]))),
        extra_roots: vec![root],
        system_roots: false,
        ..ClientOptions::default()
    };
    let clock = Arc::new(ManualClock::new("2026-11-24T19:00:00Z".parse().unwrap()));
    (Client::new(guard(&["127.0.0.1/32"]), options, Arc::clone(&clock) as _), clock)
}

async fn post(client: &Client, receiver: &Receiver, identity: Option<Shown>) -> Exchange {
    let url = format!("https://shop.example:{}/", receiver.address.port());
    let endpoint = Endpoint::new(&url, identity).unwrap();
    client.post(&endpoint, HeaderMap::new(), Bytes::from_static(b"{}"), PATIENT).await
}

#[tokio::test]
async fn connections_are_never_shared_between_identities() {
    let server = Identity::new(&["shop.example"], |_| {});
    let (one, two) = (Identity::new(&["one.example"], |_| {}), Identity::new(&["two.example"], |_| {}));
    let (client, clock) = client(server.root.clone());
    let receiver = Receiver::start_mutual(server, &[one.root.clone(), two.root.clone()], false).await;
    let turns = [Some(&one), None, Some(&two), Some(&one), Some(&two), None];
    let mut expected = Vec::new();
    for round in 0..4 {
        for (turn, identity) in turns.iter().enumerate() {
            // Prepared anew each time, as two webhooks with one certificate are.
            let exchange = post(&client, &receiver, identity.map(shown)).await;
            assert_eq!(exchange.reused, turn > 2 || round % 2 == 1, "round {round}, turn {turn}");
            assert_eq!(exchange.result.unwrap().status, 200);
            expected.push(identity.map(Identity::own));
        }
        if round == 1 {
            // What was kept ends; tickets to go on with a session are still there.
            assert_eq!(client.idle(), 3);
            clock.advance(Duration::from_mins(5));
            client.reap(clock.elapsed());
            assert_eq!(client.idle(), 0);
        }
    }
    let seen: Vec<_> = receiver.received().into_iter().map(|received| received.client).collect();
    assert_eq!(seen, expected);
    assert_eq!(receiver.connections(), 6);
}

#[tokio::test]
async fn a_receiver_that_insists_is_explained() {
    let server = Identity::new(&["shop.example"], |_| {});
    let (known, stranger) = (Identity::new(&["a.example"], |_| {}), Identity::new(&["b.example"], |_| {}));
    let (client, _) = client(server.root.clone());
    let receiver = Receiver::start_mutual(server, std::slice::from_ref(&known.root), true).await;
    let words = "shop.example asks for a client certificate (the alert CertificateRequired)";
    assert_fault(&post(&client, &receiver, None).await, Cause::Tls, &[words, "client_certificate"]);
    let words = "shop.example does not accept the client_certificate of this webhook: the alert";
    assert_fault(&post(&client, &receiver, Some(shown(&stranger))).await, Cause::Tls, &[words]);
    assert_eq!(client.idle(), 0);
    let exchange = post(&client, &receiver, Some(shown(&known))).await;
    assert_eq!(exchange.result.unwrap().status, 200);
    let seen: Vec<_> = receiver.received().into_iter().map(|received| received.client).collect();
    assert_eq!(seen, [Some(known.own())]);
}

#[test]
fn certificates_and_keys_that_do_not_fit_are_named() {
    let identity = Identity::new(&["a.example"], |_| {});
    let other = Identity::new(&["b.example"], |_| {});
    let ((chain, key), (_, other_key)) = (&identity.pem, &other.pem);
    let sealed = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (chain, key, pointer, says) in [
        (chain, other_key, "/private_key", "is not the key of the first certificate"),
        (chain, chain, "/private_key", "holds no private key"),
        (chain, &sealed, "/private_key", "is encrypted"),
        (key, key, "/certificate", "holds no certificate"),
        (&String::new(), key, "/certificate", "holds no certificate"),
        (&broken.to_owned(), key, "/certificate", "certificate 1 is no X.509"),
        (&format!("{chain}{broken}"), key, "/certificate", "certificate 2 is no X.509"),
    ] {
        let faults = Shown::read(&certificate(chain, key)).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].pointer, pointer);
        assert!(faults[0].detail.contains(says), "{}", faults[0].detail);
        let body = key.lines().nth(1).unwrap_or("none");
        assert!(!format!("{faults:?}").contains(body));
    }
    let faults = Shown::read(&certificate("", "")).unwrap_err();
    assert_eq!(faults.len(), 2);
}
