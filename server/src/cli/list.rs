//! Lists: how many items, in which form, and what all groups of commands do with
//! one thing.

use serde_json::Value;

use super::remote::Remote;
use super::table::{Cell, Table, show_fields};
use super::{Outcome, print};

/// How a list is shown.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Most items to show, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Show the server's answer as JSON: all pages as one
    #[arg(long)]
    json: bool,
}

/// A kind of list.
pub(super) struct List<'a, const N: usize> {
    /// Where it is.
    pub(super) path: &'a str,
    /// What narrows it.
    pub(super) query: Vec<(&'a str, String)>,
    /// The heads of its columns.
    pub(super) heads: [&'static str; N],
    /// The cells of an item.
    pub(super) row: fn(&Value) -> [Cell; N],
    /// What to say of an empty one.
    pub(super) nothing: &'static str,
}

impl<const N: usize> List<'_, N> {
    /// Gets it, and shows it.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses.
    pub(super) fn show(&self, remote: &Remote, arguments: &Arguments) -> Outcome {
        let page = remote.list(self.path, &self.query, arguments.limit)?;
        if arguments.json {
            return print(&format!("{page}\n"));
        }
        let mut table = Table::new(&self.heads);
        for item in page["items"].as_array().into_iter().flatten() {
            table.add((self.row)(item));
        }
        table.show(self.nothing)?;
        if page["next"].is_string() {
            super::note(&format!(
                "There is more; show it with --limit {}",
                arguments.limit.saturating_mul(4)
            ));
        }
        Ok(())
    }
}

/// Shows one thing: as it was answered, or field by field.
///
/// # Errors
/// When it can't be written.
pub(super) fn show(thing: &Value, json: bool) -> Outcome {
    if json { print(&format!("{thing}\n")) } else { show_fields(thing) }
}

/// What of a query was given.
pub(super) fn given<const N: usize>(
    members: [(&'static str, Option<String>); N],
) -> Vec<(&'static str, String)> {
    members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    // A segment of dots would lead elsewhere.
    let text = if matches!(text, "" | "." | "..") { "-" } else { text };
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_nowhere_else() {
        assert_eq!(segment("dlv_1"), "dlv_1");
        assert_eq!(segment("a/../b?c#d e+f"), "a%2F..%2Fb%3Fc%23d%20e%2Bf");
        assert_eq!(segment(".."), "-");
    }

    #[test]
    fn only_what_was_given_narrows_a_list() {
        assert_eq!(given([("type", None), ("subject", Some("1".to_owned()))]), [("subject", "1".to_owned())]);
    }
}
