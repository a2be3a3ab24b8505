//! Lists: filters and the place in the list stand in the address, and the same
//! list is had from the API by one command.

use std::fmt::Write as _;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use callboard_domain::clock::Timestamp;
use callboard_domain::cursor::{cursor, position};
use callboard_domain::store::Page;

use super::visit::Visit;
use crate::api::State;
use crate::api::problem::Problem;

/// Items of a page.
pub(super) const LIMIT: usize = 50;

/// The parameters of an address. What is empty was left out: forms send every field.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl FromRequestParts<State> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    pub(super) fn read(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes()).take(64);
        let pairs = pairs.map(|(name, value)| (name.into_owned(), value.trim().to_owned()));
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The value of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// The same as text for a field; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Whether anything beside the place in the list is asked for.
    pub(super) fn filters(&self) -> bool {
        self.0.iter().any(|(name, _)| name != "cursor")
    }

    /// The time in this parameter, and what is wrong with it. A form sends the local
    /// form without an offset, and then UTC is meant.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let fault = "must be a time such as 2026-11-21T19:00 (UTC)";
        time(text).map(Some).ok_or_else(|| Problem::parameter(name, fault))
    }

    /// The page of the list that is asked for.
    pub(super) fn page(&self) -> Result<Page, Problem> {
        self.page_by("cursor")
    }

    /// The same where a page shows several lists: the place in this one stands under
    /// `name`.
    pub(super) fn page_by(&self, name: &str) -> Result<Page, Problem> {
        let after = match self.get(name) {
            None => None,
            Some(text) => Some(position(text).ok_or_else(|| {
                Problem::parameter(name, "is no place in this list; start from its beginning")
            })?),
        };
        Ok(Page { limit: LIMIT, after })
    }

    /// The query with another value of this name, or without it.
    fn with(&self, name: &str, value: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.0.iter().filter(|(own, _)| own != name));
        query.extend_pairs(value.map(|value| (name, value)));
        let query = query.finish();
        if query.is_empty() { String::new() } else { format!("?{query}") }
    }
}

/// A time as forms and people write it; without an offset UTC is meant.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let in_utc = || format!("{text}:00Z").parse().or_else(|_| format!("{text}Z").parse());
    let day = || format!("{text}T00:00:00Z").parse();
    text.parse().or_else(|_| in_utc()).or_else(|_| day()).ok()
}

/// Where a list goes on, and where it began.
pub(super) struct Pager {
    /// The query of the page that follows.
    pub(super) next: Option<String>,
    /// The query of the first page, where this is another.
    pub(super) first: Option<String>,
}

impl Pager {
    pub(super) fn new(query: &Query, next: Option<i64>) -> Self {
        Self::by(query, "cursor", next)
    }

    /// The same of the list whose place stands under `name`.
    pub(super) fn by(query: &Query, name: &str, next: Option<i64>) -> Self {
        Self {
            next: next.map(|next| query.with(name, Some(&cursor(next)))),
            first: query.get(name).map(|_| query.with(name, None)),
        }
    }
}

/// The command that has the same from the API.
pub(super) fn curl(visit: &Visit, method: &str, path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        // The API takes times with an offset only.
        let exact = matches!(*name, "since" | "until").then(|| time(value)).flatten();
        query.append_pair(name, &exact.map_or_else(|| (*value).to_owned(), |time| time.to_string()));
    }
    let query = query.finish();
    let query = if query.is_empty() { query } else { format!("?{query}") };
    let mut text = String::from("curl");
    if method != "GET" {
        let _ = write!(text, " -X {method}");
    }
    text.push_str(" -H \"Authorization: Bearer $CALLBOARD_TOKEN\"");
    if let Some(tenant) = visit.tenant.as_ref().filter(|_| visit.is_operator()) {
        let _ = write!(text, " -H 'Callboard-Tenant: {}'", tenant.id);
    }
    let _ = write!(text, " {}", quoted(&format!("{}{path}{query}", visit.links.base)));
    text
}

/// A text that a shell takes as it is.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_was_left_out_and_filters_stay_on_the_next_page() {
        let query = Query::read("search=a+b&status=&cursor=x&x=%26");
        assert_eq!((query.get("search"), query.get("status")), (Some("a b"), None));
        assert!(query.filters() && !Query::read("cursor=x&status=").filters());
        let pager = Pager::new(&query, Some(7));
        assert_eq!(pager.first.as_deref(), Some("?search=a+b&x=%26"));
        assert_eq!(pager.next, Some(format!("?search=a+b&x=%26&cursor={}", cursor(7))));
        let other = Pager::by(&query, "missed", Some(7));
        assert_eq!(other.next, Some(format!("?search=a+b&cursor=x&x=%26&missed={}", cursor(7))));
        assert_eq!(other.first, None);
        let empty = Pager::new(&Query::read(""), Some(7));
        assert_eq!((empty.next, empty.first), (Some(format!("?cursor={}", cursor(7))), None));
        assert_eq!(Pager::new(&Query::read("cursor=x"), None).first.as_deref(), Some(""));
    }

    #[test]
    fn times_are_read_as_forms_and_people_write_them() {
        let time = |text: &str| Query::read(&format!("since={text}")).time("since");
        for text in ["2026-11-21T19:00", "2026-11-21T19:00:00", "2026-11-21T20:00:00%2B01:00"] {
            assert_eq!(time(text).ok().flatten(), "2026-11-21T19:00:00Z".parse().ok(), "{text}");
        }
        assert_eq!(time("2026-11-21").ok().flatten(), "2026-11-21T00:00:00Z".parse().ok());
        assert!(time("soon").is_err() && matches!(time(""), Ok(None)));
    }

    #[test]
    fn commands_stand_in_a_shell_as_they_are() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
