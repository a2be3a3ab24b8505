//! Reads what a webhook hears and how its dialect retries, and says why a
//! dialect has no use for a setting of another.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::value::RawValue;

use super::{Reader, parsed, read_retry, typed};
use crate::event_type::TypePattern;
use crate::fault::Faults;
use crate::json;
use crate::resource::Resource;
use crate::retry::{MAX_RETRIES, Policy};
use crate::trigger::Trigger;
use crate::webhook::{Settings, Subscription};
use crate::wire::{Dialect, openticket};

/// Most patterns of one webhook.
const MAX_PATTERNS: usize = 100;

/// Members that only webhooks of one dialect have.
const OWN: [(&str, Dialect); 7] = [
    ("events", Dialect::Native),
    ("filter", Dialect::Native),
    ("hooks", Dialect::Ingresse),
    ("topics", Dialect::Viagogo),
    ("resource", Dialect::OpenTicket),
    ("trigger", Dialect::OpenTicket),
    ("retries", Dialect::OpenTicket),
];

/// How a webhook of this dialect says what it hears.
const fn says_by(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Native => "events",
        Dialect::Ingresse => "hooks",
        Dialect::Viagogo => "topics",
        Dialect::OpenTicket => "resource and trigger",
    }
}

impl Reader<'_, '_> {
    /// The dialect; `None` when it is wrong, so that nobody can say what else
    /// would be right.
    pub(super) fn dialect(&mut self) -> Option<Dialect> {
        let known = self.faults.count();
        let dialect = self.optional("dialect", |base| Some(base.subscription.dialect()), parsed::<Dialect>);
        if self.faults.count() > known {
            return None;
        }
        let dialect = dialect.unwrap_or(Dialect::Native);
        if self.base.is_some_and(|base| base.subscription.dialect() != dialect) {
            self.faults.member("dialect", "can't be changed; create a new webhook");
            return None;
        }
        Some(dialect)
    }

    pub(super) fn subscription(&mut self, dialect: Dialect) -> Option<Subscription> {
        self.refuse_what_others_have(dialect);
        match dialect {
            Dialect::Native => {
                let right = "at least one event type, such as [\"ticket.*\", \"order.paid\"]";
                let kept = |base: &Settings| match &base.subscription {
                    Subscription::Native { events } => Some(events.clone()),
                    _ => None,
                };
                let events = self.words::<TypePattern>("events", right, kept)?;
                Some(Subscription::Native { events })
            }
            Dialect::Ingresse => {
                let right = "at least one hook, such as [\"event-create\", \"ticket\"]";
                let kept = |base: &Settings| match &base.subscription {
                    Subscription::Ingresse { hooks } => Some(hooks.clone()),
                    _ => None,
                };
                Some(Subscription::Ingresse { hooks: self.words("hooks", right, kept)? })
            }
            Dialect::Viagogo => {
                let right = "at least one topic, such as [\"Sales\"]";
                let kept = |base: &Settings| match &base.subscription {
                    Subscription::Viagogo { topics } => Some(topics.clone()),
                    _ => None,
                };
                Some(Subscription::Viagogo { topics: self.words("topics", right, kept)? })
            }
            Dialect::OpenTicket => self.openticket(),
        }
    }

    fn refuse_what_others_have(&mut self, dialect: Dialect) {
        for (name, owner) in OWN {
            if owner != dialect && self.members.get(name).is_some() {
                let (own, by) = (dialect.as_str(), says_by(dialect));
                let detail = if name == "retries" {
                    "is for the dialect openticket; give the waits of this webhook in retry".to_owned()
                } else {
                    format!(
                        "is for the dialect {}; a webhook of the dialect {own} says what it hears in {by}",
                        owner.as_str()
                    )
                };
                self.faults.member(name, detail);
            }
        }
        let related = self.members.get("triggered_by_related").is_some_and(|raw| raw.get() == "true");
        if related && matches!(dialect, Dialect::Ingresse | Dialect::Viagogo) {
            self.faults.member(
                "triggered_by_related",
                format_args!(
                    "must be false: what {} tells is about the thing itself, and has no words for one that happened to another",
                    dialect.as_str()
                ),
            );
        }
    }

    /// A list of words, each told once.
    fn words<T: FromStr<Err: Display> + PartialEq>(
        &mut self,
        name: &str,
        right: &str,
        kept: impl FnOnce(&Settings) -> Option<Vec<T>>,
    ) -> Option<Vec<T>> {
        if let (Some(base), true) = (self.base, self.is_kept(name)) {
            return kept(base);
        }
        let Some(raw) = self.members.get(name) else {
            self.faults.member(name, format_args!("must name {right}"));
            return None;
        };
        self.faults.within(name, |faults| {
            let words: Vec<&RawValue> = typed(raw, "an array of strings", faults)?;
            if words.is_empty() || words.len() > MAX_PATTERNS {
                faults.here(format_args!("must name {right}, and at most {MAX_PATTERNS}"));
                return None;
            }
            let mut read: Vec<T> = Vec::with_capacity(words.len());
            for (index, raw) in words.into_iter().enumerate() {
                let word = faults.element(index, |faults| parsed(raw, faults));
                read.extend(word.filter(|word| !read.contains(word)));
            }
            Some(read)
        })
    }

    fn openticket(&mut self) -> Option<Subscription> {
        let base = self.base.and_then(|base| match &base.subscription {
            Subscription::OpenTicket { resource, trigger } => Some((*resource, *trigger)),
            _ => None,
        });
        let resource =
            self.word("resource", base.map(|(resource, _)| resource), "what it hears of", |text| {
                openticket::RESOURCES.into_iter().find(|resource| resource.as_str() == text).ok_or_else(
                    || format!("must be one of {}", openticket::RESOURCES.map(Resource::as_str).join(", ")),
                )
            });
        let trigger = self.word("trigger", base.map(|(_, trigger)| trigger), "what happens to it", |text| {
            let triggers = openticket::RESOURCES[0].triggers();
            Trigger::from_word(text).filter(|trigger| triggers.contains(trigger)).ok_or_else(|| {
                let words: Vec<_> = triggers.iter().map(|trigger| trigger.as_str()).collect();
                format!("must be one of {}", words.join(", "))
            })
        });
        Some(Subscription::OpenTicket { resource: resource?, trigger: trigger? })
    }

    fn word<T>(
        &mut self,
        name: &str,
        kept: Option<T>,
        what: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if kept.is_some() && self.is_kept(name) {
            return kept;
        }
        let Some(raw) = self.members.get(name) else {
            self.faults.member(name, format_args!("is required: {what}"));
            return None;
        };
        self.faults.within(name, |faults| {
            let text = json::read_string(raw, faults)?;
            read(&text).map_err(|fault| faults.here(fault)).ok()
        })
    }

    /// How it is retried: by `retry`, or in the OpenTicket dialect by a number
    /// of `retries`.
    pub(super) fn policy(&mut self, dialect: Option<Dialect>) -> Policy {
        let [retry, retries] = ["retry", "retries"].map(|name| self.members.get(name));
        let doubles = dialect == Some(Dialect::OpenTicket);
        if doubles && retry.is_some() && retries.is_some() {
            self.faults.member("retries", "can't be given together with retry: each says how often and when");
        }
        if let Some(raw) = retry {
            let schedule = self.faults.within("retry", |faults| read_retry(raw, faults));
            return schedule.map(Policy::Schedule).unwrap_or_default();
        }
        if let (Some(raw), true) = (retries, doubles) {
            let retries = self.faults.within("retries", |faults| read_retries(raw, faults));
            return Policy::Doubling { retries: retries.unwrap_or_default() };
        }
        match self.base {
            Some(base) if self.is_kept("retry") && (self.is_kept("retries") || !doubles) => {
                base.retry.clone()
            }
            _ if doubles => Policy::Doubling { retries: openticket::DEFAULT_RETRIES },
            _ => Policy::default(),
        }
    }
}

fn read_retries(raw: &RawValue, faults: &mut Faults) -> Option<u32> {
    let most = u32::try_from(MAX_RETRIES).unwrap_or(u32::MAX);
    let retries: Option<u32> = serde_json::from_str(raw.get()).ok();
    let retries = retries.filter(|retries| *retries <= most);
    if retries.is_none() {
        faults.here(format_args!("must be a whole number from 0 to {most}"));
    }
    retries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::read_settings;
    use crate::wire::ingresse::Hook;
    use crate::wire::viagogo::Topic;

    fn faults(text: &str, base: Option<&Settings>) -> Vec<(String, String)> {
        let faults = read_settings(text, base).err().unwrap_or_default();
        faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
    }

    fn pointers(more: &str) -> Vec<String> {
        let text = format!(r#"{{"url": "https://example.com", {more}}}"#);
        faults(&text, None).into_iter().map(|(pointer, _)| pointer).collect()
    }

    fn good(more: &str, base: Option<&Settings>) -> Settings {
        read_settings(&format!(r#"{{"url": "https://example.com", {more}}}"#), base).expect("good settings").0
    }

    #[test]
    fn every_dialect_says_in_its_own_words_what_it_hears() {
        let ingresse = good(r#""dialect": "ingresse", "hooks": ["ticket", "sale", "ticket"]"#, None);
        assert_eq!(ingresse.subscription, Subscription::Ingresse { hooks: vec![Hook::Ticket, Hook::Sale] });
        let viagogo = good(r#""dialect": "viagogo", "topics": ["Sales", "Ping"]"#, None);
        assert_eq!(viagogo.subscription, Subscription::Viagogo { topics: vec![Topic::Sales, Topic::Ping] });
        let openticket = good(r#""dialect": "openticket", "resource": "shop", "trigger": "reorder""#, None);
        let pair = Subscription::OpenTicket { resource: Resource::Shop, trigger: Trigger::Reorder };
        assert_eq!((&openticket.subscription, &openticket.retry), (&pair, &Policy::Doubling { retries: 3 }));
        for settings in [ingresse, viagogo, openticket] {
            let text = serde_json::to_string(&settings.revealed()).expect("JSON");
            assert_eq!(read_settings(&text, None).map(|read| read.0), Ok(settings));
        }
    }

    #[test]
    fn words_that_a_dialect_does_not_have_are_refused() {
        assert_eq!(pointers(r#""dialect": "ingresse", "hooks": ["tickets", 1]"#), ["/hooks/0", "/hooks/1"]);
        assert_eq!(pointers(r#""dialect": "ingresse", "hooks": []"#), ["/hooks"]);
        assert_eq!(pointers(r#""dialect": "ingresse""#), ["/hooks"]);
        assert_eq!(pointers(r#""dialect": "viagogo", "topics": ["Sales", "sales"]"#), ["/topics/1"]);
        assert_eq!(pointers(r#""dialect": "openticket""#), ["/resource", "/trigger"]);
        let other = r#""dialect": "openticket", "resource": "sale", "trigger": "cancel""#;
        assert_eq!(pointers(other), ["/resource", "/trigger"]);
        assert_eq!(pointers(r#""dialect": "eventbrite""#), ["/dialect"]);
    }

    #[test]
    fn patterns_and_retries_are_100_at_most() {
        let patterns = |count: usize| {
            let patterns: Vec<_> = (0..count).map(|number| format!("acme.p{number}")).collect();
            pointers(&format!(r#""events": {}"#, serde_json::json!(patterns)))
        };
        assert_eq!((patterns(100), patterns(101)), (vec![], vec!["/events".to_owned()]));
        assert_eq!(patterns(500), ["/events"]);
        let pair = r#""dialect": "openticket", "resource": "event", "trigger": "create""#;
        assert_eq!(good(&format!(r#"{pair}, "retries": 100"#), None).retry.retries(), 100);
    }

    #[test]
    fn what_belongs_to_another_dialect_is_refused_with_the_reason() {
        let text = r#"{"url": "https://example.com", "dialect": "ingresse", "hooks": ["ticket"],
            "events": ["*"], "resource": "event", "retries": 3, "triggered_by_related": true}"#;
        let found = faults(text, None);
        let detail = |pointer: &str| &found.iter().find(|(own, _)| own == pointer).expect("a fault").1;
        assert_eq!(found.len(), 4);
        assert!(detail("/events").contains("dialect ingresse says what it hears in hooks"));
        assert!(detail("/resource").contains("is for the dialect openticket"));
        assert!(detail("/retries").contains("in retry"));
        assert!(detail("/triggered_by_related").contains("has no words for"));
        assert_eq!(pointers(r#""events": ["*"], "hooks": null, "topics": ["Sales"]"#), ["/topics"]);
    }

    #[test]
    fn openticket_webhooks_are_retried_by_number_or_by_a_schedule() {
        let pair = r#""dialect": "openticket", "resource": "event", "trigger": "create""#;
        let five = good(&format!(r#"{pair}, "retries": 5"#), None);
        assert_eq!(five.retry, Policy::Doubling { retries: 5 });
        let own = good(r#""retry": {"schedule_seconds": [1, 2]}"#, Some(&five));
        assert_eq!((own.retry.retries(), matches!(own.retry, Policy::Schedule(_))), (2, true));
        assert_eq!(good(r#""retries": 0"#, Some(&own)).retry, Policy::Doubling { retries: 0 });
        assert_eq!(good(r#""name": "n""#, Some(&own)).retry, own.retry);
        let native = good(r#""events": ["*"], "retry": {"schedule_seconds": [1]}"#, None);
        assert_eq!(good(r#""retries": null"#, Some(&native)).retry, native.retry);
        assert_eq!(good(r#""retries": null"#, Some(&five)).retry, Policy::Doubling { retries: 3 });
        for wrong in ["-1", "101", "2.5", "\"3\"", "true"] {
            assert_eq!(pointers(&format!(r#"{pair}, "retries": {wrong}"#)), ["/retries"], "{wrong}");
        }
        let both = format!(r#"{pair}, "retries": 1, "retry": {{"schedule_seconds": []}}"#);
        assert_eq!(pointers(&both), ["/retries"]);
        let missing = r#""dialect": "openticket", "retries": -1"#;
        assert_eq!(pointers(missing), ["/resource", "/trigger", "/retries"]);
    }

    #[test]
    fn an_edit_keeps_the_dialect_and_what_it_hears() {
        let base = good(r#""dialect": "openticket", "resource": "event", "trigger": "create""#, None);
        let edited = good(r#""trigger": "update""#, Some(&base));
        let pair = Subscription::OpenTicket { resource: Resource::Event, trigger: Trigger::Update };
        assert_eq!(edited.subscription, pair);
        let found = faults(r#"{"dialect": "native", "events": ["*"]}"#, Some(&base));
        assert_eq!(found[0].0, "/dialect");
        assert_eq!(faults(r#"{"resource": null}"#, Some(&base))[0].0, "/resource");
    }

    #[test]
    fn an_edit_that_does_not_name_what_a_webhook_hears_changes_nothing_of_it() {
        for hears in [
            r#""events": ["ticket.*", "order.paid"]"#,
            r#""dialect": "ingresse", "hooks": ["sale", "ticket"]"#,
            r#""dialect": "viagogo", "topics": ["Sales", "Ping"]"#,
            r#""dialect": "openticket", "resource": "shop", "trigger": "paid""#,
        ] {
            let base = good(hears, None);
            let edited = good(r#""name": "Another""#, Some(&base));
            assert_eq!(edited, Settings { name: "Another".to_owned(), ..base }, "{hears}");
        }
    }
}
