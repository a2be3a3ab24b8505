//! Keeps docs/dialects.md true: the page is made from the tables that decide.

use std::fmt::Write as _;

use crate::event_type::EventType;
use crate::resource::Resource;
use crate::trigger::Trigger;
use crate::wire::ingresse::Hook;
use crate::wire::openticket::{Fires, RESOURCES, fires};
use crate::wire::viagogo::Topic;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dialects.md");

const HEAD: &str = "\
# Which dialect hears what

A *dialect* is one platform's way of registering webhooks, and one shape of
delivery. One publish reaches every webhook that hears the event, each in its
dialect: [native](receiving.md), [ingresse](ingresse.md), [viagogo](viagogo.md) or
[openticket](openticket.md).

This page is made by a test from the tables that the program itself matches by.
Types of your own, and Callboard's own types, are heard by native webhooks only.

## By event type

A native webhook hears whatever its patterns pick. The other columns name what a
webhook of that dialect has to ask for. The last one names the resources whose
OpenTicket webhooks also hear it, on the same trigger, if
`triggered_by_child_resources` is on; native webhooks with `triggered_by_related`
hear the same.

| event type | ingresse | viagogo | openticket | and through related resources |
|---|---|---|---|---|
";

const PAIRS: &str = "
## By pair, for OpenTicket

Every pair of resource and trigger can be asked for. This is what that platform
itself fires: **d** directly, **r** only when it happens to a related resource, and
- not today. Here a webhook fires whenever such an event is published, whichever
it is.

| resource |";

fn cell(words: Vec<String>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn hooks(resource: Resource, trigger: Trigger) -> String {
    let hears = |hook: &Hook| hook.hears().contains(&(resource, trigger));
    let told = |hook: Hook| {
        let condition = if hook.needs_status(resource, trigger) { " with a `status`" } else { "" };
        format!("`{}`{condition}", hook.as_str())
    };
    Hook::ALL.into_iter().filter(hears).map(told).collect::<Vec<_>>().join(", ")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (resource, trigger) in EventType::known() {
        let topic = Topic::of(resource, trigger).map(|topic| topic.as_str().to_owned());
        let pair = RESOURCES.contains(&resource).then(|| format!("{resource} {}", trigger.as_str()));
        let related = resource.propagates_to(trigger).iter().map(ToString::to_string).collect();
        let row = [
            cell(vec![EventType::Known(resource, trigger).to_string()]),
            hooks(resource, trigger),
            cell(topic.into_iter().collect()),
            cell(pair.into_iter().collect()),
            cell(related),
        ];
        writeln!(page, "| {} |", row.join(" | ")).expect("a text");
    }
    page += PAIRS;
    let triggers = RESOURCES[0].triggers();
    for trigger in triggers {
        write!(page, " {} |", trigger.as_str()).expect("a text");
    }
    writeln!(page, "\n|---|{}", "---|".repeat(triggers.len())).expect("a text");
    for resource in RESOURCES {
        write!(page, "| `{resource}` |").expect("a text");
        for trigger in triggers {
            let told = match fires(resource, *trigger) {
                Fires::Directly => "d",
                Fires::ThroughRelated => "r",
                Fires::Never => "-",
            };
            write!(page, " {told} |").expect("a text");
        }
        page.push('\n');
    }
    page
}

#[test]
#[expect(clippy::disallowed_methods, reason = "asking for a new page is no setting of the program")]
fn the_page_says_what_the_tables_say() {
    let page = page();
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(PAGE, &page).expect("the page");
    }
    let kept = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert_eq!(page, kept, "docs/dialects.md is stale; run this test with UPDATE_GOLDEN=1");
}
