//! A condition on the body of an event, as a JSONPath query (RFC 9535): the
//! event is heard if the query selects anything.
//!
//! A query is compiled once, when the webhook is read. What it may cost is
//! bounded by its form, because whoever owns a webhook may write one, and each
//! event of the tenant is asked it.

use std::cell::OnceCell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use serde_json_path::JsonPath;

/// Longest query, in bytes.
const MAX_LENGTH: usize = 1_024;

/// Most commas: each bracket of several selectors multiplies what is selected.
const MAX_COMMAS: usize = 4;

/// Deepest nesting of brackets. The parser takes twice as long for each level:
/// it would never be done with sixty.
const MAX_NESTING: usize = 8;

/// Most of "*", "?" and "@" together, half as many for each comma: any of them may
/// look at every value of a body, and each comma may double how many there are.
const MAX_LOOKS: usize = 64;

/// A compiled query.
#[derive(Clone)]
pub struct Filter {
    text: Box<str>,
    query: Arc<JsonPath>,
}

/// The text is no query, or one that may cost too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// It is too long.
    #[error("may be at most {MAX_LENGTH} bytes long")]
    TooLong,
    /// It is no JSONPath query.
    #[error("is no JSONPath query (RFC 9535), such as $.data[?@.price > 10]: {0}")]
    Malformed(String),
    /// Looking at everything for each thing looked at takes too long.
    #[error(
        "may hold \"..\" once at most, \"$\" only at its start, {MAX_COMMAS} commas, {MAX_LOOKS} of \"*\", \"?\" \
         and \"@\" (half as many for each comma), and {MAX_NESTING} brackets in each other: more could take \
         too long"
    )]
    TooCostly,
}

impl Filter {
    /// The query as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the query selects anything of this body.
    #[must_use]
    pub fn accepts(&self, body: &LazyBody<'_>) -> bool {
        body.value().is_some_and(|value| !self.query.query(value).is_empty())
    }
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidFilter::TooLong);
        }
        let counts = Counts::of(text);
        // Before anything else, because it is parsing that takes too long.
        if counts.nesting > MAX_NESTING {
            return Err(InvalidFilter::TooCostly);
        }
        // The parser panics where a query ends within an escape.
        if counts.open_string {
            return Err(InvalidFilter::Malformed("a string does not end".to_owned()));
        }
        let query = JsonPath::parse(text).map_err(|error| InvalidFilter::Malformed(error.to_string()))?;
        if counts.are_too_many() {
            return Err(InvalidFilter::TooCostly);
        }
        Ok(Self { text: text.into(), query: Arc::new(query) })
    }
}

/// How often what makes work stands outside of the strings of a query.
#[derive(Default)]
struct Counts {
    roots: usize,
    descents: usize,
    commas: usize,
    looks: usize,
    /// The deepest, not the last.
    nesting: usize,
    /// Whether a string has not ended where the query does.
    open_string: bool,
}

impl Counts {
    fn of(text: &str) -> Self {
        let (mut counts, mut quote, mut before, mut level) = (Self::default(), None, ' ', 0_usize);
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match (quote, character) {
                (Some(_), '\\') => drop(characters.next()),
                (Some(open), _) if open == character => quote = None,
                (None, '"' | '\'') => quote = Some(character),
                (None, '$') => counts.roots += 1,
                (None, ',') => counts.commas += 1,
                (None, '*' | '?' | '@') => counts.looks += 1,
                (None, '[') => {
                    level += 1;
                    counts.nesting = counts.nesting.max(level);
                }
                (None, ']') => level = level.saturating_sub(1),
                (None, '.') if before == '.' => counts.descents += 1,
                _ => {}
            }
            before = character;
        }
        counts.open_string = quote.is_some();
        counts
    }

    const fn are_too_many(&self) -> bool {
        self.roots > 1
            || self.descents > 1
            || self.commas > MAX_COMMAS
            || self.looks << self.commas > MAX_LOOKS
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.text)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

/// A native body that is read when the first filter asks, and then once.
#[derive(Debug)]
pub struct LazyBody<'a> {
    text: &'a [u8],
    value: OnceCell<Option<Value>>,
}

impl<'a> LazyBody<'a> {
    /// A body that is not read yet.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, value: OnceCell::new() }
    }

    fn value(&self) -> Option<&Value> {
        self.value.get_or_init(|| serde_json::from_slice(self.text).ok()).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &str = r#"{"type":"ticket.updated","data":{"quantity":80,"price":10.50,"status":"paid",
        "tags":["vip","loge"],"seats":[{"row":"F","n":1},{"row":"G","n":22}]},"subject":{"id":"408218"}}"#;

    fn accepts(query: &str) -> bool {
        let filter: Filter = query.parse().unwrap_or_else(|error| panic!("{query}: {error}"));
        filter.accepts(&LazyBody::new(BODY.as_bytes()))
    }

    #[test]
    fn an_event_is_heard_if_the_query_selects_anything() {
        for (query, heard) in [
            ("$", true),
            ("$.data.quantity", true),
            ("$.data.colour", false),
            ("$[?@.status == 'paid']", true),
            ("$[?@.status == 'open']", false),
            ("$[?@.quantity < 100 && @.quantity >= 80]", true),
            ("$[?@.quantity > 80]", false),
            ("$[?@.price == 10.5]", true),
            ("$[?@.price > 10.49 && @.price < 11]", true),
            ("$.data.seats[?@.n > 20 && @.row == 'G']", true),
            ("$.data.seats[?@.n > 22]", false),
            ("$.data.tags[?@ == 'vip']", true),
            ("$..row", true),
            ("$.data[?length(@) == 2]", true),
            ("$[?count(@.seats[*]) == 2]", true),
            ("$.subject[?@ == '408218']", true),
            ("$[?@.id == '..$']", false),
        ] {
            assert_eq!(accepts(query), heard, "{query}");
        }
    }

    #[test]
    fn what_is_no_query_or_costs_too_much_is_refused() {
        let error = |query: &str| query.parse::<Filter>().expect_err(query);
        for query in ["", "data.quantity", "$.", "$[", "$[?@.a = 1]", "$[?frob(@)]"] {
            assert!(matches!(error(query), InvalidFilter::Malformed(_)), "{query}: {:?}", error(query));
        }
        for query in ["$['\\u", "$['", "$[?@ == \"\\ud83c", "$['a\\'", "$[?@['\\"] {
            assert_eq!(error(query), InvalidFilter::Malformed("a string does not end".to_owned()), "{query}");
        }
        // Regular expressions would be compiled for each thing looked at.
        assert!(matches!(error("$[?match(@.a, 'b')]"), InvalidFilter::Malformed(_)));
        let nested = |levels| format!("${}{}", "[?@".repeat(levels), "]".repeat(levels));
        for query in [nested(9), nested(60), nested(200), "$[?@".repeat(60)] {
            assert_eq!(error(&query), InvalidFilter::TooCostly, "{query}");
        }
        let alternatives = |start, count| format!("{start}[?{}]", vec!["@.a"; count].join(" || "));
        let wild = |count| format!("${}", ".*".repeat(count));
        for query in [wild(65), alternatives("$", 64), alternatives("$[0,1,2]", 16), alternatives("$..a", 64)]
        {
            assert_eq!(error(&query), InvalidFilter::TooCostly, "{query}");
        }
        for query in [wild(64), alternatives("$", 63), alternatives("$[0,1,2]", 15), nested(8)] {
            assert!(query.parse::<Filter>().is_ok(), "{query}");
        }
        for query in ["$[*,*,*][*,*,*][*,*]", "$..a..b", "$[?@.a == $.data.b]", "$..*[?@..x]", "$[?$.a]"] {
            assert_eq!(error(query), InvalidFilter::TooCostly, "{query}");
        }
        let long = |length: usize| format!("$.{}", "a".repeat(length - 2));
        assert_eq!(error(&long(MAX_LENGTH + 1)), InvalidFilter::TooLong);
        assert!(long(MAX_LENGTH).parse::<Filter>().is_ok());
        assert!("$['..', \"$$..\", 'a\\'..,,,,,']".parse::<Filter>().is_ok());
    }

    #[test]
    fn a_filter_is_the_text_that_was_written() {
        let filter = |query: &str| query.parse::<Filter>().expect(query);
        assert_eq!(filter("$.data.quantity").as_str(), "$.data.quantity");
        assert_eq!(filter("$.a"), filter("$.a"));
        assert_ne!(filter("$.a"), filter("$['a']"), "the same query, and an edit all the same");
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[$@.\\[\\]?*'\"a-z0-9=<>&|!() ]{0,40}") {
            if let Ok(filter) = text.parse::<Filter>() {
                let _ = filter.accepts(&LazyBody::new(BODY.as_bytes()));
            }
        }
    }
}
