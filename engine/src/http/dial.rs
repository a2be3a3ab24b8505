//! New connections: look up once, judge every address, dial what may be called,
//! through the operator's proxy where there is one.
//!
//! There is no second lookup between judging and dialling: a name that answers
//! differently the second time is how a private address would be reached.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use url::Host;

use super::explain;
use super::link::Link;
use super::network::{Network, Stream};
use super::progress::{Progress, Stage};
use super::proxy::Proxy;
use super::resolve::Resolve;
use super::tls::Tls;
use super::wire::{Gauge, Socket, Wire};
use super::{Endpoint, Fault};
use crate::guard::Guard;

/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// How long one address may keep the next from being tried (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

/// What it takes to make connections.
pub(super) struct Dialler {
    pub(super) guard: Guard,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) network: Arc<dyn Network>,
    /// Through whom connections are made.
    pub(super) proxy: Option<Proxy>,
    /// The text says why there is no TLS.
    pub(super) tls: Result<Tls, String>,
}

impl Dialler {
    /// Makes a connection that is ready for its first exchange.
    pub(super) async fn dial(
        &self,
        endpoint: &Endpoint,
        progress: &mut Progress<'_>,
    ) -> Result<Box<Link>, Fault> {
        let way = self.guard.judge_way(endpoint.server_name().is_some(), endpoint.port());
        way.map_err(|refusal| explain::blocked(endpoint, refusal))?;
        let addresses = self.addresses(endpoint, progress).await?;
        let addresses: Vec<SocketAddr> =
            addresses.into_iter().map(|ip| SocketAddr::new(ip, endpoint.port())).collect();
        progress.peer = addresses.first().copied();
        let (stream, peer) = if let Some(proxy) = &self.proxy {
            self.through(proxy, &addresses, progress).await?
        } else {
            progress.enter(Stage::Connect);
            connect(&self.network, &addresses).await.map_err(|(address, error)| {
                progress.peer = Some(address);
                explain::connect(address, &error)
            })?
        };
        progress.peer = Some(peer);
        let gauge = Arc::new(Gauge::default());
        let socket = Socket::new(stream, Arc::clone(&gauge));
        let wire = self.secure(endpoint, socket, progress).await?;
        Ok(Box::new(Link::new(wire, gauge, peer)))
    }

    /// The addresses that may be called.
    async fn addresses(
        &self,
        endpoint: &Endpoint,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<IpAddr>, Fault> {
        let found = match endpoint.host() {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => {
                progress.enter(Stage::Lookup);
                self.resolver.resolve(name).await.map_err(|failure| explain::lookup(name, &failure))?
            }
        };
        let mut refusal = None;
        let mut open = Vec::with_capacity(found.len());
        for address in found {
            let refused = self.guard.judge(address).err();
            match refused {
                None => open.push(address),
                Some(_) => refusal = refusal.or(refused),
            }
            progress.judged.push((address, refused));
        }
        match (refusal, open.is_empty()) {
            (_, false) => Ok(in_turns(open)),
            (Some(refusal), true) => Err(explain::blocked(endpoint, refusal)),
            (None, true) => Err(explain::no_address(endpoint)),
        }
    }

    /// A connection to the first of `addresses` that the proxy gets through to.
    async fn through(
        &self,
        proxy: &Proxy,
        addresses: &[SocketAddr],
        progress: &mut Progress<'_>,
    ) -> Result<(Box<dyn Stream>, SocketAddr), Fault> {
        let found = match &proxy.host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => {
                progress.enter(Stage::Proxy);
                self.resolver.resolve(name).await.map_err(|failure| explain::lookup(name, &failure))?
            }
        };
        let found: Vec<SocketAddr> =
            in_turns(found).into_iter().map(|ip| SocketAddr::new(ip, proxy.port)).collect();
        progress.enter(Stage::Proxy);
        let mut refused = None;
        for &address in addresses {
            progress.peer = Some(address);
            let connected = connect(&self.network, &found).await;
            let (mut stream, _) = connected.map_err(|(_, error)| explain::no_proxy(proxy, &error))?;
            match proxy.open(&mut *stream, address).await {
                Ok(()) => return Ok((stream, address)),
                Err(refusal) => {
                    let is_final = refusal.is_final();
                    refused = Some(explain::refused_by_proxy(proxy, address, &refusal));
                    if is_final {
                        break;
                    }
                }
            }
        }
        Err(refused.unwrap_or_else(|| explain::no_proxy(proxy, &io::Error::other("no address was tried"))))
    }

    async fn secure(
        &self,
        endpoint: &Endpoint,
        socket: Socket,
        progress: &mut Progress<'_>,
    ) -> Result<Wire, Fault> {
        let Some(name) = endpoint.server_name() else { return Ok(Wire::plain(socket)) };
        let tls = self.tls.as_ref().map_err(|reason| explain::no_tls(reason))?;
        let connector = tls.connector(endpoint.identity()).map_err(|reason| explain::no_tls(&reason))?;
        progress.enter(Stage::Tls);
        let secured = connector.connect(name.clone(), socket).await;
        let stream = secured.map_err(|error| explain::handshake(endpoint, &error))?;
        progress.protocol = stream.get_ref().1.protocol_version();
        Ok(Wire::tls(stream))
    }
}

/// IPv6 and IPv4 by turns, so that one broken family costs one head start.
fn in_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut turns = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    while turns.len() < MOST_ADDRESSES {
        let before = turns.len();
        turns.extend(first.next());
        turns.extend(second.next());
        if turns.len() == before {
            break;
        }
    }
    turns
}

/// The first connection that comes about, each address having a head start
/// before the next. Fails with the last address that did.
async fn connect(
    network: &Arc<dyn Network>,
    addresses: &[SocketAddr],
) -> Result<(Box<dyn Stream>, SocketAddr), (SocketAddr, io::Error)> {
    if let &[only] = addresses {
        let stream = network.connect(only).await.map_err(|error| (only, error))?;
        return Ok((stream, only));
    }
    let mut waiting = addresses.iter().copied();
    let mut running = JoinSet::new();
    let mut failed = None;
    loop {
        let more = waiting.next().map(|address| {
            let network = Arc::clone(network);
            running.spawn(async move { (address, network.connect(address).await) })
        });
        let ended = if more.is_some() {
            match tokio::time::timeout(HEAD_START, running.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        } else {
            running.join_next().await
        };
        match ended {
            Some(Ok((address, Ok(stream)))) => return Ok((stream, address)),
            Some(Ok((address, Err(error)))) => failed = Some((address, error)),
            Some(Err(_)) => {}
            None => break,
        }
    }
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    Err(failed.unwrap_or((unspecified, io::Error::other("no address could be tried"))))
}
