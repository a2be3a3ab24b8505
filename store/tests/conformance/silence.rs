//! Servers that don't answer, and processes that stand still amid a transaction:
//! nobody waits for ever, and others get on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use callboard_domain::clock::{Clock as _, SystemClock};
use callboard_domain::store::{
    AccessStore as _, EventFilter, EventStore as _, NewDelivery, NewEvent, NodeStore as _, Order, Page,
    RecordError, Recorded, Signal, Store, StoreError, UpkeepStore as _,
};
use callboard_store::postgres::{self, Options};
use callboard_testing::TestDatabase;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::world::{World, at, event_about, keys};

/// How long answers are waited for, how long connections are, and how long a
/// transaction may stand still. Here once more, because they are promised.
const ANSWERED: Duration = Duration::from_secs(10);
const CONNECTED: Duration = Duration::from_secs(5);
const FROZEN: Duration = Duration::from_secs(5);

/// What a busy machine adds.
const BUSY: Duration = Duration::from_secs(2);

/// A way to a server, which keeps its connections when it passes nothing on.
struct Line {
    url: String,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// Nothing is passed on.
    silent: bool,
    /// What has said this does not get its commit through.
    frozen_by: Option<&'static str>,
    /// Connections whose commit was kept.
    frozen: usize,
}

impl Line {
    async fn to(url: &str) -> Self {
        let mut url = url::Url::parse(url).expect("a URL");
        let host = url.host_str().expect("a host").parse().expect("an address");
        let server = SocketAddr::new(host, url.port().expect("a port"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port to listen on");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let state = watch::Sender::default();
        let passing = state.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                #[expect(clippy::disallowed_methods, reason = "the line to the test's own server")]
                let far = TcpStream::connect(server).await;
                if let Ok(far) = far {
                    tokio::spawn(pass(near, far, passing.clone()));
                }
            }
        });
        Self { url: url.into(), state }
    }
}

/// Passes on until one side ends, as long as the state says.
async fn pass(near: TcpStream, far: TcpStream, state: watch::Sender<State>) {
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let talks = async |said: &[u8]| {
        let mut state = state.subscribe();
        // The sender is ours.
        let _ = state.wait_for(|state| !state.silent).await;
        !said.is_empty()
    };
    let frozen = AtomicBool::new(false);
    let there = async {
        let (mut said, mut marked) = (vec![0; 65_536], false);
        while let Ok(length) = from_near.read(&mut said).await {
            let said = &said[..length];
            let holds = |text: &str| said.windows(text.len()).any(|part| part == text.as_bytes());
            marked |= state.borrow().frozen_by.is_some_and(holds);
            if marked && holds("COMMIT") {
                frozen.store(true, Ordering::Relaxed);
                state.send_modify(|state| state.frozen += 1);
                std::future::pending::<()>().await;
            }
            if !talks(said).await || to_far.write_all(said).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let mut said = vec![0; 65_536];
        while let Ok(length) = from_far.read(&mut said).await {
            if frozen.load(Ordering::Relaxed) {
                // A process that stands still hears nothing either.
                std::future::pending::<()>().await;
            }
            if !talks(&said[..length]).await || to_near.write_all(&said[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => (),
        () = back => (),
    }
}

async fn record(
    store: &dyn Store,
    tenant: callboard_domain::id::TenantKey,
    webhook: callboard_domain::id::WebhookKey,
    id: &str,
) -> Result<Recorded, RecordError> {
    let order = Order::BySubject { collapses: false };
    let deliveries = vec![NewDelivery { webhook, leased: true, order }];
    let new = NewEvent { event: event_about(id, "ticket.updated", "T-1").into(), deliveries };
    Ok(store.record_events(tenant, vec![new], at(1)).await?.remove(0))
}

/// A process that is paused, or a machine that is halted, amid a transaction keeps
/// every lock that it has. The server ends the transaction.
#[tokio::test]
async fn a_transaction_that_a_frozen_node_left_open_holds_nobody_up_for_long() {
    let world = World::postgres().await;
    let line = Line::to(world.url()).await;
    let frozen = postgres::open(&line.url, &keys(&[7]), Options::default()).await.expect("a node");
    let frozen: Arc<dyn Store> = Arc::new(frozen);
    let (tenant, webhook) = world.ordered_lane().await;
    let clock = SystemClock::new();
    line.state.send_modify(|state| state.frozen_by = Some("the-frozen-one"));
    let left_open = {
        let frozen = Arc::clone(&frozen);
        tokio::spawn(async move { record(&*frozen, tenant, webhook, "the-frozen-one").await })
    };
    let mut state = line.state.subscribe();
    let _ = state.wait_for(|state| state.frozen > 0).await;
    let began = clock.elapsed();

    // It has the chain of the subject, and keys that streams can't pass.
    let next = record(&*world.store, tenant, webhook, "the-next").await.expect("recorded");
    let waited = clock.elapsed().saturating_sub(began);
    assert!(waited + BUSY > FROZEN && waited < FROZEN + BUSY, "{waited:?}");
    assert!(next.behind.is_empty(), "nothing is before it: what was left open never happened");
    let start = callboard_domain::id::EventKey(0);
    let stretch = world.store.events_after(tenant, None, start, 10, usize::MAX).await.expect("a stretch");
    assert_eq!(stretch.events.len(), 1);

    // Who was frozen knows nothing of its commit, and says so.
    let outcome = left_open.await.expect("it does not panic");
    let waited = clock.elapsed().saturating_sub(began);
    assert!(matches!(outcome, Err(RecordError::Store(StoreError::Unavailable(_)))), "{outcome:?}");
    assert!(waited < ANSWERED + BUSY, "{waited:?}");
    let noticed = async { while !frozen.next_signals().await.contains(&Signal::LeaseLost) {} };
    tokio::time::timeout(Duration::from_secs(20), noticed).await.expect("it gives back what it held");
    line.state.send_modify(|state| state.frozen_by = None);
    let again = record(&*frozen, tenant, webhook, "the-frozen-one").await.expect("recorded");
    assert!(!again.duplicate, "it was never there");
    assert_eq!(again.behind, [0], "now it is behind the other one");
    frozen.close().await;
}

#[tokio::test]
async fn a_line_that_goes_silent_is_noticed_and_gone_back_to() {
    let world = World::postgres().await;
    let line = Line::to(world.url()).await;
    let store = postgres::open(&line.url, &keys(&[7]), Options::default()).await.expect("a node");
    let (tenant, webhook) = world.ordered_lane().await;
    record(&store, tenant, webhook, "before").await.expect("recorded");
    // Connections that are there already, and new ones.
    for _ in 0..2 {
        line.state.send_modify(|state| state.silent = true);
        let clock = SystemClock::new();
        let (recorded, read, listed, time, written) = tokio::join!(
            record(&store, tenant, webhook, "meanwhile"),
            store.tenant_by_key(tenant),
            store.list_events(tenant, EventFilter::default(), Page { limit: 10, after: None }),
            store.database_time(),
            store.check(),
        );
        let waited = clock.elapsed();
        assert!(matches!(recorded, Err(RecordError::Store(StoreError::Unavailable(_)))), "{recorded:?}");
        for error in [read.err(), listed.err(), time.err(), written.err()] {
            assert!(matches!(error, Some(StoreError::Unavailable(_))), "{error:?}");
        }
        assert!(waited < ANSWERED + CONNECTED + BUSY, "{waited:?}");
    }
    line.state.send_modify(|state| state.silent = false);
    let clock = SystemClock::new();
    while record(&store, tenant, webhook, "after").await.is_err() {}
    store.check().await.expect("it can be written");
    assert!(clock.elapsed() < CONNECTED + BUSY, "{:?}", clock.elapsed());
    store.close().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_and_no_password_is() {
    let database = TestDatabase::postgres();
    let good = url::Url::parse(database.url()).expect("a URL");
    let server = format!("{}:{}", good.host_str().expect("a host"), good.port().expect("a port"));
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port to listen on");
    let silent = (silent.local_addr().expect("an address"), silent);
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port to listen on");
        listener.local_addr().expect("an address")
    };
    let at = |address: SocketAddr| format!("postgres://someone:hunter2@{address}/callboard");
    let changed = |change: &dyn Fn(&mut url::Url)| {
        let mut url = good.clone();
        change(&mut url);
        url.to_string()
    };
    let wrong_password = changed(&|url| url.set_password(Some("hunter2")).expect("a password"));
    let no_database = changed(&|url| url.set_path("/nowhere"));
    let cases = [
        (at(closed), closed.to_string(), "Connection refused", "check that the server runs"),
        (at(silent.0), silent.0.to_string(), "it does not answer", "check that the server runs"),
        (wrong_password, server.clone(), "password authentication failed", "check the user and the password"),
        (no_database, server, "database \"nowhere\" does not exist", "make that database"),
    ];
    for (url, server, reason, advice) in cases {
        let error = postgres::open(&url, &keys(&[7]), Options::default())
            .await
            .expect_err("it can't be used")
            .to_string();
        assert!(error.starts_with(&format!("PostgreSQL at {server} can't be used: ")), "{error}");
        assert!(error.contains(reason) && error.contains(advice) && error.contains("`database`"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("postgres://"), "{error}");
    }
}
