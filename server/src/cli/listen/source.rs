//! The connection by which a server tells what happens.

use std::io::BufReader;
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::frames::{self, Frame};
use crate::cli::Failure;
use crate::cli::remote::{Remote, Unopened};

/// How many frames are read ahead.
const AHEAD: usize = 16;

/// What comes by a connection.
pub(super) enum Heard {
    /// The server listens.
    Opened,
    /// Something is told.
    Frame(Frame),
    /// Nothing more comes.
    Ended {
        /// What became of it.
        words: String,
        /// Whether another may come about.
        retry: bool,
        /// Why it never came about.
        failure: Option<Failure>,
    },
}

/// Opens one that goes on behind `place`. It is read until nobody hears of it any more.
pub(super) fn open(remote: Arc<Remote>, path: String, place: Option<String>) -> Receiver<Heard> {
    let (sender, receiver) = channel(AHEAD);
    // A thread of its own, because one that is blocked would hold up the end of a
    // runtime.
    std::thread::spawn(move || {
        let ended = match remote.follow(&path, place.as_deref()) {
            Ok(body) => read(body, &sender),
            Err(Unopened { retry, failure }) => {
                Heard::Ended { words: failure.to_string(), retry, failure: Some(failure) }
            }
        };
        // Nobody hears any more.
        let _ = sender.blocking_send(ended);
    });
    receiver
}

fn read(body: impl std::io::Read, sender: &Sender<Heard>) -> Heard {
    let mut body = BufReader::new(body);
    let mut told = sender.blocking_send(Heard::Opened);
    let words = loop {
        if told.is_err() {
            break "nobody listens".to_owned();
        }
        match frames::next(&mut body) {
            Ok(Some(frame)) => told = sender.blocking_send(Heard::Frame(frame)),
            Ok(None) => break "the server ended the connection".to_owned(),
            Err(error) => break format!("the connection broke: {error}"),
        }
    };
    Heard::Ended { words, retry: true, failure: None }
}
