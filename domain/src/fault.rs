//! What is wrong with an input, and where: every fault at once, each with its
//! JSON pointer.

use std::fmt::Display;

use serde::Serialize;

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the input; empty for the whole of it.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
    /// Whether it is nothing but too large.
    #[serde(skip)]
    pub too_large: bool,
}

/// Collects faults while a reader walks down an input.
#[derive(Debug, Default)]
pub struct Faults {
    at: String,
    found: Vec<Fault>,
}

impl Faults {
    /// No faults yet, at the root of the input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault of the place that is being read.
    pub fn here(&mut self, detail: impl Display) {
        self.found.push(Fault { pointer: self.at.clone(), detail: detail.to_string(), too_large: false });
    }

    /// Notes that the place that is being read is too large.
    pub fn too_large(&mut self, detail: impl Display) {
        self.found.push(Fault { pointer: self.at.clone(), detail: detail.to_string(), too_large: true });
    }

    /// Notes a fault of the member `name` of the place that is being read.
    pub fn member(&mut self, name: &str, detail: impl Display) {
        self.within(name, |faults| faults.here(detail));
    }

    /// Reads the member `name`: faults noted by `read` point below it.
    pub fn within<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.at.len();
        self.at.push('/');
        self.at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let value = read(self);
        self.at.truncate(length);
        value
    }

    /// Reads the element `index` of an array.
    pub fn element<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.within(&index.to_string(), read)
    }

    /// Takes over faults whose pointers start at the place that is being read.
    pub fn extend(&mut self, below: impl IntoIterator<Item = Fault>) {
        for fault in below {
            self.found.push(Fault { pointer: format!("{}{}", self.at, fault.pointer), ..fault });
        }
    }

    /// How many faults were noted.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.found.len()
    }

    /// `value` when nothing was wrong, else every fault.
    ///
    /// # Errors
    /// The faults, in the order of reading, when there is one.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Fault>> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.found),
        }
    }
}
