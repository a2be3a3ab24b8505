//! A network that records who is called, and plays a receiver that answers
//! whatever it is asked with the same bytes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use callboard_engine::http::{LookupFailure, Network, Resolve, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// One thing that a receiver does once it was asked.
#[derive(Debug, Clone)]
pub enum Act {
    /// These bytes arrive together.
    Send(Bytes),
    /// Nothing happens for so long.
    Wait(Duration),
}

/// How a receiver ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It closes it.
    Close,
    /// It breaks it off.
    Reset,
    /// It stays, and says nothing more.
    Silence,
}

/// What became of the connections.
#[derive(Debug, Default)]
pub struct Record {
    /// The names that were looked up.
    pub looked_up: Vec<String>,
    /// The addresses that were called.
    pub called: Vec<SocketAddr>,
    /// What was written, one text a connection.
    pub written: Vec<Vec<u8>>,
    /// How many bytes were read, in all connections.
    pub read: usize,
}

/// All there is outside of the client.
pub struct Outside {
    /// What names lead to.
    pub addresses: Vec<IpAddr>,
    /// What receivers do on each connection.
    pub acts: Vec<Act>,
    /// How each connection ends.
    pub end: End,
    /// Most bytes that arrive together.
    pub piece: usize,
    /// What was done.
    pub record: Arc<Mutex<Record>>,
}

#[async_trait]
impl Resolve for Outside {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, LookupFailure> {
        self.record.lock().expect("a record").looked_up.push(name.to_owned());
        Ok(self.addresses.clone())
    }
}

#[async_trait]
impl Network for Outside {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let mut record = self.record.lock().expect("a record");
        record.called.push(address);
        record.written.push(Vec::new());
        let mut acts = self.acts.clone();
        acts.reverse();
        Ok(Box::new(Connection {
            index: record.written.len() - 1,
            record: Arc::clone(&self.record),
            acts,
            end: self.end,
            piece: self.piece,
            asked: false,
            reader: None,
            alarm: None,
        }))
    }
}

/// A connection, as the client holds it.
struct Connection {
    index: usize,
    record: Arc<Mutex<Record>>,
    /// What is still to be done, the next at the end.
    acts: Vec<Act>,
    end: End,
    piece: usize,
    /// Whether anything was written; before that, receivers are silent.
    asked: bool,
    reader: Option<Waker>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// What there is to read at once; `None` when something has to happen first.
    fn take(&mut self, room: usize) -> Option<io::Result<Bytes>> {
        if !self.asked || self.alarm.is_some() {
            return None;
        }
        match self.acts.last_mut() {
            Some(Act::Send(bytes)) => {
                let taken = bytes.split_to(room.min(self.piece).min(bytes.len()));
                if bytes.is_empty() {
                    self.acts.pop();
                }
                self.record.lock().expect("a record").read += taken.len();
                Some(Ok(taken))
            }
            Some(Act::Wait(_)) => None,
            None => match self.end {
                End::Close => Some(Ok(Bytes::new())),
                End::Reset => Some(Err(io::ErrorKind::ConnectionReset.into())),
                End::Silence => None,
            },
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(alarm) = &mut self.alarm {
                std::task::ready!(alarm.as_mut().poll(cx));
                self.alarm = None;
            }
            if let Some(taken) = self.take(buf.remaining()) {
                return Poll::Ready(taken.map(|bytes| buf.put_slice(&bytes)));
            }
            match self.acts.last() {
                Some(Act::Wait(time)) if self.asked => {
                    self.alarm = Some(Box::pin(tokio::time::sleep(*time)));
                    self.acts.pop();
                }
                _ => {
                    self.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        let index = self.index;
        self.record.lock().expect("a record").written[index].extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Connection {
    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let taken = self.take(buf.len()).unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))?;
        buf[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}
