//! `callboard health`: asks a running server whether it is ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::{Failure, Outcome, ServerArguments, remote, say};

/// Who does not answer in this time is as good as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The server [default: the one of this machine, where the settings have it listen]
    #[arg(long, env = "CALLBOARD_URL", value_name = "URL")]
    url: Option<String>,
    /// The settings file of the server [default: callboard.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "CALLBOARD_CONFIG")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let (base, certificate_is_judged) = match &arguments.url {
        Some(url) => (url.trim_end_matches('/').to_owned(), true),
        None => (here(arguments.config.clone())?, false),
    };
    // A proxy of the environment is none for a neighbour. The certificate of one is for the
    // name that clients know, and not for loopback: it is not judged, for nothing secret is
    // sent, and who could listen there in the server's place is on this machine.
    let agent = remote::agent_by(None, PATIENCE, certificate_is_judged);
    // Whoever asks for a health wants to know no more than yes or no.
    let plain = |failure: Failure| Failure::from(failure.to_string());
    let gone = |failure: Failure| Failure::from(format!("{failure}; is the server running?"));
    let mut answer = agent
        .get(format!("{base}/readyz"))
        .call()
        .map_err(|error| gone(remote::unreachable(&base, &error)))?;
    let text = answer.body_mut().read_to_string()?;
    if answer.status().is_success() {
        say("ready")?;
        return Ok(());
    }
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    Err(plain(remote::refusal(answer.status().as_u16(), &problem)))
}

/// The URL of the server that runs on this machine by these settings.
fn here(config: Option<PathBuf>) -> Result<String, Failure> {
    let settings = ServerArguments { config, ..ServerArguments::default() }.load()?.settings;
    let scheme = if settings.tls.files().is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}", reachable(settings.listen)))
}

/// Where to call a server that listens at `address`: one that listens everywhere
/// does so on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_called_on_loopback() {
        for (listens, called) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8443", "[::1]:8443"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), called);
        }
    }
}
