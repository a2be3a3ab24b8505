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

/// Most faults that are told; what follows is only counted, so that a hostile
/// input can't make the answer many times as large as itself.
const MOST: usize = 1_000;

/// Collects faults while a reader walks down an input.
#[derive(Debug, Default)]
pub struct Faults {
    at: String,
    found: Vec<Fault>,
    count: usize,
}

impl Faults {
    /// No faults yet, at the root of the input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault of the place that is being read.
    pub fn here(&mut self, detail: impl Display) {
        self.note(|at| Fault { pointer: at.to_owned(), detail: detail.to_string(), too_large: false });
    }

    /// Notes that the place that is being read is too large.
    pub fn too_large(&mut self, detail: impl Display) {
        self.note(|at| Fault { pointer: at.to_owned(), detail: detail.to_string(), too_large: true });
    }

    fn note(&mut self, fault: impl FnOnce(&str) -> Fault) {
        self.count += 1;
        if self.found.len() < MOST {
            self.found.push(fault(&self.at));
        }
    }

    /// Notes a fault of the member `name` of the place that is being read.
    pub fn member(&mut self, name: &str, detail: impl Display) {
        self.within(name, |faults| faults.here(detail));
    }

    /// Reads the member `name`: faults noted by `read` point below it.
    pub fn within<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.at.len();
        self.at.push('/');
        if name.contains(['~', '/']) {
            self.at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        } else {
            self.at.push_str(name);
        }
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
            self.note(|at| Fault { pointer: format!("{at}{}", fault.pointer), ..fault });
        }
    }

    /// Whether a fault of the place `pointer` was noted.
    #[must_use]
    pub fn points_to(&self, pointer: &str) -> bool {
        self.found.iter().any(|fault| fault.pointer == pointer)
    }

    /// How many faults were noted.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// `value` when nothing was wrong, else every fault.
    ///
    /// # Errors
    /// The faults, in the order of reading, when there is one.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Fault>> {
        if self.count > self.found.len() {
            let detail = format!("has {} more faults", self.count - self.found.len());
            self.found.push(Fault { pointer: String::new(), detail, too_large: false });
        }
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_escaped_and_lead_to_the_place() {
        let mut faults = Faults::new();
        faults.element(3, |faults| faults.member("a/b~c", "is wrong"));
        let found = faults.finish(Some(())).expect_err("a fault");
        assert_eq!(found[0].pointer, "/3/a~1b~0c");
    }

    #[test]
    fn a_flood_of_faults_is_counted_and_not_kept() {
        let mut faults = Faults::new();
        for _ in 0..MOST + 7 {
            faults.here("is wrong");
        }
        assert_eq!(faults.count(), MOST + 7);
        let found = faults.finish(None::<()>).expect_err("faults");
        assert_eq!(found.len(), MOST + 1);
        assert_eq!(found[MOST].detail, "has 7 more faults");
    }

    #[test]
    fn faults_that_are_taken_over_point_below_the_place_that_is_read() {
        let mut below = Faults::new();
        below.member("name", "is wrong");
        below.too_large("is too large");
        let below = below.finish(None::<()>).expect_err("faults");
        let mut faults = Faults::new();
        faults.within("subject", |faults| faults.extend(below));
        assert!(faults.points_to("/subject/name") && faults.points_to("/subject"));
        assert!(!faults.points_to("/name") && !faults.points_to(""));
        let found = faults.finish(Some(())).expect_err("faults");
        assert_eq!(found.iter().map(|fault| fault.too_large).collect::<Vec<_>>(), [false, true]);
        assert_eq!((&*found[0].detail, &*found[1].detail), ("is wrong", "is too large"));
    }
}
