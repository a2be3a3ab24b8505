//! Bodies that publish events: what is accepted is the same when it is read again,
//! every dialect that knows it tells it as JSON, and every fault leads somewhere.

#![no_main]

use std::sync::LazyLock;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::event::{Event, read_events, same_fact};
use callboard_domain::event_type::EventType;
use callboard_domain::fault::{Fault, Faults};
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey};
use callboard_domain::json::Members;
use callboard_domain::webhook::{Subscription, Webhook, read_settings};
use callboard_domain::wire::{Dialect, Recipient, Renderings, ingresse, openticket, viagogo};
use callboard_fuzz::{pointer, settings};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A webhook of each dialect, and for OpenTicket of each resource.
static HEARERS: LazyLock<Vec<(Webhook, Recipient)>> = LazyLock::new(|| {
    let hooks = ingresse::Hook::ALL.map(ingresse::Hook::as_str);
    let topics = viagogo::Topic::ALL.map(viagogo::Topic::as_str);
    let mut texts = vec![
        json!({ "events": ["*"] }),
        json!({ "dialect": "ingresse", "hooks": hooks }),
        json!({ "dialect": "viagogo", "topics": topics }),
    ];
    for resource in openticket::RESOURCES {
        texts.push(json!({ "dialect": "openticket", "resource": resource, "trigger": "update" }));
    }
    let hearer = |mut text: Value| {
        text["url"] = "https://partner.example/hook".into();
        let (settings, _) = read_settings(&text.to_string(), None).expect("good settings");
        let webhook = settings::webhook(settings);
        let recipient =
            Recipient::new(&webhook, &"acme".parse().expect("an id"), "https://callboard.example");
        (webhook, recipient)
    };
    texts.into_iter().map(hearer).collect()
});

fuzz_target!(|text: &str| {
    for ndjson in [false, true] {
        match read(text, ndjson) {
            Ok(events) => events.into_iter().for_each(holds),
            Err(faults) => {
                assert!(!faults.is_empty());
                if ndjson {
                    of_lines(text, &faults);
                } else {
                    pointer::lead_somewhere(text, &faults);
                }
            }
        }
    }
});

fn read(text: &str, ndjson: bool) -> Result<Vec<Event>, Vec<Fault>> {
    let mut made = 0;
    read_events(text, ndjson, Timestamp::UNIX_EPOCH, &mut || {
        made += 1;
        format!("made-{made}").parse().expect("an id")
    })
}

/// The first token of a pointer into NDJSON counts the lines that are not blank.
fn of_lines(text: &str, faults: &[Fault]) {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    for fault in faults.iter().filter(|fault| !fault.pointer.is_empty()) {
        let (index, rest) = fault.pointer[1..]
            .split_once('/')
            .map_or((&fault.pointer[1..], None), |(index, rest)| (index, Some(format!("/{rest}"))));
        let line = lines[index.parse::<usize>().expect("the index of a line")];
        pointer::lead_somewhere(line, &[Fault { pointer: rest.unwrap_or_default(), ..fault.clone() }]);
    }
}

fn holds(event: Event) {
    let body = std::str::from_utf8(&event.body).expect("UTF-8");
    serde_json::from_str::<Value>(body).expect("JSON");

    let again = read(&publishable(body), false).expect("what was accepted").remove(0);
    assert_eq!(again.body, event.body);
    assert!(same_fact(&again.body, &event.body, true));

    let stored = StoredEvent {
        key: EventKey(1),
        tenant: TenantKey(1),
        id: event.id.clone(),
        type_name: event.type_name.clone(),
        subject_id: event.subject.id.clone(),
        accepted_at: Timestamp::UNIX_EPOCH,
        body: event.body.clone(),
        deliveries: 1,
        quantity_diff: None,
        renderings: Renderings::default(),
    };
    for (webhook, recipient) in &*HEARERS {
        let told = recipient.tell(&stored, DeliveryKey(1), Timestamp::UNIX_EPOCH);
        let dialect = webhook.settings.subscription.dialect();
        match told {
            Ok(message) => {
                serde_json::from_slice::<Value>(&message.body).expect("JSON");
                for (name, value) in message.headers {
                    let visible = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                    assert!(visible, "{name}: {value:?}");
                }
            }
            Err(why) => {
                assert!(!knows(dialect, &webhook.settings.subscription, &event), "{dialect:?}: {why}");
            }
        }
    }
    let read = Event::from_stored(&stored).expect("what was rendered");
    assert_eq!(read, Event { id_given: false, occurred_at_given: true, ..event });
}

/// Whether a dialect has words for an event.
fn knows(dialect: Dialect, subscription: &Subscription, event: &Event) -> bool {
    let EventType::Known(resource, trigger) = event.event_type else { return dialect == Dialect::Native };
    match subscription {
        Subscription::Native { .. } => true,
        Subscription::Ingresse { hooks } => hooks.iter().any(|hook| {
            hook.hears().contains(&(resource, trigger))
                && (!hook.needs_status(resource, trigger) || event.tells_status)
        }),
        Subscription::Viagogo { .. } => viagogo::Topic::of(resource, trigger).is_some(),
        Subscription::OpenTicket { resource: own, .. } => *own == resource,
    }
}

/// A native body as a publisher would send it.
fn publishable(body: &str) -> String {
    let members = Members::read(body, &mut Faults::new()).expect("an object");
    let raw = |name: &str| members.get(name).map_or("null", RawValue::get);
    let pairs = [
        ("id", "id"),
        ("type", "type"),
        ("occurred_at", "timestamp"),
        ("subject", "subject"),
        ("related", "related"),
        ("actor", "actor"),
        ("action", "action"),
        ("data", "data"),
        ("changes", "changes"),
    ];
    let pairs = pairs.map(|(name, native)| format!("\"{name}\":{}", raw(native)));
    format!("{{{}}}", pairs.join(","))
}
