//! What becomes of messages while the database can't be used: a file that can't
//! grow, or a server that can't be reached.

use tokio::process::Command;

use super::{CONSUMER, NatsServer, STREAM, consuming, event, nats, recorded, start, until_it_is};
use crate::process::line::Line;
use crate::process::{Home, Process};

/// The way to a database that a test can take away.
struct Way {
    /// To a database on a server.
    line: Option<Line>,
}

impl Way {
    async fn to(home: &Home) -> Self {
        let line = match home.server_url() {
            Some(url) => Some(Line::to(url).await),
            None => None,
        };
        Self { line }
    }

    /// The program, consuming from this server; a message that was not acknowledged
    /// comes again in an hour.
    fn consuming(&self, home: &Home, nats: &NatsServer) -> Command {
        let mut command = consuming(home, nats);
        command.env("CALLBOARD_SOURCE_NATS_ACK_WAIT_SECONDS", "3600");
        if let Some(line) = &self.line {
            command.env("CALLBOARD_DATABASE", line.url());
        }
        command
    }

    fn take_away(&self, process: &Process) {
        match &self.line {
            Some(line) => line.cut(),
            None => process.limit_files(Some(0)),
        }
    }

    fn give_back(&self, process: &Process) {
        match &self.line {
            Some(line) => line.mend(),
            None => process.limit_files(None),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_can_not_be_used_messages_are_held_in_their_order() {
    let (nats, broker) = nats().await;
    let home = Home::new();
    let way = Way::to(&home).await;
    let mut command = way.consuming(&home, &nats);
    command.env("CALLBOARD_SOURCE_NATS_BATCH_MESSAGES", "7");
    let process = start(command).await;
    until_it_is(&process, "consuming").await;
    way.take_away(&process);
    let ids: Vec<String> = (0..50).map(|number| format!("held-{number}")).collect();
    for id in &ids {
        broker.publish("tickets.a", &[], event(id).to_string()).await;
    }
    process.line("can't be recorded yet; they are held").await;
    assert_eq!(process.get("/readyz").await.status, 503);
    let (_, unacknowledged) = broker.left(STREAM, CONSUMER).await.expect("a consumer");
    assert!((1..=7).contains(&unacknowledged), "{unacknowledged} were taken");
    way.give_back(&process);
    broker.until_taken(STREAM, CONSUMER).await;
    process.line("are recorded again").await;
    until_it_is(&process, "consuming").await;
    assert_eq!(recorded(&process).await, ids);
    assert_eq!(broker.jetstream.get_stream("DEAD").await.expect("a stream").cached_info().state.messages, 0);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_gives_back_what_was_not_recorded() {
    let (nats, broker) = nats().await;
    let home = Home::new();
    let way = Way::to(&home).await;
    let process = start(way.consuming(&home, &nats)).await;
    until_it_is(&process, "consuming").await;
    way.take_away(&process);
    for number in 0..20 {
        broker.publish("tickets.a", &[], event(&format!("back-{number}")).to_string()).await;
    }
    process.line("they are held").await;
    process.terminate();
    process.ended().await;
    if let Some(line) = &way.line {
        line.mend();
    }
    let process = start(way.consuming(&home, &nats)).await;
    // Without being given back they would come in an hour.
    broker.until_taken(STREAM, CONSUMER).await;
    assert_eq!(recorded(&process).await.len(), 20);
    process.stop().await;
}
