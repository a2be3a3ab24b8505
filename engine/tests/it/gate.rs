//! A receiver that holds its answers back until it is opened, and tells what
//! arrived in what order.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// The receiver.
pub(crate) struct Gate {
    address: SocketAddr,
    arrivals: mpsc::UnboundedReceiver<String>,
    open: watch::Sender<bool>,
}

/// What its connections share.
#[derive(Clone)]
struct Stage {
    statuses: Arc<Mutex<VecDeque<u16>>>,
    arrived: mpsc::UnboundedSender<String>,
    open: watch::Receiver<bool>,
}

impl Gate {
    /// Answers at once: with these statuses, and then 200.
    pub(crate) async fn open(statuses: impl IntoIterator<Item = u16>) -> Self {
        Self::start(statuses, true).await
    }

    /// Answers when it is opened.
    pub(crate) async fn closed(statuses: impl IntoIterator<Item = u16>) -> Self {
        Self::start(statuses, false).await
    }

    async fn start(statuses: impl IntoIterator<Item = u16>, is_open: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let (open, opened) = watch::channel(is_open);
        let statuses = Arc::new(Mutex::new(statuses.into_iter().collect()));
        let stage = Stage { statuses, arrived, open: opened };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, stage.clone()));
            }
        });
        Self { address, arrivals, open }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Holds answers back again.
    pub(crate) fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Lets all answers go.
    pub(crate) fn open_wide(&self) {
        self.open.send_replace(true);
    }

    /// The head of the next request.
    pub(crate) async fn arrived(&mut self) -> String {
        let arrived = tokio::time::timeout(Duration::from_secs(20), self.arrivals.recv()).await;
        arrived.unwrap().unwrap()
    }

    /// Requests that arrived and were not asked for.
    pub(crate) fn waiting(&self) -> usize {
        self.arrivals.len()
    }
}

async fn serve(mut stream: TcpStream, mut stage: Stage) {
    let mut seen = Vec::new();
    loop {
        let Some(end) = find(&seen, b"\r\n\r\n") else {
            let mut chunk = [0; 4_096];
            match stream.read(&mut chunk).await {
                Ok(length) if length > 0 => seen.extend_from_slice(&chunk[..length]),
                _ => return,
            }
            continue;
        };
        let head = String::from_utf8_lossy(&seen[..end + 2]).into_owned();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let whole = end + 4 + length.unwrap_or(0);
        while seen.len() < whole {
            if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                return;
            }
        }
        seen.drain(..whole);
        let _ = stage.arrived.send(head);
        if stage.open.wait_for(|open| *open).await.is_err() {
            return;
        }
        let status = stage.statuses.lock().pop_front().unwrap_or(200);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
