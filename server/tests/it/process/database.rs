//! A PostgreSQL server of a test's own, which it can end and start again.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::PATIENCE;

/// Ends with its input, when it is dropped.
pub(crate) struct OwnServer {
    url: String,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _script: Child,
}

impl OwnServer {
    pub(crate) async fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/postgres");
        let mut script = Command::new(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/postgres starts");
        let input = script.stdin.take().expect("an input");
        let output = BufReader::new(script.stdout.take().expect("an output")).lines();
        let mut server = Self { url: String::new(), input, output, _script: script };
        server.url = server.line().await;
        server
    }

    /// Of a database that nobody else uses.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it as `pg_ctl stop -m immediate` does: it writes nothing more, and
    /// has to recover.
    pub(crate) async fn crash(&mut self) {
        self.say("crash\n").await;
    }

    /// Starts it again, and waits until it has recovered.
    pub(crate) async fn recover(&mut self) {
        self.say("start\n").await;
    }

    async fn say(&mut self, word: &str) {
        self.input.write_all(word.as_bytes()).await.expect("it reads");
        assert_eq!(self.line().await, "done");
    }

    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.output.next_line()).await.expect("an answer");
        line.expect("a text").expect("it goes on")
    }
}
