//! The client certificate of a webhook, made ready for TLS.

use std::fmt;
use std::sync::Arc;

use callboard_domain::fault::{Fault, Faults};
use callboard_domain::webhook::ClientCertificate;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};

use super::tls;

/// Who a delivery says it comes from, where its receiver asks.
#[derive(Clone)]
pub struct Identity {
    chain: Arc<[CertificateDer<'static>]>,
    resolver: Arc<SingleCertAndKey>,
}

impl Identity {
    /// Reads a certificate and its key from PEM.
    ///
    /// # Errors
    /// Every fault, pointing to `certificate` or to `private_key`. None of them
    /// shows anything of the key.
    pub fn read(given: &ClientCertificate) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new();
        let chain = faults.within("certificate", |faults| read_chain(&given.certificate, faults));
        let key = faults.within("private_key", |faults| read_key(given.private_key.reveal(), faults));
        let identity = chain.zip(key).and_then(|(chain, key)| {
            match CertifiedKey::from_der(chain.clone(), key, &tls::provider()) {
                Ok(certified) => Some(Self { chain: chain.into(), resolver: Arc::new(certified.into()) }),
                Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                    faults.member("private_key", "is not the key of the first certificate");
                    None
                }
                Err(other) => {
                    faults.member("private_key", format_args!("can't be used: {other}"));
                    None
                }
            }
        });
        faults.finish(identity)
    }

    /// The client's own certificate.
    pub(super) fn own(&self) -> Option<&CertificateDer<'static>> {
        self.chain.first()
    }

    pub(super) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::clone(&self.resolver)
    }
}

/// A certificate has one key, so who shows the same chain is the same.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.chain.len())
    }
}

fn read_chain(text: &str, faults: &mut Faults) -> Option<Vec<CertificateDer<'static>>> {
    let mut chain = Vec::new();
    for read in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let number = chain.len() + 1;
        let Ok(certificate) = read else {
            faults.here(format_args!("can't be read: certificate {number} is no PEM"));
            return None;
        };
        if ParsedCertificate::try_from(&certificate).is_err() {
            faults.here(format_args!(
                "can't be read: certificate {number} is no X.509 certificate of version 3"
            ));
            return None;
        }
        chain.push(certificate);
    }
    if chain.is_empty() {
        faults.here("holds no certificate; give it as PEM: -----BEGIN CERTIFICATE-----");
        return None;
    }
    Some(chain)
}

fn read_key(text: &str, faults: &mut Faults) -> Option<PrivateKeyDer<'static>> {
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        _ if text.contains("ENCRYPTED") => {
            faults.here("is encrypted; give it without a passphrase");
            None
        }
        Ok(key) => Some(key),
        Err(pem::Error::NoItemsFound) => {
            faults.here("holds no private key; give it as PEM: -----BEGIN PRIVATE KEY-----");
            None
        }
        Err(_) => {
            faults.here("can't be read: it is no PEM");
            None
        }
    }
}
