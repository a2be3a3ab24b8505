//! `callboard listen`: deliveries come to an address that a server can't reach.

use std::process::Output;
use std::sync::Arc;

use callboard::receiver::{self, Received};
use hyper::StatusCode;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{assert_contains, ended_with, said, to};
use crate::process::line::Line;
use crate::process::{Home, PATIENCE, Process, TOKEN, output};

/// A program on the developer's machine.
struct Local {
    url: String,
    received: UnboundedReceiver<Received>,
    _stop: DropGuard,
}

impl Local {
    /// Answers this to everything.
    async fn start(status: StatusCode) -> Self {
        let (sender, received) = unbounded_channel();
        let stop = CancellationToken::new();
        let behaviour = Arc::new(move |request| {
            sender.send(request).expect("the test goes on");
            status
        });
        let address = receiver::start(behaviour, stop.clone()).await.expect("a port to listen on");
        Self { url: format!("http://{address}/hook"), received, _stop: stop.drop_guard() }
    }

    async fn next(&mut self) -> Received {
        timeout(PATIENCE, self.received.recv()).await.expect("it comes").expect("it listens")
    }

    /// The id of the event that comes next.
    async fn next_id(&mut self) -> String {
        self.next().await.headers["webhook-id"].to_str().expect("a text").to_owned()
    }
}

async fn publish(process: &Process, id: &str) {
    let event = json!({"id": id, "type": "ticket.updated", "subject": {"id": "t1"}, "data": {"price": 5}});
    process.post("/v1/events", &event).await.is(202);
}

/// A running listener, whose keyboard is a pipe.
struct Listening {
    child: Child,
    /// What it has written to standard error, line by line.
    notes: UnboundedReceiver<String>,
    noted: String,
}

impl Listening {
    /// Starts it.
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("the command starts");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let (sender, notes) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, notes, noted: String::new() }
    }

    async fn types(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("a keyboard");
        input.write_all(keys.as_bytes()).await.expect("it reads");
    }

    /// Waits for a line on standard error that has not come yet.
    async fn notes(&mut self, part: &str) {
        loop {
            let line = timeout(PATIENCE, self.notes.recv()).await.expect("it notes something");
            let line = line.expect("it runs");
            self.noted.extend([&*line, "\n"]);
            if line.contains(part) {
                return;
            }
        }
    }

    /// Waits for its end, and returns all that it has written.
    async fn ended(mut self) -> (Output, String) {
        let ended =
            timeout(PATIENCE, self.child.wait_with_output()).await.expect("it ends").expect("it runs");
        while let Some(line) = self.notes.recv().await {
            self.noted.extend([&*line, "\n"]);
        }
        (ended, self.noted)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_posted_shown_and_sent_again() {
    let home = Home::new();
    let process = home.serve().await;
    publish(&process, "before").await;
    let mut local = Local::start(StatusCode::CREATED).await;
    let arguments = ["listen", "--forward", &local.url, "--events", "ticket.*", "--since", "1h", "--print"];
    let mut listening = Listening::start(to(&home, &process, &arguments));
    let first = local.next().await;
    assert_eq!((&*first.path, &first.headers["webhook-id"]), ("/hook", &"before".parse().expect("a value")));
    assert_eq!(first.headers["content-type"], "application/json");
    assert!(first.headers["user-agent"].to_str().is_ok_and(|agent| agent.starts_with("Callboard/")));
    assert!(first.headers.contains_key("webhook-timestamp"));
    let body: Value = serde_json::from_slice(&first.body).expect("JSON");
    assert_eq!(body["subject"]["id"], "t1");

    publish(&process, "second").await;
    assert_eq!(local.next_id().await, "second");
    listening.types("r\n").await;
    assert_eq!(local.next_id().await, "second");
    listening.types("r 1\n").await;
    assert_eq!(local.next_id().await, "before");
    listening.types("r 9\nwhat\nq\n").await;
    let (ended, noted) = listening.ended().await;
    let shown = said(&ended);
    let lines: Vec<_> = shown.lines().filter(|line| line.contains("ticket.updated  ")).collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert_contains(lines[1], &["   2  ", "t1", "201", " ms"]);
    assert_contains(
        &shown,
        &["\"price\":5", "2 heard; 4 answered with 2xx, 0 with another status, 0 not answered; 2 sent again"],
    );
    assert_contains(&noted, &["listening for http://127.0.0.1:", "no such delivery", "type r for"]);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhooks_own_deliveries_come_signed_and_in_its_dialect() {
    let home = Home::new();
    let process = home.serve().await;
    let settings = json!({"url": "http://127.0.0.1:8/", "events": ["ticket.*"]});
    let made = process.post("/v1/webhooks", &settings).await.is(201);
    let mut local = Local::start(StatusCode::IM_A_TEAPOT).await;
    publish(&process, "signed").await;
    let id = made["id"].as_str().expect("an id");
    let arguments = ["listen", "--forward", &local.url, "--webhook", id, "--since", "1h"];
    let mut listening = Listening::start(to(&home, &process, &arguments));
    let received = local.next().await;
    let secret = made["secret"].as_str().expect("a secret");
    let verifier = standardwebhooks::Webhook::new(secret).expect("a secret");
    verifier.verify(&received.body, &received.headers).expect("a good signature");
    listening.types("q\n").await;
    assert_contains(
        &said(&listening.ended().await.0),
        &["418", "0 answered with 2xx, 1 with another status"],
    );

    let arguments = [
        "listen",
        "--forward",
        &local.url,
        "--dialect",
        "openticket",
        "--resource",
        "ticket",
        "--trigger",
        "update",
        "--since",
        "1h",
    ];
    let mut listening = Listening::start(to(&home, &process, &arguments));
    let received = local.next().await;
    assert_eq!(received.headers["user-agent"], "OpenTicket/Webhook");
    listening.types("q\n").await;
    said(&listening.ended().await.0);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_is_opened_anew_and_nothing_is_missed() {
    let home = Home::new();
    let process = home.serve().await;
    let line = Line::to(&format!("http://{}", process.address)).await;
    let mut local = Local::start(StatusCode::OK).await;
    let mut command =
        home.command(&["listen", "--forward", &local.url, "--server", line.url(), "--since", "1h"]);
    command.env("CALLBOARD_TOKEN", TOKEN);
    publish(&process, "one").await;
    let mut listening = Listening::start(command);
    assert_eq!(local.next_id().await, "one");
    for (cut, id) in ["two", "three"].into_iter().enumerate() {
        line.cut();
        listening.notes("trying again in 0.5 s").await;
        publish(&process, id).await;
        line.mend();
        assert_eq!(local.next_id().await, id, "after cut {cut}");
    }
    // Ctrl-C ends it with the sum.
    let pid =
        Pid::from_raw(listening.child.id().expect("it runs").try_into().expect("small")).expect("not zero");
    rustix::process::kill_process(pid, Signal::TERM).expect("it runs");
    let (ended, _) = listening.ended().await;
    assert_contains(&said(&ended), &["3 heard; 3 answered with 2xx"]);
    process.stop().await;
}

#[tokio::test]
async fn what_can_not_be_heard_is_refused_at_once() {
    let home = Home::new();
    let process = home.serve().await;
    let listen =
        async |arguments: &[&str]| output(to(&home, &process, &[&["listen"], arguments].concat())).await;
    ended_with(2, &listen(&[]).await);
    assert_contains(
        &ended_with(2, &listen(&["--forward", "localhost:3000"]).await),
        &["http://localhost:3000/hook"],
    );
    ended_with(2, &listen(&["--print", "--dialect", "morse"]).await);
    assert_contains(&ended_with(1, &listen(&["--print", "--events", "*.*"]).await), &["(400)", "  events: "]);
    let missing = "0198c0de-7c5e-7d3a-9d7e-2f1d6a1c0b55";
    ended_with(5, &listen(&["--print", "--webhook", missing]).await);
    ended_with(3, &listen(&["--print", "--server", "http://127.0.0.1:9"]).await);
    process.stop().await;
}
