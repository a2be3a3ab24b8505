//! `callboard login` and `callboard logout`: where the other commands find a server,
//! and how they sign in.

use std::io::{IsTerminal as _, Read as _};

use super::exit::Exit;
use super::profile::{self, Profile, Profiles};
use super::remote::Remote;
use super::{Failure, Outcome, note, say};
use crate::config::Hidden;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The server
    #[arg(long, env = "CALLBOARD_URL", value_name = "URL")]
    url: String,
    /// Read a token from standard input, the operator's or an access token
    #[arg(long, required_unless_present = "client_id")]
    token_stdin: bool,
    /// Sign in as this client; its secret is read from standard input
    #[arg(long, value_name = "ID", conflicts_with = "token_stdin")]
    client_id: Option<String>,
    /// The tenant that the operator acts for
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Under which name to store it
    #[arg(long, env = "CALLBOARD_PROFILE", value_name = "NAME", default_value = profile::DEFAULT)]
    profile: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct LogoutArguments {
    /// Which to forget
    #[arg(long, env = "CALLBOARD_PROFILE", value_name = "NAME", default_value = profile::DEFAULT)]
    profile: String,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let secret = read_secret(if arguments.client_id.is_some() { "the client's secret" } else { "a token" })?;
    let (token, client_secret) = match arguments.client_id {
        Some(_) => (None, Some(secret)),
        None => (Some(secret), None),
    };
    let profile = Profile {
        url: arguments.url.trim_end_matches('/').to_owned(),
        tenant: arguments.tenant.clone(),
        token,
        client_id: arguments.client_id.clone(),
        client_secret,
    };
    let sign_in = profile.sign_in().ok_or("there is nothing to sign in by")?;
    Remote::at(&profile.url, sign_in, profile.tenant.clone()).check()?;
    let mut profiles = Profiles::load()?;
    let name = &arguments.profile;
    let instead = profiles.0.insert(name.clone(), profile).is_some();
    let path = profiles.save()?;
    let verb = if instead { "replaced" } else { "stored" };
    say(&format!("{name}: {verb} in {}, which only you can read", path.display()))?;
    if name != profile::DEFAULT {
        say(&format!("Choose it with --profile {name} or CALLBOARD_PROFILE={name}"))?;
    }
    Ok(())
}

pub(super) fn logout(arguments: &LogoutArguments) -> Outcome {
    let mut profiles = Profiles::load()?;
    let name = &arguments.profile;
    profiles.named(name)?;
    profiles.0.remove(name);
    profiles.save()?;
    say(&format!("{name}: forgotten. The token or the client itself is still valid"))
}

/// Something secret, which must not stand on the command line.
fn read_secret(what: &str) -> Result<Hidden, Failure> {
    if std::io::stdin().is_terminal() {
        note(&format!("Type {what}, then Enter and Ctrl-D; it is shown while you type. Better pipe it in."));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Exit::Usage.because(format!("there is nothing on standard input; pipe {what} in")));
    }
    Ok(text.to_owned().into())
}
