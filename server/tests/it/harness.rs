//! The whole program on a free port with a database of its own, and a client
//! that talks to it.
//!
//! Tests are plain functions: the program runs on a runtime that belongs to the
//! [`Harness`], and dropping that stops the program as a signal would.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard::config::{Encryption, Hidden, Settings};
use callboard_domain::audit::By;
use callboard_domain::clock::{Clock, ManualClock, SystemClock, Timestamp};
use callboard_domain::id::WebhookId;
use callboard_domain::signing::{Scheme, Secret};
use callboard_domain::store::NewWebhook;
use callboard_domain::webhook::{Status, read_settings};
use callboard_store::sealing::EncryptionKey;
use callboard_testing::{ENCRYPTION_KEY, TestDatabase};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::listener::Listener;
use crate::receiver::Receiver;

/// The operator's token.
pub(crate) const OPERATOR: &str = "the-operator-of-the-tests";

/// How often a condition is looked at before the test gives up.
const LOOKS: usize = 500;

/// Longest wait for the next look: most conditions change when a receiver
/// answered, which is signalled; the rest is the writing down of it.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Longest wait for one answer of the program.
const ANSWER: Duration = Duration::from_secs(30);

/// How many rows are written at the same time where many are needed.
const FILLED_AT_ONCE: usize = 64;

/// Every scope that a client can have.
pub(crate) const SCOPES: [&str; 5] =
    ["read:webhooks", "write:webhooks", "read:events", "write:events", "admin"];

/// The running program.
pub(crate) struct Harness {
    pub(crate) address: SocketAddr,
    settings: Settings,
    clock: Arc<dyn Clock>,
    manual: Option<Arc<ManualClock>>,
    stop: CancellationToken,
    running: Option<JoinHandle<std::io::Result<()>>>,
    signal: Arc<Notify>,
    runtime: Runtime,
    /// Removed when everything else is gone.
    _database: TestDatabase,
}

/// The key that seals secrets in the databases of these tests.
pub(crate) fn encryption_key() -> String {
    EncryptionKey::from_bytes(ENCRYPTION_KEY).to_text()
}

impl Harness {
    /// The program by the machine's clock, with loopback open to deliveries.
    pub(crate) fn start() -> Self {
        Self::configured(|_| {})
    }

    /// Like [`Self::start`], with other settings.
    pub(crate) fn configured(change: impl FnOnce(&mut Settings)) -> Self {
        Self::build(Arc::new(SystemClock::new()), None, change)
    }

    /// The program by a clock that only the test moves.
    pub(crate) fn at_rest() -> Self {
        Self::at_rest_configured(|_| {})
    }

    /// Like [`Self::at_rest`], with other settings.
    pub(crate) fn at_rest_configured(change: impl FnOnce(&mut Settings)) -> Self {
        let start = "2026-11-21T19:00:00Z".parse().expect("a time");
        let clock = Arc::new(ManualClock::new(start));
        Self::build(Arc::clone(&clock) as Arc<dyn Clock>, Some(clock), change)
    }

    fn build(
        clock: Arc<dyn Clock>,
        manual: Option<Arc<ManualClock>>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let database = TestDatabase::chosen();
        let mut settings = Settings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database: database.url().to_owned().into(),
            admin_token: Some(Hidden(OPERATOR.to_owned())),
            encryption: Encryption { keys: Some(Hidden(encryption_key())), key_file: None },
            ..Settings::default()
        };
        settings.egress.allow = vec!["127.0.0.0/8".parse().expect("a network")];
        change(&mut settings);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let mut house = Self {
            address: settings.listen,
            settings,
            clock,
            manual,
            stop: CancellationToken::new(),
            running: None,
            signal: Arc::default(),
            runtime,
            _database: database,
        };
        house.run();
        house
    }

    fn run(&mut self) {
        let app = callboard::app::build(&self.settings, Arc::clone(&self.clock));
        let app = self.runtime.block_on(app).expect("the program starts");
        self.address = app.address().expect("an address");
        self.stop = CancellationToken::new();
        self.running = Some(self.runtime.spawn(app.run(self.stop.clone())));
    }

    fn end(&mut self) {
        self.stop.cancel();
        let Some(running) = self.running.take() else { return };
        let ended = self.runtime.block_on(async { tokio::time::timeout(ANSWER, running).await });
        if !std::thread::panicking() {
            ended.expect("the program stops in time").expect("it does not panic").expect("it ends well");
        }
    }

    /// Asks the program to stop, and does not wait for it.
    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops the program, which ends everything that is under way, and starts
    /// it again on another port.
    pub(crate) fn restart(&mut self) {
        self.end();
        self.run();
    }

    /// The same, with other settings.
    pub(crate) fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) {
        self.end();
        change(&mut self.settings);
        self.run();
    }

    /// The URL of the database.
    pub(crate) fn database(&self) -> &str {
        self.settings.database.reveal()
    }

    /// Stops the program while something is done to its database.
    pub(crate) fn pause(&mut self) {
        self.end();
    }

    /// Starts the program again, on another database.
    pub(crate) fn go_on_with(&mut self, database: &str) {
        self.settings.database = database.to_owned().into();
        self.run();
    }

    /// Why the program does not start on a database.
    pub(crate) fn refusal(&self, database: &str) -> String {
        let settings = Settings { database: database.to_owned().into(), ..self.settings.clone() };
        let app = self.runtime.block_on(callboard::app::build(&settings, Arc::clone(&self.clock)));
        app.err().expect("it does not start").to_string()
    }

    /// A client without a token.
    pub(crate) fn nobody(&self) -> Caller {
        Caller { address: self.address, handle: self.runtime.handle().clone(), headers: HeaderMap::new() }
    }

    /// The operator, who means the tenant `default`.
    pub(crate) fn operator(&self) -> Caller {
        self.nobody().bearer(OPERATOR)
    }

    /// A client of `tenant` whose token has these scopes.
    pub(crate) fn client(&self, tenant: &str, scopes: &[&str]) -> Caller {
        let (id, secret) = self.operator().tenant(tenant).make_client(scopes);
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let token = self.nobody().form("/oauth2/token", &form).is(200);
        self.nobody().bearer(text(&token["access_token"]))
    }

    /// A receiver that answers 200 unless it is told otherwise.
    pub(crate) fn receiver(&self) -> Receiver {
        Receiver::start(self.runtime.handle().clone(), Arc::clone(&self.signal))
    }

    /// Looks again and again, at the latest when a receiver answered something,
    /// until `look` finds what it looks for.
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..LOOKS {
            let answered = self.signal.notified();
            if let Some(found) = look() {
                return found;
            }
            let _ = self.runtime.block_on(async { tokio::time::timeout(BETWEEN_LOOKS, answered).await });
        }
        panic!("did not come to pass: {what}");
    }

    /// Puts that many webhooks of the viagogo dialect into the database, which
    /// by requests would take a minute. The program is stopped meanwhile.
    pub(crate) fn fill_with_viagogo_webhooks(&mut self, tenant: &str, count: u64) {
        self.end();
        let settings = r#"{"name": "North", "url": "https://partner.example/", "dialect": "viagogo", "topics": ["Sales"]}"#;
        let settings = read_settings(settings, None).expect("good settings").0;
        let now = self.clock.now();
        self.runtime.block_on(async {
            let store = callboard::app::open(&self.settings).await.expect("the database");
            let id = tenant.parse().expect("an id");
            let tenant = store.tenant(&id).await.expect("a read").expect("a tenant").key;
            let mut made = JoinSet::new();
            for number in 0..count {
                let mut rng = StdRng::seed_from_u64(number);
                let (store, settings) = (Arc::clone(&store), settings.clone());
                let (id, secret) =
                    (WebhookId::generate(now, &mut rng), Secret::generate(Scheme::Hmac, &mut rng));
                let webhook = NewWebhook { id, settings, status: Status::Active, secret, nonce: None };
                made.spawn(async move {
                    store.create_webhook(tenant, webhook, By::system(now)).await.expect("a webhook")
                });
                if made.len() == FILLED_AT_ONCE {
                    made.join_next().await;
                }
            }
            made.join_all().await;
            store.close().await;
        });
        self.run();
    }

    /// Waits until a delivery is in `state`, and shows it.
    pub(crate) fn delivery(&self, caller: &Caller, id: &str, state: &str) -> Value {
        let path = format!("/v1/deliveries/{id}");
        self.until(&format!("{id} is {state}"), || {
            let delivery = caller.get(&path).is(200);
            (delivery["state"] == state).then_some(delivery)
        })
    }

    /// Waits until nothing of a webhook is pending or waiting.
    pub(crate) fn drained(&self, caller: &Caller, webhook: &str) {
        let path = format!("/v1/webhooks/{webhook}/stats");
        self.until("nothing is queued", || (caller.get(&path).is(200)["queued"] == 0).then_some(()));
    }

    /// What the test's clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.manual().now()
    }

    /// Moves the test's clock forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.manual().advance(by);
    }

    fn manual(&self) -> &ManualClock {
        self.manual.as_deref().expect("a harness with a clock of its own")
    }

    /// Moves the test's clock to where a waiting delivery is due. The
    /// dispatcher sleeps by the machine's clock, so it is woken just before.
    pub(crate) fn advance_to_next_attempt(&self, caller: &Caller, delivery: &Value) {
        let due: Timestamp = text(&delivery["next_attempt_at"]).parse().expect("a time");
        let ahead = Duration::try_from(due.duration_since(self.now())).expect("a time to come");
        let last = Duration::from_millis(1).min(ahead);
        self.advance(ahead.saturating_sub(last));
        caller.act(&format!("/v1/webhooks/{}/resume", text(&delivery["webhook_id"]))).is(200);
        self.advance(last);
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.end();
    }
}

/// Somebody who talks to the program.
#[derive(Clone)]
pub(crate) struct Caller {
    address: SocketAddr,
    handle: Handle,
    headers: HeaderMap,
}

impl Caller {
    /// The same, sending this header too.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.insert(name, value.parse().expect("a header value"));
        other
    }

    /// What it sends in this header; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The same, talking to another address.
    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The cookies that it sends.
    pub(crate) fn cookie(&self) -> String {
        self.headers["cookie"].to_str().expect("a text").to_owned()
    }

    /// The same with this token.
    pub(crate) fn bearer(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// The same, naming this tenant: for the operator.
    pub(crate) fn tenant(&self, id: &str) -> Self {
        self.with("callboard-tenant", id)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, Bytes::new())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some("application/json"), body.to_string())
    }

    /// A POST without a body.
    pub(crate) fn act(&self, path: &str) -> Answer {
        self.send("POST", path, None, Bytes::new())
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some("application/json"), body.to_string())
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some("application/json"), body.to_string())
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None, Bytes::new())
    }

    pub(crate) fn form(&self, path: &str, form: &str) -> Answer {
        self.send("POST", path, Some("application/x-www-form-urlencoded"), form.to_owned())
    }

    /// Sends a request on a connection of its own.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&'static str>,
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "callboard");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let answered = exchange(self.address, request);
        let answered = self.handle.block_on(async { tokio::time::timeout(ANSWER, answered).await });
        let (about, answered) = (format!("{method} {path}"), answered.expect("an answer in time"));
        let (status, headers, body) = answered.unwrap_or_else(|error| panic!("{about}: {error}"));
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Answer { about, status, headers, body, json }
    }

    /// Listens to an answer that goes on.
    pub(crate) fn listen(&self, path: &str) -> Listener {
        let listener = self.open(path);
        assert_eq!(listener.status(), 200, "{path}");
        listener
    }

    /// Sends a request, and leaves the body of the answer to be read.
    pub(crate) fn open(&self, path: &str) -> Listener {
        let mut request = Request::builder().uri(path).header("host", "callboard");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        let begun =
            self.handle.block_on(async { tokio::time::timeout(ANSWER, begin(self.address, request)).await });
        let (answer, connection) = begun.expect("an answer in time").expect("an answer");
        Listener::new(self.handle.clone(), answer, connection)
    }

    /// Every item of a list, page by page.
    pub(crate) fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{mark}limit={limit}{cursor}")).is(200);
            let found = page["items"].as_array().expect("items");
            assert!(found.len() <= limit, "{page}");
            items.extend_from_slice(found);
            let Some(next) = page["next"].as_str() else { return items };
            cursor.clear();
            write!(cursor, "&cursor={next}").expect("a text");
        }
    }

    /// Makes a client; returns its id and secret.
    pub(crate) fn make_client(&self, scopes: &[&str]) -> (String, String) {
        let made = self.post("/v1/clients", &json!({"name": "Ticket shop", "scopes": scopes})).is(201);
        (text(&made["client_id"]).to_owned(), text(&made["client_secret"]).to_owned())
    }

    /// Makes a webhook of `settings`, which may say everything but the URL.
    pub(crate) fn make_webhook(&self, url: &str, settings: &Value) -> Value {
        let mut settings = settings.clone();
        settings["url"] = url.into();
        self.post("/v1/webhooks", &settings).is(201)
    }

    /// Publishes one event and returns the id of its only delivery.
    pub(crate) fn publish(&self, event: &Value) -> String {
        let published = self.post("/v1/events", event).is(202);
        assert_eq!(published["deliveries"], 1, "{published}");
        let path = format!("/v1/events/{}/deliveries", text(&published["id"]));
        text(&self.get(&path).is(200)["items"][0]["id"]).to_owned()
    }
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(u16, HeaderMap, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (answer, driven) = begin(address, request).await?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    driven.abort();
    Ok((parts.status.as_u16(), parts.headers, body))
}

/// The head of an answer, and what drives its connection.
#[expect(clippy::disallowed_methods, reason = "a test calls the program as its clients do")]
async fn begin(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    Ok((sender.send_request(request).await?, driven))
}

/// What the program answered.
pub(crate) struct Answer {
    /// What was asked, for messages.
    about: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Null when the body is no JSON.
    pub(crate) json: Value,
}

impl Answer {
    /// The body of an answer that has to have this status.
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.about, String::from_utf8_lossy(&self.body));
        self.json
    }

    /// The header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    /// The document of a problem with this status and kind, and no other.
    ///
    /// The routes of other dialects say the same in their own form.
    pub(crate) fn problem(self, status: u16, kind: &str) -> Value {
        if self.about.contains(" /viagogo/") {
            return self.viagogo_error(status, viagogo_code(kind));
        }
        if self.about.contains(" /openticket") {
            return self.openticket_error(status);
        }
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.about);
        let document = self.is(status);
        assert_eq!(document["type"], format!("urn:callboard:problem:{kind}"), "{document}");
        assert_eq!(document["status"], status, "{document}");
        for member in ["title", "detail"] {
            assert!(!text(&document[member]).is_empty(), "{document}");
        }
        document
    }

    /// The document of an error in viagogo's form.
    pub(crate) fn viagogo_error(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/hal+json", "{}", self.about);
        let document = self.is(status);
        let members: Vec<&String> = document.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["code", "message", "errors"], "{document}");
        assert_eq!(document["code"], code, "{document}");
        assert!(!text(&document["message"]).is_empty(), "{document}");
        document
    }

    /// The document of an error in OpenTicket's form.
    pub(crate) fn openticket_error(self, status: u16) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{}", self.about);
        let document = self.is(status);
        assert!(!text(&document["message"]).is_empty(), "{document}");
        let members = document.as_object().expect("an object");
        assert!(members.keys().all(|name| ["message", "errors"].contains(&name.as_str())), "{document}");
        document
    }

    /// The pointers, and the names of parameters, that the problem blames.
    pub(crate) fn blames(self, status: u16, kind: &str, blamed: &[&str]) {
        let document = self.problem(status, kind);
        let empty = Vec::new();
        let faults = document["errors"].as_array().unwrap_or(&empty);
        let place = |fault: &Value| {
            assert!(!text(&fault["detail"]).is_empty(), "{document}");
            fault["pointer"].as_str().or(fault["parameter"].as_str()).expect("a place").to_owned()
        };
        assert_eq!(faults.iter().map(place).collect::<Vec<_>>(), blamed, "{document}");
    }
}

fn viagogo_code(kind: &str) -> &'static str {
    match kind {
        "unauthenticated" => "unauthorized",
        "forbidden" => "insufficient_scope",
        "not-found" => "not_found",
        "method-not-allowed" => "method_not_allowed",
        other => panic!("what is {other} to viagogo?"),
    }
}

/// The fields that an error of either dialect blames, in their order.
pub(crate) fn blamed(document: &Value) -> Vec<&str> {
    let errors = document["errors"].as_object().into_iter().flatten();
    errors
        .map(|(field, messages)| {
            let messages = messages.as_array().expect("messages");
            assert!(messages.iter().all(|message| !text(message).is_empty()), "{document}");
            field.as_str()
        })
        .collect()
}

/// The text that a JSON value has to be.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// An event as small as one can be.
pub(crate) fn event(type_name: &str, subject: &str) -> Value {
    json!({"type": type_name, "subject": {"id": subject}})
}
