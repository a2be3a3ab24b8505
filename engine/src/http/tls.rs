//! TLS as deliveries use it: whom they trust, who they are, our provider, our
//! clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use tokio_rustls::TlsConnector;

use super::identity::Identity;

/// The root certificates that the system trusts.
pub(super) fn system_roots() -> impl Iterator<Item = CertificateDer<'static>> {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the system's root certificates can't be read");
    }
    native.certs.into_iter()
}

/// Reads certificates to trust from PEM.
///
/// # Errors
/// When there is none, or one of them can't be used; reads well after the name
/// of a file.
pub fn read_roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut roots = Vec::new();
    for read in CertificateDer::pem_slice_iter(pem) {
        let number = roots.len() + 1;
        let root = read.map_err(|error| format!("holds a certificate {number} that is no PEM: {error}"))?;
        let usable = RootCertStore::empty().add(root.clone());
        usable.map_err(|error| format!("holds a certificate {number} that can't be used: {error}"))?;
        roots.push(root);
    }
    if roots.is_empty() {
        return Err("holds no certificate; it has to be PEM: -----BEGIN CERTIFICATE-----".to_owned());
    }
    Ok(roots)
}

/// The cryptography of all connections.
pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// What connections by TLS have in common.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    verifier: Arc<Verifier>,
    time: Arc<TimeOfDay>,
    /// For webhooks without a client certificate.
    anonymous: TlsConnector,
}

impl Tls {
    /// Prepares TLS that trusts `trusted`.
    ///
    /// Without any root the error says so: plain http still works, so this is no
    /// reason not to start.
    pub(super) fn new(
        trusted: impl Iterator<Item = CertificateDer<'static>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted);
        if roots.is_empty() {
            return Err("no root certificates were found on this system; install its package of \
                        CA certificates (often ca-certificates) and restart"
                .to_owned());
        }
        let provider = Arc::new(provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.build().map_err(|error| format!("TLS could not be set up: {error}"))?;
        let (verifier, time) = (Arc::new(Verifier(verifier)), Arc::new(TimeOfDay(clock)));
        let anonymous = connector(&provider, &verifier, &time, None)?;
        Ok(Self { provider, verifier, time, anonymous })
    }

    /// Makes connections as `identity`, or as nobody.
    pub(super) fn connector(&self, identity: Option<&Identity>) -> Result<TlsConnector, String> {
        match identity {
            None => Ok(self.anonymous.clone()),
            Some(_) => connector(&self.provider, &self.verifier, &self.time, identity),
        }
    }
}

fn connector(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<Verifier>,
    time: &Arc<TimeOfDay>,
    identity: Option<&Identity>,
) -> Result<TlsConnector, String> {
    let builder = ClientConfig::builder_with_details(Arc::clone(provider), Arc::clone(time) as _)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(verifier) as _);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let mut config = builder.with_client_cert_resolver(identity.resolver());
            // A session that is resumed goes on as whoever began it.
            config.resumption = Resumption::disabled();
            config
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The usual verifier of certificates. It only tells two refusals apart that
/// come as one, because different people can mend them.
#[derive(Debug)]
struct Verifier(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(own, intermediates, name, ocsp_response, now);
        verified.map_err(|error| match Unfit::found(&error, own) {
            Some(unfit) => Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(unfit)))),
            None => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// What makes a certificate unfit beside what rustls has words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// Nobody but itself vouches for it.
    #[error("it is self-signed")]
    SelfSigned,
    /// It is an authority's, not a server's.
    #[error("it is that of an authority")]
    Authority,
}

impl Unfit {
    fn found(error: &Error, own: &CertificateDer<'_>) -> Option<Self> {
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                let own = webpki::EndEntityCert::try_from(own).ok()?;
                (own.issuer() == own.subject()).then_some(Self::SelfSigned)
            }
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                let inner = inner.downcast_ref::<webpki::Error>()?;
                (*inner == webpki::Error::CaUsedAsEndEntity).then_some(Self::Authority)
            }
            _ => None,
        }
    }
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
        let refusal = Tls::new(std::iter::empty(), Arc::new(SystemClock::new())).err();
        assert!(refusal.is_some_and(|text| text.contains("install its package of CA certificates")));
    }

    #[test]
    fn roots_are_read_from_pem_or_named() {
        let key = rcgen::KeyPair::generate().unwrap();
        let root = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let two = format!("Our own\n{}\n{}", root.pem(), root.pem());
        assert_eq!(read_roots(two.as_bytes()).unwrap(), [root.der().clone(), root.der().clone()]);
        for (text, says) in [
            (String::new(), "holds no certificate"),
            (key.serialize_pem(), "holds no certificate"),
            (
                format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", root.pem()),
                "2 that can't be used",
            ),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_owned(), "1 that is no PEM"),
        ] {
            let refusal = read_roots(text.as_bytes()).unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
