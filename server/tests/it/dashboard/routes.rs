//! Every route of the dashboard, as the program's own text names them: what holds for
//! all of them.

use std::fs;
use std::path::Path;

use super::{Visitor, guest, operator, said};
use crate::harness::{Caller, Harness, SCOPES, event, text};
use serde_json::json;

/// The paths of the dashboard's routes that start like this.
fn routes(start: &str) -> Vec<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![sources.join("dashboard.rs"), sources.join("dashboard")];
    let mut paths = Vec::new();
    while let Some(file) = files.pop() {
        if file.is_dir() {
            files.extend(fs::read_dir(file).expect("a folder").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let text = fs::read_to_string(file).expect("a text");
        let routes = text.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
        paths.extend(routes.filter(|path| path.starts_with(start)).map(str::to_owned));
    }
    assert!(!paths.is_empty(), "{start}");
    paths
}

/// One of each thing of a tenant.
struct Things {
    tenant: &'static str,
    ids: Vec<(&'static str, String)>,
}

impl Things {
    fn make(tenant: &'static str, owner: &Caller) -> Self {
        let webhook = owner.make_webhook("https://receiver.example/", &json!({"name": "N", "events": ["*"]}));
        let webhook = text(&webhook["id"]).to_owned();
        let delivery = owner.publish(&event("order.paid", "7"));
        let published = owner.get("/v1/events").is(200);
        let client = owner.make_client(&["read:events"]).0;
        let link = owner.post("/v1/portal-links", &json!({})).is(201);
        let job = owner.act(&format!("/v1/webhooks/{webhook}/retry-failed")).is(202);
        let ids = vec![
            ("webhooks", webhook),
            ("deliveries", delivery),
            ("events", text(&published["items"][0]["id"]).to_owned()),
            ("clients", client),
            ("links", text(&link["id"]).to_owned()),
            ("tenants", tenant.to_owned()),
            ("jobs", text(&job["id"]).to_owned()),
        ];
        Self { tenant, ids }
    }

    /// Whether a route is about one of these things.
    fn are_named_by(&self, route: &str) -> bool {
        self.ids.iter().any(|(kind, _)| route.contains(&format!("/{kind}/{{")))
    }

    /// The path with these things in it.
    fn fill(&self, route: &str) -> String {
        let mut before = "";
        let parts = route.split('/').map(|part| {
            let of_kind = || self.ids.iter().find(|(kind, _)| *kind == before).map(|(_, id)| id.as_str());
            let filled = if part == "{tenant}" {
                self.tenant
            } else if part.starts_with('{') {
                of_kind().unwrap_or("order.paid")
            } else {
                part
            };
            before = part;
            filled
        });
        parts.collect::<Vec<_>>().join("/")
    }
}

#[test]
fn no_page_of_another_tenant_is_there_for_a_guest() {
    let house = Harness::start();
    let own = guest(&house, "acme", &SCOPES);
    let owner = house.client("globex", &SCOPES);
    let things = Things::make("globex", &owner);
    let host = guest(&house, "globex", &SCOPES);
    let before =
        (owner.all("/v1/webhooks", 50), owner.all("/v1/clients", 50), owner.all("/v1/audit", 200).len());
    for route in routes("/dashboard/t/{tenant}") {
        // Of these the query says what they are about.
        let query = match route.rsplit('/').next() {
            Some("live") => "?page=webhooks".to_owned(),
            Some("discard") => format!("?webhook={}&cause=status", things.ids[0].1),
            _ => String::new(),
        };
        let path = format!("{}{query}", things.fill(&route));
        let answers = [own.get(&path), own.send(&path, &[]), house.nobody().get(&path)];
        let [shown, done, stranger] = answers;
        // 405 where only the other method is one of the path's.
        assert!([404, 405].contains(&shown.status) && [404, 405].contains(&done.status), "{path}");
        assert!(shown.status == 404 || done.status == 404, "{path}");
        assert!(!said(&shown).contains("receiver.example"), "{path}");
        assert!([401, 405].contains(&stranger.status), "{path}");
        // It would be there for whose it is: the ids are right.
        if shown.status == 404 {
            assert_ne!(host.caller().open(&path).status(), 404, "{path}");
        }
        // Another's things are not there either below one's own address.
        if things.are_named_by(&route) {
            let mixed = Things { tenant: "acme", ids: things.ids.clone() }.fill(&route);
            let [shown, done] = [own.get(&mixed), own.send(&mixed, &[])];
            assert!([404, 405].contains(&shown.status), "{mixed}: {}", shown.status);
            assert!([404, 405].contains(&done.status), "{mixed}: {}", done.status);
        }
    }
    let after =
        (owner.all("/v1/webhooks", 50), owner.all("/v1/clients", 50), owner.all("/v1/audit", 200).len());
    assert_eq!(before, after, "nothing was changed");
}

#[test]
fn forms_of_elsewhere_are_refused_by_every_page() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let things = Things::make("acme", &owner);
    let visitor = operator(&house);
    let before = owner.all("/v1/audit", 200).len();
    for route in routes("/dashboard/") {
        let path = things.fill(&route);
        for foreign in [
            visitor.without_token(),
            visitor.with("origin", "https://evil.example"),
            visitor.with("sec-fetch-site", "cross-site"),
        ] {
            let answer = foreign.send(&path, &[("confirmation", "N")]);
            assert!([403, 405].contains(&answer.status), "{path}: {}", answer.status);
        }
    }
    assert_eq!(owner.all("/v1/audit", 200).len(), before, "nothing was changed");
}

#[test]
fn the_system_is_for_the_operator_only() {
    let house = Harness::start();
    let guest = guest(&house, "acme", &SCOPES);
    for route in routes("/dashboard/system") {
        let path = route.replace("{id}", "acme");
        let refused = [guest.get(&path), guest.send(&path, &[("name", "Mine"), ("id", "mine")])];
        for answer in refused {
            assert!([403, 405].contains(&answer.status), "{path}: {}", answer.status);
            let page = said(&answer);
            assert!(answer.status == 405 || page.contains("for the operator only"), "{page}");
        }
        let stranger: Visitor = Visitor::stranger(&house);
        assert!([401, 405].contains(&stranger.get(&path).status), "{path}");
    }
    assert_eq!(house.operator().get("/v1/tenants/acme").is(200)["name"], "acme");
    house.operator().get("/v1/tenants/mine").problem(404, "not-found");
}
