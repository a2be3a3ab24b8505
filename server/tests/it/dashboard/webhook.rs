//! The pages of a webhook and of its invocations.

use std::time::Duration;

use serde_json::{Value, json};

use super::{guest, operator, said, webhook};
use crate::harness::{Harness, SCOPES, text};
use crate::receiver::Reply;

const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202e}";

fn event(type_name: &str, subject: &str) -> Value {
    json!({"type": type_name, "subject": {"id": subject}, "data": {"note": "</pre><b>bold</b>"}})
}

#[test]
fn the_log_tells_what_came_of_each_invocation_and_is_filtered_by_the_address() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    let id = webhook(&owner, &receiver.url("/in"), &json!({"name": "Box office"}));
    let good = owner.publish(&event("order.paid", "9917"));
    house.delivery(&owner, &good, "delivered");
    receiver.otherwise(Reply::status(500));
    let bad = owner.publish(&event("ticket.updated", "408218"));
    house.delivery(&owner, &bad, "failed");
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}");
    let all = visitor.page(&at);
    for part in ["Box office", "Invocation log", "500 in", "Retry all failed invocations (1)"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let row = |key: &str| format!("id=\"row-{key}\"");
    for (query, shows_good, shows_bad) in [
        ("", true, true),
        ("?state=failed", false, true),
        ("?answer=2xx", true, false),
        ("?answer=5xx", false, true),
        ("?answer=none", false, false),
        ("?type=order.paid", true, false),
        ("?subject=408218&state=&until=", false, true),
        ("?since=2020-01-01T00:00", true, true),
        ("?until=2020-01-01", false, false),
    ] {
        let shown = visitor.page(&format!("{at}{query}"));
        let found = (shown.contains(&row(&good)), shown.contains(&row(&bad)));
        assert_eq!(found, (shows_good, shows_bad), "{query}");
    }
    for query in ["?state=lost", "?answer=6xx", "?since=soon", "?cursor=x"] {
        assert_eq!(visitor.get(&format!("{at}{query}")).status, 400, "{query}");
    }
    let health = visitor.page(&format!("{at}/health"));
    assert!(health.contains("50 %") && health.contains("The last 7 days"), "{health}");
}

#[test]
fn an_invocation_shows_its_attempts_the_answer_and_exactly_what_was_sent() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(418).header("x-why", "<i>tea</i>"));
    let id = webhook(&owner, &receiver.url("/in"), &json!({"authorization_header": "Bearer very-secret"}));
    let key = owner.publish(&event("order.paid", "<9917>"));
    house.delivery(&owner, &key, "failed");
    let sent = receiver.next();
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/deliveries/{key}");
    let shown = visitor.page(&at);
    assert!(shown.contains("answered 418") && shown.contains("x-why: &#60;i&#62;tea&#60;/i&#62;"), "{shown}");
    assert!(shown.contains(&format!("webhook-id: {}", sent.header("webhook-id"))), "{shown}");
    assert!(
        shown.contains(sent.header("webhook-signature")),
        "rendered for the time of the attempt: {shown}"
    );
    assert!(
        shown.contains("&#60;/pre&#62;&#60;b&#62;bold&#60;/b&#62;") && !shown.contains("</pre><b>"),
        "{shown}"
    );
    assert!(shown.contains("authorization: ********") && !shown.contains("very-secret"), "{shown}");
    assert!(shown.contains("of</span> <bdi>&#60;9917&#62;</bdi>"), "{shown}");
    let body = visitor.get(&format!("{at}/body"));
    assert_eq!((body.status, &body.body), (200, &sent.body));
    assert_eq!(body.header("content-type"), "application/octet-stream");
    assert_eq!(body.header("content-disposition"), format!("attachment; filename=\"{key}.json\""));
    // Who may not see events does not see what was sent either.
    let reader = guest(&house, "acme", &["read:webhooks"]);
    let shown = reader.page(&at);
    assert!(shown.contains("answered 418") && !shown.contains("bold"), "{shown}");
    assert!(shown.contains("read:events"), "{shown}");
    assert_eq!(reader.get(&format!("{at}/body")).status, 403);
    owner.delete(&format!("/v1/webhooks/{id}")).is(204);
    assert!(visitor.page(&at).contains("The webhook is deleted"));
    assert_eq!(visitor.get(&format!("{at}/body")).status, 409);
}

#[test]
fn buttons_do_what_they_say_and_lead_back() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    let id = webhook(&owner, &receiver.url("/in"), &json!({}));
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}");
    let press = |path: &str| visitor.submit(&format!("{at}{path}"), &format!("next={at}?state="));
    let status = || text(&owner.get(&format!("/v1/webhooks/{id}")).is(200)["status"]).to_owned();
    for (path, wanted) in
        [("/pause", "paused"), ("/resume", "active"), ("/disable", "disabled"), ("/enable", "active")]
    {
        let done = press(path);
        assert_eq!((done.status, done.header("location")), (303, &*format!("{at}?state=")), "{path}");
        assert_eq!(status(), wanted);
    }
    press("/disable");
    let refused = press("/ping");
    assert_eq!(refused.status, 409, "{}", said(&refused));
    assert!(
        said(&refused).contains("enable it first") && visitor.page(&at).contains("That was done by hand")
    );
    press("/enable");
    assert_eq!(press("/ping").status, 303);
    assert_eq!(receiver.next().json()["type"], "webhook.ping");
    press("/pause");
    let key = owner.publish(&event("order.paid", "1"));
    let shown = visitor.page(&at);
    assert!(shown.contains("This webhook is paused.") && shown.contains("1 invocation now"), "{shown}");
    let of = format!("/dashboard/t/acme/deliveries/{key}");
    assert!(visitor.page(&of).contains("it waits until that is resumed"));
    let stopped = visitor.submit(&format!("{of}/cancel"), "next=https://evil.example/");
    assert_eq!((stopped.status, stopped.header("location")), (303, &*of), "leads nowhere else");
    house.delivery(&owner, &key, "cancelled");
    assert_eq!(visitor.submit(&format!("{of}/cancel"), "").status, 409);
    press("/resume");
    assert_eq!(visitor.submit(&format!("{of}/retry"), "").status, 303);
    house.delivery(&owner, &key, "delivered");
}

#[test]
fn forms_of_others_and_visitors_without_the_scope_change_nothing() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    let id = webhook(&owner, &receiver.url("/in"), &json!({"name": HOSTILE}));
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}");
    let token = visitor.token();
    let posts =
        ["/pause", "/disable", "/ping", "/retry-failed", "/secret", "/secret/rotate", "/delete", "/replay"];
    let before = owner.get(&format!("/v1/webhooks/{id}")).is(200);
    let reader = guest(&house, "acme", &["read:webhooks"]);
    let stranger = guest(&house, "other", &["read:webhooks", "write:webhooks", "read:events"]);
    let own = reader.token();
    for path in posts {
        let to = format!("{at}{path}");
        assert_eq!(visitor.caller().form(&to, "").status, 403, "{path} without a token");
        let from_afar = visitor.caller().with("origin", "https://evil.example");
        assert_eq!(from_afar.form(&to, &format!("token={token}")).status, 403, "{path} from elsewhere");
        let refused = reader.caller().form(&to, &format!("token={own}&overlap=0&confirm=x"));
        assert_eq!(refused.status, 403, "{path} without the scope");
        assert!(said(&refused).contains("write:webhooks"), "{path}: {}", said(&refused));
    }
    for path in ["", "/health", "/settings", "/secret", "/edit", "/delete", "/replay"] {
        assert_eq!(stranger.get(&format!("{at}{path}")).status, 404, "{path} of another tenant");
        let within = format!("/dashboard/t/other/webhooks/{id}{path}");
        assert_eq!(stranger.get(&within).status, 404, "{path} of another tenant");
    }
    let shown = reader.page(&at);
    assert!(shown.contains("&#60;script&#62;alert(1)") && !shown.contains("<script>alert"), "{shown}");
    assert!(!shown.contains("/pause\"") && !shown.contains("/delete\""), "{shown}");
    assert_eq!(owner.get(&format!("/v1/webhooks/{id}")).is(200), before);
    assert!(receiver.unexpected().is_empty());
    assert_eq!(visitor.get("/dashboard/t/acme/deliveries/dlv_99").status, 404);
    let publisher = guest(&house, "acme", &["read:events"]);
    let refused = publisher.get(&at);
    assert_eq!(refused.status, 403);
    assert!(said(&refused).contains("read:webhooks"), "{}", said(&refused));
}

#[test]
fn a_secret_is_shown_when_it_is_asked_for_and_the_audit_log_notes_it() {
    let house = Harness::at_rest();
    let owner = house.client("acme", &SCOPES);
    let made = owner.make_webhook("https://partner.example/", &json!({"events": ["*"]}));
    let (id, secret) = (text(&made["id"]), text(&made["secret"]));
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}/secret");
    assert!(!visitor.page(&at).contains(secret));
    let noted = |action: &str| owner.all(&format!("/v1/audit?action={action}"), 50).len();
    assert_eq!(noted("webhook.secret_shown"), 0);
    let shown = visitor.submit(&at, "");
    assert_eq!((shown.status, shown.header("cache-control")), (200, "no-store"));
    assert!(said(&shown).contains(secret));
    assert_eq!(noted("webhook.secret_shown"), 1);
    let rotate = |overlap: &str| visitor.submit(&format!("{at}/rotate"), &format!("overlap={overlap}"));
    assert_eq!((rotate("5").status, rotate("").status), (400, 400));
    assert_eq!(noted("webhook.secret_rotated"), 0);
    assert_eq!(rotate("3600").status, 303);
    let shown = visitor.page(&at);
    assert!(shown.contains("An old secret signs too for 1 h") && !shown.contains(secret), "{shown}");
    let both = said(&visitor.submit(&at, ""));
    let values = both.matches("<code class=\"value\">whsec_").count();
    assert!(both.contains(secret) && values == 2, "{both}");
    house.advance(Duration::from_mins(59));
    assert!(visitor.page(&at).contains("An old secret signs too for 1 min"));
    assert_eq!(rotate("0").status, 303);
    assert!(!visitor.page(&at).contains("An old secret"), "none signs any more");
}

#[test]
fn a_webhook_is_deleted_by_typing_its_name_and_its_log_stays() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    let id = webhook(&owner, &receiver.url("/in"), &json!({"name": "Box office"}));
    let key = owner.publish(&event("order.paid", "9917"));
    house.delivery(&owner, &key, "delivered");
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}");
    let ask = format!("{at}/delete");
    let wrong = visitor.submit(&ask, "confirm=box+%3Coffice");
    assert_eq!(wrong.status, 422);
    let shown = said(&wrong);
    assert!(
        shown.contains("That is not its name.") && shown.contains("value=\"box &#60;office\""),
        "{shown}"
    );
    owner.get(&format!("/v1/webhooks/{id}")).is(200);
    let done = visitor.submit(&ask, "confirm=Box+office");
    assert_eq!((done.status, done.header("location")), (303, "/dashboard/t/acme/webhooks"));
    owner.get(&format!("/v1/webhooks/{id}")).problem(404, "not-found");
    let shown = visitor.page(&at);
    assert!(shown.contains("This webhook was deleted") && shown.contains(&key), "{shown}");
    assert!(!shown.contains("/ping\"") && !shown.contains("Resend"), "{shown}");
    assert_eq!(visitor.get(&ask).status, 404);
}

#[test]
fn a_replay_is_counted_before_it_is_started_and_faults_stand_beside_their_fields() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    let id = webhook(&owner, &receiver.url("/in"), &json!({}));
    for subject in ["1", "2"] {
        let key = owner.publish(&event("order.paid", subject));
        house.delivery(&owner, &key, "delivered");
    }
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}/replay");
    let send = |fields: &str| visitor.submit(&at, fields);
    let counted = send("since=2020-01-01T00:00&what=states&state=delivered&wish=count");
    assert_eq!(counted.status, 200);
    assert!(said(&counted).contains("<strong>2</strong> would be sent"), "{}", said(&counted));
    assert!(owner.all("/v1/jobs", 50).is_empty());
    let wrong =
        send("since=2020-01-01T00:00&until=2019-01-01&what=states&rate=-1&type=order.paid&wish=start");
    let shown = said(&wrong);
    assert_eq!(wrong.status, 422, "{shown}");
    for field in ["until", "state", "rate"] {
        assert!(shown.contains(&format!("id=\"{field}-fault\"")), "{field}: {shown}");
    }
    assert!(shown.contains("value=\"order.paid\"") && owner.all("/v1/jobs", 50).is_empty());
    let started = send("since=2020-01-01&what=states&state=delivered&subject=2&wish=start");
    assert_eq!(started.status, 303, "{}", said(&started));
    house.until("the job is over", || {
        let jobs = owner.all("/v1/jobs", 50);
        (jobs.len() == 1 && jobs[0]["state"] == "finished" && jobs[0]["done"] == 1).then_some(())
    });
    let missing = send("since=2020-01-01&what=missing&wish=count");
    assert!(said(&missing).contains("<strong>0</strong> would be sent"), "{}", said(&missing));
    let log = visitor.page(&format!("/dashboard/t/acme/webhooks/{id}"));
    assert!(log.contains("The last jobs") && log.contains("Replay since 2020-01-01"), "{log}");
}

#[test]
fn settings_are_said_in_words_and_secrets_are_masked() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let settings = json!({
        "events": ["ticket.*"], "name": "North", "authorization_header": "Bearer very-secret",
        "filter": "$.data.price", "ordering": "subject", "collapse": "latest", "rate_per_second": 2.5,
        "headers": {"x-a": "<b>"}, "retry": {"schedule_seconds": [5, 300]},
    });
    let made = owner.make_webhook("https://partner.example/", &settings);
    let at = format!("/dashboard/t/acme/webhooks/{}/settings", text(&made["id"]));
    let shown = operator(&house).page(&at);
    for part in [
        "2 times, after 5 s, 5 min",
        "only the latest of its updates",
        "at most 2.5 a second",
        "********",
        "$.data.price",
        "webhook.created",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("very-secret") && !shown.contains("<b>"), "{shown}");
    let reader = guest(&house, "acme", &["read:webhooks"]).page(&at);
    assert!(!reader.contains("webhook.created"), "the audit log is for those who may manage: {reader}");
}

#[test]
fn a_receiver_that_is_left_alone_is_said_to_be_and_what_failed_is_retried_at_once() {
    let house = Harness::at_rest();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    let id = webhook(&owner, &receiver.url("/in"), &json!({}));
    let fail = |subject: u32| {
        let key = owner.publish(&event("order.paid", &subject.to_string()));
        house.delivery(&owner, &key, "failed");
    };
    (1..=20).for_each(fail);
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}");
    assert!(!visitor.page(&at).contains("The receiver is left alone"));
    house.advance(Duration::from_secs(11));
    fail(21);
    let shown = visitor.page(&at);
    for part in [
        "<strong>The receiver is left alone</strong> since",
        "after 21 attempts in a row failed",
        "The last attempt: <bdi>answered 500: the receiver failed</bdi>",
        "Next attempt, to see whether it is back: <time datetime=\"2026-11-21T19:00:16.000Z\"",
        "Retry all failed invocations (21)",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let health = visitor.page(&format!("{at}/health"));
    assert!(health.contains("is left alone until"), "{health}");
    let started = visitor.submit(&format!("{at}/retry-failed"), "");
    assert_eq!((started.status, started.header("location")), (303, &*at));
    house.until("the job is over", || {
        let shown = visitor.page(&at);
        (shown.contains("Retry what has failed") && shown.contains("21 invocations, ended")).then_some(())
    });
    assert!(!visitor.page(&at).contains("Retry all failed"), "none is failed any more");
    let stopped = visitor.submit("/dashboard/t/acme/jobs/job_99/stop", "");
    assert_eq!(stopped.status, 404);
}

#[test]
fn a_ping_leads_to_its_invocation_and_a_job_is_stopped() {
    let house = Harness::at_rest();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    let id = webhook(&owner, &receiver.url("/in"), &json!({}));
    for subject in ["1", "2", "3"] {
        let key = owner.publish(&event("order.paid", subject));
        house.delivery(&owner, &key, "delivered");
    }
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}");
    let pinged = visitor.submit(&format!("{at}/ping"), "");
    let note = pinged.header("set-cookie").split(';').next().expect("a note").to_owned();
    let key = note.rsplit('.').next().expect("an id").to_owned();
    let shown = said(&visitor.with_cookie(&note).get(&at));
    assert!(shown.contains("A ping is on its way.") && shown.contains("See the invocation"), "{shown}");
    assert!(shown.contains(&format!("href=\"/dashboard/t/acme/deliveries/{key}\"")), "{shown}");
    let slow = json!({"since": "2026-11-21T00:00:00Z", "type": "order.paid", "rate_per_second": 0.01});
    let job = text(&owner.post(&format!("/v1/webhooks/{id}/replay"), &slow).is(202)["id"]).to_owned();
    house.until("the job is under way", || {
        let shown = visitor.page(&at);
        (shown.contains("<progress") && shown.contains("1 of 3 invocations")).then_some(())
    });
    let stopped = visitor.submit(&format!("/dashboard/t/acme/jobs/{job}/stop"), &format!("next={at}"));
    assert_eq!((stopped.status, stopped.header("location")), (303, &*at));
    let shown = visitor.page(&at);
    assert!(!shown.contains("<progress") && shown.contains("stopped"), "{shown}");
}
