//! Talks to a running server, for the commands that are its clients.

use std::time::Duration;

use serde_json::Value;
use ureq::config::ConfigBuilder;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

use super::Failure;
use crate::config::Hidden;

/// Which server, and who is asking.
#[derive(Debug, Clone, clap::Args)]
// By default the group is named like the type, as is that of `send`.
#[group(skip)]
pub(super) struct Arguments {
    /// The server
    #[arg(long, env = "CALLBOARD_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
    /// The operator's token, or an access token
    #[arg(long, env = "CALLBOARD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<Hidden>,
    /// The operator's own token, where no other is given
    #[arg(long, env = "CALLBOARD_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN", hide = true)]
    admin_token: Option<Hidden>,
    /// The tenant that the operator acts for
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
}

/// A server that can be asked.
pub(super) struct Remote {
    agent: ureq::Agent,
    base: String,
    token: String,
    tenant: Option<String>,
}

impl Remote {
    /// Reads the arguments.
    ///
    /// # Errors
    /// When there is no token.
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let token = arguments.token.clone().or_else(|| arguments.admin_token.clone());
        let token = token.ok_or("no token; give one with --token or in CALLBOARD_TOKEN")?;
        Ok(Self::at(&arguments.url, &token.0, arguments.tenant.clone()))
    }

    /// A server at a known address.
    pub(super) fn at(base: &str, token: &str, tenant: Option<String>) -> Self {
        let agent = agent(|config| config);
        let base = base.trim_end_matches('/').to_owned();
        Self { agent, base, token: token.to_owned(), tenant }
    }

    /// Posts a body and reads the answer.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses: with every fault it names.
    pub(super) fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("content-type", content_type);
        self.answer(self.signed(request).send(body))
    }

    /// Posts nothing, where the path says what is to be done.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn act(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base));
        self.answer(self.signed(request).send_empty())
    }

    /// Asks for something.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.answer(self.signed(request).call())
    }

    /// The request with what says who is asking.
    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = request.header("authorization", format!("Bearer {}", self.token));
        match &self.tenant {
            Some(tenant) => request.header("callboard-tenant", tenant),
            None => request,
        }
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let mut answer = answer.map_err(|error| unreachable(&self.base, &error))?;
        let text = answer.body_mut().read_to_string()?;
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if answer.status().is_success() {
            return Ok(value);
        }
        Err(refusal(answer.status().as_u16(), &value).into())
    }

    /// Posts a JSON value.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) fn post_json(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.post(path, "application/json", body.to_string().as_bytes())
    }
}

/// Who asks servers, waits for a minute at most, and trusts whom the system trusts;
/// `change` may have it otherwise.
pub(super) fn agent(
    change: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>,
) -> ureq::Agent {
    // Fails only where one is installed already, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_mins(1)))
        .tls_config(tls);
    change(config).build().into()
}

/// Why there was no answer, in words that hold no password.
pub(super) fn unreachable(base: &str, error: &ureq::Error) -> Failure {
    let words = format!("{base} can't be reached: {error}; is the server running? Name another with --url");
    without_user(base, words).into()
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
pub(super) fn refusal(status: u16, problem: &Value) -> String {
    let detail = problem["detail"].as_str().unwrap_or("the server gave no reason");
    let mut words = format!("{detail} ({status})");
    for fault in problem["errors"].as_array().into_iter().flatten() {
        let place = fault["pointer"].as_str().or_else(|| fault["parameter"].as_str()).unwrap_or_default();
        words.extend(["\n  ", place, ": ", fault["detail"].as_str().unwrap_or_default()]);
    }
    words
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
}
