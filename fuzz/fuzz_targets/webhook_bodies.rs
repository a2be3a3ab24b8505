//! Bodies that make and edit webhooks, in every dialect: what is accepted is stored
//! and read back as it is, and every fault leads somewhere.

#![no_main]

use std::sync::LazyLock;

use callboard_domain::fault::Fault;
use callboard_domain::webhook::openticket::{Extent, Fields};
use callboard_domain::webhook::{Settings, read_settings, viagogo};
use callboard_fuzz::{pointer, settings};
use libfuzzer_sys::fuzz_target;

static BASES: LazyLock<Vec<Settings>> = LazyLock::new(|| {
    let texts = [
        r#"{"url": "https://a.example", "events": ["ticket.*"], "filter": "$.data[?@ > 1]",
            "authorization_header": "Bearer a", "ordering": "subject", "collapse": "latest"}"#,
        r#"{"url": "https://a.example", "dialect": "ingresse", "hooks": ["ticket"], "headers": {"x-a": "b"}}"#,
        r#"{"url": "https://a.example", "dialect": "viagogo", "topics": ["Sales"], "rate_per_second": 0.5}"#,
        r#"{"url": "https://a.example", "dialect": "openticket", "resource": "shop", "trigger": "create",
            "identifier": "a", "triggered_by_related": true}"#,
    ];
    texts.map(|text| read_settings(text, None).expect("good settings").0).into()
});

fuzz_target!(|text: &str| {
    check(text, read_settings(text, None).map(|(settings, _)| settings));
    check(text, viagogo::read(text, None));
    for base in &*BASES {
        check(text, read_settings(text, Some(base)).map(|(settings, _)| settings));
        check(text, viagogo::read(text, Some(base)));
    }
    match Fields::from_json(text) {
        Err(faults) => pointer::lead_somewhere(text, &faults),
        Ok(fields) => {
            check(text, fields.settings(Extent::New));
            for base in &*BASES {
                check(text, fields.settings(Extent::Part(base)));
                check(text, fields.settings(Extent::Whole(base)));
            }
        }
    }
});

fn check(text: &str, read: Result<Settings, Vec<Fault>>) {
    match read {
        Ok(settings) => settings::hold(&settings),
        Err(faults) => {
            assert!(!faults.is_empty());
            pointer::lead_somewhere(text, &faults);
        }
    }
}
