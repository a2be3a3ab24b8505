//! `callboard profile`, and the file that it is about: which servers somebody
//! works with, and how to sign in to each.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::remote::SignIn;
use super::table::{Cell, Table};
use super::{Failure, Outcome, print};
use crate::config::Hidden;

/// The name of a profile that was given none.
pub(super) const DEFAULT: &str = "default";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the servers that somebody has signed in to.
    List {
        /// Show them as JSON, without what is secret
        #[arg(long)]
        json: bool,
    },
}

/// One server, and how to sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// Where it is.
    pub(super) url: String,
    /// The tenant that the operator acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    /// A token, where no client is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<Hidden>,
    /// The client that gets tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<String>,
    /// By which it gets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_secret: Option<Hidden>,
}

impl Profile {
    /// How to sign in, if the file says so.
    pub(super) fn sign_in(&self) -> Option<SignIn> {
        match (&self.client_id, &self.client_secret, &self.token) {
            (Some(id), Some(secret), _) => Some(SignIn::Client { id: id.clone(), secret: secret.clone() }),
            (_, _, Some(token)) => Some(SignIn::Token(token.clone())),
            _ => None,
        }
    }
}

/// All of them, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Profiles(pub(super) BTreeMap<String, Profile>);

impl Profiles {
    /// Reads the file; there are none where there is no file.
    ///
    /// # Errors
    /// When it can't be read, or is no such file.
    pub(super) fn load() -> Result<Self, Failure> {
        let Some(path) = path() else { return Ok(Self::default()) };
        match std::fs::read_to_string(&path) {
            // The parser would show the line, and a secret may stand on it.
            Ok(text) => toml::from_str(&text).map_err(|error| {
                let fault = error.message();
                format!(
                    "{} is no file of profiles: {fault}; sign in again with callboard login",
                    path.display()
                )
                .into()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{} can't be read: {error}", path.display()).into()),
        }
    }

    /// Writes the file anew, so that only its owner can read it, and says where it is.
    ///
    /// # Errors
    /// When it can't be written; then the old one is still there.
    pub(super) fn save(&self) -> Result<PathBuf, Failure> {
        let path = path().ok_or("there is no place for profiles; set XDG_CONFIG_HOME or HOME")?;
        let text = toml::to_string(self)?;
        let fault = |error: std::io::Error| format!("{} can't be written: {error}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(fault)?;
        }
        let unfinished = path.with_extension(format!("toml.{}", std::process::id()));
        let written = write_private(&unfinished, &text).and_then(|()| std::fs::rename(&unfinished, &path));
        if written.is_err() {
            // The fault that is told is the first.
            let _ = std::fs::remove_file(&unfinished);
        }
        written.map_err(fault)?;
        Ok(path)
    }

    /// The profile of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn named(&self, name: &str) -> Result<&Profile, Failure> {
        self.0.get(name).ok_or_else(|| {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
            let words = format!("there is no profile {name:?} ({known}); make one with callboard login");
            Exit::Usage.because(words)
        })
    }
}

/// A file that nobody else could read at any time.
fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = callboard_store::private(options.write(true).create_new(true)).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Where the file is, if anywhere.
fn path() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // What is not absolute is not obeyed, as the XDG specification wants it.
    let configured = folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = configured.or_else(|| folder("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("callboard").join("profiles.toml"))
}

pub(super) fn run(command: &Command) -> Outcome {
    let Command::List { json } = command;
    let profiles = Profiles::load()?;
    if *json {
        let shown: serde_json::Map<_, _> = profiles
            .0
            .iter()
            .map(|(name, profile)| {
                let shown = serde_json::json!({
                    "url": profile.url, "tenant": profile.tenant, "client_id": profile.client_id,
                });
                (name.clone(), shown)
            })
            .collect();
        return print(&format!("{}\n", serde_json::Value::Object(shown)));
    }
    let mut table = Table::new(&["NAME", "URL", "TENANT", "SIGNS IN BY"]);
    for (name, profile) in &profiles.0 {
        let how = profile.client_id.as_ref().map_or("a token".to_owned(), |id| format!("client {id}"));
        table.add([name.into(), (&profile.url).into(), Cell::maybe(profile.tenant.as_deref()), how.into()]);
    }
    table.show("no profiles; make one with callboard login")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_come_back_as_they_were_written_and_hide_what_is_secret() {
        let text = "[default]\nurl = \"https://callboard.example\"\ntoken = \"cba_secret\"\n\n\
                    [opera]\nurl = \"http://127.0.0.1:8080\"\ntenant = \"opera\"\nclient_id = \"1\"\nclient_secret = \"cbs_secret\"\n";
        let profiles: Profiles = toml::from_str(text).expect("profiles");
        assert_eq!(toml::to_string(&profiles).expect("a text"), text);
        assert!(!format!("{profiles:?}").contains("secret\""), "{profiles:?}");
        assert_eq!(profiles.named("opera").expect("it is there").tenant.as_deref(), Some("opera"));
        let missing = profiles.named("ballet").expect_err("it is not there");
        assert!(missing.to_string().contains("default, opera"), "{missing}");
        assert_eq!(Exit::of(&missing), Exit::Usage);
    }
}
