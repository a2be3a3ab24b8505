//! Forms: that a page of this visitor made them, and what they say.

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq as _;

use super::visit::{Named, Visit};
use crate::api::State;
use crate::api::auth::{Granted, Needed};
use crate::api::links::Links;
use crate::api::problem::Problem;
use crate::api::read;

/// Most bytes of a form: certificates are the largest thing that one holds.
const MOST_BYTES: usize = 256 * 1024;

/// Most fields of a form.
const MOST_FIELDS: usize = 512;

/// The name of the field that proves where a form was made.
pub(super) const TOKEN: &str = "token";

/// What a form says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a URL-encoded body. Browsers end lines of text areas by CRLF, which
    /// nobody typed.
    fn read(body: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(body).take(MOST_FIELDS);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n"))).collect())
    }

    /// The first value of this name; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    /// The same without white space around it.
    pub(super) fn trimmed(&self, name: &str) -> &str {
        self.get(name).trim()
    }

    /// Every value of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// Whether there is a field of this name at all: of a box, that it is ticked.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Adds a value beside those of this name.
    pub(super) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Puts a value in the place of all of this name.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(own, _)| own != name);
        self.0.push((name.to_owned(), value.into()));
    }
}

/// A form that a page of this visitor made.
pub(super) struct Form {
    pub(super) visit: Visit,
    pub(super) fields: Fields,
}

impl FromRequest<State> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let fields = Fields::read(&read::body_up_to(body, MOST_BYTES).await?);
        let (given, wanted) = (fields.get(TOKEN), visit.form_token());
        if !is_from_here(&parts.headers, &visit.links)
            || !bool::from(given.as_bytes().ct_eq(wanted.as_bytes()))
        {
            let detail = "This did not come from a page of this session, so nothing was done. \
                Open the page again, and do it there.";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail).of_kind("foreign-form"));
        }
        Ok(Self { visit, fields })
    }
}

/// The same, from somebody who has the scope `S` for the tenant of the address.
pub(super) struct Posted<S: Needed> {
    pub(super) visit: Visit,
    pub(super) access: Granted<S>,
    pub(super) fields: Fields,
}

impl<S: Needed> FromRequest<State> for Posted<S> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let Form { visit, fields } = Form::from_request(request, state).await?;
        let access = visit.access()?;
        Ok(Self { visit, access, fields })
    }
}

/// The same, about the thing that the path names.
pub(super) struct PostedTo<S: Needed, T> {
    pub(super) visit: Visit,
    pub(super) access: Granted<S>,
    pub(super) fields: Fields,
    pub(super) id: T,
}

impl<S: Needed, T: std::str::FromStr + Send> FromRequest<State> for PostedTo<S, T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let id = Named::from_request_parts(&mut parts, state).await;
        let request = Request::from_parts(parts, body);
        let Posted { visit, access, fields } = Posted::from_request(request, state).await?;
        let Named(id) = id?;
        Ok(Self { visit, access, fields, id })
    }
}

/// Whether a form was sent by a page of this very site, as far as the browser says.
fn is_from_here(headers: &HeaderMap, links: &Links) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    // The policy of referrers makes some browsers send "null" for the origin.
    let own = |origin: &str| links.base == origin || links.base.starts_with(&format!("{origin}/"));
    let origin = text("origin").is_none_or(|origin| origin == "null" || own(origin));
    site && origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_typed() {
        let mut fields = Fields::read(b"a=1&b=x%0D%0Ay&a=2&c=+d+");
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("z")), ("1", "x\ny", ""));
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((fields.get("c"), fields.trimmed("c")), (" d ", "d"));
        assert!(fields.has("c") && !fields.has("z"));
        fields.set("a", "3");
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["3"]);
    }
}
