//! Lays the sources of settings over one another and remembers which one had
//! the last word on each.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::{Table, Value};

use super::shown::shown_value;
use super::{DatabaseUrl, OPTIONAL, Settings};

/// The file that is read when none is named and this one exists.
const DEFAULT_FILE: &str = "callboard.toml";

/// Environment variables of settings start like this.
const PREFIX: &str = "CALLBOARD_";

/// A variable that ends like this names a file that holds the value.
const FILE_SUFFIX: &str = "_FILE";

/// Variables that are read by commands which talk to a running server.
const OF_COMMANDS: [&str; 4] = ["CALLBOARD_CONFIG", "CALLBOARD_PROFILE", "CALLBOARD_TOKEN", "CALLBOARD_URL"];

/// What the command line says; it overrides everything else.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// `--listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// `--database`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseUrl>,
}

/// Where a setting's value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The settings file.
    File(PathBuf),
    /// This environment variable.
    Variable(String),
    /// The command line.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A setting can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("{} can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{}, line {line}: {message}", path.display())]
    NoToml {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such setting.
    #[error("{variable} is no setting; `callboard config check` lists them")]
    UnknownVariable {
        /// The variable.
        variable: String,
    },
    /// A value is wrong.
    #[error("{name} (from {source_of}): {message}")]
    Wrong {
        /// The setting.
        name: String,
        /// Where its value came from.
        source_of: Source,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// The settings and where each came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// By dotted name: the value as it is shown, and its source.
    pub origins: BTreeMap<String, (String, Source)>,
}

/// Reads the settings. `environment` holds every variable of the process.
///
/// # Errors
/// See [`ConfigError`].
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::new();
    let default_file = Path::new(DEFAULT_FILE);
    if let Some(file) = file.or_else(|| default_file.is_file().then_some(default_file)) {
        layers.put(read_toml(file)?, &Source::File(file.to_owned()), "");
    }
    let mut variables: Vec<_> = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (variable, value) in variables {
        layers.put_variable(variable, value)?;
    }
    let overrides = Table::try_from(overrides).unwrap_or_default();
    layers.put(overrides, &Source::CommandLine, "");
    layers.finish()
}

struct Layers {
    table: Table,
    sources: BTreeMap<String, Source>,
    /// Every dotted name there is.
    names: Vec<String>,
}

impl Layers {
    fn new() -> Self {
        let table = Table::try_from(Settings::default()).unwrap_or_default();
        let mut names: Vec<String> = OPTIONAL.iter().map(|(name, _)| (*name).to_owned()).collect();
        leaves(&table, "", &mut |name, _| names.push(name.to_owned()));
        Self { table, sources: BTreeMap::new(), names }
    }

    /// Lays `over` on top; tables are merged, everything else is replaced.
    fn put(&mut self, over: Table, source: &Source, prefix: &str) {
        for (key, value) in over {
            let name = format!("{prefix}{key}");
            match value {
                Value::Table(inner) => self.put(inner, source, &format!("{name}.")),
                value => self.set(&name, value, source.clone()),
            }
        }
    }

    fn set(&mut self, name: &str, value: Value, source: Source) {
        let mut table = &mut self.table;
        let mut parts: Vec<&str> = name.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let inner = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            let Value::Table(inner) = inner else { return };
            table = inner;
        }
        table.insert(last.to_owned(), value);
        self.sources.insert(name.to_owned(), source);
    }

    fn put_variable(&mut self, variable: String, value: String) -> Result<(), ConfigError> {
        if OF_COMMANDS.contains(&&*variable) {
            return Ok(());
        }
        let named = |variable: &str| {
            let of =
                |name: &&String| format!("{PREFIX}{}", name.replace('.', "_").to_uppercase()) == variable;
            self.names.iter().find(of).cloned()
        };
        if let Some(name) = named(&variable) {
            let value = self.typed(&name, value);
            self.set(&name, value, Source::Variable(variable));
            return Ok(());
        }
        let Some(name) = variable.strip_suffix(FILE_SUFFIX).and_then(named) else {
            return Err(ConfigError::UnknownVariable { variable });
        };
        let read = std::fs::read_to_string(&value);
        let text = read.map_err(|source| ConfigError::Unreadable { path: value.into(), source })?;
        let value = self.typed(&name, text.trim_end().to_owned());
        self.set(&name, value, Source::Variable(variable));
        Ok(())
    }

    /// Variables are texts; where the default is a number, a number is meant.
    fn typed(&self, name: &str, text: String) -> Value {
        let mut default = None;
        leaves(&self.table, "", &mut |known, value| {
            if known == name {
                default = Some(value.clone());
            }
        });
        match default {
            Some(Value::Integer(_)) => text.parse().map_or(Value::String(text), Value::Integer),
            Some(Value::Float(_)) => text.parse().map_or(Value::String(text), Value::Float),
            Some(Value::Boolean(_)) => text.parse().map_or(Value::String(text), Value::Boolean),
            _ => Value::String(text),
        }
    }

    fn finish(self) -> Result<Loaded, ConfigError> {
        // A group has no source itself; what is wrong with it came with a member.
        let is_in = |known: &str, group: &str| {
            known.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let source_of = |name: &str| {
            let found = self.sources.iter().find(|(known, _)| is_in(known, name));
            found.map_or(Source::Default, |(_, source)| source.clone())
        };
        let wrong = |name: String, message| {
            let source_of = source_of(&name);
            ConfigError::Wrong { name, source_of, message }
        };
        let settings: Settings = serde_path_to_error::deserialize(Value::Table(self.table.clone()))
            .map_err(|error| wrong(error.path().to_string(), error.inner().message().trim().to_owned()))?;
        settings.check().map_err(|(name, message)| wrong(name.to_owned(), message))?;
        let mut origins = BTreeMap::new();
        leaves(&self.table, "", &mut |name, value| {
            origins.insert(name.to_owned(), (shown_value(name, value, &settings), source_of(name)));
        });
        Ok(Loaded { settings, origins })
    }
}

/// Calls `seen` with the dotted name of every value that is no table.
pub(super) fn leaves(table: &Table, prefix: &str, seen: &mut dyn FnMut(&str, &Value)) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => leaves(inner, &format!("{name}."), seen),
            value => seen(&name, value),
        }
    }
}

fn read_toml(path: &Path) -> Result<Table, ConfigError> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    // Not the error's own text: it shows the line, which may hold a password.
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        ConfigError::NoToml { path: path.to_owned(), line, message: error.message().to_owned() }
    })
}
