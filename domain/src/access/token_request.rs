//! Reads how a client asks for a token: the form of the token endpoint, and HTTP
//! Basic (RFC 6749 sections 2.3.1, 3.2 and 4.4).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The form that asks for a token. Without a value, a parameter counts as left out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// How the client shows who it is.
    pub grant_type: Option<String>,
    /// What the token is to allow.
    pub scope: Option<String>,
    /// Who asks, unless HTTP Basic says it.
    pub client_id: Option<String>,
    /// The client's secret, unless HTTP Basic says it.
    pub client_secret: Option<String>,
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No form is worth showing a secret for.
        write!(f, "TokenRequest(***)")
    }
}

/// A parameter is given twice, which RFC 6749 section 3.2 forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is given twice")]
pub struct Repeated(pub &'static str);

impl TokenRequest {
    /// Reads a URL-encoded form. Unknown parameters are ignored, as the RFC asks.
    ///
    /// # Errors
    /// When a parameter is given twice.
    pub fn read(body: &[u8]) -> Result<Self, Repeated> {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()) {
            let (name, field) = match &*name {
                "grant_type" => ("grant_type", &mut form.grant_type),
                "scope" => ("scope", &mut form.scope),
                "client_id" => ("client_id", &mut form.client_id),
                "client_secret" => ("client_secret", &mut form.client_secret),
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(Repeated(name));
            }
        }
        Ok(form)
    }
}

/// The client's id and secret in an `Authorization` header of HTTP Basic; `None`
/// for anything else. Both are form-encoded before they are joined.
#[must_use]
pub fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let decode = |text: &str| {
        let pair = format!("x={text}");
        url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_and_what_is_unknown_or_empty_is_left_out() {
        let form = TokenRequest::read(b"grant_type=client_credentials&scope=&client_id=a%20b&x=y&x=z");
        let form = form.expect("a form");
        assert_eq!(form.grant_type.as_deref(), Some("client_credentials"));
        assert_eq!((form.scope, form.client_id.as_deref()), (None, Some("a b")));
        assert_eq!(TokenRequest::read(b""), Ok(TokenRequest::default()));
    }

    #[test]
    fn each_parameter_is_read_and_refused_when_it_is_given_twice() {
        for (index, name) in ["grant_type", "scope", "client_id", "client_secret"].into_iter().enumerate() {
            let form = TokenRequest::read(format!("{name}=a").as_bytes()).expect("a form");
            let read = [form.grant_type, form.scope, form.client_id, form.client_secret];
            for (at, value) in read.iter().enumerate() {
                assert_eq!(value.as_deref(), (at == index).then_some("a"), "{name}");
            }
            let twice = format!("{name}=a&{name}=b");
            assert_eq!(TokenRequest::read(twice.as_bytes()), Err(Repeated(name)));
        }
    }

    #[test]
    fn basic_credentials_are_decoded_twice() {
        let header = |text: &str| format!("basic {}", BASE64.encode(text));
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(basic_credentials(&header("id:s%3Ae+c")), pair("id", "s:e c"));
        assert_eq!(basic_credentials(&header("a:")), pair("a", ""));
        assert_eq!(basic_credentials(&header("no colon")), None);
        assert_eq!(basic_credentials("Bearer aTpz"), None);
        assert_eq!(basic_credentials("Basic ???"), None);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let form = TokenRequest::read(b"client_secret=hush").expect("a form");
        assert_eq!(format!("{form:?}"), "TokenRequest(***)");
    }
}
