//! What is on the server already.

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::{Kind, Place, name};
use crate::cli::Failure;
use crate::cli::exit::Exit;
use crate::cli::list::segment;
use crate::cli::remote::Remote;

/// Lists of the server, in the order in which it gives them.
#[derive(Default)]
pub(in crate::cli) struct Existing {
    lists: BTreeMap<Place, Vec<Value>>,
    /// Whether a tenant is there.
    tenants: BTreeMap<String, bool>,
}

impl Existing {
    /// What is in a list. A tenant that is not there has nothing: to ask for what it
    /// has would make it.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses.
    pub(super) fn of(&mut self, remote: &Remote, place: &Place) -> Result<&[Value], Failure> {
        let (kind, tenant) = place;
        if !self.lists.contains_key(place) {
            let there = match tenant {
                Some(tenant) => self.has_tenant(remote, tenant)?,
                None => true,
            };
            let found = if there { all(remote, *kind, tenant.clone())? } else { Vec::new() };
            self.lists.insert(place.clone(), found);
        }
        Ok(self.lists.get(place).map_or(&[], Vec::as_slice))
    }

    /// Whether there is such a tenant. Who is no operator has only its own.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(super) fn has_tenant(&mut self, remote: &Remote, tenant: &str) -> Result<bool, Failure> {
        if let Some(known) = self.tenants.get(tenant) {
            return Ok(*known);
        }
        let there = match remote.get(&format!("/v1/tenants/{}", segment(tenant))) {
            Ok(_) => true,
            Err(error) if Exit::of(&error) == Exit::NotFound => false,
            Err(error) if Exit::of(&error) == Exit::NotAllowed => {
                let words = format!(
                    "{error}\nThe file names the tenant {tenant}, and only the operator acts for others; leave the name away"
                );
                return Err(Exit::NotAllowed.because(words));
            }
            Err(error) => return Err(error),
        };
        self.tenants.insert(tenant.to_owned(), there);
        Ok(there)
    }

    /// The one thing in a list with this key.
    ///
    /// # Errors
    /// As [`Self::of`], and when there are several.
    pub(super) fn find(
        &mut self,
        remote: &Remote,
        place: &Place,
        key: &str,
    ) -> Result<Option<Value>, Failure> {
        let kind = place.0;
        if kind == Kind::Tenant {
            // There may be very many, and one can be asked for by its key.
            return match remote.get(&format!("/v1/tenants/{}", segment(key))) {
                Ok(tenant) => Ok(Some(tenant)),
                Err(error) if Exit::of(&error) == Exit::NotFound => Ok(None),
                Err(error) => Err(error),
            };
        }
        let mut found = self.of(remote, place)?.iter().filter(|thing| thing[kind.key()] == key);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => {
                let words = format!(
                    "{}: there are several on the server; rename or delete all but one",
                    name(place, key)
                );
                Err(words.into())
            }
            (one, _) => Ok(one.cloned()),
        }
    }
}

/// Everything of a kind that a tenant has.
///
/// # Errors
/// When the server can't be reached, or refuses.
pub(in crate::cli) fn all(
    remote: &Remote,
    kind: Kind,
    tenant: Option<String>,
) -> Result<Vec<Value>, Failure> {
    let mut page = remote.acting_for(tenant).list(&format!("/v1/{}", kind.list()), &[], u64::MAX)?;
    let mut items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    // Oldest first, as they were made.
    items.reverse();
    Ok(items)
}
