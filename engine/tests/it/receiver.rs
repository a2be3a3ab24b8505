//! A receiver that does what it is told, however hostile.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a receiver does. [`Act::Hang`], [`Act::HangUp`], [`Act::Greet`] and
/// [`Act::Early`] are for a connection and come before its first request; the
/// others answer one request each.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers with these bytes and stays open.
    Answer(Vec<u8>),
    /// Answers with these bytes, which may be none, and closes.
    AnswerAndClose(Vec<u8>),
    /// Answers, closes once the first is signalled, then signals the second.
    AnswerAndCloseLater(Vec<u8>, Arc<Notify>, Arc<Notify>),
    /// Reads the request and resets the connection.
    Reset,
    /// Reads the request and says nothing.
    Silence,
    /// Answers one byte a second.
    Drip(Vec<u8>),
    /// Answers with the first, then with the second over and over.
    Flood(Vec<u8>, Vec<u8>),
    /// Accepts, and never reads.
    Hang,
    /// Accepts, and closes.
    HangUp,
    /// Speaks before it is spoken to.
    Greet(Vec<u8>),
    /// Answers once the first bytes of a request are there, and reads no more.
    Early(Vec<u8>),
    /// Answers with these bytes, says that no more will come, and reads on.
    AnswerAndHalfClose(Vec<u8>),
}

impl Act {
    /// An answer with this status and body, framed by its length.
    pub(crate) fn status(status: u16, body: &str) -> Self {
        let length = body.len();
        Self::Answer(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
    }

    pub(crate) fn answer(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Answer(bytes.into())
    }
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The certificate that the client showed.
    pub(crate) client: Option<CertificateDer<'static>>,
}

/// A listening receiver; stops when dropped. Once its script is played it
/// answers `200` with the body `ok`.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    stage: Arc<Stage>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Stage {
    script: Mutex<VecDeque<Act>>,
    connections: AtomicUsize,
    received: Mutex<Vec<Received>>,
}

impl Receiver {
    pub(crate) async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        Self::bind("127.0.0.1:0", script, None).await
    }

    pub(crate) async fn start_tls(script: impl IntoIterator<Item = Act>, identity: Identity) -> Self {
        Self::bind("127.0.0.1:0", script, Some(identity.acceptor())).await
    }

    /// As [`Self::start_tls`], asking clients for a certificate that one of
    /// `authorities` vouches for, which they may refuse to give unless it is
    /// `required`.
    pub(crate) async fn start_mutual(
        identity: Identity,
        authorities: &[CertificateDer<'static>],
        required: bool,
    ) -> Self {
        Self::bind("127.0.0.1:0", [], Some(identity.asking(authorities, required))).await
    }

    pub(crate) async fn bind(
        address: &str,
        script: impl IntoIterator<Item = Act>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Mutex::new(script.into_iter().collect());
        let stage = Arc::new(Stage { script, ..Stage::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&stage), tls));
        Self { address, stage, accepting }
    }

    /// Its address with plain http.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.stage.connections.load(Ordering::SeqCst)
    }

    /// Every request so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.stage.received.lock().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, stage: Arc<Stage>, tls: Option<TlsAcceptor>) {
    while let Ok((stream, _)) = listener.accept().await {
        stage.connections.fetch_add(1, Ordering::SeqCst);
        let (stage, tls) = (Arc::clone(&stage), tls.clone());
        // How a connection ends is seen, and judged, from the other side.
        tokio::spawn(async move {
            match tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => stage.serve(stream).await,
                    Err(error) => Err(error),
                },
                None => stage.serve(stream).await,
            }
        });
    }
}

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes the coming drop a reset.
    fn reset(&self);

    /// The certificate that the client showed.
    fn client(&self) -> Option<CertificateDer<'static>> {
        None
    }
}

impl Connection for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Connection for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }

    fn client(&self) -> Option<CertificateDer<'static>> {
        let shown = self.get_ref().1.peer_certificates()?;
        shown.first().map(|own| own.clone().into_owned())
    }
}

impl Stage {
    async fn serve(&self, mut stream: impl Connection) -> io::Result<()> {
        match self.next_if(|act| matches!(act, Act::Hang | Act::HangUp | Act::Greet(_) | Act::Early(_))) {
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::HangUp) => return Ok(()),
            Some(Act::Greet(greeting)) => stream.write_all(&greeting).await?,
            Some(Act::Early(answer)) => {
                let _ = stream.read(&mut [0; 16]).await?;
                stream.write_all(&answer).await?;
                return std::future::pending().await;
            }
            _ => {}
        }
        while let Some(received) = read_request(&mut stream).await? {
            self.received.lock().push(received);
            match self.next_if(|_| true).unwrap_or_else(|| Act::status(200, "ok")) {
                Act::Answer(bytes) => stream.write_all(&bytes).await?,
                Act::AnswerAndClose(bytes) => {
                    stream.write_all(&bytes).await?;
                    return stream.shutdown().await;
                }
                Act::AnswerAndCloseLater(bytes, signal, closed) => {
                    stream.write_all(&bytes).await?;
                    signal.notified().await;
                    drop(stream);
                    closed.notify_one();
                    return Ok(());
                }
                Act::Reset => {
                    stream.reset();
                    return Ok(());
                }
                Act::AnswerAndHalfClose(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.shutdown().await?;
                    until_gone(&mut stream).await?;
                }
                Act::Silence | Act::Hang | Act::HangUp | Act::Greet(_) | Act::Early(_) => {
                    until_gone(&mut stream).await?;
                }
                Act::Drip(bytes) => drip(&mut stream, &bytes).await?,
                Act::Flood(start, more) => {
                    stream.write_all(&start).await?;
                    loop {
                        stream.write_all(&more).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn next_if(&self, wanted: impl Fn(&Act) -> bool) -> Option<Act> {
        let mut script = self.script.lock();
        if script.front().is_some_and(wanted) { script.pop_front() } else { None }
    }
}

async fn drip(stream: &mut impl Connection, bytes: &[u8]) -> io::Result<()> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for byte in bytes {
        second.tick().await;
        stream.write_all(&[*byte]).await?;
        stream.flush().await?;
    }
    Ok(())
}

async fn until_gone(stream: &mut impl Connection) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// One request with its body; `None` at the connection's end.
async fn read_request(stream: &mut impl Connection) -> io::Result<Option<Received>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = bytes.split_off(end);
    while body.len() < length.parse().unwrap() {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Received { head, body, client: stream.client() }))
}

/// What a TLS receiver shows, and who vouches for it.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Its own certificate and its key, as PEM.
    pub(crate) pem: (String, String),
    /// The root to trust for this identity to be trusted.
    pub(crate) root: CertificateDer<'static>,
}

impl Identity {
    /// A certificate for `names`, signed by a root of its own, after `change`.
    pub(crate) fn new(names: &[&str], change: impl Fn(&mut rcgen::CertificateParams)) -> Self {
        let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root_key = rcgen::KeyPair::generate().unwrap();
        // Two roots of one name would make a stranger look like a forger.
        let name = format!("Root {:?}", &root_key.public_key_raw()[..8]);
        root.distinguished_name.push(rcgen::DnType::CommonName, name);
        let root_der = root.self_signed(&root_key).unwrap().der().clone();
        let issuer = rcgen::Issuer::new(root, root_key);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut leaf = rcgen::CertificateParams::new(names).unwrap();
        change(&mut leaf);
        let key = rcgen::KeyPair::generate().unwrap();
        Self::of(&leaf.signed_by(&key, &issuer).unwrap(), &key, Some(root_der))
    }

    /// A certificate for `name` that signed itself, after `change`.
    pub(crate) fn self_signed(name: &str, change: impl Fn(&mut rcgen::CertificateParams)) -> Self {
        let mut leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut leaf);
        let key = rcgen::KeyPair::generate().unwrap();
        Self::of(&leaf.self_signed(&key).unwrap(), &key, None)
    }

    fn of(leaf: &rcgen::Certificate, key: &rcgen::KeyPair, root: Option<CertificateDer<'static>>) -> Self {
        Self {
            chain: vec![leaf.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            pem: (leaf.pem(), key.serialize_pem()),
            root: root.unwrap_or_else(|| leaf.der().clone()),
        }
    }

    /// Its own certificate.
    pub(crate) fn own(&self) -> CertificateDer<'static> {
        self.chain[0].clone()
    }

    fn acceptor(self) -> TlsAcceptor {
        self.serving(Arc::new(NoClientAuth))
    }

    fn asking(self, authorities: &[CertificateDer<'static>], required: bool) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
        self.serving(verifier.build().unwrap())
    }

    fn serving(self, verifier: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain, self.key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
