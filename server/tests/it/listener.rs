//! A client of `/v1/stream`, which reads server-sent events as their
//! specification says.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::collections::HashMap;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How often a stream may only say where it stands before what is expected:
/// when it begins, for what it passes over, and then every 15 seconds.
const PLACES: usize = 5;

/// Longest wait for what is expected.
const PATIENCE: Duration = Duration::from_secs(20);

/// One who listens.
pub(crate) struct Listener {
    handle: Handle,
    answer: Response<Incoming>,
    connection: JoinHandle<hyper::Result<()>>,
    seen: Vec<u8>,
    /// What to go on after.
    pub(crate) last_id: String,
}

/// What was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) event: String,
    pub(crate) data: String,
    /// Fields that server-sent events do not know.
    pub(crate) others: HashMap<String, String>,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON")
    }
}

impl Listener {
    pub(crate) fn new(
        handle: Handle,
        answer: Response<Incoming>,
        connection: JoinHandle<hyper::Result<()>>,
    ) -> Self {
        Self { handle, answer, connection, seen: Vec::new(), last_id: String::new() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.answer.headers().get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    /// The next event; `None` when the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Told> {
        for _ in 0..PLACES {
            let block = self.block()?;
            let mut told = Told { event: String::new(), data: String::new(), others: HashMap::new() };
            let mut lines = Vec::new();
            for line in block.lines().filter(|line| !line.starts_with(':')) {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
                match field {
                    "id" => self.last_id = value,
                    "event" => told.event = value,
                    "data" => lines.push(value),
                    "retry" => assert!(value.parse::<u32>().is_ok()),
                    other => drop(told.others.insert(other.to_owned(), value)),
                }
            }
            told.data = lines.join("\n");
            if !told.data.is_empty() {
                return Some(told);
            }
        }
        panic!("nothing is told");
    }

    /// Reads until the stream says where it stands.
    pub(crate) fn begun(mut self) -> Self {
        let block = self.block().expect("a beginning");
        let id = block.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
        id.clone_into(&mut self.last_id);
        self
    }

    fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.seen.windows(2).position(|pair| pair == b"\n\n") {
                let block = self.seen.drain(..end + 2).collect();
                return Some(String::from_utf8(block).expect("UTF-8"));
            }
            let body = self.answer.body_mut();
            let frame = self.handle.block_on(async { tokio::time::timeout(PATIENCE, body.frame()).await });
            let frame = frame.expect("something in time")?.ok()?;
            self.seen.extend_from_slice(frame.data_ref().expect("data"));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
