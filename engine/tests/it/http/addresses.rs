//! Which addresses are looked up, judged and dialled.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use callboard_domain::delivery::Cause;
use callboard_engine::guard::Guard;
use callboard_engine::http::{Client, ClientOptions, LookupFailure, Resolve, Resolver};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::{OK, PATIENT, SHORT, assert_fault, client, client_with, guard, post};
use crate::receiver::{Act, Receiver};

/// A resolver that gives its answers one after the other, the last for ever.
pub(super) struct Answers {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Answers {
    pub(super) fn new(answers: &[&[&str]]) -> Self {
        let parse = |list: &&[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        Self { answers: answers.iter().map(parse).collect(), asked: AtomicUsize::new(0) }
    }

    pub(super) fn always(addresses: &[&str]) -> Self {
        Self::new(&[addresses])
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Resolve for Answers {
    async fn resolve(&self, _: &str) -> Result<Vec<IpAddr>, LookupFailure> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        Ok(self.answers[turn].clone())
    }
}

/// A resolver that fails, or never answers.
pub(super) struct Broken(pub(super) Option<LookupFailure>);

#[async_trait]
impl Resolve for Broken {
    async fn resolve(&self, _: &str) -> Result<Vec<IpAddr>, LookupFailure> {
        match &self.0 {
            Some(failure) => Err(failure.clone()),
            None => std::future::pending().await,
        }
    }
}

pub(super) fn resolving(guard: Guard, resolver: Arc<dyn Resolve>) -> Client {
    client_with(guard, ClientOptions { resolver: Resolver::Custom(resolver), ..ClientOptions::default() })
}

#[tokio::test]
async fn a_port_nobody_listens_on_refuses() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let exchange = post(&client(), &format!("http://{address}/"), PATIENT).await;
    assert_fault(&exchange, Cause::Connect, &[&format!("connection refused by {address}")]);
    assert_eq!(exchange.peer, Some(address));
}

#[tokio::test]
async fn an_unanswered_connection_ends_at_its_own_deadline() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    // Nobody accepts: once the queue is full, the kernel leaves calls unanswered.
    let mut queued = Vec::new();
    while let Ok(connected) = timeout(SHORT, TcpSocket::new_v4().unwrap().connect(address)).await {
        queued.push(connected.unwrap());
    }
    let options = ClientOptions { connect_timeout: SHORT, ..ClientOptions::default() };
    let client = client_with(guard(&["127.0.0.1/32"]), options);
    let exchange = post(&client, &format!("http://{address}/"), PATIENT).await;
    assert_fault(&exchange, Cause::ConnectTimeout, &[&format!("no connection to {address} within 300 ms")]);
    assert!(exchange.timings.connect_us >= 250_000);
}

#[tokio::test]
async fn localhost_is_judged_like_any_name() {
    for (resolver, host) in [
        (Resolver::NameServers, "localhost"),
        (Resolver::NameServers, "LOCALHOST."),
        (Resolver::NameServers, "shop.localhost"),
        (Resolver::OperatingSystem, "localhost"),
    ] {
        let client = client_with(Guard::default(), ClientOptions { resolver, ..ClientOptions::default() });
        let exchange = post(&client, &format!("http://{host}/"), PATIENT).await;
        assert_fault(&exchange, Cause::Blocked, &["the host name ", "localhost", "is loopback"]);
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_a_connection_and_judged_each_time() {
    let receiver = Receiver::bind("127.0.0.2:0", [Act::AnswerAndClose(OK.to_vec())], None).await;
    let url = format!("http://shop.example:{}/", receiver.address.port());
    // Allowed at first, somewhere private when asked again.
    let resolver = Arc::new(Answers::new(&[&["127.0.0.2"], &["127.0.0.1"]]));
    let client = resolving(guard(&["127.0.0.2/32"]), Arc::<Answers>::clone(&resolver));
    let exchange = post(&client, &url, PATIENT).await;
    assert_eq!(exchange.peer, Some(receiver.address));
    assert_eq!(exchange.result.unwrap().status, 200);
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    let exchange = post(&client, &url, PATIENT).await;
    assert_fault(
        &exchange,
        Cause::Blocked,
        &["the host name shop.example leads nowhere that may be called: the address 127.0.0.1 is loopback"],
    );
    assert_eq!((resolver.asked.load(Ordering::SeqCst), receiver.connections()), (2, 1));
}

#[tokio::test]
async fn only_the_allowed_of_several_addresses_are_dialled() {
    let receiver = Receiver::start([]).await;
    let url = format!("http://shop.example:{}/", receiver.address.port());
    // Nobody listens at 127.0.0.3, and the others may not be called.
    let answers = Answers::always(&["10.0.0.1", "::1", "127.0.0.3", "169.254.169.254", "127.0.0.1"]);
    let client = resolving(guard(&["127.0.0.0/8"]), Arc::new(answers));
    let exchange = post(&client, &url, PATIENT).await;
    assert_eq!(exchange.peer, Some(receiver.address));
    assert_eq!(exchange.result.unwrap().status, 200);
}

#[tokio::test]
async fn names_that_lead_nowhere_say_so() {
    for (failure, words) in [
        (Some(LookupFailure::NoAddress), "the host name shop.example has no address"),
        (Some(LookupFailure::Failed("x".to_owned())), "the host name shop.example could not be looked up: x"),
        (None, "the host name shop.example could not be looked up within 300 ms"),
    ] {
        let client = resolving(Guard::default(), Arc::new(Broken(failure)));
        assert_fault(&post(&client, "https://shop.example/", SHORT).await, Cause::Dns, &[words]);
    }
    let client = resolving(Guard::default(), Arc::new(Answers::always(&[])));
    let exchange = post(&client, "https://shop.example/", PATIENT).await;
    assert_fault(&exchange, Cause::Dns, &["the host name shop.example has no address"]);
}
