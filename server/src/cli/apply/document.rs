//! What a file wants there to be.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::yaml;

/// What can be wanted. Those that others belong to come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Kind {
    Tenant,
    Client,
    Webhook,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Tenant, Self::Client, Self::Webhook];

    /// One of them.
    pub(in crate::cli) const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Client => "client",
            Self::Webhook => "webhook",
        }
    }

    /// The list of them in a file, and below `/v1/`.
    pub(in crate::cli) const fn list(self) -> &'static str {
        match self {
            Self::Tenant => "tenants",
            Self::Client => "clients",
            Self::Webhook => "webhooks",
        }
    }

    /// By what the server knows one.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Client => "client_id",
            Self::Tenant | Self::Webhook => "id",
        }
    }

    /// By what one is found again.
    pub(in crate::cli) const fn key(self) -> &'static str {
        match self {
            Self::Tenant => "id",
            Self::Client | Self::Webhook => "name",
        }
    }
}

/// A list on the server: of a kind, and unless they are tenants of a tenant. That is
/// none where it is that of whoever signs in.
pub(super) type Place = (Kind, Option<String>);

/// One thing that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) place: Place,
    /// By what it is found again.
    pub(super) key: String,
    /// All that the file says of it but where it belongs.
    pub(super) settings: Map<String, Value>,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// In the order in which to make them.
    pub(super) wanted: Vec<Wanted>,
    /// The lists that it gives, be they empty.
    pub(super) places: BTreeSet<Place>,
}

/// Reads a file; `usual` is the tenant of what names none.
///
/// # Errors
/// Every fault, each with its place.
pub(super) fn read(text: &str, usual: Option<&str>) -> Result<Document, Vec<String>> {
    let documents = yaml::read(text).map_err(|fault| vec![fault])?;
    let (mut document, mut faults) = (Document::default(), Vec::new());
    for (number, part) in documents.iter().enumerate() {
        let place = if documents.len() > 1 { format!("document {}: ", number + 1) } else { String::new() };
        read_part(part, usual, &mut document, &mut |fault| faults.push(format!("{place}{fault}")));
    }
    // Stable: what is of a kind stays in the order of the file.
    document.wanted.sort_by_key(|wanted| wanted.place.0);
    let mut seen = BTreeSet::new();
    for Wanted { place, key, .. } in &document.wanted {
        if !seen.insert((place, key)) {
            faults.push(format!("{}: is there twice", name(place, key)));
        }
    }
    if faults.is_empty() { Ok(document) } else { Err(faults) }
}

/// What a thing is called.
pub(super) fn name((kind, tenant): &Place, key: &str) -> String {
    match tenant {
        Some(tenant) => format!("{} {tenant}/{key}", kind.as_str()),
        None => format!("{} {key}", kind.as_str()),
    }
}

fn read_part(part: &Value, usual: Option<&str>, document: &mut Document, fault: &mut impl FnMut(String)) {
    let Some(members) = part.as_object() else {
        return fault("has to be an object with tenants, clients or webhooks".to_owned());
    };
    for name in members.keys() {
        if name != "tenant" && Kind::ALL.iter().all(|kind| kind.list() != name) {
            fault(format!("{name}: is not known; there are tenant, tenants, clients and webhooks"));
        }
    }
    let usual = match members.get("tenant") {
        None => usual.map(str::to_owned),
        Some(Value::String(tenant)) => Some(tenant.clone()),
        Some(_) => return fault("tenant: has to be a text".to_owned()),
    };
    for kind in Kind::ALL {
        match members.get(kind.list()) {
            None => {}
            Some(Value::Array(items)) => {
                let tenant = usual.clone().filter(|_| kind != Kind::Tenant);
                // A list whose items all name another tenant says nothing of this one.
                if items.is_empty() {
                    document.places.insert((kind, tenant.clone()));
                }
                for (number, item) in items.iter().enumerate() {
                    let mut fault = |words: &str| fault(format!("{}[{number}]{words}", kind.list()));
                    if let Some(wanted) = read_item(kind, item, tenant.as_deref(), &mut fault) {
                        document.places.insert(wanted.place.clone());
                        document.wanted.push(wanted);
                    }
                }
            }
            Some(_) => fault(format!("{}: has to be a list", kind.list())),
        }
    }
}

fn read_item(kind: Kind, item: &Value, usual: Option<&str>, fault: &mut impl FnMut(&str)) -> Option<Wanted> {
    let Some(members) = item.as_object() else {
        fault(": has to be an object");
        return None;
    };
    let mut settings = members.clone();
    let tenant = match settings.shift_remove("tenant") {
        Some(_) if kind == Kind::Tenant => {
            fault(".tenant: a tenant belongs to none");
            return None;
        }
        None => usual.map(str::to_owned),
        Some(Value::String(tenant)) => Some(tenant),
        Some(_) => {
            fault(".tenant: has to be a text");
            return None;
        }
    };
    let Some(key) = settings.get(kind.key()).and_then(Value::as_str).filter(|key| !key.is_empty()) else {
        fault(&format!(".{}: is required, a text: it is found again by it", kind.key()));
        return None;
    };
    let key = key.to_owned();
    let known: &[&str] = match kind {
        Kind::Tenant => &["id", "name", "retention_seconds"],
        Kind::Client => &["name", "scopes", "enabled"],
        // The server knows them, and says what is wrong with them.
        Kind::Webhook => return Some(Wanted { place: (kind, tenant), key, settings }),
    };
    let mut good = true;
    for name in settings.keys().filter(|name| !known.contains(&name.as_str())) {
        fault(&format!(".{name}: is not known; there are {}", known.join(", ")));
        good = false;
    }
    if kind == Kind::Client && !settings.get("scopes").is_some_and(Value::is_array) {
        fault(".scopes: is required, a list");
        good = false;
    }
    good.then_some(Wanted { place: (kind, tenant), key, settings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_belong_to_the_tenant_that_they_or_their_document_name() {
        let text = "webhooks:\n- {name: a, url: u}\n- {name: a, tenant: ballet}\n---\n\
                    tenant: opera\nclients: [{name: c, scopes: [admin]}]\nwebhooks: []\ntenants: [{id: opera}]\n";
        let document = read(text, Some("usual")).expect("a document");
        let names: Vec<_> = document.wanted.iter().map(|wanted| name(&wanted.place, &wanted.key)).collect();
        assert_eq!(names, ["tenant opera", "client opera/c", "webhook usual/a", "webhook ballet/a"]);
        assert!(!document.wanted[3].settings.contains_key("tenant"));
        let given = |text: &str| {
            let of_webhooks =
                |(kind, tenant): Place| (kind == Kind::Webhook).then(|| tenant.unwrap_or_default());
            read(text, Some("usual"))
                .expect(text)
                .places
                .into_iter()
                .filter_map(of_webhooks)
                .collect::<Vec<_>>()
        };
        assert_eq!(given(text), ["ballet", "opera", "usual"], "an empty list is one");
        // What is pruned must not depend on a tenant that nothing is said of.
        assert_eq!(given("webhooks: [{name: a, tenant: ballet}]"), ["ballet"]);
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let text = "webhooks:\n- {url: u}\n- a\n- {name: x}\n- {name: x}\nclients: [{name: c, colour: red}]\nhooks: 1\n\
                    tenants: [{id: t, tenant: u}]\n---\n[]\n";
        let faults = read(text, None).expect_err("faults");
        assert_eq!(
            faults,
            [
                "document 1: hooks: is not known; there are tenant, tenants, clients and webhooks",
                "document 1: tenants[0].tenant: a tenant belongs to none",
                "document 1: clients[0].colour: is not known; there are name, scopes, enabled",
                "document 1: clients[0].scopes: is required, a list",
                "document 1: webhooks[0].name: is required, a text: it is found again by it",
                "document 1: webhooks[1]: has to be an object",
                "document 2: has to be an object with tenants, clients or webhooks",
                "webhook x: is there twice",
            ]
        );
    }
}
