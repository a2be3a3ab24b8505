//! TLS as deliveries use it: the system's roots, our provider, our clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// The root certificates that the system trusts.
pub(super) fn system_roots() -> impl Iterator<Item = CertificateDer<'static>> {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the system's root certificates can't be read");
    }
    native.certs.into_iter()
}

/// Prepares TLS that trusts `trusted`.
///
/// Without any root the error says so: plain http still works, so this is no
/// reason not to start.
pub(super) fn connector(
    trusted: impl Iterator<Item = CertificateDer<'static>>,
    clock: Arc<dyn Clock>,
) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    if roots.is_empty() {
        return Err("no root certificates were found on this system; install its package of \
                    CA certificates (often ca-certificates) and restart"
            .to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(TimeOfDay(clock)))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Certificates are valid or expired by the same clock as everything else.
struct TimeOfDay(Arc<dyn Clock>);

impl TimeProvider for TimeOfDay {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimeOfDay")
    }
}

#[cfg(test)]
mod tests {
    use callboard_domain::clock::SystemClock;

    use super::*;

    #[test]
    fn a_system_without_roots_is_told_what_to_do() {
        let refusal = connector(std::iter::empty(), Arc::new(SystemClock::new())).err();
        assert!(refusal.is_some_and(|text| text.contains("install its package of CA certificates")));
    }
}
