//! What the operator sees of the deployment, and does to tenants.

use serde_json::json;

use super::{operator, said};
use crate::harness::{Harness, OPERATOR, SCOPES, encryption_key, event, text};

const SYSTEM: &str = "/dashboard/system";
const TENANTS: &str = "/dashboard/system/tenants";

#[test]
fn the_operator_sees_the_deployment_and_no_secret() {
    let house = Harness::start();
    house.operator().post("/v1/tenants", &json!({"id": "acme", "name": "<i>Acme</i>"})).is(201);
    let visitor = operator(&house);
    let page = visitor.page(SYSTEM);
    let shared = !house.database().starts_with("sqlite:");
    let (kind, nodes) = if shared { ("PostgreSQL", "this one") } else { ("SQLite", "is the only one") };
    for part in [
        &*format!("<dd>{}</dd>", env!("CARGO_PKG_VERSION")),
        &*format!("<dd>{kind}</dd>"),
        nodes,
        "7 days",
        "365 days",
        "seals, and opens",
        "callboard keys rotate",
        "None, in any tenant.",
        "not used",
        "retention.audit_days",
        "href=\"/dashboard/t/acme\"",
        "&#60;i&#62;Acme&#60;/i&#62;",
        "href=\"/dashboard/system/audit\"",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let row = page.split("<tr>").find(|row| row.contains(">admin_token<")).expect("a setting");
    assert!(row.contains("********"), "{row}");
    for secret in [OPERATOR, &*encryption_key(), "<i>Acme"] {
        assert!(!page.contains(secret), "{page}");
    }
}

#[test]
fn jobs_of_all_tenants_are_seen_while_they_run() {
    let house = Harness::start();
    let receiver = house.receiver();
    let owner = house.client("acme", &SCOPES);
    let webhook =
        owner.make_webhook(&receiver.url("/hook"), &json!({"name": "North & South", "events": ["*"]}));
    let id = text(&webhook["id"]);
    for subject in ["1", "2", "3"] {
        owner.publish(&event("order.paid", subject));
    }
    house.drained(&owner, id);
    let replay = json!({"since": "2020-01-01T00:00:00Z", "rate_per_second": 0.01});
    let job = owner.post(&format!("/v1/webhooks/{id}/replay"), &replay).is(202);
    let visitor = operator(&house);
    let page = visitor.page(SYSTEM);
    for part in [text(&job["id"]), "North &#38; South", "sends again", "of 3", ">acme</td>"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    owner.act(&format!("/v1/jobs/{}/stop", text(&job["id"]))).is(200);
    assert!(visitor.page(SYSTEM).contains("None, in any tenant."));
}

#[test]
fn tenants_are_made_and_edited() {
    let house = Harness::start();
    let visitor = operator(&house);
    let made = visitor.send(TENANTS, &[("id", "acme"), ("name", "")]);
    assert_eq!((made.status, made.header("location")), (303, "/dashboard/t/acme"));
    assert_eq!(visitor.get("/dashboard/t/acme").status, 200);
    for (id, told) in [
        ("acme", "There is a tenant with this id."),
        ("Acme Ltd", "tenant-id-fault"),
        ("", "tenant-id-fault"),
    ] {
        let refused = visitor.send(TENANTS, &[("id", id), ("name", "Typed \"name\"")]);
        let page = said(&refused);
        assert_eq!(refused.status, 422, "{page}");
        assert!(page.contains(told) && page.contains("value=\"Typed &#34;name&#34;\""), "{page}");
    }
    assert_eq!(visitor.get(TENANTS).header("location"), "/dashboard/system#tenants");

    let acme = "/dashboard/system/tenants/acme";
    assert!(visitor.page(acme).contains("value=\"acme\""));
    let done = visitor.send(acme, &[("name", "Acme <Ltd>"), ("retention_seconds", "86400")]);
    assert_eq!((done.status, done.header("location")), (303, acme));
    let tenant = || house.operator().get("/v1/tenants/acme").is(200);
    assert_eq!((&tenant()["name"], &tenant()["retention_seconds"]), (&json!("Acme <Ltd>"), &json!(86_400)));
    let page = visitor.page(acme);
    assert!(page.contains("Acme &#60;Ltd&#62;") && page.contains("value=\"86400\""), "{page}");
    for (name, seconds, field) in [
        ("", "86400", "tenant-name-fault"),
        ("A", "59", "retention_seconds-fault"),
        ("A", "a day", "retention_seconds-fault"),
    ] {
        let refused = visitor.send(acme, &[("name", name), ("retention_seconds", seconds)]);
        assert_eq!(refused.status, 422);
        let page = said(&refused);
        assert!(page.contains(field) && page.contains(&format!("value=\"{seconds}\"")), "{page}");
    }
    assert_eq!(tenant()["name"], "Acme <Ltd>");
    assert_eq!(visitor.send(acme, &[("name", "Acme"), ("retention_seconds", "")]).status, 303);
    assert_eq!(tenant()["retention_seconds"], json!(null));
    for none in ["globex", "..", "Acme%20Ltd"] {
        assert_eq!(visitor.get(&format!("{TENANTS}/{none}")).status, 404, "{none}");
    }
    assert_eq!(visitor.send(&format!("{TENANTS}/globex"), &[("name", "x")]).status, 404);
}

#[test]
fn tenants_are_shown_in_pages() {
    let house = Harness::start();
    let visitor = operator(&house);
    for number in 0..51 {
        house.operator().post("/v1/tenants", &json!({"id": format!("hall-{number}")})).is(201);
    }
    let page = visitor.page(SYSTEM);
    assert!(page.contains(">hall-50<") && !page.contains(">hall-0<"), "{page}");
    let next = page.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('#').next());
    let page = visitor.page(next.expect("another page"));
    assert!(page.contains(">hall-0<") && !page.contains(">hall-50<"), "{page}");
}
