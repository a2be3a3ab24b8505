//! A receiver that misbehaves.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// How it misbehaves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Conduct {
    /// Accepts and says nothing.
    Silence,
    /// Answers, but one byte a second.
    Drip,
    /// Answers at once, and then sends the body one byte a second.
    DripBody,
    /// Answers 200 with a body that does not end.
    Endless,
    /// Reads the request and resets the connection.
    Reset,
    /// Answers with 100 KiB of headers.
    Headers,
    /// Speaks another protocol, and speaks first.
    Greeting,
    /// Speaks TLS with a certificate that nobody vouches for.
    SelfSigned,
    /// Sends the caller elsewhere: back into the machine's own network.
    Redirect,
    /// Does not listen at all.
    Refuse,
    /// Answers 200 and announces a body, of which half comes.
    Half,
    /// Sends nothing but interim answers.
    Interim,
    /// Speaks HTTP/2, whatever it was asked in.
    Two,
    /// Answers 200 in chunks that are none.
    Chunks,
    /// Answers 999 with bytes that are no text, NULs among them.
    Binary,
    /// Answers 500 with as many cookies as it may.
    Cookies,
    /// Answers 503 and asks for a wait that is none.
    Never,
    /// Resets a connection at its first byte, whatever that is.
    HangUp,
    /// Claims a compressed body of a size that it never sends.
    Bomb,
}

/// A misbehaving receiver; stops when dropped.
pub(super) struct Villain {
    pub(super) address: SocketAddr,
    /// Accepts; none when nobody listens.
    accepting: Option<AbortHandle>,
}

impl Villain {
    pub(super) async fn start(conduct: Conduct) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port to listen on");
        let address = listener.local_addr().expect("an address");
        if matches!(conduct, Conduct::Refuse) {
            return Self { address, accepting: None };
        }
        let tls = identity();
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tls = tls.clone();
                // How it ends is judged from the other side.
                tokio::spawn(async move { misbehave(conduct, stream, tls).await });
            }
        };
        Self { address, accepting: Some(tokio::spawn(accept).abort_handle()) }
    }
}

impl Drop for Villain {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

/// A certificate for the right address, by an issuer that nobody knows.
fn identity() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a usable certificate");
    TlsAcceptor::from(Arc::new(config))
}

async fn misbehave(conduct: Conduct, mut stream: TcpStream, tls: TlsAcceptor) -> io::Result<()> {
    match conduct {
        Conduct::SelfSigned => return tls.accept(stream).await.map(drop),
        Conduct::Greeting => stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await?,
        Conduct::Silence => return until_gone(&mut stream).await,
        Conduct::HangUp => {
            let _ = stream.read(&mut [0]).await?;
            return stream.set_zero_linger();
        }
        _ => {}
    }
    // A request of this test comes in one piece.
    let _ = stream.read(&mut vec![0; 16 * 1024]).await?;
    match conduct {
        Conduct::Drip => drip(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await?,
        Conduct::DripBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
            drip(&mut stream, b"slowly").await?;
        }
        Conduct::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 4_096]).await?;
            }
        }
        Conduct::Reset => return stream.set_zero_linger(),
        Conduct::Headers => {
            let many = "x-padding: 0123456789\r\n".repeat(100 * 1024 / 23);
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{many}\r\n").as_bytes()).await?;
        }
        Conduct::Redirect => {
            let to = "location: http://169.254.169.254/\r\ncontent-length: 0\r\nconnection: close";
            stream.write_all(format!("HTTP/1.1 302 Found\r\n{to}\r\n\r\n").as_bytes()).await?;
        }
        Conduct::Half => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await?;
            return Ok(());
        }
        Conduct::Interim => loop {
            stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await?;
        },
        Conduct::Two => stream.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\r\n\r\n").await?,
        Conduct::Chunks => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nx").await?;
        }
        Conduct::Binary => {
            let answer = b"HTTP/1.1 999 \xff\r\nx-odd: \xc3\x28\r\nconnection: close\r\ncontent-length: 5\r\n\r\na\0\xffb\x1b";
            stream.write_all(answer).await?;
        }
        Conduct::Cookies => {
            let cookies = "set-cookie: a=b\r\n".repeat(90);
            let answer = format!("HTTP/1.1 500 X\r\n{cookies}connection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
        }
        Conduct::Never => {
            let answer =
                b"HTTP/1.1 503 X\r\nretry-after: -9\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await?;
        }
        Conduct::Bomb => {
            let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99999999999\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[0; 4_096]).await?;
            }
        }
        Conduct::Greeting | Conduct::Silence | Conduct::SelfSigned | Conduct::Refuse | Conduct::HangUp => {}
    }
    until_gone(&mut stream).await
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for byte in bytes {
        second.tick().await;
        stream.write_all(&[*byte]).await?;
    }
    Ok(())
}

/// Reads and discards until the other side is gone.
async fn until_gone(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4_096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
