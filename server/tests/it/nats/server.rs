//! A NATS server with JetStream for a test, on a free port and in a folder of
//! its own, which can be killed and started again.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::process::Stdio;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::jetstream::{self, Context, Message};
use async_nats::{ConnectOptions, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::process::{PATIENCE, until};

/// Names the server's program.
const CHOICE: &str = "CALLBOARD_TEST_NATS";

/// Where Debian has it, which is not in everybody's path.
const DEBIAN: &str = "/usr/sbin/nats-server";

#[expect(clippy::disallowed_methods, reason = "settings of tests are no settings of the program")]
fn program() -> String {
    std::env::var(CHOICE).unwrap_or_else(|_| DEBIAN.to_owned())
}

/// The server.
pub(crate) struct NatsServer {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl NatsServer {
    /// A server that runs.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server that runs, with further arguments.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Self {
            folder,
            port: 0,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            child: None,
        };
        server.run().await;
        server
    }

    /// Starts it, where it was before if it was anywhere.
    pub(crate) async fn run(&mut self) {
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let mut child = Command::new(program())
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", &port, "--store_dir"])
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a NATS server; run with CALLBOARD_TEST_NATS=$(tests/nats), which gets one");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let ready = async {
            let mut said = Vec::new();
            while let Some(line) = lines.next_line().await.expect("its log") {
                if let Some((_, address)) = line.split_once("Listening for client connections on ") {
                    self.port =
                        address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
                }
                let ready = line.contains("Server is ready");
                said.push(line);
                if ready {
                    return said;
                }
            }
            said
        };
        let said = timeout(PATIENCE, ready).await.expect("it gets ready");
        assert!(said.last().is_some_and(|line| line.contains("Server is ready")), "{said:#?}");
        // It must not wait for somebody to read its log.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.child = Some(child);
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it could be killed");
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A client of it.
    pub(crate) async fn client(&self) -> Broker {
        self.client_as(ConnectOptions::new()).await
    }

    /// A client of it who says more than its address.
    pub(crate) async fn client_as(&self, options: ConnectOptions) -> Broker {
        let client = options.connect(self.url()).await.expect("a connection");
        Broker { jetstream: jetstream::new(client) }
    }
}

/// Somebody who publishes and looks after the streams.
pub(crate) struct Broker {
    pub(crate) jetstream: Context,
}

impl Broker {
    /// Makes a stream of these subjects.
    pub(crate) async fn make_stream(&self, name: &str, subject: &str) {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            discard: DiscardPolicy::New,
            ..Config::default()
        };
        self.jetstream.create_stream(config).await.expect("a stream");
    }

    /// Publishes, and waits until the stream has it; returns its place there.
    pub(crate) async fn publish(
        &self,
        subject: &'static str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> u64 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let published =
            self.jetstream.publish_with_headers(subject, map, body.into()).await.expect("published");
        published.await.expect("a stream has it").sequence
    }

    /// How many messages the consumer has not given yet, and how many it has
    /// given that were not acknowledged.
    pub(crate) async fn left(&self, stream: &str, consumer: &str) -> Option<(u64, usize)> {
        let found = self.jetstream.get_consumer_from_stream::<pull::Config, _, _>(consumer, stream).await;
        let info = found.ok()?.cached_info().clone();
        Some((info.num_pending, info.num_ack_pending))
    }

    /// Waits until the consumer has given everything, and all of it was
    /// acknowledged.
    pub(crate) async fn until_taken(&self, stream: &str, consumer: &str) {
        let what = format!("everything of {stream} is taken");
        until(&what, async || (self.left(stream, consumer).await? == (0, 0)).then_some(())).await;
    }

    /// Waits for that many messages of a stream, from its start.
    pub(crate) async fn messages(&self, stream: &str, count: usize) -> Vec<Message> {
        let config =
            pull::Config { ack_policy: jetstream::consumer::AckPolicy::None, ..pull::Config::default() };
        let consumer = self.jetstream.create_consumer_on_stream(config, stream).await.expect("a consumer");
        let batch = consumer.batch().max_messages(count).expires(Duration::from_mins(1)).messages().await;
        let batch = batch.expect("messages").map(|message| message.expect("a message"));
        timeout(PATIENCE, batch.collect()).await.expect("all messages in time")
    }
}
