//! Absolute addresses: where links in an answer lead.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use super::peer::Peer;
use super::state::State;

/// Where a request was sent to.
#[derive(Debug)]
pub struct Links {
    /// The scheme, the host and whatever is before the paths, without a slash
    /// at the end.
    pub base: String,
    path: String,
    query: Option<String>,
}

impl FromRequestParts<State> for Links {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        let options = &state.inner.options;
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.filter(|host| host.parse::<Authority>().is_ok());
        let base = match (&options.public_url, host) {
            (Some(url), _) => url.clone(),
            (None, Some(host)) => {
                let https = Peer::of(state, &parts.extensions, &parts.headers).https;
                format!("{}://{host}", if https { "https" } else { "http" })
            }
            (None, None) => options.own_url.clone(),
        };
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        Ok(Self { base, path: uri.path().to_owned(), query: uri.query().map(str::to_owned) })
    }
}

impl Links {
    /// The address of the request itself, with its query as it was given.
    pub fn own(&self) -> String {
        let Self { base, path, query } = self;
        match query {
            Some(query) => format!("{base}{path}?{query}"),
            None => format!("{base}{path}"),
        }
    }

    /// The same address with these parameters of its query set.
    pub fn with(&self, changes: &[(&str, String)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.parameters().filter(|(name, _)| changes.iter().all(|(own, _)| own != name))
        {
            query.append_pair(&name, &value);
        }
        for (name, value) in changes {
            query.append_pair(name, value);
        }
        format!("{}{}?{}", self.base, self.path, query.finish())
    }

    /// The first value of this name in the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The names and values of the query.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = url::form_urlencoded::parse(self.query.as_deref().unwrap_or_default().as_bytes());
        pairs.map(|(name, value)| (name.into_owned(), value.into_owned()))
    }
}
