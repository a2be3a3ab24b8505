//! "Check URL": each way in which a step can fail, and that all can pass.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use StepKind::{Address, Answer, Connect, Resolve, Tls};
use StepOutcome::{Failed, NotReached, Passed};
use async_trait::async_trait;
use callboard_domain::clock::ManualClock;
use callboard_domain::store::{EventFilter, Page};
use callboard_engine::guard::Guard;
use callboard_engine::http::{Client, ClientOptions, LookupFailure, Proxy, Resolve as Lookup, Resolver};
use callboard_engine::{Options, Step, StepKind, StepOutcome};
use callboard_testing::TestDatabase;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::addresses::{Answers, Broken};
use super::proxy::{ESTABLISHED, TestProxy};
use super::{PATIENT, guard};
use crate::receiver::{Act, Identity, Receiver};
use crate::world::World;

/// A world whose names lead to what a resolver says.
struct Site {
    world: World,
    /// Goes with the test.
    _database: TestDatabase,
}

impl Site {
    async fn new(guard: Guard, options: ClientOptions) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-24T19:00:00Z".parse().unwrap()));
        let client = Client::new(guard, options, clock.clone());
        let database = TestDatabase::chosen();
        let world = World::start_with(&database, Options::default(), client, clock).await;
        Self { world, _database: database }
    }

    /// One that may call this machine, where every name leads to.
    async fn local(roots: Vec<CertificateDer<'static>>) -> Self {
        let options = ClientOptions { extra_roots: roots, ..resolving(Answers::always(&["127.0.0.1"])) };
        Self::new(guard(&["127.0.0.0/8"]), options).await
    }

    /// Checks a native webhook of this URL, with further settings.
    async fn check(&self, url: &str, more: Value) -> Vec<Step> {
        let mut settings = json!({ "url": url, "events": ["*"] });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.check_as(&settings).await
    }

    async fn check_as(&self, settings: &Value) -> Vec<Step> {
        let settings = self.world.new_webhook(&settings.to_string()).settings;
        let steps = self.world.engine.check_url(&"acme".parse().unwrap(), &settings).await;
        let kinds: Vec<StepKind> = steps.iter().map(|step| step.kind).collect();
        assert_eq!(kinds, StepKind::ALL);
        steps
    }

    async fn stop(self) {
        self.world.stop().await;
    }
}

fn resolving(resolver: impl Lookup + 'static) -> ClientOptions {
    let resolver = Resolver::Custom(Arc::new(resolver));
    ClientOptions { resolver, system_roots: false, ..ClientOptions::default() }
}

/// That a check ended with `failed`, which says `detail`; the others before it passed.
#[track_caller]
fn assert_failed(steps: &[Step], failed: StepKind, detail: &str) {
    for step in steps {
        match step.kind.cmp(&failed) {
            Ordering::Less => assert!(!step.detail.is_empty() && step.outcome != Failed, "{steps:#?}"),
            Ordering::Equal => assert_eq!((step.outcome, &*step.detail), (Failed, detail), "{steps:#?}"),
            Ordering::Greater => {
                let nothing = (NotReached, "", Duration::ZERO);
                assert_eq!((step.outcome, &*step.detail, step.took), nothing, "{steps:#?}");
            }
        }
    }
}

fn told(steps: &[Step]) -> Vec<(StepOutcome, &str)> {
    steps.iter().map(|step| (step.outcome, &*step.detail)).collect()
}

#[tokio::test]
async fn a_ping_in_each_dialect_passes_and_leaves_nothing_behind() {
    let receiver = Receiver::start([]).await;
    let site = Site::local(Vec::new()).await;
    let url = format!("http://shop.example:{}/hook", receiver.address.port());
    let dialects = [
        json!({"events": ["order.*"], "signature": "ed25519"}),
        json!({"dialect": "ingresse", "hooks": ["sale"]}),
        json!({"dialect": "viagogo", "topics": ["Sales"]}),
        json!({"dialect": "openticket", "resource": "ticket", "trigger": "paid"}),
    ];
    for (number, asked) in dialects.iter().enumerate() {
        let mut settings = json!({
            "url": url, "authorization_header": "Bearer sesame", "headers": {"x-shop": "halfmoon"},
        });
        settings.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let steps = site.check_as(&settings).await;
        let peer = format!("connected to {}", receiver.address);
        let expected = [
            (Passed, "shop.example has one address: 127.0.0.1"),
            (Passed, "127.0.0.1 may be called"),
            (Passed, &*peer),
            (NotReached, "the url begins with http://: everything is sent in the clear"),
            (Passed, "answered 200 in 0 us"),
        ];
        assert_eq!(told(&steps), expected);
        assert_eq!(receiver.connections(), number + 1, "each makes a connection of its own");
    }
    let (requests, signs) = (receiver.received(), ["v1a,", "v1,", "v1,", "v1,"]);
    for (request, sign) in requests.iter().zip(signs) {
        for header in ["authorization: Bearer sesame\r\n", "x-shop: halfmoon\r\n", "webhook-id: "] {
            assert!(request.head.contains(header), "{header} is missing in {}", request.head);
        }
        assert!(request.head.contains(&format!("webhook-signature: {sign}")), "{}", request.head);
    }
    let body = |number: usize| serde_json::from_slice::<Value>(&requests[number].body).unwrap();
    assert_eq!(body(0)["type"], "webhook.ping");
    assert_eq!(body(1)["webhook"], "ping");
    assert!(requests[3].head.contains("user-agent: OpenTicket/Webhook\r\n"));
    let (store, tenant) = (&site.world.store, site.world.tenant);
    assert!(store.webhooks_of(tenant).await.unwrap().is_empty());
    let page = Page { after: None, limit: 10 };
    assert!(store.list_events(tenant, EventFilter::default(), page).await.unwrap().items.is_empty());
    assert_eq!(site.world.engine.load(), (0, 0));
    site.stop().await;
}

#[tokio::test]
async fn a_receiver_that_wants_to_know_who_calls_is_shown_the_certificate() {
    let (server, client) = (Identity::new(&["shop.example"], |_| {}), Identity::new(&["us"], |_| {}));
    let site = Site::local(vec![server.root.clone()]).await;
    let receiver = Receiver::start_mutual(server, std::slice::from_ref(&client.root), true).await;
    let url = format!("https://shop.example:{}/", receiver.address.port());
    let (certificate, key) = &client.pem;
    let shown = json!({"client_certificate": {"certificate": certificate, "private_key": key}});
    let steps = site.check(&url, shown).await;
    assert!(steps.iter().all(|step| step.outcome == Passed), "{steps:#?}");
    let detail = "shop.example has a good certificate (TLS 1.3), and does not mind the client_certificate";
    assert_eq!(steps[3].detail, detail);
    assert_eq!(receiver.received()[0].client, Some(client.own()));
    let steps = site.check(&url, json!({})).await;
    let detail = "shop.example asks for a client certificate (the alert CertificateRequired); \
                  give one as client_certificate";
    assert_failed(&steps, Tls, detail);
    let broken = json!({"client_certificate": {"certificate": certificate, "private_key": "no key"}});
    let steps = site.check(&url, broken).await;
    assert_eq!(steps[0].outcome, Failed);
    assert!(steps[0].detail.starts_with("the client_certificate can't be used: "), "{}", steps[0].detail);
    site.stop().await;
}

#[tokio::test]
async fn names_that_lead_nowhere_fail_the_first_step() {
    for (failure, detail) in [
        (Some(LookupFailure::NoAddress), "the host name shop.example has no address"),
        (Some(LookupFailure::Failed("x".to_owned())), "the host name shop.example could not be looked up: x"),
        (None, "the host name shop.example could not be looked up within 300 ms"),
    ] {
        let site = Site::new(Guard::default(), resolving(Broken(failure))).await;
        let steps = site.check("https://shop.example/", json!({"timeout_seconds": 0.3})).await;
        let took = steps[0].took;
        assert_failed(&steps, Resolve, detail);
        assert_eq!(took, Duration::ZERO, "the clock stands still");
        site.stop().await;
    }
    let site = Site::new(Guard::default(), resolving(Answers::always(&[]))).await;
    assert_failed(
        &site.check("https://shop.example/", json!({})).await,
        Resolve,
        "the host name shop.example has no address",
    );
    let steps = site.check("https://a_b..c/", json!({})).await;
    assert_failed(&steps, Resolve, "the url has a host that no certificate can name: a_b..c");
    site.stop().await;
}

#[tokio::test]
async fn what_may_not_be_called_fails_the_second_step_and_nobody_is_called() {
    let site = Site::new(Guard::default(), resolving(Answers::always(&["10.0.0.8", "192.168.0.1"]))).await;
    let steps = site.check("https://shop.example/", json!({})).await;
    let detail = "the host name shop.example leads nowhere that may be called: the address 10.0.0.8 is private \
                  and may not be called; allow it with egress.allow (CALLBOARD_EGRESS_ALLOW)";
    assert_failed(&steps, Address, detail);
    assert_eq!(steps[0].detail, "shop.example has 2 addresses: 10.0.0.8, 192.168.0.1");
    let steps = site.check("https://10.0.0.8/", json!({})).await;
    let detail = "the address 10.0.0.8 is private and may not be called; \
                  allow it with egress.allow (CALLBOARD_EGRESS_ALLOW)";
    assert_failed(&steps, Address, detail);
    assert_eq!(steps[0].detail, "10.0.0.8 is an address, so nothing is looked up");
    let steps = site.check("http://shop.example:25/", json!({})).await;
    assert_eq!((steps[0].outcome, &*steps[0].detail), (NotReached, ""), "its name is not even looked up");
    let detail = "the port 25 may not be called; \
                  allow it by an egress.deny_ports (CALLBOARD_EGRESS_DENY_PORTS) without it";
    assert_eq!((steps[1].outcome, &*steps[1].detail), (Failed, detail));
    site.stop().await;
}

#[tokio::test]
async fn addresses_that_are_passed_over_are_told() {
    let receiver = Receiver::start([]).await;
    let names = ["10.0.0.8", "127.0.0.1", "169.254.169.254"];
    let site = Site::new(guard(&["127.0.0.1/32"]), resolving(Answers::always(&names))).await;
    let url = format!("http://shop.example:{}/", receiver.address.port());
    let steps = site.check(&url, json!({})).await;
    let detail = "127.0.0.1 may be called, but the address 10.0.0.8 is private and may not be called; \
                  allow it with egress.allow (CALLBOARD_EGRESS_ALLOW), and the address 169.254.169.254 is \
                  a cloud metadata address and may not be called; \
                  allow it with egress.allow (CALLBOARD_EGRESS_ALLOW)";
    assert_eq!((steps[1].outcome, &*steps[1].detail), (Passed, detail));
    assert_eq!(steps[4].outcome, Passed);
    site.stop().await;
}

#[tokio::test]
async fn a_name_of_very_many_addresses_is_told_in_short() {
    let many: Vec<String> =
        (0..300).map(|number| format!("10.0.{}.{}", number / 200, number % 200)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let site = Site::new(Guard::default(), resolving(Answers::always(&many))).await;
    let steps = site.check("https://shop.example/", json!({})).await;
    let detail = "shop.example has 300 addresses: 10.0.0.0, 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, \
                  10.0.0.6, 10.0.0.7 and 292 more";
    assert_eq!(steps[0].detail, detail);
    site.stop().await;
}

#[tokio::test]
async fn a_port_nobody_listens_on_fails_the_third_step() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let site = Site::local(Vec::new()).await;
    let steps = site.check(&format!("https://{address}/"), json!({})).await;
    // Without a root there is no TLS, which is found out later.
    assert_failed(&steps, Connect, &format!("connection refused by {address}"));
    site.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_tls_fails_the_fourth_step() {
    let expired =
        |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(2026, 11, 21);
    let identity = Identity::new(&["shop.example"], expired);
    let site = Site::local(vec![identity.root.clone()]).await;
    let receiver = Receiver::start_tls([], identity).await;
    let steps = site.check(&format!("https://shop.example:{}/", receiver.address.port()), json!({})).await;
    let detail = "the certificate of shop.example expired 3 days ago (2026-11-21T00:00:00Z)";
    assert_failed(&steps, Tls, detail);
    assert!(receiver.received().is_empty());
    let plain = Act::Greet(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec());
    let receiver = Receiver::start([plain, Act::Hang]).await;
    let url = format!("https://shop.example:{}/", receiver.address.port());
    let detail =
        "shop.example does not speak TLS on this port; perhaps the address should begin with http://";
    assert_failed(&site.check(&url, json!({})).await, Tls, detail);
    let steps = site.check(&url, json!({"timeout_seconds": 0.3})).await;
    let detail =
        format!("connected to {}, but the TLS handshake was not done within 300 ms", receiver.address);
    assert_failed(&steps, Tls, &detail);
    site.stop().await;
    let site = Site::local(Vec::new()).await;
    let steps = site.check(&url, json!({})).await;
    assert_eq!(steps[3].outcome, Failed);
    assert!(steps[3].detail.starts_with("https can't be used: no root certificates"), "{}", steps[3].detail);
    site.stop().await;
}

#[tokio::test]
async fn answers_that_are_no_success_fail_the_last_step() {
    let long = format!("a\r\n<b>\u{7}{}", "\u{e9}".repeat(300));
    let quoted = format!("answered 500: the receiver failed. It says: a <b>{}...", "\u{e9}".repeat(195));
    let site = Site::local(Vec::new()).await;
    for (act, detail) in [
        (
            Act::status(401, ""),
            "answered 401: the receiver refused the credentials; check authorization_header",
        ),
        (
            Act::status(302, "moved"),
            "answered 302: redirects are not followed; register the address it points to. It says: moved",
        ),
        (Act::status(410, ""), "answered 410: the receiver is gone for good; its webhook would be disabled"),
        (Act::status(500, &long), &*quoted),
    ] {
        let receiver = Receiver::start([act]).await;
        assert_failed(&site.check(&receiver.url(), json!({})).await, Answer, detail);
    }
    let receiver = Receiver::start([Act::Silence]).await;
    let steps = site.check(&receiver.url(), json!({"timeout_seconds": 0.3})).await;
    assert_failed(&steps, Answer, "no answer within 300 ms: connected after 0 us, then silence");
    let receiver = Receiver::start([Act::answer("220 mail.example ready\r\n")]).await;
    let steps = site.check(&receiver.url(), json!({})).await;
    assert_eq!(steps[4].outcome, Failed);
    assert!(steps[4].detail.starts_with("the answer is not HTTP: it begins with \"220 mail.example ready\""));
    site.stop().await;
}

#[tokio::test]
async fn the_way_through_a_proxy_is_told() {
    let receiver = Receiver::start([]).await;
    let proxy = TestProxy::start(&[ESTABLISHED, "HTTP/1.1 403 Forbidden\r\n\r\n"], receiver.address).await;
    let through = Proxy::new(&format!("http://{}", proxy.address), None).unwrap();
    let options = ClientOptions { proxy: Some(through), ..resolving(Answers::always(&["8.8.8.8"])) };
    let site = Site::new(Guard::default(), options).await;
    let steps = site.check("http://shop.example/", json!({})).await;
    let detail = format!("connected to 8.8.8.8:80 through the proxy {} (egress.proxy)", proxy.address);
    assert_eq!((steps[2].outcome, &*steps[2].detail), (Passed, &*detail));
    assert_eq!(steps[4].outcome, Passed);
    let steps = site.check("http://shop.example/", json!({})).await;
    let detail = format!(
        "the proxy {} (egress.proxy) made no connection to 8.8.8.8:80: it answered 403 Forbidden",
        proxy.address
    );
    assert_failed(&steps, Connect, &detail);
    site.stop().await;
}

/// A resolver for whom time passes.
struct Slow(Arc<ManualClock>);

#[async_trait]
impl Lookup for Slow {
    async fn resolve(&self, _: &str) -> Result<Vec<IpAddr>, LookupFailure> {
        self.0.advance(Duration::from_millis(20));
        Ok(vec!["10.0.0.8".parse().unwrap()])
    }
}

#[tokio::test]
async fn each_step_says_how_long_it_took() {
    let clock = Arc::new(ManualClock::new("2026-11-24T19:00:00Z".parse().unwrap()));
    let client = Client::new(Guard::default(), resolving(Slow(Arc::clone(&clock))), clock.clone());
    let database = TestDatabase::chosen();
    let world = World::start_with(&database, Options::default(), client, clock).await;
    let site = Site { world, _database: database };
    let steps = site.check("https://shop.example/", json!({})).await;
    let took: Vec<Duration> = steps.iter().map(|step| step.took).collect();
    let nothing = Duration::ZERO;
    assert_eq!(took, [Duration::from_millis(20), nothing, nothing, nothing, nothing]);
    site.stop().await;
}

#[tokio::test]
async fn a_few_checks_run_at_a_time() {
    let receiver = Receiver::start(vec![Act::Silence; 20]).await;
    let site = Site::local(Vec::new()).await;
    let text = json!({"url": receiver.url(), "events": ["*"], "timeout_seconds": 60}).to_string();
    let mut checks = JoinSet::new();
    for _ in 0..20 {
        let (engine, settings) = (Arc::clone(&site.world.engine), site.world.new_webhook(&text).settings);
        checks.spawn(async move { engine.check_url(&"acme".parse().unwrap(), &settings).await });
    }
    let arrived = async {
        while receiver.received().len() < 16 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENT, arrived).await.unwrap();
    // Whoever else could come would have come by now.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(receiver.connections(), 16);
    checks.shutdown().await;
    // Who goes away makes room.
    let receiver = Receiver::start([]).await;
    assert_eq!(site.check(&receiver.url(), json!({})).await[4].outcome, Passed);
    site.stop().await;
}
