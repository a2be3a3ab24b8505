//! What deliveries may call, and how they connect.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use callboard_engine::guard::Rules;
use callboard_engine::http::{BadUrl, Proxy, read_roots};
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::Hidden;

/// What deliveries may call, and how they connect.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Networks that are open beside the public ones.
    #[serde(deserialize_with = "list")]
    pub allow: Vec<IpNet>,
    /// Networks that are shut, whatever `allow` says.
    #[serde(deserialize_with = "list")]
    pub deny: Vec<IpNet>,
    /// Ports that are shut; the guard's own list if not given.
    #[serde(default, deserialize_with = "optional_list", skip_serializing_if = "Option::is_none")]
    pub deny_ports: Option<Vec<u16>>,
    /// Whether webhooks have to be called by https.
    pub require_https: bool,
    /// A file of certificates to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The URL of a forward proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The user, where the proxy asks for one and a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_user: Option<String>,
    /// The password of `proxy_user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_password: Option<Hidden>,
}

impl Egress {
    /// What deliveries may call.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let mut rules = Rules {
            allow: self.allow.clone(),
            deny: self.deny.clone(),
            require_https: self.require_https,
            ..Rules::default()
        };
        if let Some(ports) = &self.deny_ports {
            rules.deny_ports.clone_from(ports);
        }
        rules
    }

    /// Through whom deliveries connect, if not at once.
    ///
    /// # Errors
    /// When its URL is not that of a proxy.
    pub fn proxy(&self) -> Result<Option<Proxy>, BadUrl> {
        let credentials = self.proxy_user.as_deref().zip(self.proxy_password.as_ref());
        let credentials = credentials.map(|(user, password)| (user, &*password.0));
        self.proxy.as_ref().map(|url| Proxy::new(url, credentials)).transpose()
    }

    /// The certificates that are trusted beside the system's.
    ///
    /// # Errors
    /// When their file can't be read, or holds something else.
    pub fn roots(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let Some(file) = &self.ca_file else { return Ok(Vec::new()) };
        let pem =
            std::fs::read(file).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
        read_roots(&pem).map_err(|fault| format!("{} {fault}", file.display()))
    }

    /// What the types can't say.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |name, right: &str| Err((name, format!("must be {right}")));
        if self.proxy.is_none() && (self.proxy_user.is_some() || self.proxy_password.is_some()) {
            return wrong("egress.proxy", "given where egress.proxy_user or egress.proxy_password is");
        }
        if self.proxy_user.is_some() != self.proxy_password.is_some() {
            return wrong("egress.proxy_password", "given together with egress.proxy_user");
        }
        // RFC 7617: the password begins behind the first colon.
        if self.proxy_user.as_ref().is_some_and(|user| user.contains(':')) {
            return wrong("egress.proxy_user", "without a colon");
        }
        if let Err(fault) = self.roots() {
            return Err(("egress.ca_file", fault));
        }
        if let Err(fault) = self.proxy() {
            let detail = format!("{fault}; write it as http://proxy.example:3128");
            return Err(("egress.proxy", detail));
        }
        Ok(())
    }
}

/// What can stand in a list.
pub(super) trait Element: FromStr {
    /// What it is, for who wrote something else.
    const WHAT: &str;

    /// Reads what `FromStr` does not.
    fn otherwise(_: &str) -> Option<Self> {
        None
    }
}

impl Element for IpNet {
    const WHAT: &str = "network; write an address and a length, such as 127.0.0.0/8";

    fn otherwise(text: &str) -> Option<Self> {
        text.parse().ok().map(|address: std::net::IpAddr| Self::from(address))
    }
}

impl Element for u16 {
    const WHAT: &str = "port; write a number from 0 to 65535, such as 25";
}

/// A list, or one text with commas.
pub(super) fn list<'de, T: Element, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    use serde::de::Error;

    struct Elements<T>(std::marker::PhantomData<T>);

    impl<'de, T: Element> serde::de::Visitor<'de> for Elements<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list, or a text with commas")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(element).collect()
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Vec<T>, E> {
            Ok(vec![element(&number.to_string())?])
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut parts: A) -> Result<Vec<T>, A::Error> {
            let mut elements = Vec::new();
            while let Some(part) = parts.next_element::<Written>()? {
                elements.push(match part {
                    Written::Text(text) => element(&text)?,
                    Written::Number(number) => element(&number.to_string())?,
                });
            }
            Ok(elements)
        }
    }

    deserializer.deserialize_any(Elements(std::marker::PhantomData))
}

/// As [`list`], where leaving it out means something else than an empty list.
fn optional_list<'de, T: Element, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    list(deserializer).map(Some)
}

/// An element as a file may hold it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Number(i64),
}

fn element<T: Element, E: serde::de::Error>(text: &str) -> Result<T, E> {
    let read = text.parse().ok().or_else(|| T::otherwise(text));
    read.ok_or_else(|| E::custom(format_args!("{text:?} is no {}", T::WHAT)))
}
