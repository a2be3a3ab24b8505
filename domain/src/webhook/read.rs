//! Reads a webhook's settings from JSON, for creation and for edits, and names
//! every fault at once.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{ClientCertificate, Collapse, Confidential, MASK, Ordering, Settings, client_certificate};
use crate::fault::{Fault, Faults};
use crate::filter::Filter;
use crate::json::{self, Members};
use crate::retry::Schedule;
use crate::signing::Scheme;

mod headers;
mod subscription;

/// Longest URL, in bytes.
const MAX_URL: usize = 2_048;

const MEMBERS: [&str; 23] = [
    "name",
    "url",
    "dialect",
    "events",
    "hooks",
    "topics",
    "resource",
    "trigger",
    "retries",
    "identifier",
    "triggered_by_related",
    "filter",
    "retry",
    "ordering",
    "collapse",
    "rate_per_second",
    "max_in_flight",
    "timeout_seconds",
    "headers",
    "authorization_header",
    "client_certificate",
    "signature",
    "enabled",
];

/// Reads settings and, where given, `enabled`. With `base`, members that are
/// left out stay as they are there and null resets them; without, they take
/// their defaults, and `url` and what the dialect says it hears by are
/// required.
///
/// # Errors
/// Every fault, each with its JSON pointer.
pub fn read_settings(text: &str, base: Option<&Settings>) -> Result<(Settings, Option<bool>), Vec<Fault>> {
    read(text, base, Trust::Given)
}

/// Reads settings as they were stored. They were accepted once, so rules that
/// came later do not make them unreadable: what is reserved since is left out.
///
/// # Errors
/// Every fault, each with its JSON pointer.
pub fn read_stored_settings(text: &str) -> Result<Settings, Vec<Fault>> {
    read(text, None, Trust::Stored).map(|(settings, _)| settings)
}

fn read(text: &str, base: Option<&Settings>, trust: Trust) -> Result<(Settings, Option<bool>), Vec<Fault>> {
    let mut faults = Faults::new();
    let read = Members::read(text, &mut faults).and_then(|members| {
        members.refuse_unknown(&MEMBERS, &mut faults);
        Reader { members, base, trust, faults: &mut faults }.settings()
    });
    faults.finish(read)
}

/// Where settings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// From somebody who wants them.
    Given,
    /// From the database.
    Stored,
}

struct Reader<'a, 'b> {
    members: Members<'a>,
    base: Option<&'b Settings>,
    trust: Trust,
    faults: &'b mut Faults,
}

impl Reader<'_, '_> {
    fn settings(mut self) -> Option<(Settings, Option<bool>)> {
        let trust = self.trust;
        let url = self.url();
        let dialect = self.dialect();
        let subscription = dialect.and_then(|dialect| self.subscription(dialect));
        let name = self.name(url.as_deref());
        let enabled = self.optional("enabled", |_| None, |raw, faults| typed(raw, "true or false", faults));
        let right = "\"none\" or \"subject\"";
        let ordering = self.value("ordering", Ordering::default(), |base| base.ordering, right);
        let settings = Settings {
            ordering,
            collapse: self.collapse(ordering),
            identifier: self.optional("identifier", |base| base.identifier.clone(), read_identifier),
            triggered_by_related: self.value(
                "triggered_by_related",
                false,
                |base| base.triggered_by_related,
                "true or false",
            ),
            filter: self.optional("filter", |base| base.filter.clone(), parsed::<Filter>),
            retry: self.policy(dialect),
            rate_per_second: self.optional("rate_per_second", |base| base.rate_per_second, read_rate),
            max_in_flight: self
                .or_default("max_in_flight", |base| base.max_in_flight, read_max_in_flight)
                .unwrap_or(16),
            timeout: self
                .or_default("timeout_seconds", |base| base.timeout, read_timeout)
                .unwrap_or(Duration::from_secs(15)),
            headers: self
                .or_default(
                    "headers",
                    |base| base.headers.clone(),
                    |raw, faults| headers::read(raw, trust, faults),
                )
                .unwrap_or_default(),
            authorization_header: self.authorization_header(),
            client_certificate: self.client_certificate(url.as_deref()),
            signature: self.value(
                "signature",
                Scheme::default(),
                |base| base.signature,
                "\"hmac\" or \"ed25519\"",
            ),
            name,
            url: url.unwrap_or_default(),
            // Last, so that whatever else is wrong was noted.
            subscription: subscription?,
        };
        Some((settings, enabled))
    }

    /// Whether an edit leaves the member out.
    fn is_kept(&self, name: &str) -> bool {
        !self.members.iter().any(|(own, _)| own == name)
    }

    /// The member, or what the base has when it is left out; null is `None`.
    fn optional<T>(
        &mut self,
        name: &str,
        kept: impl FnOnce(&Settings) -> Option<T>,
        read: impl FnOnce(&RawValue, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        match (self.base, self.members.get(name)) {
            (Some(base), None) if self.is_kept(name) => kept(base),
            (_, None) => None,
            (_, Some(raw)) => self.faults.within(name, |faults| read(raw, faults)),
        }
    }

    fn or_default<T>(
        &mut self,
        name: &str,
        kept: impl FnOnce(&Settings) -> T,
        read: impl FnOnce(&RawValue, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        self.optional(name, |base| Some(kept(base)), read)
    }

    fn value<T: DeserializeOwned>(
        &mut self,
        name: &str,
        default: T,
        kept: impl FnOnce(&Settings) -> T,
        right: &str,
    ) -> T {
        self.or_default(name, kept, |raw, faults| typed(raw, right, faults)).unwrap_or(default)
    }

    /// Skipping what is out of date needs an order to tell what is.
    fn collapse(&mut self, ordering: Ordering) -> Collapse {
        let right = "\"none\" or \"latest\"";
        let collapse = self.value("collapse", Collapse::default(), |base| base.collapse, right);
        if collapse == Collapse::Latest && ordering == Ordering::None {
            self.faults.member("collapse", "needs \"ordering\": \"subject\"");
        }
        collapse
    }

    fn url(&mut self) -> Option<String> {
        let trust = self.trust;
        if self.base.is_none() && self.members.get("url").is_none() {
            self.faults.member("url", "is required: where deliveries are posted");
        } else if self.members.get("url").is_none() && !self.is_kept("url") {
            self.faults.member("url", "can't be null");
        }
        self.or_default(
            "url",
            |base| base.url.clone(),
            |raw, faults| {
                let text = json::read_string(raw, faults)?;
                check_url(&text, trust).map_err(|fault| faults.here(fault)).ok().map(|()| text)
            },
        )
    }

    /// A name left out is the host's.
    fn name(&mut self, url: Option<&str>) -> String {
        let read = |raw: &RawValue, faults: &mut Faults| {
            let name = json::read_string(raw, faults)?;
            if name.is_empty() || name.len() > 255 {
                faults.here("must be 1 to 255 bytes long");
            }
            Some(name)
        };
        self.or_default("name", |base| base.name.clone(), read).unwrap_or_else(|| {
            let host = url.and_then(|url| url::Url::parse(url).ok());
            host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
        })
    }

    fn authorization_header(&mut self) -> Option<Confidential> {
        let base = self.base;
        let kept = |base: &Settings| base.authorization_header.clone();
        self.optional("authorization_header", kept, |raw, faults| {
            let text = json::read_string(raw, faults)?;
            if text == MASK {
                let stored = base.and_then(kept);
                if stored.is_none() {
                    faults.here("is the mask that stands for a stored value, and none is stored");
                }
                return stored;
            }
            if let Err(fault) = headers::check_value(&text) {
                faults.here(fault);
            }
            Some(Confidential::new(text))
        })
    }

    fn client_certificate(&mut self, url: Option<&str>) -> Option<ClientCertificate> {
        let base = self.base;
        let kept = |base: &Settings| base.client_certificate.clone();
        let certificate = self.optional("client_certificate", kept, |raw, faults| {
            let stored = base.and_then(|base| base.client_certificate.as_ref());
            client_certificate::read(raw, stored, faults)
        });
        let plain = |url: &str| url::Url::parse(url).is_ok_and(|url| url.scheme() == "http");
        if certificate.is_some() && url.is_some_and(plain) {
            let fault = "needs a url that starts with https://: by http:// no certificate is shown";
            self.faults.member("client_certificate", fault);
        }
        certificate
    }
}

fn typed<'a, T: Deserialize<'a>>(raw: &'a RawValue, right: &str, faults: &mut Faults) -> Option<T> {
    let fault = |_| faults.here(format_args!("must be {right}"));
    serde_json::from_str(raw.get()).map_err(fault).ok()
}

fn parsed<T: FromStr<Err: Display>>(raw: &RawValue, faults: &mut Faults) -> Option<T> {
    let text = json::read_string(raw, faults)?;
    text.parse().map_err(|fault| faults.here(fault)).ok()
}

fn read_identifier(raw: &RawValue, faults: &mut Faults) -> Option<String> {
    let text = json::read_string(raw, faults)?;
    if text.is_empty() || text.len() > 512 {
        faults.here("must be 1 to 512 bytes long");
    }
    Some(text)
}

fn read_retry(raw: &RawValue, faults: &mut Faults) -> Option<Schedule> {
    let members = Members::read(raw.get(), faults)?;
    members.refuse_unknown(&["schedule_seconds"], faults);
    let Some(schedule) = members.get("schedule_seconds") else {
        faults.member("schedule_seconds", "is required: the waits in seconds, such as [5, 300]");
        return None;
    };
    faults.within("schedule_seconds", |faults| {
        let seconds: Vec<f64> = typed(schedule, "an array of seconds, such as [5, 300]", faults)?;
        Schedule::from_seconds(&seconds).map_err(|invalid| faults.here(invalid)).ok()
    })
}

/// Reads a rate: how many of something a second, at most.
pub fn read_rate(raw: &RawValue, faults: &mut Faults) -> Option<f64> {
    let rate: Option<f64> = serde_json::from_str(raw.get()).ok();
    let rate = rate.filter(|rate| (0.01..=10_000.0).contains(rate));
    if rate.is_none() {
        faults.here("must be a number from 0.01 to 10000");
    }
    rate
}

fn read_max_in_flight(raw: &RawValue, faults: &mut Faults) -> Option<u32> {
    let count: Option<u32> = serde_json::from_str(raw.get()).ok();
    if !count.is_some_and(|count| (1..=1_000).contains(&count)) {
        faults.here("must be a whole number from 1 to 1000");
    }
    count
}

fn read_timeout(raw: &RawValue, faults: &mut Faults) -> Option<Duration> {
    let seconds: Option<f64> = serde_json::from_str(raw.get()).ok();
    let timeout = seconds.filter(|seconds| (0.1..=60.0).contains(seconds));
    if timeout.is_none() {
        faults.here("must be a number of seconds from 0.1 to 60");
    }
    timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

fn check_url(text: &str, trust: Trust) -> Result<(), String> {
    if text.len() > MAX_URL {
        return Err(format!("may be at most {MAX_URL} bytes long"));
    }
    // The parser would drop them, and what is shown would not be what is called.
    if trust == Trust::Given && (text.chars().any(char::is_control) || text.trim() != text) {
        return Err("may not hold control characters, nor spaces around it".to_owned());
    }
    let url = url::Url::parse(text).map_err(|error| format!("is no absolute URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must start with https:// or http://, not {}:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("may not hold a user name or password; use authorization_header".to_owned());
    }
    if url.fragment().is_some() {
        return Err("may not hold a fragment: it is never sent".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::retry::Policy;

    fn pointers(text: &str, base: Option<&Settings>) -> Vec<String> {
        let faults = read_settings(text, base).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    fn minimal() -> Settings {
        let text = r#"{"url": "https://example.com/hook", "events": ["ticket.*"]}"#;
        read_settings(text, None).expect("good settings").0
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let settings = minimal();
        assert_eq!(settings.name, "example.com");
        assert_eq!(settings.max_in_flight, 16);
        assert_eq!(settings.timeout, Duration::from_secs(15));
        assert_eq!(settings.retry, Policy::default());
        assert!(!settings.triggered_by_related);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let text = r#"{"url": "ftp://u:p@x/#f", "events": ["ticket.sold", 5, "order.paid"], "retry": {"schedule_seconds": [-1]},
            "max_in_flight": 0, "timeout_seconds": 61, "headers": {"Host": "x", "X-A": "a\r\nb", "webhook-id": "1"},
            "authorization_header": "é", "signature": "rsa", "enabled": "yes", "colour": 1, "ordering": "time",
            "identifier": ""}"#;
        let mut found = pointers(text, None);
        found.sort();
        assert_eq!(
            found,
            [
                "/authorization_header",
                "/colour",
                "/enabled",
                "/events/0",
                "/events/1",
                "/headers/Host",
                "/headers/X-A",
                "/headers/webhook-id",
                "/identifier",
                "/max_in_flight",
                "/ordering",
                "/retry/schedule_seconds",
                "/signature",
                "/timeout_seconds",
                "/url"
            ]
        );
    }

    #[test]
    fn a_webhook_needs_an_address_and_something_to_hear() {
        assert_eq!(pointers("{}", None), ["/url", "/events"]);
        assert_eq!(pointers(r#"{"url": "https://x.example", "events": []}"#, None), ["/events"]);
        for url in [
            "",
            "x",
            "/hook",
            "https://",
            "http://u@x.example/",
            "javascript:1",
            " https://x.example",
            "https://x.\\texample/",
            "https://x.example/\\n",
        ] {
            let text = format!(r#"{{"url": "{url}", "events": ["*"]}}"#);
            assert_eq!(pointers(&text, None), ["/url"], "{url}");
        }
    }

    #[test]
    fn an_edit_changes_only_what_it_names() {
        let mut base = minimal();
        base.authorization_header = Some(Confidential::new("Bearer x".to_owned()));
        base.identifier = Some("24724".to_owned());
        let edit = |text: &str| read_settings(text, Some(&base)).expect("a good edit").0;
        assert_eq!(edit("{}"), base);
        assert_eq!(edit(r#"{"name": "n"}"#), Settings { name: "n".to_owned(), ..base.clone() });
        assert_eq!(edit(r#"{"identifier": null}"#).identifier, None);
        assert_eq!(edit(r#"{"authorization_header": null}"#).authorization_header, None);
        let masked = format!(r#"{{"authorization_header": "{MASK}"}}"#);
        assert_eq!(edit(&masked), base);
        assert_eq!(pointers(&masked, Some(&minimal())), ["/authorization_header"]);
        assert_eq!(pointers(r#"{"url": null, "events": null}"#, Some(&base)), ["/url", "/events"]);
    }

    #[test]
    fn limits_are_those_of_the_documentation() {
        let base = minimal();
        let url = |length: usize| format!("\"https://x.example/{}\"", "p".repeat(length - 18));
        let text = |length: usize| format!("\"{}\"", "x".repeat(length));
        for (member, good, bad) in [
            ("url", vec![url(2_048)], vec![url(2_049), url(9_000)]),
            ("name", vec![text(1), text(255)], vec![text(0), text(256), text(999), "5".to_owned()]),
            ("identifier", vec![text(1), text(512)], vec![text(0), text(513), text(999)]),
            (
                "max_in_flight",
                vec!["1".to_owned(), "1000".to_owned()],
                vec!["0".to_owned(), "1001".to_owned()],
            ),
            (
                "timeout_seconds",
                vec!["0.1".to_owned(), "60".to_owned()],
                vec!["0.09".to_owned(), "60.1".to_owned()],
            ),
            (
                "rate_per_second",
                vec!["0.01".to_owned(), "10000".to_owned()],
                vec!["0.009".to_owned(), "10001".to_owned()],
            ),
            ("authorization_header", vec![text(4_096)], vec![text(0), text(4_097)]),
        ] {
            for value in good {
                assert_eq!(pointers(&format!("{{\"{member}\": {value}}}"), Some(&base)), [""; 0], "{value}");
            }
            for value in bad {
                let expected = [format!("/{member}")];
                assert_eq!(pointers(&format!("{{\"{member}\": {value}}}"), Some(&base)), expected, "{value}");
            }
        }
        let kept = r#"{"rate_per_second": 2.5, "timeout_seconds": 1.5, "max_in_flight": 3}"#;
        let edited = read_settings(kept, Some(&base)).expect("good settings").0;
        let numbers = (edited.rate_per_second, edited.timeout, edited.max_in_flight);
        assert_eq!(numbers, (Some(2.5), Duration::from_millis(1_500), 3));
    }

    #[test]
    fn a_url_holds_neither_credentials_nor_a_fragment_and_is_of_http() {
        let told = |url: &str| {
            let text = format!(r#"{{"url": "{url}", "events": ["*"]}}"#);
            read_settings(&text, None).map_err(|faults| faults[0].detail.clone())
        };
        for (url, word) in [
            ("https://u@x.example/", "user name"),
            ("https://:p@x.example/", "user name"),
            ("https://x.example/#f", "fragment"),
            ("ftp://x.example/", "https://"),
            ("https://x.example/\\u0000", "control"),
        ] {
            let fault = told(url).expect_err(url);
            assert!(fault.contains(word), "{url}: {fault}");
        }
        assert!(told("http://x.example:8080/a?b=c").is_ok());
        // Who stored it once can still read it.
        let stored = r#"{"url": " https://x.example/", "events": ["*"]}"#;
        assert!(read_stored_settings(stored).is_ok());
    }

    #[test]
    fn skipping_what_is_out_of_date_needs_an_order() {
        let text = |ordering: &str, collapse: &str| {
            format!(
                r#"{{"url": "https://x.example", "events": ["*"], "ordering": "{ordering}", "collapse": "{collapse}"}}"#
            )
        };
        assert_eq!(pointers(&text("none", "latest"), None), ["/collapse"]);
        for (ordering, collapse) in [("subject", "latest"), ("subject", "none"), ("none", "none")] {
            assert_eq!(pointers(&text(ordering, collapse), None), [""; 0]);
        }
    }

    #[test]
    fn debug_output_hides_the_authorization_header() {
        let mut settings = minimal();
        settings.authorization_header = Some(Confidential::new("Bearer sesame".to_owned()));
        assert!(!format!("{settings:?}").contains("sesame"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".{0,300}") {
            let _ = read_settings(&text, None);
        }

        #[test]
        fn settings_survive_the_round_trip(
            name in "\\PC{1,50}", seconds in proptest::collection::vec(0.0..86_400.0_f64, 0..9),
            related: bool, in_flight in 1_u32..=1_000, secret in proptest::option::of("[ -~]{1,40}"),
        ) {
            let settings = Settings {
                name,
                retry: Policy::Schedule(Schedule::from_seconds(&seconds).expect("valid")),
                triggered_by_related: related,
                max_in_flight: in_flight,
                authorization_header: secret.filter(|text| text != MASK).map(Confidential::new),
                ..minimal()
            };
            let text = serde_json::to_string(&settings.revealed()).expect("JSON");
            prop_assert_eq!(read_settings(&text, None).map(|read| read.0), Ok(settings));
        }
    }
}
