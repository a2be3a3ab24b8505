//! The certificate by which deliveries of a webhook name themselves to its
//! receiver (TLS client authentication): what is kept of it, and how it is read.
//!
//! Whether it is a certificate, and the key its key, is found out where TLS is
//! spoken: here both are texts.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Confidential, MASK};
use crate::fault::Faults;
use crate::json::{self, Members};

/// Longest chain, in bytes of PEM: some ten certificates.
const MAX_CERTIFICATE: usize = 32 * 1_024;

/// Longest key, in bytes of PEM: an RSA key of 16,384 bits takes 13 KB.
const MAX_PRIVATE_KEY: usize = 16 * 1_024;

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain as PEM, the client's own certificate first.
    pub certificate: String,
    /// The private key of that certificate as PEM.
    pub private_key: Confidential,
}

/// The same as JSON, in clear.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Document<'a> {
    certificate: &'a str,
    private_key: &'a str,
}

impl ClientCertificate {
    pub(super) fn revealed(&self) -> Document<'_> {
        Document { certificate: &self.certificate, private_key: self.private_key.reveal() }
    }
}

/// Reads one; the mask stands for the key of `stored`.
pub(super) fn read(
    raw: &RawValue,
    stored: Option<&ClientCertificate>,
    faults: &mut Faults,
) -> Option<ClientCertificate> {
    let members = Members::read(raw.get(), faults)?;
    members.refuse_unknown(&["certificate", "private_key"], faults);
    let certificate = text(&members, "certificate", MAX_CERTIFICATE, faults);
    if certificate.as_ref().is_some_and(|text| text.contains("PRIVATE KEY")) {
        faults.member("certificate", "holds a private key, and would be shown; give the key as private_key");
    }
    let private_key = text(&members, "private_key", MAX_PRIVATE_KEY, faults);
    let private_key = match private_key {
        Some(text) if text == MASK => {
            if stored.is_none() {
                let fault = "is the mask that stands for a stored key, and none is stored";
                faults.member("private_key", fault);
            }
            stored?.private_key.clone()
        }
        text => Confidential::new(text?),
    };
    Some(ClientCertificate { certificate: certificate?, private_key })
}

fn text(members: &Members<'_>, name: &str, longest: usize, faults: &mut Faults) -> Option<String> {
    let Some(raw) = members.get(name) else {
        faults.member(name, "is required, as PEM");
        return None;
    };
    faults.within(name, |faults| {
        let text = json::read_string(raw, faults)?;
        if text.is_empty() || text.len() > longest {
            faults.here(format_args!("must be 1 to {longest} bytes of PEM"));
        }
        Some(text)
    })
}

#[cfg(test)]
mod tests {
    use crate::webhook::{MASK, Settings, read_settings, read_stored_settings};

    const URL: &str = r#""url": "https://partner.example/", "events": ["*"]"#;

    fn settings(certificate: &str, key: &str) -> Settings {
        let text = format!(
            r#"{{{URL}, "client_certificate": {{"certificate": "{certificate}", "private_key": "{key}"}}}}"#
        );
        read_settings(&text, None).expect("good settings").0
    }

    fn pointers(text: &str, base: Option<&Settings>) -> Vec<String> {
        let faults = read_settings(text, base).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn it_survives_the_round_trip_and_shows_no_key() {
        let settings = settings("chain", "sesame");
        let text = serde_json::to_string(&settings.revealed()).expect("JSON");
        assert_eq!(read_stored_settings(&text), Ok(settings.clone()));
        assert!(!format!("{settings:?}").contains("sesame"));
    }

    #[test]
    fn the_mask_stands_for_the_stored_key_and_null_for_none() {
        let base = settings("chain", "sesame");
        let edit = |text: &str| read_settings(text, Some(&base)).expect("a good edit").0;
        assert_eq!(edit("{}"), base);
        let renewed = edit(&format!(
            r#"{{"client_certificate": {{"certificate": "renewed", "private_key": "{MASK}"}}}}"#
        ));
        assert_eq!(renewed, settings("renewed", "sesame"));
        assert_eq!(edit(r#"{"client_certificate": null}"#).client_certificate, None);
        let masked =
            format!(r#"{{{URL}, "client_certificate": {{"certificate": "c", "private_key": "{MASK}"}}}}"#);
        assert_eq!(pointers(&masked, None), ["/client_certificate/private_key"]);
    }

    #[test]
    fn what_is_no_certificate_at_all_is_refused() {
        let at = "/client_certificate";
        for (value, wrong) in [
            ("\"chain\"", vec![at.to_owned()]),
            ("{}", vec![format!("{at}/certificate"), format!("{at}/private_key")]),
            (r#"{"certificate": "c"}"#, vec![format!("{at}/private_key")]),
            (
                r#"{"certificate": "", "private_key": 5}"#,
                vec![format!("{at}/certificate"), format!("{at}/private_key")],
            ),
            (r#"{"certificate": "c", "private_key": "k", "password": "p"}"#, vec![format!("{at}/password")]),
            (
                r#"{"certificate": "-----BEGIN PRIVATE KEY-----", "private_key": "k"}"#,
                vec![format!("{at}/certificate")],
            ),
        ] {
            assert_eq!(
                pointers(&format!(r#"{{{URL}, "client_certificate": {value}}}"#), None),
                wrong,
                "{value}"
            );
        }
        let plain = r#""url": "http://partner.example/", "events": ["*"]"#;
        let text =
            format!(r#"{{{plain}, "client_certificate": {{"certificate": "c", "private_key": "k"}}}}"#);
        assert_eq!(pointers(&text, None), [at]);
        let edit = r#"{"url": "http://partner.example/"}"#;
        assert_eq!(pointers(edit, Some(&settings("c", "k"))), [at]);
    }

    #[test]
    fn a_chain_may_be_32_kib_long_and_a_key_16() {
        let lengths = |chain: usize, key: usize| {
            let (chain, key) = ("c".repeat(chain), "k".repeat(key));
            let certificate = format!(r#"{{"certificate": "{chain}", "private_key": "{key}"}}"#);
            pointers(&format!(r#"{{{URL}, "client_certificate": {certificate}}}"#), None)
        };
        assert_eq!(lengths(32_768, 16_384), [""; 0]);
        let at = "/client_certificate";
        assert_eq!(lengths(32_769, 16_385), [format!("{at}/certificate"), format!("{at}/private_key")]);
    }
}
