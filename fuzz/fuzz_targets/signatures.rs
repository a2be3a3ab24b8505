//! Secrets and signature headers: what is signed verifies elsewhere, and no other
//! header does. Lines: a secret, an event's id, a header; the rest is the body.

#![no_main]

use callboard_domain::clock::{Clock as _, SystemClock};
use callboard_domain::id::EventId;
use callboard_domain::signing::{Scheme, Secret, Signatures, verify_ed25519};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(4, '\n');
    let [secret, id, header, body] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    // The other implementation accepts only what was signed lately.
    let at = SystemClock::new().now();
    let id = EventId::derived(id);
    // Somebody else's key, and a header that may be anything.
    let _ = verify_ed25519(secret, &id, at, body.as_bytes(), header);
    let Ok(secret) = Secret::from_text(secret) else { return };
    assert_eq!(secret.to_text(), text.split('\n').next().unwrap_or_default(), "a secret has one text");
    let signature = Signatures::new(std::slice::from_ref(&secret)).sign(&id, at, body.as_bytes());
    HeaderValue::from_str(&signature).expect("a header value");
    assert!(!signature.contains(' '));
    match secret.scheme() {
        Scheme::Hmac => {
            assert_eq!(secret.verifier_text(), secret.to_text());
            let oracle = standardwebhooks::Webhook::new(&secret.to_text()).expect("a secret");
            let signed = oracle.sign(id.as_str(), at.as_second(), body.as_bytes()).expect("a signature");
            assert_eq!(signature, signed);
            let verifies = |given: &str| {
                let mut headers = HeaderMap::new();
                headers.insert("webhook-id", HeaderValue::from_str(id.as_str()).expect("a header value"));
                headers.insert("webhook-timestamp", HeaderValue::from(at.as_second()));
                headers.insert("webhook-signature", HeaderValue::from_str(given).ok()?);
                oracle.verify(body.as_bytes(), &headers).ok()
            };
            assert!(verifies(&signature).is_some());
            if verifies(header).is_some() {
                assert!(header.split(' ').any(|one| one == signature), "{header} verifies");
            }
        }
        Scheme::Ed25519 => {
            let public = secret.verifier_text();
            assert!(public.starts_with("whpk_") && !public.contains(&secret.to_text()[5..]));
            assert!(verify_ed25519(&public, &id, at, body.as_bytes(), &signature));
            let other = [body, "."].concat();
            assert!(!verify_ed25519(&public, &id, at, other.as_bytes(), &signature));
            if verify_ed25519(&public, &id, at, body.as_bytes(), header) {
                assert!(header.split(' ').any(|one| one == signature), "{header} verifies");
            }
        }
    }
});
