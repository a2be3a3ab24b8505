//! Talks to a running server, for the commands that are its clients.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::exit::Exit;
use super::profile::{self, Profile, Profiles};
use super::{Failure, Outcome};
use crate::config::Hidden;

/// Most bytes of an answer: a page of events with bodies of the greatest length.
const MOST: u64 = 128 * 1024 * 1024;

/// How long a stream is followed at most before it is opened anew. The server ends
/// one sooner; a connection that broke without a word is not waited for any longer.
const LONGEST_STREAM: Duration = Duration::from_hours(2);

/// Where a server is that nobody has named.
const USUAL: &str = "http://127.0.0.1:8080";

const SERVER_HELP: &str = "The server [default: that of the profile, or http://127.0.0.1:8080]";

/// Most items that the server gives at once.
const PAGE: u64 = 200;

/// Which server, and who is asking.
#[derive(Debug, Clone, clap::Args)]
// By default the group is named like the type, as is that of `send`.
#[group(skip)]
#[command(next_help_heading = "Server")]
pub(super) struct Arguments {
    #[arg(long = "server", visible_alias = "url", env = "CALLBOARD_URL", value_name = "URL", help = SERVER_HELP)]
    server: Option<String>,
    #[command(flatten)]
    caller: Caller,
}

/// The same for a command whose `--url` is a webhook's.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Server")]
pub(super) struct BesideUrl {
    #[arg(long = "server", env = "CALLBOARD_URL", value_name = "URL", help = SERVER_HELP)]
    server: Option<String>,
    #[command(flatten)]
    caller: Caller,
}

impl BesideUrl {
    /// As the arguments of any other command.
    pub(super) fn arguments(&self) -> Arguments {
        Arguments { server: self.server.clone(), caller: self.caller.clone() }
    }
}

/// Who is asking.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
struct Caller {
    /// The operator's token, or an access token [default: what the profile signs in by]
    #[arg(long, env = "CALLBOARD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<Hidden>,
    /// The operator's own token, where no other is given
    #[arg(long, env = "CALLBOARD_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN", hide = true)]
    admin_token: Option<Hidden>,
    /// The tenant that the operator acts for
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Which of the servers that callboard login has stored
    #[arg(long, env = "CALLBOARD_PROFILE", value_name = "NAME")]
    profile: Option<String>,
}

/// How somebody signs in.
#[derive(Debug, Clone)]
pub(super) enum SignIn {
    /// By a token.
    Token(Hidden),
    /// By a client, which gets its tokens itself.
    Client {
        /// The client's id.
        id: String,
        /// Its secret.
        secret: Hidden,
    },
}

/// A server that can be asked.
pub(super) struct Remote {
    agent: ureq::Agent,
    base: String,
    sign_in: SignIn,
    /// What the client got, until it is refused.
    token: Mutex<Option<Hidden>>,
    tenant: Option<String>,
}

impl Remote {
    /// Reads the arguments, and the profile for what they leave open.
    ///
    /// # Errors
    /// When there is no such profile, or nothing to sign in by.
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let profiles = Profiles::load()?;
        let profile = match &arguments.caller.profile {
            Some(name) => Some(profiles.named(name)?),
            None => profiles.0.get(profile::DEFAULT),
        };
        Self::choose(arguments, profile)
    }

    fn choose(arguments: &Arguments, profile: Option<&Profile>) -> Result<Self, Failure> {
        let at = |url: &str| url.trim_end_matches('/').to_owned();
        let base = at(arguments.server.as_deref().or(profile.map(|profile| &*profile.url)).unwrap_or(USUAL));
        // What a profile signs in by is for its own server, and for no other.
        let (profile, other) = match profile {
            Some(other) if at(&other.url) != base => (None, Some(other)),
            profile => (profile, None),
        };
        let given = arguments.caller.token.as_ref().or(arguments.caller.admin_token.as_ref());
        let sign_in = match (given, profile) {
            (Some(token), _) => Some(SignIn::Token(token.clone())),
            (None, Some(profile)) => profile.sign_in(),
            (None, None) => None,
        };
        let sign_in = sign_in.ok_or_else(|| {
            let other = other.map(|other| format!(" (the profile is for {}, and signs in nowhere else)", other.url));
            let words = format!(
                "no token for {base}{}; sign in with callboard login, or give one with --token or in CALLBOARD_TOKEN",
                other.unwrap_or_default()
            );
            Exit::NotAllowed.because(without_user(&base, words))
        })?;
        let tenant =
            arguments.caller.tenant.clone().or_else(|| profile.and_then(|profile| profile.tenant.clone()));
        Ok(Self::at(&base, sign_in, tenant))
    }

    /// A server by a token.
    pub(super) fn by_token(base: &str, token: &str, tenant: Option<String>) -> Self {
        Self::at(base, SignIn::Token(token.to_owned().into()), tenant)
    }

    /// A server at a known address.
    pub(super) fn at(base: &str, sign_in: SignIn, tenant: Option<String>) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { agent: agent(Duration::from_mins(1)), base, sign_in, token: Mutex::new(None), tenant }
    }

    /// The same server, for a tenant.
    pub(super) fn acting_for(&self, tenant: Option<String>) -> Self {
        Self::at(&self.base, self.sign_in.clone(), tenant.or_else(|| self.tenant.clone()))
    }

    /// The tenant that is named in requests.
    pub(super) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Posts a body and reads the answer.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses: with every fault it names.
    pub(super) fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value, Failure> {
        self.ask("POST", path, Some((content_type, body)))
    }

    /// Posts nothing, where the path says what is to be done.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn act(&self, path: &str) -> Result<Value, Failure> {
        self.ask("POST", path, None)
    }

    /// Asks for something.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask("GET", path, None)
    }

    /// Deletes something.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask("DELETE", path, None).map(drop)
    }

    /// Posts a JSON value.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn post_json(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.post(path, "application/json", body.to_string().as_bytes())
    }

    /// Edits something.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask("PATCH", path, Some(("application/json", body.to_string().as_bytes())))
    }

    /// The first `limit` items of a list, from as many pages as that takes, in the
    /// form of one page.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn list(&self, path: &str, query: &[(&str, String)], limit: u64) -> Result<Value, Failure> {
        let (mut items, mut next) = (Vec::new(), None::<String>);
        loop {
            let left = limit.saturating_sub(u64::try_from(items.len()).unwrap_or(u64::MAX));
            if left == 0 {
                break;
            }
            let mut text = url::form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(query).append_pair("limit", &left.min(PAGE).to_string());
            if let Some(cursor) = &next {
                text.append_pair("cursor", cursor);
            }
            let mut page = self.get(&format!("{path}?{}", text.finish()))?;
            items.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            next = page["next"].as_str().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(json!({"items": items, "next": next}))
    }

    /// Whether the server knows who is asking; who may do little is known all the same.
    ///
    /// # Errors
    /// When it does not, or is no such server.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let (status, answer) = self.ask_once("GET", "/v1/webhooks?limit=1", None)?;
        match status {
            403 => Ok(()),
            200 if answer["items"].is_array() => Ok(()),
            200 | 404 => {
                Err(without_user(&self.base, format!("{} is no Callboard server", self.base)).into())
            }
            _ => Err(refusal(status, &answer)),
        }
    }

    /// Asks, and once more where a client's token is no longer valid.
    fn ask(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<Value, Failure> {
        let (mut status, mut value) = self.ask_once(method, path, body)?;
        if status == 401 && matches!(self.sign_in, SignIn::Client { .. }) {
            *self.token.lock() = None;
            (status, value) = self.ask_once(method, path, body)?;
        }
        match status {
            200..300 => Ok(value),
            // Of several things that a command asks for, one is not there.
            404 => {
                let thing = path.split('?').next().unwrap_or_default();
                let detail = value["detail"].as_str().unwrap_or("the server has nothing");
                let problem = json!({"detail": format!("{detail} at {thing}"), "errors": value["errors"]});
                Err(refusal(status, &problem))
            }
            _ => Err(refusal(status, &value)),
        }
    }

    fn ask_once(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> Result<(u16, Value), Failure> {
        let request = self.request(method, path)?;
        let answer = match body {
            Some((content_type, body)) => {
                let content_type = ureq::http::HeaderValue::from_str(content_type)?;
                let mut request = request.map(|()| body);
                request.headers_mut().insert("content-type", content_type);
                self.agent.run(request)
            }
            None => self.agent.run(request),
        };
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let text = answer.body_mut().with_config().limit(MOST).read_to_string();
        let text = text.map_err(|error| self.unreachable(&error))?;
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((answer.status().as_u16(), value))
    }

    /// Why there was no answer, and what to do about it.
    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let advice = "is the server running? Name another with --server or callboard login";
        Exit::Unreachable.because(format!("{}; {advice}", unreachable(&self.base, error)))
    }

    /// Whether there may be a server at its address at all.
    fn check_address(&self) -> Outcome {
        let address = self.base.parse::<ureq::http::Uri>().ok();
        if address.is_some_and(|address| matches!(address.scheme_str(), Some("http" | "https"))) {
            return Ok(());
        }
        let words = format!("{} is no address of a server; write it as in {USUAL}", self.base);
        Err(Exit::Usage.because(without_user(&self.base, words)))
    }

    /// A request with what says who is asking.
    fn request(&self, method: &str, path: &str) -> Result<ureq::http::Request<()>, Failure> {
        self.check_address()?;
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token()?.0));
        let request = match &self.tenant {
            Some(tenant) => request.header("callboard-tenant", tenant),
            None => request,
        };
        request.body(()).map_err(|error| {
            let words = format!("{}{path} can't be asked for: {error}", self.base);
            Exit::Usage.because(without_user(&self.base, words))
        })
    }

    /// The token that says who is asking; a client gets one first.
    fn token(&self) -> Result<Hidden, Failure> {
        let (id, secret) = match &self.sign_in {
            SignIn::Token(token) => return Ok(token.clone()),
            SignIn::Client { id, secret } => (id, secret),
        };
        let mut kept = self.token.lock();
        if let Some(token) = &*kept {
            return Ok(token.clone());
        }
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", &secret.0)];
        let answer = self.agent.post(format!("{}/oauth2/token", self.base)).send_form(form);
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let text = answer.body_mut().read_to_string()?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(token) = value["access_token"].as_str() {
            return Ok(kept.insert(token.to_owned().into()).clone());
        }
        let reason = value["error_description"].as_str().or_else(|| value["detail"].as_str());
        let reason = reason.unwrap_or("the server gave no reason");
        let status = answer.status().as_u16();
        // RFC 6749 has a 400 for most of what is wrong with a client.
        let exit = if status == 400 { Exit::NotAllowed } else { Exit::of_status(status) };
        Err(exit.because(format!("the client gets no token: {reason} ({status})")))
    }

    /// Opens an answer that goes on without end. A token that is no longer valid is
    /// taken for another first.
    ///
    /// # Errors
    /// As [`Self::post`], and whether it may be tried again.
    pub(super) fn follow(
        &self,
        path: &str,
        last_event_id: Option<&str>,
    ) -> Result<ureq::BodyReader<'static>, Unopened> {
        let agent = agent(LONGEST_STREAM);
        let mut again = matches!(self.sign_in, SignIn::Client { .. });
        loop {
            let mut answer = self.open(&agent, path, last_event_id)?;
            let status = answer.status().as_u16();
            if status == 200 {
                return Ok(answer.into_body().into_with_config().limit(u64::MAX).reader());
            }
            if status == 401 && std::mem::take(&mut again) {
                *self.token.lock() = None;
                continue;
            }
            let text = answer.body_mut().read_to_string().unwrap_or_default();
            let problem = serde_json::from_str(&text).unwrap_or(Value::String(text));
            return Err(Unopened {
                retry: status >= 500 || matches!(status, 408 | 429),
                failure: refusal(status, &problem),
            });
        }
    }

    fn open(
        &self,
        agent: &ureq::Agent,
        path: &str,
        last_event_id: Option<&str>,
    ) -> Result<ureq::http::Response<ureq::Body>, Unopened> {
        let refused = |failure| Unopened { retry: Exit::of(&failure) == Exit::Unreachable, failure };
        let mut request = self.request("GET", path).map_err(refused)?;
        if let Some(place) = last_event_id {
            let place = ureq::http::HeaderValue::from_str(place).map_err(|error| refused(error.into()))?;
            request.headers_mut().insert("last-event-id", place);
        }
        agent.run(request).map_err(|error| refused(self.unreachable(&error)))
    }
}

/// Why a stream was not opened.
pub(super) struct Unopened {
    /// Whether it may open later.
    pub(super) retry: bool,
    pub(super) failure: Failure,
}

/// What calls servers, through the proxy that the environment names.
fn agent(longest: Duration) -> ureq::Agent {
    agent_by(ureq::Proxy::try_from_env(), longest, true)
}

/// What sends requests. An answer takes at most this long, all of it. Certificates are
/// judged as the system does, or not at all.
pub(super) fn agent_by(proxy: Option<ureq::Proxy>, longest: Duration, judges: bool) -> ureq::Agent {
    // Fails only where one is installed already, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let roots = ureq::tls::RootCerts::PlatformVerifier;
    let tls = ureq::tls::TlsConfig::builder().root_certs(roots).disable_verification(!judges).build();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        // Neither a token nor a delivery goes where an answer sends it.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_global(Some(longest))
        .tls_config(tls)
        .proxy(proxy)
        .build();
    config.into()
}

/// Why there was no answer, in words that hold no password.
pub(super) fn unreachable(base: &str, error: &ureq::Error) -> Failure {
    let error = match error {
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    Exit::Unreachable.because(without_user(base, format!("{base} can't be reached: {error}")))
}

/// Words without the user and the password that the server's URL may hold.
fn without_user(base: &str, words: String) -> String {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => words.replace(&format!("{user}@"), ""),
        None => words,
    }
}

/// A problem in words, with every fault on a line of its own.
pub(super) fn refusal(status: u16, problem: &Value) -> Failure {
    let detail = problem["detail"].as_str().unwrap_or("the server gave no reason");
    let mut words = format!("{detail} ({status})");
    for fault in problem["errors"].as_array().into_iter().flatten() {
        let place = fault["pointer"].as_str().or_else(|| fault["parameter"].as_str()).unwrap_or_default();
        // What is wrong with all of it has no place.
        let colon = if place.is_empty() { "" } else { ": " };
        words.extend(["\n  ", place, colon, fault["detail"].as_str().unwrap_or_default()]);
    }
    words.push_str(match status {
        301..=308 => "\nThe server is somewhere else; name that address",
        401 => "\nSign in with callboard login, or give another token",
        403 => "\nWho signed in may not do this; a client needs the scope for it, see callboard client show",
        404 => "\nCheck the id, and the tenant: the operator names it with --tenant",
        429 => "\nTry again later",
        _ => "",
    });
    Exit::of_status(status).because(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_url_is_shown() {
        for (base, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080 is gone"),
            ("https://ops:hunter2@callboard.example/a@b", "https://callboard.example/a@b is gone"),
            ("ops:hunter2@callboard.example", "callboard.example is gone"),
        ] {
            assert_eq!(without_user(base, format!("{base} is gone")), shown);
        }
        let hidden: Hidden = "the-operator-of-the-tests".to_owned().into();
        assert!(!format!("{hidden:?}").contains("operator"));
    }
    fn arguments(url: Option<&str>, token: Option<&str>) -> Arguments {
        let token = token.map(|token| token.to_owned().into());
        Arguments { server: url.map(str::to_owned), caller: Caller { token, ..Caller::default() } }
    }

    #[test]
    fn what_is_typed_goes_before_the_profile_whose_token_is_for_its_server_only() {
        let profile = Profile {
            url: "https://callboard.example/".to_owned(),
            tenant: Some("opera".to_owned()),
            token: Some("of-the-profile".to_owned().into()),
            client_id: None,
            client_secret: None,
        };
        let chosen = |url, token| {
            let remote = Remote::choose(&arguments(url, token), Some(&profile))?;
            let token = remote.token()?;
            Ok::<_, Failure>((remote.base, token.0, remote.tenant))
        };
        let opera = Some("opera".to_owned());
        let own = ("https://callboard.example".to_owned(), "of-the-profile".to_owned(), opera.clone());
        assert_eq!(chosen(None, None).expect("a server"), own);
        assert_eq!(chosen(Some("https://callboard.example"), None).expect("a server"), own);
        let (_, token, tenant) = chosen(None, Some("typed")).expect("a server");
        assert_eq!((&*token, tenant), ("typed", opera));
        let refused = chosen(Some("https://other.example"), None).expect_err("no token");
        assert_eq!(Exit::of(&refused), Exit::NotAllowed);
        let other = chosen(Some("https://other.example"), Some("typed")).expect("a server");
        assert_eq!(other, ("https://other.example".to_owned(), "typed".to_owned(), None));
    }

    #[test]
    fn a_refusal_names_each_fault_on_a_line_of_its_own() {
        let problem = json!({"detail": "the body has 2 faults", "errors": [
            {"pointer": "/url", "detail": "is required"}, {"parameter": "limit", "detail": "must be a number"},
        ]});
        let refused = refusal(400, &problem);
        assert_eq!(
            refused.to_string(),
            "the body has 2 faults (400)\n  /url: is required\n  limit: must be a number"
        );
        let nothing = refusal(404, &json!({"detail": "there is nothing here"}));
        assert!(nothing.to_string().contains("--tenant"), "{nothing}");
        assert_eq!(Exit::of(&nothing), Exit::NotFound);
        assert_eq!(Exit::of(&refusal(404, &Value::Null)), Exit::NotFound);
        let whole =
            json!({"detail": "the body has a fault", "errors": [{"pointer": "", "detail": "is no JSON"}]});
        assert_eq!(refusal(400, &whole).to_string(), "the body has a fault (400)\n  is no JSON");
    }

    #[test]
    fn what_is_no_address_of_a_server_is_wrong_usage() {
        for base in ["127.0.0.1:8080", "ftp://a.example", "callboard", "/", "", "http://", "http://a b"] {
            let remote = Remote::by_token(base, "a-token", None);
            let refused = remote.get("/v1/webhooks").expect_err(base);
            assert_eq!(Exit::of(&refused), Exit::Usage, "{base:?}: {refused}");
            assert!(refused.to_string().contains("is no address of a server"), "{refused}");
        }
    }
}
