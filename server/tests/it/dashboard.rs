//! The dashboard as a browser meets it: pages, forms and cookies.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, Harness, OPERATOR, SCOPES, text};

mod access;
mod audit;
mod catalogue;
mod events;
mod failed;
mod live;
mod routes;
mod sign_in;
mod system;
mod webhook;

/// Somebody with a browser.
#[derive(Clone)]
pub(crate) struct Visitor {
    caller: Caller,
    /// What forms of theirs have to bring.
    token: String,
}

impl Visitor {
    /// Somebody without a session, who has seen the page to sign in.
    pub(crate) fn stranger(house: &Harness) -> Self {
        let page = house.nobody().get("/dashboard/sign-in");
        Self { token: form_token(&page), caller: house.nobody().with("cookie", &cookies(&page)) }
    }

    /// Who has the session that this answer has begun.
    pub(crate) fn let_in(house: &Harness, answer: &Answer) -> Self {
        assert_eq!(answer.status, 303, "{}", said(answer));
        let caller = house.nobody().with("cookie", &cookies(answer));
        // Every page has a form, also the one that says that there is nothing.
        let token = form_token(&caller.get("/dashboard/nothing"));
        Self { caller, token }
    }

    /// The same, with another cookie too.
    pub(crate) fn with_cookie(&self, cookie: &str) -> Self {
        let own = self.caller.header("cookie");
        Self { caller: self.caller.with("cookie", &format!("{own}; {cookie}")), token: self.token.clone() }
    }

    /// The same, talking to a program that was started anew.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { caller: self.caller.clone().at(address), token: self.token.clone() }
    }

    /// The same, sending this header too.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> Self {
        Self { caller: self.caller.with(name, value), token: self.token.clone() }
    }

    /// The same without what forms have to bring.
    pub(crate) fn without_token(&self) -> Self {
        Self { caller: self.caller.clone(), token: String::new() }
    }

    /// What forms of theirs have to bring.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Sends a form of a page whose other fields are written already.
    pub(crate) fn submit(&self, path: &str, fields: &str) -> Answer {
        self.caller.form(path, &format!("token={}&{fields}", self.token))
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.caller.get(path)
    }

    /// What a page says that has to be there.
    pub(crate) fn page(&self, path: &str) -> String {
        self.page_of(path, 200)
    }

    /// What a page says that has to have this status.
    pub(crate) fn page_of(&self, path: &str, status: u16) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, status, "{path}: {}", said(&answer));
        said(&answer)
    }

    /// Sends a form of a page.
    pub(crate) fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut all = vec![("token", &*self.token)];
        all.extend_from_slice(fields);
        self.caller.form(path, &encoded(&all))
    }
}

/// A form as a browser sends it.
pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The id of what was made.
pub(crate) fn id(made: &Value) -> &str {
    text(&made["id"])
}

/// The operator, signed in.
pub(crate) fn operator(house: &Harness) -> Visitor {
    let answer = Visitor::stranger(house).send("/dashboard/sign-in", &[("operator_token", OPERATOR)]);
    let visitor = Visitor::let_in(house, &answer);
    // Where there is no tenant yet, the first page makes the usual one.
    assert_eq!(visitor.get("/dashboard").status, 303);
    visitor
}

/// Somebody who came by a portal link of a tenant with these scopes.
pub(crate) fn guest(house: &Harness, tenant: &str, scopes: &[&str]) -> Visitor {
    let link = json!({"name": "Support", "scopes": scopes});
    let link = house.client(tenant, &SCOPES).post("/v1/portal-links", &link).is(201);
    Visitor::let_in(house, &house.nobody().get(&portal_path(&link["url"])))
}

/// The path of a link's URL.
pub(crate) fn portal_path(url: &Value) -> String {
    let url = text(url);
    url[url.find("/portal/").expect("a link to the portal")..].to_owned()
}

/// What a page says.
pub(crate) fn said(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The cookies that an answer sets, as a browser sends them back.
pub(crate) fn cookies(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter();
    let pairs = set.map(|cookie| cookie.to_str().expect("a text").split(';').next().expect("a cookie"));
    pairs.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("; ")
}

fn form_token(page: &Answer) -> String {
    let page = said(page);
    let (_, rest) = page.split_once("name=\"token\" value=\"").expect("a form");
    rest.split('"').next().expect("a token").to_owned()
}

/// What stands in a page between two marks.
pub(crate) fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("{start} is not in {page}"));
    rest.split_once(end).expect("an end").0
}

/// The value of the copy button behind this label.
pub(crate) fn copied(page: &str, label: &str) -> String {
    let rest = between(page, &format!("<span class=\"label\">{label}</span>"), "</div>");
    between(rest, "data-copy=\"", "\"").replace("&#39;", "'")
}

/// Makes a webhook that hears everything and is tried once.
pub(crate) fn webhook(owner: &Caller, url: &str, more: &Value) -> String {
    let mut settings = json!({"events": ["*"], "retry": {"schedule_seconds": []}});
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    text(&owner.make_webhook(url, &settings)["id"]).to_owned()
}
