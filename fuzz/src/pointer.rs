//! Whether the pointer of a fault leads to something in the input.

use callboard_domain::fault::{Fault, Faults};
use callboard_domain::json::Members;
use serde_json::value::RawValue;

/// Sees to it that each fault leads to a place in `text`, or to a member that an
/// object in it might have.
///
/// # Panics
/// When one does not.
pub fn lead_somewhere(text: &str, faults: &[Fault]) {
    for Fault { pointer, detail, .. } in faults {
        let tokens: Vec<String> = pointer.split('/').skip(1).map(unescaped).collect();
        assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer:?} is no pointer");
        assert!(leads(text, &tokens), "{pointer:?} leads nowhere; {detail}");
        assert!(!detail.is_empty());
    }
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// Of members of the same name any may be meant.
fn leads(text: &str, tokens: &[String]) -> bool {
    let Some((first, rest)) = tokens.split_first() else { return true };
    if let Some(members) = Members::read(text, &mut Faults::new()) {
        return rest.is_empty()
            || members.iter().any(|(name, value)| name == first && leads(value.get(), rest));
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    let element = first.parse().ok().and_then(|index: usize| elements.get(index));
    element.is_some_and(|element| leads(element.get(), rest))
}
