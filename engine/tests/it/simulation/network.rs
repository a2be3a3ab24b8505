//! The simulated network: names, addresses, and connections to receivers.

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use callboard_engine::http::{LookupFailure, Network, Resolve, Stream};
use parking_lot::Mutex;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::receiver::Receiver;
use super::record::Record;
use super::weather::{Trouble, Weather};
use super::wire::{Route, Wire};

/// Addresses of receivers begin so, and end in the receiver's number.
const LISTENING: [u8; 3] = [8, 8, 8];

/// Nothing is at addresses that begin so.
const EMPTY: [u8; 3] = [8, 8, 9];

/// All there is outside of the process.
pub(crate) struct Outside {
    pub(crate) record: Arc<Record>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) receivers: Vec<Arc<Receiver>>,
    pub(crate) rng: Mutex<StdRng>,
}

/// Where a receiver is called: by address, or by a name. Every third has a
/// second address, where nothing is.
pub(crate) fn url(receiver: usize) -> String {
    match receiver % 3 {
        0 => format!("http://8.8.8.{receiver}/hook"),
        _ => format!("http://r{receiver}.example/hook"),
    }
}

fn address([a, b, c]: [u8; 3], receiver: usize) -> IpAddr {
    IpAddr::from([a, b, c, u8::try_from(receiver).unwrap()])
}

#[async_trait]
impl Resolve for Outside {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, LookupFailure> {
        let receiver: usize = name[1..].split('.').next().and_then(|text| text.parse().ok()).unwrap();
        tokio::time::sleep(self.latency()).await;
        if self.weather.trouble(receiver, self.record.elapsed()) == Some(Trouble::NoName) {
            return Err(LookupFailure::NoAddress);
        }
        let mut found = vec![address(LISTENING, receiver)];
        if receiver % 3 == 2 {
            found.insert(0, address(EMPTY, receiver));
        }
        Ok(found)
    }
}

#[async_trait]
impl Network for Outside {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let IpAddr::V4(ip) = address.ip() else { return Err(io::ErrorKind::NetworkUnreachable.into()) };
        let [network @ .., receiver] = ip.octets();
        let receiver = usize::from(receiver);
        let latency = self.latency();
        if network == EMPTY {
            // Half of the time a router says so, and else there is silence.
            if latency.as_millis().is_multiple_of(2) {
                pending::<()>().await;
            }
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let now = self.record.elapsed();
        let arrives = self.weather.arrival(receiver, now + latency);
        tokio::time::sleep(arrives.saturating_sub(now) + latency).await;
        let trouble = self.weather.trouble(receiver, self.record.elapsed());
        if trouble == Some(Trouble::Refused) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (timeline, weather) = (Arc::clone(&self.record.timeline), Arc::clone(&self.weather));
        let (ours, theirs) = Wire::laid(Route { timeline, weather, receiver, latency });
        self.record.note(|| format!("connected to {receiver}, {latency:?} away"));
        tokio::spawn(Arc::clone(&self.receivers[receiver]).serve(theirs));
        Ok(Box::new(ours))
    }
}

impl Outside {
    fn latency(&self) -> Duration {
        Duration::from_millis(self.rng.lock().random_range(1..40))
    }
}
