//! Turns what went wrong into a cause and a sentence that a person can act on.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::Cause;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError};
use url::Host;

use super::framing::Malformed;
use super::link::Broken;
use super::progress::{Progress, Stage};
use super::proxy::{Proxy, Refused};
use super::resolve::LookupFailure;
use super::tls::Unfit;
use super::{Endpoint, Fault};
use crate::guard::Refusal;

/// Most names of a foreign certificate that are listed.
const LISTED_NAMES: usize = 4;

pub(super) fn lookup(name: &str, failure: &LookupFailure) -> Fault {
    Fault::new(
        Cause::Dns,
        match failure {
            LookupFailure::NoAddress => format!("the host name {name} has no address"),
            LookupFailure::Failed(why) => format!("the host name {name} could not be looked up: {why}"),
        },
    )
}

pub(super) fn no_address(endpoint: &Endpoint) -> Fault {
    Fault::new(Cause::Dns, format!("the host name {} has no address", endpoint.host()))
}

pub(super) fn blocked(endpoint: &Endpoint, refusal: Refusal) -> Fault {
    let message = match (endpoint.host(), refusal) {
        (Host::Domain(name), Refusal::Address { .. }) => {
            format!("the host name {name} leads nowhere that may be called: {refusal}")
        }
        _ => refusal.to_string(),
    };
    Fault::new(Cause::Blocked, message)
}

/// The operator's proxy can't be reached.
pub(super) fn no_proxy(proxy: &Proxy, error: &io::Error) -> Fault {
    let message = format!("no connection to the proxy {proxy} (egress.proxy): {error}");
    Fault::new(Cause::Connect, message)
}

pub(super) fn refused_by_proxy(proxy: &Proxy, address: SocketAddr, refusal: &Refused) -> Fault {
    let message = format!("the proxy {proxy} (egress.proxy) made no connection to {address}: {refusal}");
    Fault::new(Cause::Connect, message)
}

pub(super) fn connect(address: SocketAddr, error: &io::Error) -> Fault {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Fault::new(Cause::Connect, format!("connection refused by {address}")),
        Kind::HostUnreachable | Kind::NetworkUnreachable => {
            Fault::new(Cause::Connect, format!("there is no way from here to {address}: {error}"))
        }
        Kind::TimedOut => {
            Fault::new(Cause::ConnectTimeout, format!("{address} did not answer the connection"))
        }
        Kind::ConnectionReset => Fault::new(Cause::Connect, format!("connection reset by {address}")),
        _ => Fault::new(Cause::Connect, format!("no connection to {address}: {error}")),
    }
}

pub(super) fn no_tls(reason: &str) -> Fault {
    Fault::new(Cause::Tls, format!("https can't be used: {reason}"))
}

/// Why a TLS handshake failed.
pub(super) fn handshake(endpoint: &Endpoint, error: &io::Error) -> Fault {
    let host = endpoint.host();
    if let Some(error) = inside::<rustls::Error>(error) {
        return Fault::new(Cause::Tls, tls(endpoint, error));
    }
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("{host} closed the connection during the TLS handshake"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("{host} reset the connection during the TLS handshake")
        }
        _ => format!("the TLS handshake with {host} failed: {error}"),
    };
    Fault::new(Cause::Tls, message)
}

fn tls(endpoint: &Endpoint, error: &rustls::Error) -> String {
    let host = endpoint.host();
    match error {
        rustls::Error::InvalidCertificate(fault) => certificate(host, fault),
        rustls::Error::InvalidMessage(_) => {
            format!("{host} does not speak TLS on this port; perhaps the address should begin with http://")
        }
        rustls::Error::AlertReceived(alert) => alerted(endpoint, *alert),
        rustls::Error::PeerIncompatible(_) => {
            format!("{host} and this server share no TLS version or cipher (1.2 or newer is needed): {error}")
        }
        rustls::Error::NoApplicationProtocol => format!("{host} speaks no HTTP/1.1 over TLS"),
        other => format!("the TLS handshake with {host} failed: {other}"),
    }
}

fn certificate(host: &Host<String>, fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired => format!("the certificate of {host} has expired"),
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = days(time.as_secs().saturating_sub(not_after.as_secs()));
            format!("the certificate of {host} expired {ago} ago ({})", moment(*not_after))
        }
        CertificateError::NotValidYet => format!("the certificate of {host} is not valid yet"),
        CertificateError::NotValidYetContext { time, not_before } => {
            let ahead = days(not_before.as_secs().saturating_sub(time.as_secs()));
            format!(
                "the certificate of {host} is not valid yet: it will be in {ahead} ({})",
                moment(*not_before)
            )
        }
        CertificateError::NotValidForName => format!("the certificate is for another name, not for {host}"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("the certificate is for {}, not for {host}", names(presented))
        }
        CertificateError::UnknownIssuer => format!(
            "the certificate of {host} comes from an issuer that is not trusted: an intermediate certificate \
             is missing there, or the issuer is a private one, which egress.ca_file can name"
        ),
        CertificateError::Other(other) => match other.0.downcast_ref::<Unfit>() {
            Some(Unfit::SelfSigned) => format!(
                "the certificate of {host} is self-signed, so nobody vouches for it: have it issued by an \
                 authority, or name it in egress.ca_file"
            ),
            Some(Unfit::Authority) => format!(
                "the certificate of {host} is that of an authority (CA:TRUE), which no server may show as its \
                 own: have one issued by it for the server"
            ),
            None => format!("the certificate of {host} is not acceptable: {}", other.0),
        },
        CertificateError::BadSignature => {
            format!("the certificate of {host} was not signed by the issuer that it names")
        }
        CertificateError::Revoked => format!("the certificate of {host} was revoked"),
        other => format!("the certificate of {host} is not acceptable: {other}"),
    }
}

/// Names as rustls lists them, `DnsName("a.example")`, without the wrapping.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| name.split('"').nth(1).map_or_else(|| name.clone(), str::to_owned);
    let mut listed: Vec<String> = presented.iter().take(LISTED_NAMES).map(plain).collect();
    if presented.is_empty() {
        listed.push("no name at all".to_owned());
    } else if presented.len() > LISTED_NAMES {
        listed.push("others".to_owned());
    }
    listed.join(", ")
}

/// What a receiver says about the client's side of a handshake.
fn alerted(endpoint: &Endpoint, alert: Alert) -> String {
    let host = endpoint.host();
    let about_certificates = matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
    );
    match (about_certificates, endpoint.identity()) {
        (true, None) => {
            format!(
                "{host} asks for a client certificate (the alert {alert:?}); give one as client_certificate"
            )
        }
        (true, Some(_)) => {
            format!("{host} does not accept the client_certificate of this webhook: the alert {alert:?}")
        }
        (false, _) => format!("{host} refused the TLS handshake with the alert {alert:?}"),
    }
}

/// A time in full, as timestamps are written everywhere.
fn moment(time: UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "at an unknown time".to_owned(), |time| time.to_string())
}

/// Seconds as people count what is long: `3 days`, `1 hour`, `0 minutes`.
fn days(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Why an exchange over a standing connection failed.
pub(super) fn exchange(endpoint: &Endpoint, broken: &Broken, progress: &Progress<'_>) -> Fault {
    let who = progress.peer.map_or_else(|| endpoint.authority().to_owned(), |peer| peer.to_string());
    let io = match broken {
        Broken::Malformed(Malformed::HeadTooLarge) => return headers_too_large(),
        Broken::Malformed(Malformed::NotHttp(why)) => return malformed(why, progress),
        Broken::Closed => None,
        Broken::Io(error) => Some(error),
    };
    if progress.gauge.as_deref().is_some_and(super::wire::Gauge::overrun) {
        return Fault::new(
            Cause::InvalidAnswer,
            format!("{who} sent more than 256 KiB without ending its answer"),
        );
    }
    if let Some(error) = io.and_then(|io| inside::<rustls::Error>(io)) {
        return Fault::new(Cause::Tls, tls(endpoint, error));
    }
    let verb =
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionReset) { "reset" } else { "closed" };
    let when = match (progress.status, progress.answered()) {
        (Some(status), _) => {
            format!("after status {status} and {} bytes of its body, before the answer's end", progress.body)
        }
        (None, 0) if progress.reused => {
            "while it was in use, before any answer; it had been kept open from an earlier delivery"
                .to_owned()
        }
        (None, 0) => "before any answer".to_owned(),
        (None, _) => "in the middle of the answer's headers".to_owned(),
    };
    Fault::new(Cause::Reset, format!("the connection was {verb} by {who} {when}"))
}

fn headers_too_large() -> Fault {
    let message = "the answer's headers are too large: more than 64 KiB, or more than 100 of them";
    Fault::new(Cause::InvalidAnswer, message.to_owned())
}

fn malformed(why: &str, progress: &Progress<'_>) -> Fault {
    let opening = progress.gauge.as_ref().map(|gauge| gauge.opening()).unwrap_or_default();
    let message = match progress.status {
        Some(status) => format!("the answer's body is not HTTP, after status {status}: {why}"),
        None => format!("the answer is not HTTP: it begins with {opening:?} ({why})"),
    };
    Fault::new(Cause::InvalidAnswer, message)
}

/// What a deadline found unfinished.
pub(super) fn timed_out(endpoint: &Endpoint, limit: Duration, progress: &Progress<'_>) -> Fault {
    let host = endpoint.host();
    let limit = spoken(limit);
    let peer = progress.peer.map_or_else(|| host.to_string(), |peer| peer.to_string());
    match progress.stage {
        Stage::Start | Stage::Lookup => {
            Fault::new(Cause::Dns, format!("the host name {host} could not be looked up within {limit}"))
        }
        Stage::Connect => {
            Fault::new(Cause::ConnectTimeout, format!("no connection to {peer} within {limit}"))
        }
        Stage::Proxy => Fault::new(
            Cause::ConnectTimeout,
            format!("no connection to {peer} within {limit} through the proxy (egress.proxy)"),
        ),
        Stage::Tls => Fault::new(
            Cause::ConnectTimeout,
            format!("connected to {peer}, but the TLS handshake was not done within {limit}"),
        ),
        Stage::Exchange => {
            let start =
                if progress.reused { "on a connection kept open".to_owned() } else { connected(progress) };
            let rest = match (progress.status, progress.answered()) {
                (None, 0) => "then silence".to_owned(),
                (None, bytes) => format!("then {bytes} bytes of headers that did not end"),
                (Some(status), _) => {
                    format!("then status {status} and {} bytes of a body that did not end", progress.body)
                }
            };
            let what = if progress.status.is_some() { "complete answer" } else { "answer" };
            Fault::new(Cause::Timeout, format!("no {what} within {limit}: {start}, {rest}"))
        }
    }
}

fn connected(progress: &Progress<'_>) -> String {
    let timings = progress.timings;
    let spent = Duration::from_micros(timings.dns_us + timings.connect_us + timings.tls_us);
    format!("connected after {}", spoken(spent))
}

/// A duration as people say it: `850 us`, `30 ms`, `15 s`, `1.5 s`.
pub(crate) fn spoken(duration: Duration) -> String {
    match duration.as_micros() {
        us @ 0..1_000 => format!("{us} us"),
        us @ 1_000..1_000_000 => format!("{} ms", us / 1_000),
        us => format!("{} s", f64::from(u32::try_from(us / 100_000).unwrap_or(u32::MAX)) / 10.0),
    }
}

/// The first error of type `E` in the chain, inside of I/O errors too.
fn inside<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_counted_in_days() {
        for (seconds, text) in [
            (59, "0 minutes"),
            (60, "1 minute"),
            (7_199, "1 hour"),
            (86_400, "1 day"),
            (3 * 86_400 + 5, "3 days"),
        ] {
            assert_eq!(days(seconds), text);
        }
    }

    #[test]
    fn durations_are_spoken() {
        for (micros, text) in [
            (850, "850 us"),
            (30_400, "30 ms"),
            (999_999, "999 ms"),
            (1_500_000, "1.5 s"),
            (15_000_000, "15 s"),
        ] {
            assert_eq!(spoken(Duration::from_micros(micros)), text);
        }
    }
}
