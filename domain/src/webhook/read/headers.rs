//! Which headers the owner of a webhook may choose, and which are ours or the
//! connection's: who could set those could forge signatures, speak as another,
//! or smuggle a second request.

use serde_json::value::RawValue;

use super::Trust;
use crate::fault::Faults;
use crate::json::{self, Members};

/// Most further headers of one webhook.
const MAX_HEADERS: usize = 32;

/// Longest header value, in bytes.
const MAX_HEADER_VALUE: usize = 4_096;

/// Headers that can't be chosen.
const RESERVED: [&str; 17] = [
    // Instead of it there is authorization_header, which is kept as a secret.
    "authorization",
    // Ours: what is sent, to whom, and who sends it.
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    // Answers are not expanded.
    "accept-encoding",
    // Of the connection and its framing (RFC 9110 sections 7.6.1 and 10.1.1,
    // RFC 9112), and the way into another protocol.
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What begins like this can't be chosen: signatures, what dialects say of a
/// delivery, and what is between a client and a proxy.
const RESERVED_PREFIXES: [&str; 4] = ["webhook-", "viagogo-", "openticket-", "proxy-"];

/// Reads them; names come out in lower case. Of what is stored, names that are
/// reserved since are left out, so that the rest of the webhook can be read.
pub(super) fn read(raw: &RawValue, trust: Trust, faults: &mut Faults) -> Option<Vec<(String, String)>> {
    let members = Members::read(raw.get(), faults)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, raw) in members.iter() {
        let lower = name.to_ascii_lowercase();
        if trust == Trust::Stored && is_reserved(&lower) {
            continue;
        }
        faults.within(name, |faults| {
            if let Err(fault) = check_name(&lower) {
                faults.here(fault);
            }
            if headers.iter().any(|(earlier, _)| *earlier == lower) {
                faults.here("is given twice");
            }
            if let Some(value) = json::read_string(raw, faults) {
                if let Err(fault) = check_value(&value) {
                    faults.here(fault);
                }
                headers.push((lower, value));
            }
        });
    }
    if headers.len() > MAX_HEADERS {
        faults.here(format_args!("may hold at most {MAX_HEADERS} headers"));
    }
    Some(headers)
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        return Err("is no header name");
    }
    if name == "authorization" {
        return Err("can't be chosen here; use authorization_header, which is kept as a secret");
    }
    if is_reserved(name) {
        return Err("is set by Callboard or by the connection and can't be chosen");
    }
    Ok(())
}

/// Whether a text can be the value of a header: visible ASCII, spaces and tabs,
/// and so no end of a line.
pub(super) fn check_value(value: &str) -> Result<(), String> {
    let visible = |b: u8| (b' '..=b'~').contains(&b) || b == b'\t';
    if value.is_empty() || value.len() > MAX_HEADER_VALUE || !value.bytes().all(visible) {
        return Err(format!("must be 1 to {MAX_HEADER_VALUE} bytes of visible ASCII"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::webhook::{read_settings, read_stored_settings};

    fn with(name: &str, value: &str) -> String {
        json!({"url": "https://partner.example/", "events": ["*"], "headers": {name: value}}).to_string()
    }

    #[test]
    fn what_is_ours_or_the_connections_cannot_be_chosen() {
        let prefixed =
            ["Webhook-Signature", "webhook-", "Viagogo-X", "OpenTicket-Nonce", "Proxy-Authorization"];
        for name in RESERVED.iter().chain(&prefixed) {
            for name in [name.to_string(), name.to_ascii_uppercase()] {
                let faults = read_settings(&with(&name, "x"), None).expect_err(&name);
                assert_eq!(faults[0].pointer, format!("/headers/{name}"));
                assert!(faults[0].detail.contains("can't be chosen"), "{}", faults[0].detail);
            }
        }
        for name in ["x-tenant", "cookie", "accept", "x-webhook-id", "signature", "forwarded", "date"] {
            let settings = read_settings(&with(name, "x"), None).expect(name).0;
            assert_eq!(settings.headers, [(name.to_owned(), "x".to_owned())]);
        }
    }

    #[test]
    fn what_was_stored_before_it_was_reserved_is_left_out() {
        let text = json!({
            "url": "https://partner.example/", "events": ["*"],
            "headers": {"accept-encoding": "gzip", "proxy-x": "1", "x-tenant": "acme"},
        });
        let settings = read_stored_settings(&text.to_string()).expect("readable");
        assert_eq!(settings.headers, [("x-tenant".to_owned(), "acme".to_owned())]);
    }

    #[test]
    fn names_are_told_once_and_all_is_bounded() {
        let pointers = |headers: serde_json::Map<String, serde_json::Value>| {
            let text = json!({"url": "https://partner.example/", "events": ["*"], "headers": headers});
            let faults = read_settings(&text.to_string(), None).err().unwrap_or_default();
            faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        let many = |count: usize| (0..count).map(|number| (format!("x-{number}"), json!("1"))).collect();
        assert_eq!(pointers(many(32)), [""; 0]);
        assert_eq!(
            (pointers(many(33)), pointers(many(50))),
            (vec!["/headers".to_owned()], vec!["/headers".to_owned()])
        );
        let one =
            |name: usize, value: usize| [("x".repeat(name), json!("v".repeat(value)))].into_iter().collect();
        assert_eq!(pointers(one(128, 4_096)), [""; 0]);
        for (name, value) in [(129, 1), (500, 1), (1, 0), (1, 4_097), (1, 9_000)] {
            assert_eq!(pointers(one(name, value)), [format!("/headers/{}", "x".repeat(name))]);
        }
        let twice = [("X-A".to_owned(), json!("1")), ("x-a".to_owned(), json!("2"))];
        assert_eq!(pointers(twice.into_iter().collect()), ["/headers/x-a"]);
    }

    proptest! {
        #[test]
        fn no_name_and_no_value_ends_a_line(
            name in prop_oneof!["\\PC{0,12}", "[a-z\r\n: \t\u{0}-]{0,12}", "(?i)(host|te|webhook-id)[ :\r\n]{0,2}"],
            value in prop_oneof!["\\PC{0,20}", "[ -~\r\n\t\u{0}\u{7f}\u{85}\u{2028}]{0,20}"],
        ) {
            if let Ok((settings, _)) = read_settings(&with(&name, &value), None) {
                let [(name, value)] = &settings.headers[..] else { panic!("one header") };
                let token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
                prop_assert!(!name.is_empty() && name.chars().all(token), "{:?}", name);
                prop_assert!(!is_reserved(name) && *name == name.to_ascii_lowercase());
                prop_assert!(value.chars().all(|c| c == '\t' || (' '..='~').contains(&c)), "{:?}", value);
            }
            let text = json!({"url": "https://x.example/", "events": ["*"], "authorization_header": value});
            if let Ok((settings, _)) = read_settings(&text.to_string(), None) {
                let header = settings.authorization_header.expect("it was given");
                prop_assert!(header.reveal().chars().all(|c| c == '\t' || (' '..='~').contains(&c)));
            }
        }
    }
}
