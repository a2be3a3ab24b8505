//! Connections through the operator's proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use callboard_domain::delivery::Cause;
use callboard_engine::guard::Guard;
use callboard_engine::http::{Client, ClientOptions, Proxy, Resolver};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use super::addresses::Answers;
use super::{PATIENT, SHORT, assert_fault, client_with, post};
use crate::receiver::{Identity, Receiver};

pub(super) const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n";

/// A proxy that answers with a text, and connects to one receiver whatever it
/// is asked for where that says so.
pub(super) struct TestProxy {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl TestProxy {
    pub(super) async fn start(answers: &'static [&'static str], to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heads = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let turn = {
                    let mut heads = heads.lock();
                    heads.push(String::from_utf8(head).unwrap());
                    heads.len() - 1
                };
                let answer = answers[turn.min(answers.len() - 1)];
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer == ESTABLISHED {
                    let mut onward = TcpSocket::new_v4().unwrap().connect(to).await.unwrap();
                    tokio::spawn(async move { copy_bidirectional(&mut stream, &mut onward).await });
                } else if answer.is_empty() {
                    tokio::spawn(async move { stream.read_u8().await });
                }
            }
        });
        Self { address, asked, accepting }
    }

    /// A client that may call public addresses only, to whom every name leads
    /// to `names`, and who goes through this proxy.
    fn client(
        &self,
        names: &[&str],
        credentials: Option<(&str, &str)>,
        root: Option<CertificateDer<'static>>,
    ) -> Client {
        let proxy = Proxy::new(&format!("http://{}", self.address), credentials).unwrap();
        let options = ClientOptions {
            proxy: Some(proxy),
            resolver: Resolver::Custom(Arc::new(Answers::always(names))),
            extra_roots: root.into_iter().collect(),
            connect_timeout: SHORT,
            ..ClientOptions::default()
        };
        client_with(Guard::default(), options)
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[tokio::test]
async fn the_proxy_is_asked_for_the_judged_address() {
    let receiver = Receiver::start([]).await;
    let proxy = TestProxy::start(&[ESTABLISHED], receiver.address).await;
    let client = proxy.client(&["8.8.8.8"], Some(("callboard", "sesame")), None);
    for reused in [false, true] {
        let exchange = post(&client, "http://shop.example/hook", PATIENT).await;
        assert_eq!((exchange.peer, exchange.reused), (Some("8.8.8.8:80".parse().unwrap()), reused));
        assert_eq!(exchange.result.unwrap().status, 200);
    }
    let asked = "CONNECT 8.8.8.8:80 HTTP/1.1\r\nHost: 8.8.8.8:80\r\n\
                 Proxy-Authorization: Basic Y2FsbGJvYXJkOnNlc2FtZQ==\r\n\r\n";
    assert_eq!(*proxy.asked.lock(), [asked]);
    let head = &receiver.received()[0].head;
    assert!(
        head.starts_with("POST /hook HTTP/1.1\r\n") && head.contains("\r\nhost: shop.example\r\n"),
        "{head}"
    );
    assert!(!head.contains("roxy"), "{head}");
    let exchange = post(&client, "http://[2606:4700::1111]:8080/", PATIENT).await;
    assert_eq!(exchange.result.unwrap().status, 200);
    assert!(proxy.asked.lock()[1].starts_with("CONNECT [2606:4700::1111]:8080 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn tls_goes_through_the_proxy_to_the_original_name() {
    let identity = Identity::new(&["shop.example"], |_| {});
    let root = identity.root.clone();
    let receiver = Receiver::start_tls([], identity).await;
    let proxy = TestProxy::start(&[ESTABLISHED], receiver.address).await;
    let client = proxy.client(&["8.8.8.8"], None, Some(root));
    let exchange = post(&client, "https://shop.example/", PATIENT).await;
    assert_eq!(exchange.result.unwrap().status, 200);
    let exchange = post(&client, "https://other.example/", PATIENT).await;
    assert_fault(&exchange, Cause::Tls, &["the certificate is for shop.example, not for other.example"]);
    let asked = "CONNECT 8.8.8.8:443 HTTP/1.1\r\nHost: 8.8.8.8:443\r\n\r\n";
    assert_eq!(*proxy.asked.lock(), [asked, asked]);
}

#[tokio::test]
async fn what_may_not_be_called_is_not_asked_for() {
    let receiver = Receiver::start([]).await;
    let proxy = TestProxy::start(&[ESTABLISHED], receiver.address).await;
    let client = proxy.client(&["10.0.0.1", "127.0.0.1"], None, None);
    for url in [
        "http://shop.example/",
        "https://shop.example/",
        "http://169.254.169.254/",
        "http://0x7f.1/",
        "http://8.8.8.8:25/",
    ] {
        assert_fault(&post(&client, url, PATIENT).await, Cause::Blocked, &["may not be called"]);
    }
    // Nor is the proxy itself, who is on this machine.
    let url = format!("http://{}/", proxy.address);
    assert_fault(&post(&client, &url, PATIENT).await, Cause::Blocked, &["loopback"]);
    assert!(proxy.asked.lock().is_empty());
}

#[tokio::test]
async fn a_proxy_that_gets_through_to_one_address_only_is_asked_for_each() {
    let receiver = Receiver::start([]).await;
    let answers = &["HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", ESTABLISHED];
    let proxy = TestProxy::start(answers, receiver.address).await;
    let client = proxy.client(&["2606:4700::1111", "127.0.0.1", "8.8.8.8"], None, None);
    let exchange = post(&client, "http://shop.example/", PATIENT).await;
    assert_eq!(exchange.peer, Some("8.8.8.8:80".parse().unwrap()));
    assert_eq!(exchange.result.unwrap().status, 200);
    assert_eq!(proxy.asked.lock().len(), 2);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_reason() {
    let nobody = "127.0.0.1:9".parse().unwrap();
    for (answers, words) in [
        (&["HTTP/1.1 403 Forbidden\r\n\r\n"], "made no connection to 8.8.8.8:80: it answered 403 Forbidden"),
        (
            &["HTTP/1.1 407 X\r\n\r\n"],
            "it asks for a user and a password, or for others; check egress.proxy_user",
        ),
        (&["SSH-2.0-OpenSSH_9.7\r\n\r\n"], "what it answered is not the answer of a proxy"),
        (
            &["HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"],
            "what it answered is not the answer of a proxy",
        ),
        (&["HTTP/1.1 200 OK\r\n"], "it closed the connection"),
    ] {
        let proxy = TestProxy::start(answers, nobody).await;
        let client = proxy.client(&["8.8.8.8"], None, None);
        let exchange = post(&client, "http://shop.example/", PATIENT).await;
        let named = format!("the proxy {} (egress.proxy) made no connection", proxy.address);
        assert_fault(&exchange, Cause::Connect, &[&named, words]);
        assert_eq!(client.idle(), 0);
    }
    let proxy = TestProxy::start(&[""], nobody).await;
    let client = proxy.client(&["8.8.8.8"], None, None);
    let exchange = post(&client, "http://shop.example/", PATIENT).await;
    let words = "no connection to 8.8.8.8:80 within 300 ms through the proxy";
    assert_fault(&exchange, Cause::ConnectTimeout, &[words]);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = Proxy::new(&format!("http://{gone}"), None).unwrap();
    let options = ClientOptions { proxy: Some(gone), ..ClientOptions::default() };
    let exchange = post(&client_with(Guard::default(), options), "http://8.8.8.8/", PATIENT).await;
    assert_fault(&exchange, Cause::Connect, &["no connection to the proxy 127.0.0.1:", "refused"]);
}
