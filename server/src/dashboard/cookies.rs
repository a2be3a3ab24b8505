//! Cookies: their names, how they are set and how they are read.

use axum::http::header::{self, HeaderMap};

use crate::api::links::Links;

/// Whose session it is.
pub(super) const SESSION: &str = "callboard";

/// What proves that a form of somebody without a session was made here.
pub(super) const GUEST: &str = "callboard-guest";

/// What the next page is to say of what was just done.
pub(super) const NOTE: &str = "callboard-note";

/// The theme that was chosen.
pub(super) const THEME: &str = "callboard-theme";

/// Whether keys of the keyboard do something.
pub(super) const KEYS: &str = "callboard-keys";

/// Whether the browser sends what it has by HTTPS alone.
fn is_secure(links: &Links) -> bool {
    links.base.starts_with("https://")
}

/// The whole name. With the prefix a browser takes a cookie only by HTTPS, from this
/// very host and for all of it; without HTTPS that would not work at all.
fn whole_name(links: &Links, name: &str) -> String {
    if is_secure(links) { format!("__Host-{name}") } else { name.to_owned() }
}

/// The header that sets a cookie for so many seconds; zero ends it.
pub(super) fn set(links: &Links, name: &str, value: &str, seconds: i64) -> String {
    let name = whole_name(links, name);
    let secure = if is_secure(links) { "; Secure" } else { "" };
    format!("{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

/// The value that a request brings.
pub(super) fn read(headers: &HeaderMap, links: &Links, name: &str) -> Option<String> {
    let name = whole_name(links, name);
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
}
