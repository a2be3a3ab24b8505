//! What a service manager hears of the program that it has started.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::process::{Home, PATIENCE, Process, text};

/// The next message that starts so; those before it are no matter.
async fn hear(socket: &UnixDatagram, start: &str) -> String {
    let hearing = async {
        loop {
            let mut message = [0; 1024];
            let length = socket.recv(&mut message).await.expect("a message");
            let message = text(&message[..length]);
            if message.starts_with(start) {
                return message;
            }
        }
    };
    timeout(PATIENCE, hearing).await.expect(start)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_hears_of_the_start_the_life_and_the_stop() {
    let home = Home::new();
    let socket = UnixDatagram::bind(home.path("notify")).expect("a socket");
    let mut server = home.server();
    server.env("NOTIFY_SOCKET", home.path("notify")).env("WATCHDOG_USEC", "100000");
    let process = Process::start(server).await;
    let mut first = [0; 1024];
    let length = timeout(PATIENCE, socket.recv(&mut first)).await.expect("a message").expect("a message");
    assert_eq!(text(&first[..length]), format!("READY=1\nSTATUS=Listening on {}", process.address));
    // What is said to be ready is, without another look.
    process.get("/readyz").await.is(200);
    for _ in 0..3 {
        let alive = hear(&socket, "WATCHDOG=1\n").await;
        assert_eq!(alive, format!("WATCHDOG=1\nSTATUS=Listening on {}", process.address));
    }
    process.terminate();
    hear(&socket, "STOPPING=1\nSTATUS=Stopping").await;
    assert!(process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_can_not_be_told_does_not_hold_the_start_up() {
    let home = Home::new();
    let mut server = home.server();
    server.env("NOTIFY_SOCKET", home.path("nobody"));
    let process = Process::start(server).await;
    process.line("the service manager can't be told").await;
    process.until_ready().await;
    process.stop().await;
}
