//! Settings as they are shown: the name, the value and the source of each, with
//! what is secret masked.

use toml::{Table, Value};

use super::layers::leaves;
use super::{Loaded, OPTIONAL, SECRETS, Settings};

/// A setting as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// Its dotted name.
    pub name: String,
    /// Its value; `None` where it is not given and has no default.
    pub value: Option<String>,
    /// Where the value came from, or what holds without one; empty where nobody knows.
    pub source: String,
}

impl Loaded {
    /// Every setting: those with a value by their names, then the others.
    #[must_use]
    pub fn shown(&self) -> Vec<ShownSetting> {
        let given = self.origins.iter().map(|(name, (value, source))| ShownSetting {
            name: name.clone(),
            value: Some(value.clone()),
            source: source.to_string(),
        });
        given.chain(not_given(|name| self.origins.contains_key(name))).collect()
    }
}

/// The same of settings that a program has put together, where no source is known.
pub(crate) fn shown(settings: &Settings) -> Vec<ShownSetting> {
    let table = Table::try_from(settings).unwrap_or_default();
    let mut all = Vec::new();
    leaves(&table, "", &mut |name, value| {
        let value = Some(shown_value(name, value, settings));
        all.push(ShownSetting { name: name.to_owned(), value, source: String::new() });
    });
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let others: Vec<_> = not_given(|name| all.iter().any(|one| one.name == name)).collect();
    all.extend(others);
    all
}

fn not_given(is_given: impl Fn(&str) -> bool) -> impl Iterator<Item = ShownSetting> {
    OPTIONAL.into_iter().filter(move |(name, _)| !is_given(name)).map(|(name, otherwise)| ShownSetting {
        name: name.to_owned(),
        value: None,
        source: otherwise.to_owned(),
    })
}

/// The value as it may be shown.
pub(super) fn shown_value(name: &str, value: &Value, settings: &Settings) -> String {
    match name {
        "database" => format!("{:?}", settings.database),
        _ if SECRETS.contains(&name) => "********".to_owned(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hidden;
    use super::*;

    #[test]
    fn settings_are_shown_by_their_names_and_secrets_are_not() {
        let settings = Settings {
            admin_token: Some(Hidden("sesame-of-the-operator".to_owned())),
            database: "postgres://callboard:sesame@db/callboard".to_owned().into(),
            ..Settings::default()
        };
        let shown = shown(&settings);
        assert!(!format!("{shown:?}").contains("sesame"), "{shown:?}");
        let value = |name: &str| {
            let found = shown.iter().find(|one| one.name == name).expect("a setting");
            (found.value.as_deref(), &*found.source)
        };
        assert_eq!(value("admin_token"), (Some("********"), ""));
        assert_eq!(value("retention.days"), (Some("7.0"), ""));
        assert_eq!(value("public_url"), (None, "where it listens"));
        let mut names: Vec<_> = shown.iter().map(|one| &one.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), shown.len());
    }
}
