//! The setting `database`: a URL that may hold a password, which no output
//! shows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What stands in the place of a password.
const HIDDEN: &str = "********";

/// Where the database is: `sqlite:` and a path, or the URL of a PostgreSQL
/// server. `Display` and `Debug` hide the password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL with its password, for who opens the database.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.starts_with("sqlite:") {
            return f.write_str(&self.0);
        }
        // What is no URL can't be read, and might be anything.
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(HIDDEN) };
        write!(f, "{scheme}://")?;
        // Up to the last of them: a password that holds one itself, though it
        // should not, is hidden whole.
        let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
        match user.map(|user| user.split_once(':').ok_or(user)) {
            Some(Ok((name, _))) => write!(f, "{name}:{HIDDEN}@")?,
            Some(Err(name)) => write!(f, "{name}@")?,
            None => (),
        }
        let (place, parameters) =
            rest.split_once('?').map_or((rest, None), |(place, more)| (place, Some(more)));
        f.write_str(place)?;
        for (index, parameter) in parameters.into_iter().flat_map(|all| all.split('&')).enumerate() {
            let hidden = parameter.starts_with("password=").then_some("password=********");
            write!(f, "{}{}", if index == 0 { '?' } else { '&' }, hidden.unwrap_or(parameter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_wherever_they_stand() {
        for (url, shown) in [
            ("sqlite:/var/lib/a@b:c.db", "sqlite:/var/lib/a@b:c.db"),
            ("postgres://db/callboard", "postgres://db/callboard"),
            ("postgres://callboard@db:5432/callboard", "postgres://callboard@db:5432/callboard"),
            ("postgres://callboard:hunter2@db/x", "postgres://callboard:********@db/x"),
            (
                "postgresql://callboard:h@nter2@db,db2:1/x?a=b",
                "postgresql://callboard:********@db,db2:1/x?a=b",
            ),
            ("postgres://db/x?password=hunter2&a=b", "postgres://db/x?password=********&a=b"),
            ("postgres:callboard:hunter2", "********"),
            ("mysql://root:hunter2@db", "mysql://root:********@db"),
        ] {
            let url = DatabaseUrl::from(url.to_owned());
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("{shown:?}"));
        }
    }
}
