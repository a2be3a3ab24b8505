//! The certificate that clients are shown: read from files, and read again when
//! they have changed, so that a new one needs no restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// The certificate in use.
pub struct Certificate {
    files: Files,
    state: Mutex<State>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

struct State {
    config: Arc<ServerConfig>,
    /// What the files held when they were last looked at, or why they could not
    /// be read: the same is not complained of twice.
    seen: Result<Contents, String>,
}

#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What looking at the files came to.
#[derive(Debug, PartialEq, Eq)]
enum Looked {
    /// They are as they were.
    Same,
    /// They hold another certificate, which is used from now on.
    Changed,
    /// They hold nothing that can be used; what was used before still is.
    Bad(String),
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// When they can't be read or used, in words that name the setting.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, String> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let contents = files.read()?;
        let config = files.config(&contents)?;
        Ok(Arc::new(Self { files, state: Mutex::new(State { config, seen: Ok(contents) }) }))
    }

    /// Speaks TLS with the certificate of now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.state.lock().config))
    }

    /// Looks at the files again and again, until `stop` is cancelled.
    pub(super) async fn follow(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = stop.cancelled() => return,
            }
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.look()).await {
                Ok(Looked::Changed) => tracing::info!("the TLS certificate was read anew"),
                Ok(Looked::Bad(error)) => {
                    tracing::error!(
                        error,
                        "the TLS certificate has changed and can't be used; the old one is kept"
                    );
                }
                Ok(Looked::Same) | Err(_) => {}
            }
        }
    }

    fn look(&self) -> Looked {
        let read = self.files.read();
        if self.state.lock().seen == read {
            return Looked::Same;
        }
        let made = match &read {
            Ok(contents) => self.files.config(contents),
            Err(error) => Err(error.clone()),
        };
        let mut state = self.state.lock();
        state.seen = read;
        match made {
            Ok(config) => {
                state.config = config;
                Looked::Changed
            }
            Err(error) => Looked::Bad(error),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

impl Files {
    fn read(&self) -> Result<Contents, String> {
        let read = |setting, path: &Path| {
            std::fs::read(path)
                .map_err(|error| format!("{setting}: {} can't be read: {error}", path.display()))
        };
        let certificate = read("tls.certificate_file", &self.certificate)?;
        Ok(Contents { certificate, key: read("tls.private_key_file", &self.key)? })
    }

    fn config(&self, contents: &Contents) -> Result<Arc<ServerConfig>, String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let chain = CertificateDer::pem_slice_iter(&contents.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("tls.certificate_file: {certificate} is no PEM: {error}"))?;
        if chain.is_empty() {
            return Err(format!("tls.certificate_file: {certificate} holds no certificate in PEM"));
        }
        // Not the error's own text, which might show something of the key.
        let own_key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| format!("tls.private_key_file: {key} holds no private key in PEM"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Versions 1.2 and 1.3; there is nothing older in rustls.
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS could not be set up: {error}"))?
            .with_no_client_auth()
            .with_single_cert(chain, own_key)
            .map_err(|error| {
                format!("tls.private_key_file: {key} does not go with {certificate}: {error}")
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_changed_certificate_is_used_and_a_bad_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate_file, key_file) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let write = |certificate: &str, key: &str| {
            std::fs::write(&certificate_file, certificate).expect("written");
            std::fs::write(&key_file, key).expect("written");
        };
        let refusal = || Certificate::load(&certificate_file, &key_file).expect_err("it can't be used");
        assert!(refusal().starts_with("tls.certificate_file: ") && refusal().contains("can't be read"));
        let (first, second) = (made(), made());
        write("nothing", &first.1);
        assert!(refusal().contains("holds no certificate"));
        write(&first.0, "nothing");
        assert!(refusal().starts_with("tls.private_key_file: "));
        write(&first.0, &second.1);
        assert!(refusal().contains("does not go with"));

        write(&first.0, &first.1);
        let certificate = Certificate::load(&certificate_file, &key_file).expect("a good one");
        let used = || Arc::clone(&certificate.state.lock().config);
        let before = used();
        assert_eq!(certificate.look(), Looked::Same);
        // As while one of the files is written already, and the other is not.
        write(&second.0, &first.1);
        assert!(matches!(certificate.look(), Looked::Bad(error) if error.contains("does not go with")));
        assert_eq!(certificate.look(), Looked::Same, "it is complained of once");
        std::fs::remove_file(&key_file).expect("removed");
        assert!(matches!(certificate.look(), Looked::Bad(error) if error.contains("can't be read")));
        assert_eq!(certificate.look(), Looked::Same);
        assert!(Arc::ptr_eq(&before, &used()));
        write(&second.0, &second.1);
        assert_eq!(certificate.look(), Looked::Changed);
        assert!(!Arc::ptr_eq(&before, &used()));
    }
}
