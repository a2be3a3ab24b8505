//! The null relay: takes a POST, answers 202, forwards the body. It stores,
//! signs and retries nothing, so it is as fast as a sender on this machine
//! could be.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Entrance};
use crate::cli::{Outcome, say};
use crate::receiver;

/// Connections that forward: what one webhook has in flight by default.
const FORWARDERS: usize = 16;

/// Relays to `target` until standard input ends.
///
/// # Errors
/// When it can't listen or connect.
pub(super) async fn run(target: SocketAddr, copies: usize) -> Outcome {
    let (queue, waiting) = mpsc::unbounded_channel::<Bytes>();
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..FORWARDERS {
        let mut connection = Connection::open(&Entrance::open(target)).await?;
        let waiting = Arc::clone(&waiting);
        tokio::spawn(async move {
            loop {
                let Some(body) = waiting.lock().await.recv().await else { return };
                if connection.post(body).await.is_err() {
                    return;
                }
            }
        });
    }
    let behaviour: receiver::Behaviour = Arc::new(move |received| {
        for _ in 0..copies {
            if queue.send(received.body.clone()).is_err() {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
        }
        StatusCode::ACCEPTED
    });
    let stop = CancellationToken::new();
    let address = receiver::start(behaviour, stop).await?;
    say(&address.to_string())?;
    // The parent holds the other end, and ends us by ending it.
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut tokio::io::stdin(), &mut rest).await?;
    Ok(())
}
