//! What connections are made of: the machine's network, or another one.

use std::io::{self, Read as _};
use std::net::SocketAddr;

use async_trait::async_trait;
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Makes connections. Names were looked up, and addresses judged, before it is
/// asked; only the operator's proxy is not judged.
#[async_trait]
pub trait Network: Send + Sync {
    /// A connection to `address`. Who asks limits how long that may take.
    ///
    /// # Errors
    /// When there is none to be had.
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>>;
}

/// The bytes of a connection, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Reads what is there, without waiting for more: no bytes are the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, and whatever else
    /// reading brings up.
    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize>;
}

/// The machine's network.
pub(super) struct Tcp;

#[async_trait]
impl Network for Tcp {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        #[expect(clippy::disallowed_methods, reason = "the place it is reserved for: the address was judged")]
        let stream = TcpStream::connect(address).await?;
        // Without it a request may wait for the acknowledgement of the last one.
        // A peer that is gone already is found out by the exchange.
        stream.set_nodelay(true).ok();
        Ok(Box::new(stream))
    }
}

impl Stream for TcpStream {
    /// Asks the kernel: the runtime learns some time later what has come.
    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let raw = SockRef::from(&*self);
        let mut reader: &Socket = &raw;
        reader.read(buf)
    }
}
