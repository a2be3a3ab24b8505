//! Webhooks of every kind under load, and what has to come to them of what was
//! accepted.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use callboard_testing::TestDatabase;
use serde_json::{Value, json};

use super::Process;
use super::hearer::{Hearer, Manner, Taken};
use super::publisher::{self, Event};

pub(crate) const PUBLISHERS: u64 = 4;

/// Most requests that one of these webhooks has under way.
pub(crate) const IN_FLIGHT: usize = 16;

/// The webhooks: their paths, what they hear, how they answer.
pub(crate) const WEBHOOKS: [(&str, &str, Manner); 4] = [
    ("/fast", "*", Manner::Prompt),
    ("/slow", "order.*", Manner::Slow(Duration::from_millis(10))),
    ("/flaky", "ticket.*", Manner::Failing(3)),
    (ORDERED, "order.*", Manner::Failing(7)),
];

/// The path of the webhook that asks for order by subject.
pub(crate) const ORDERED: &str = "/ordered";

/// Ids of events that only ask who hears them begin like this.
const PROBE: &str = "probe-";

/// A delivery: the path, and the event's id.
pub(crate) type Delivery = (&'static str, String);

/// A receiver that answers as they should be answered.
pub(crate) async fn hearer() -> Hearer {
    Hearer::start(&WEBHOOKS.map(|(path, _, manner)| (path, manner))).await
}

/// Makes them; by path, their ids.
pub(crate) async fn make_webhooks(process: &Process, hearer: &Hearer) -> HashMap<&'static str, String> {
    // Never given up: no delivery fails this often in a row.
    let schedule: Vec<f64> = [0.05, 0.1, 0.2].into_iter().chain([0.3; 27]).collect();
    let mut webhooks = HashMap::new();
    for (path, pattern, _) in WEBHOOKS {
        let settings = json!({
            "url": hearer.url(path), "events": [pattern], "max_in_flight": IN_FLIGHT,
            "ordering": if path == ORDERED { "subject" } else { "none" },
            "retry": {"schedule_seconds": schedule},
        });
        webhooks.insert(path, process.make_webhook(&settings).await);
    }
    webhooks
}

/// Waits until a process knows all of them, which another one has made.
pub(crate) async fn until_known(process: &Process) {
    let mut number = 0;
    for type_name in ["order.paid", "ticket.updated"] {
        super::until("the webhooks are known", async || {
            number += 1;
            let id = format!("{PROBE}{}-{number}", process.address.port());
            let event = json!({"id": id, "type": type_name, "subject": {"id": id}});
            let answer = process.post("/v1/events", &event).await.is(202);
            let answer = answer["items"].as_array().map_or(&answer, |items| &items[0]);
            (answer["deliveries"] == paths(type_name).count()).then_some(())
        })
        .await;
    }
}

/// What is taken under a path, but for what [`until_known`] published.
fn taken(hearer: &Hearer, path: &str) -> impl Iterator<Item = (String, Taken)> {
    hearer.taken(path).into_iter().filter(|(id, _)| !id.starts_with(PROBE))
}

/// The paths that an event of this type has to come to.
fn paths(type_name: &str) -> impl Iterator<Item = &'static str> {
    let resource = type_name.split('.').next().unwrap_or_default().to_owned();
    let hears = move |pattern: &str| pattern == "*" || pattern.strip_suffix(".*") == Some(&resource);
    WEBHOOKS.into_iter().filter(move |(_, pattern, _)| hears(pattern)).map(|(path, ..)| path)
}

/// What has to come of what was accepted.
pub(crate) fn expected(accepted: &HashMap<String, &'static str>) -> HashSet<Delivery> {
    accepted.iter().flat_map(|(id, name)| paths(name).map(|path| (path, id.clone()))).collect()
}

/// What came, and how often.
pub(crate) fn delivered(hearer: &Hearer) -> HashMap<Delivery, u32> {
    let of = |path| taken(hearer, path).map(move |(id, taken)| ((path, id), taken.times));
    WEBHOOKS.into_iter().flat_map(|(path, ..)| of(path)).collect()
}

/// Each publisher publishes about a subject in the order of its own numbers.
/// Returns the longest row of deliveries that were in order.
pub(crate) fn judge_order(hearer: &Hearer) -> usize {
    let mut subjects: HashMap<String, Vec<(u64, Duration)>> = HashMap::new();
    for (id, taken) in taken(hearer, ORDERED) {
        let row = subjects.entry(publisher::subject(&id)).or_default();
        row.push((publisher::number(&id), taken.first_at));
    }
    let mut longest = 0;
    for (subject, mut taken) in subjects {
        longest = longest.max(taken.len());
        taken.sort_unstable();
        let in_order = taken.is_sorted_by(|(_, one), (_, next)| one < next);
        assert!(in_order, "{subject} came out of order: {taken:?}");
    }
    longest
}

/// A batch that got no answer is there as a whole, or not at all; and nothing is
/// there that was not published.
pub(crate) fn judge_unsure(
    unsure: &[Vec<Event>],
    expected: &HashSet<Delivery>,
    mut delivered: HashMap<Delivery, u32>,
) {
    for batch in unsure {
        let all: Vec<Delivery> =
            batch.iter().flat_map(|(id, name)| paths(name).map(|path| (path, id.clone()))).collect();
        let there = all.iter().filter(|delivery| delivered.remove(*delivery).is_some()).count();
        assert!(there == 0 || there == all.len(), "{there} of {} deliveries of one batch", all.len());
    }
    delivered.retain(|delivery, _| !expected.contains(delivery));
    assert!(delivered.is_empty(), "delivered without having been published: {delivered:?}");
}

/// The same, read from a database on a server that no process needs to reach.
pub(crate) fn unwritten_in(url: &str, hearer: &Hearer) -> HashSet<Delivery> {
    let pending = "SELECT webhooks.settings::json ->> 'url', events.id FROM pending
        JOIN webhooks ON webhooks.key = pending.webhook JOIN events ON events.key = pending.event";
    let pending = TestDatabase::pairs(url, pending);
    let books = WEBHOOKS.map(|(path, ..)| (path, hearer.taken(path)));
    let has_come = |(to, id): (String, String)| {
        let (path, book) = books.iter().find(|(path, _)| to.ends_with(path))?;
        book.contains_key(&id).then_some((*path, id))
    };
    pending.into_iter().filter_map(has_come).collect()
}

/// What has come once at least and is not written down as delivered yet.
pub(crate) async fn unwritten(
    process: &Process,
    webhooks: &HashMap<&'static str, String>,
    hearer: &Hearer,
) -> HashSet<Delivery> {
    let mut unwritten = HashSet::new();
    for (path, id) in webhooks {
        let mut after = String::new();
        loop {
            let list = format!("/v1/webhooks/{id}/deliveries?limit=200&state=pending,waiting{after}");
            let page = process.get(&list).await.is(200);
            let ids = page["items"].as_array().expect("items").iter();
            let ids = ids.map(|item| item["event_id"].as_str().expect("an id").to_owned());
            let taken = hearer.taken(path);
            unwritten.extend(ids.filter(|id| taken.contains_key(id)).map(|id| (*path, id)));
            let Value::String(next) = &page["next"] else { break };
            after = format!("&cursor={next}");
        }
    }
    unwritten
}
