//! Turns host names into addresses; judging and dialling them happens elsewhere.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;

/// Looks host names up.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// Every address of `name`, best first.
    ///
    /// # Errors
    ///
    /// When there is none, or nobody could be asked.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, LookupFailure>;
}

/// Why a host name led to no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupFailure {
    /// The name does not exist, or has no address.
    NoAddress,
    /// The question could not be asked or was not answered; the text says why.
    Failed(String),
}

/// Who looks host names up.
#[derive(Clone, Default)]
pub enum Resolver {
    /// The name servers of the system's configuration, asked directly and
    /// with a cache; if that can't be read, as [`Resolver::OperatingSystem`].
    #[default]
    NameServers,
    /// The operating system's own resolver (`getaddrinfo`).
    OperatingSystem,
    /// Somebody else.
    Custom(Arc<dyn Resolve>),
}

impl Resolver {
    pub(super) fn start(self) -> Arc<dyn Resolve> {
        match self {
            Self::NameServers => {
                match TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build) {
                    Ok(resolver) => Arc::new(NameServers(resolver)),
                    Err(error) => {
                        tracing::warn!(%error, "no name servers in the system's configuration; asking the system");
                        Arc::new(OperatingSystem)
                    }
                }
            }
            Self::OperatingSystem => Arc::new(OperatingSystem),
            Self::Custom(resolver) => resolver,
        }
    }
}

struct NameServers(TokioResolver);

#[async_trait]
impl Resolve for NameServers {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, LookupFailure> {
        match self.0.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_no_records_found() => Err(LookupFailure::NoAddress),
            Err(NetError::Timeout) => {
                Err(LookupFailure::Failed("the name servers did not answer".to_owned()))
            }
            Err(NetError::NoConnections) => {
                Err(LookupFailure::Failed("no name server could be reached".to_owned()))
            }
            Err(error) => Err(LookupFailure::Failed(error.to_string())),
        }
    }
}

/// How glibc, musl and the BSDs say that a name does not exist or has no address.
const NO_SUCH_NAME: [&str; 4] =
    ["not known", "No address associated", "does not resolve", "nodename nor servname"];

struct OperatingSystem;

#[async_trait]
impl Resolve for OperatingSystem {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, LookupFailure> {
        // The port is of no interest; `lookup_host` merely wants one.
        match tokio::net::lookup_host((name, 0)).await {
            Ok(found) => Ok(found.map(|address| address.ip()).collect()),
            // getaddrinfo tells "no such name" from its own troubles only in words.
            Err(error) if NO_SUCH_NAME.iter().any(|words| error.to_string().contains(words)) => {
                Err(LookupFailure::NoAddress)
            }
            Err(error) => Err(LookupFailure::Failed(error.to_string())),
        }
    }
}
