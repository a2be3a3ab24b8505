//! What is done to portal links, by the API and on pages: reading what is said of
//! one, making, revoking.

use std::time::Duration;

use callboard_domain::access::{Scope, Scopes, digest, random_token};
use callboard_domain::clock::Timestamp;
use callboard_domain::fault::Faults;
use callboard_domain::id::PortalLinkKey;
use callboard_domain::json::Members;
use callboard_domain::portal::PortalLink;
use callboard_domain::store::NewPortalLink;

use super::auth::{Admin, Granted};
use super::links::Links;
use super::problem::Problem;
use super::read::whole;

/// Seconds that a link lives when nobody says otherwise.
const LIFETIME: u64 = 24 * 60 * 60;

/// Shortest and longest life of a link, in seconds. Links are forwarded and kept in
/// mailboxes, so none should live long.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=7 * 24 * 60 * 60;

/// What is said of a new link.
#[derive(Debug)]
pub struct Input {
    name: String,
    scopes: Option<Scopes>,
    lifetime: u64,
}

/// Reads what is said of a new link.
///
/// # Errors
/// Names every fault.
pub fn read(text: &str) -> Result<Input, Problem> {
    let mut faults = Faults::new();
    let input = Members::read(text, &mut faults).map(|members| {
        members.refuse_unknown(&["name", "scopes", "lifetime_seconds"], &mut faults);
        let name = members.string("name", &mut faults).unwrap_or_default();
        if name.chars().count() > 255 || name.contains('\0') {
            faults.member("name", "must be at most 255 characters long, without U+0000");
        }
        let scopes = members.get("scopes").and_then(|raw| {
            let words: Option<Vec<String>> = serde_json::from_str(raw.get()).ok();
            let Some(words) = words.filter(|words| !words.is_empty()) else {
                faults.member("scopes", "must be an array of at least one scope");
                return None;
            };
            words.join(" ").parse().map_err(|fault| faults.member("scopes", fault)).ok()
        });
        let lifetime =
            members.get("lifetime_seconds").map_or(Some(LIFETIME), |raw| whole(raw.get()).map(u64::from));
        let lifetime = lifetime.filter(|seconds| LIFETIMES.contains(seconds)).unwrap_or_else(|| {
            faults.member("lifetime_seconds", "must be a whole number from 60 to 604800");
            LIFETIME
        });
        Input { name, scopes, lifetime }
    });
    faults.finish(input).map_err(Problem::faults)
}

/// The scopes of the new link: no more than the caller has.
fn scopes(asked: Option<Scopes>, access: &Granted<Admin>) -> Result<Scopes, Problem> {
    let usual = || [Scope::ReadWebhooks, Scope::WriteWebhooks, Scope::ReadEvents].into_iter().collect();
    let given = asked.unwrap_or_else(|| Scopes::intersection(usual(), access.scopes()));
    let fault = if given.is_empty() {
        "is required: the caller has none of the usual scopes".to_owned()
    } else if given.is_subset(access.scopes()) {
        return Ok(given);
    } else {
        format!("must be among the caller's own: {}", access.scopes())
    };
    let mut faults = Faults::new();
    faults.member("scopes", fault);
    faults.finish(None).map_err(Problem::faults)
}

/// Makes a link; returns also its URL, which nobody can read again.
pub async fn make(
    access: &Granted<Admin>,
    links: &Links,
    input: Input,
) -> Result<(PortalLink, String), Problem> {
    let scopes = scopes(input.scopes, access)?;
    let by = access.by();
    let expires_at = by.at.saturating_add(Duration::from_secs(input.lifetime)).unwrap_or(Timestamp::MAX);
    let token = access.with_rng(|rng| random_token("cbp_", rng));
    let link = NewPortalLink { name: input.name, scopes, token_digest: digest(&token), expires_at };
    let link = access.store().create_portal_link(access.tenant.key, link, by).await?;
    Ok((link, format!("{}/portal/{token}", links.base)))
}

/// Revokes a link, and ends the sessions made from it.
pub async fn revoke(access: &Granted<Admin>, key: PortalLinkKey) -> Result<(), Problem> {
    let revoked = access.store().revoke_portal_link(access.tenant.key, key, access.by()).await?;
    revoked.map(drop).ok_or_else(Problem::not_found)
}

/// How a link stands, in one word.
pub fn state(link: &PortalLink, now: Timestamp) -> &'static str {
    match link.revoked_at {
        Some(_) => "revoked",
        None if link.is_open(now) => "open",
        None => "expired",
    }
}
