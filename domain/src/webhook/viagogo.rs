//! Reads a webhook's settings from a viagogo-style body.

use super::{Settings, read_settings};
use crate::fault::{Fault, Faults};
use crate::json::{Members, write_string};
use crate::wire::Dialect;
use crate::wire::viagogo::WebhookResource;

const FIELDS: [&str; 4] = ["name", "url", "authorization_header", "topics"];

/// Reads a body. Null stands for what is left out, as clients write it that
/// always send every field; only an authorization header can be cleared.
///
/// # Errors
/// Every fault, each with its JSON pointer.
pub fn read(text: &str, base: Option<&Settings>) -> Result<Settings, Vec<Fault>> {
    let mut faults = Faults::new();
    let translated = Members::read(text, &mut faults).map(|members| translate(&members, &mut faults));
    let Some(translated) = translated else { return faults.finish(None) };
    match read_settings(&translated, base) {
        Ok((settings, _)) => faults.finish(Some(settings)),
        Err(found) => {
            faults.extend(found);
            faults.finish(None)
        }
    }
}

fn translate(members: &Members<'_>, faults: &mut Faults) -> String {
    let mut native = b"{\"dialect\":".to_vec();
    write_string(&mut native, Dialect::Viagogo.as_str());
    for (name, value) in members.iter() {
        // Who sends back what it was shown says nothing new with these.
        if WebhookResource::READ_ONLY.contains(&name) {
            continue;
        }
        if !FIELDS.contains(&name) {
            faults.member(name, format_args!("is not known here; known are {}", FIELDS.join(", ")));
        } else if value.get() != "null" || name == "authorization_header" {
            native.push(b',');
            write_string(&mut native, name);
            native.push(b':');
            native.extend_from_slice(value.get().as_bytes());
        }
    }
    native.push(b'}');
    // Made of texts only.
    String::from_utf8(native).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Confidential, Subscription};
    use crate::wire::viagogo::Topic;

    fn pointers(text: &str, base: Option<&Settings>) -> Vec<String> {
        read(text, base).err().unwrap_or_default().into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn null_stands_for_what_is_left_out_but_clears_an_authorization_header() {
        let made = r#"{"name": "One", "url": "https://one.example/", "topics": ["Sales"],
            "authorization_header": "Bearer x"}"#;
        let made = read(made, None).expect("good settings");
        assert_eq!(made.subscription, Subscription::Viagogo { topics: vec![Topic::Sales] });
        let edit = |text: &str| read(text, Some(&made)).expect("a good edit");
        assert_eq!(edit(r#"{"name": null, "url": null, "topics": null}"#), made);
        assert_eq!(edit(r#"{"id": 7, "created_at": "x", "_links": {}}"#), made);
        assert_eq!(
            edit(r#"{"authorization_header": null}"#),
            Settings { authorization_header: None, ..made.clone() }
        );
        let other = Some(Confidential::new("Bearer y".to_owned()));
        assert_eq!(edit(r#"{"authorization_header": "Bearer y"}"#).authorization_header, other);
    }

    #[test]
    fn what_is_no_viagogo_webhook_is_refused_all_at_once() {
        assert_eq!(pointers("{}", None), ["/url", "/topics"]);
        assert_eq!(pointers("[]", None), [""]);
        let text = r#"{"url": "x", "topics": ["Sold"], "events": ["*"], "dialect": "native"}"#;
        assert_eq!(pointers(text, None), ["/events", "/dialect", "/url", "/topics/0"]);
        let good = r#"{"url": "https://one.example/", "topics": ["Sales"], "events": ["*"]}"#;
        assert_eq!(pointers(good, None), ["/events"]);
    }
}
