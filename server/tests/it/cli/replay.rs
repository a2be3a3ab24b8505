//! `callboard replay` and `callboard job`, against a running server.

use std::process::Output;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::{assert_contains, complained, ended_with, said, to};
use crate::process::{Home, PATIENCE, Process, output, text, until};

/// A server with four events that nobody heard, and a paused webhook that would
/// hear three of them.
async fn late(home: &Home) -> (Process, String) {
    let process = home.serve().await;
    for (id, type_name) in
        [("a", "order.paid"), ("b", "order.created"), ("c", "order.paid"), ("d", "shop.paid")]
    {
        let event = json!({"id": id, "type": type_name, "subject": {"id": id}});
        process.post("/v1/events", &event).await.is(202);
    }
    let settings = json!({"url": "http://127.0.0.1:8/", "events": ["order.*"]});
    let webhook = process.make_webhook(&settings).await;
    process.post(&format!("/v1/webhooks/{webhook}/pause"), &json!({})).await.is(200);
    (process, webhook)
}

#[tokio::test]
async fn what_is_missing_is_counted_and_then_sent() {
    let home = Home::new();
    let (process, webhook) = late(&home).await;
    let replay = async |more: &[&str]| {
        let arguments = [&["replay", &*webhook], more].concat();
        output(to(&home, &process, &arguments)).await
    };
    let counted = said(&replay(&["--since", "2h", "--missing", "--dry-run"]).await);
    assert_eq!(counted, "3 deliveries would be sent\n");
    let narrow = ["--since", "2h", "--missing", "--dry-run", "--type", "order.created", "--subject", "b"];
    assert_eq!(said(&replay(&narrow).await), "1 delivery would be sent\n");
    let counted =
        said(&replay(&["--since", "7d", "--until", "1h", "--missing", "--dry-run", "--json"]).await);
    assert_eq!(counted, "{\"total\":0,\"total_capped\":false}\n");
    process.get("/v1/jobs/job_1").await.is(404);

    let sent = replay(&["--since", "2000-01-01T00:00:00Z", "--missing", "--rate", "1000"]).await;
    assert_eq!(said(&sent), "job_1: finished, 3 of 3 sent, 4 looked at\n");
    assert_eq!(text(&sent.stderr), "", "progress is for terminals");
    assert_eq!(process.get(&format!("/v1/webhooks/{webhook}/stats")).await.is(200)["queued"], 3);
    // Everything of that is to be sent already, so there is nothing to send again.
    let again = said(&replay(&["--since", "2h", "--json"]).await);
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!((&again["state"], &again["done"]), (&json!("finished"), &json!(0)));
    let states = &again["selection"]["states"];
    assert_eq!(*states, json!(["delivered", "failed", "cancelled"]));
    let begun =
        said(&replay(&["--since", "2h", "--state", "failed", "--state", "superseded", "--no-wait"]).await);
    assert_contains(&begun, &["job_3: ", "0 of 0 sent"]);
    let job = process.get("/v1/jobs/job_3").await.is(200);
    assert_eq!(job["selection"]["states"], json!(["failed", "superseded"]));
    process.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_replay_is_explained() {
    let home = Home::new();
    let (process, webhook) = late(&home).await;
    let replay = async |arguments: &[&str]| output(to(&home, &process, arguments)).await;
    let refused =
        complained(&replay(&["replay", &webhook, "--since", "2h", "--state", "lost", "--rate", "0"]).await);
    assert_contains(&refused, &["(400)", "/states: ", "superseded", "/rate_per_second: "]);
    let refused = ended_with(5, &replay(&["replay", "nothing", "--since", "2h"]).await);
    assert_contains(&refused, &["(404)"]);
    let misread = |output: &Output, part: &str| {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_contains(&text(&output.stderr), &[part]);
    };
    misread(&replay(&["replay", &webhook]).await, "--since");
    misread(&replay(&["replay", &webhook, "--since", "yesterday"]).await, "such as 2h");
    let both = ["replay", &webhook, "--since", "2h", "--missing", "--state", "failed"];
    misread(&replay(&both).await, "--missing");
    let refused = ended_with(5, &replay(&["job", "show", "job_9"]).await);
    assert_contains(&refused, &["(404)"]);
    process.stop().await;
}

#[tokio::test]
async fn whoever_interrupts_a_replay_leaves_it_running_and_is_told_how_to_stop_it() {
    let home = Home::new();
    let (process, webhook) = late(&home).await;
    let arguments = ["replay", &webhook, "--since", "2h", "--missing", "--rate", "0.01"];
    let mut command: Command = to(&home, &process, &arguments);
    let waiting = command.spawn().expect("the command starts");
    let pid = Pid::from_raw(waiting.id().expect("it runs").try_into().expect("small")).expect("not zero");
    until("the job runs", async || {
        let answer = process.get("/v1/jobs/job_1").await;
        (answer.status == 200 && answer.is(200)["done"] == 1).then_some(())
    })
    .await;
    // The program may not listen to the signal yet, and would then end by it without a word.
    until("it listens to the signal", async || catches_interrupts(pid).then_some(())).await;
    rustix::process::kill_process(pid, Signal::INT).expect("it runs");
    let ended = timeout(PATIENCE, waiting.wait_with_output()).await.expect("it ends").expect("it runs");
    assert_contains(&complained(&ended), &["job_1 goes on", "callboard job stop job_1"]);
    let shown = said(&output(to(&home, &process, &["job", "show", "job_1"])).await);
    assert_eq!(shown, "job_1: running, 1 of 3 sent, 1 looked at\n");
    let stopped = said(&output(to(&home, &process, &["job", "stop", "job_1", "--json"])).await);
    assert_eq!(serde_json::from_str::<Value>(&stopped).expect("JSON")["state"], "stopped");
    process.stop().await;
}

/// Whether a process has a handler for SIGINT, which is number 2.
fn catches_interrupts(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).expect("a status");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line of it");
    u64::from_str_radix(caught.trim(), 16).expect("a mask") & 0b10 != 0
}
