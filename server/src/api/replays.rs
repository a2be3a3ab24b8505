//! Replays: reading which is asked for, and starting it, whoever asks.

use axum::http::StatusCode;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::State as DeliveryState;
use callboard_domain::fault::Faults;
use callboard_domain::job::{Job, Selection};
use callboard_domain::json::Members;
use callboard_domain::webhook::{Webhook, read_rate};

use super::auth::{Granted, WriteWebhooks};
use super::problem::Problem;
use super::read::NO_TIME;

/// What is sent again when the caller names no states. What was superseded is
/// left out: a newer update took its place.
const STATES: [DeliveryState; 3] =
    [DeliveryState::Delivered, DeliveryState::Failed, DeliveryState::Cancelled];

/// What was asked for.
#[derive(Debug)]
pub struct Asked {
    /// What to send.
    pub selection: Selection,
    /// Most deliveries that are made due a second.
    pub rate_per_second: Option<f64>,
    /// Whether it is only to be counted.
    pub dry_run: bool,
}

const MEMBERS: [&str; 8] =
    ["since", "until", "states", "missing", "type", "subject", "rate_per_second", "dry_run"];

/// Reads a JSON document that says what to replay.
///
/// # Errors
/// Every fault, each with its JSON pointer.
pub fn read(text: &str) -> Result<Asked, Problem> {
    let mut faults = Faults::new();
    let input = Members::read(text, &mut faults).and_then(|members| {
        members.refuse_unknown(&MEMBERS, &mut faults);
        if members.get("since").is_none() {
            faults.member("since", "is required: from when on to send, an RFC 3339 time");
        }
        let since = time(&members, "since", &mut faults);
        let until = time(&members, "until", &mut faults);
        if since.zip(until).is_some_and(|(since, until)| until <= since) {
            faults.member("until", "must be later than since");
        }
        let missing = flag(&members, "missing", &mut faults);
        let states = states(&members, missing == Some(true), &mut faults);
        let type_name = members.column_text("type", &mut faults);
        let subject_id = members.column_text("subject", &mut faults);
        let rate_per_second = rate(&members, &mut faults);
        let dry_run = flag(&members, "dry_run", &mut faults);
        let selection = Selection { since: since?, until, missing: missing?, states, type_name, subject_id };
        Some(Asked { selection, rate_per_second, dry_run: dry_run? })
    });
    faults.finish(input).map_err(Problem::faults)
}

fn time(members: &Members<'_>, name: &str, faults: &mut Faults) -> Option<Timestamp> {
    members.string(name, faults)?.parse().map_err(|_| faults.member(name, NO_TIME)).ok()
}

/// A member that is false when it is left out.
fn flag(members: &Members<'_>, name: &str, faults: &mut Faults) -> Option<bool> {
    let Some(raw) = members.get(name) else { return Some(false) };
    serde_json::from_str(raw.get()).map_err(|_| faults.member(name, "must be true or false")).ok()
}

/// Reads `rate_per_second`.
pub fn rate(members: &Members<'_>, faults: &mut Faults) -> Option<f64> {
    let raw = members.get("rate_per_second")?;
    faults.within("rate_per_second", |faults| read_rate(raw, faults))
}

fn states(members: &Members<'_>, missing: bool, faults: &mut Faults) -> Vec<DeliveryState> {
    let Some(raw) = members.get("states") else {
        return if missing { Vec::new() } else { STATES.to_vec() };
    };
    if missing {
        faults.member("states", "can't stand beside missing: what was never a delivery is in no state");
        return Vec::new();
    }
    let states: Option<Vec<DeliveryState>> = serde_json::from_str(raw.get()).ok();
    let allowed = |states: &Vec<DeliveryState>| {
        !states.is_empty() && states.iter().all(|state| Selection::STATES.contains(state))
    };
    states.filter(allowed).unwrap_or_else(|| {
        let all = Selection::STATES.map(DeliveryState::as_str).join(", ");
        faults.member("states", format!("must be an array of at least one of {all}"));
        Vec::new()
    })
}

/// Starts a replay.
///
/// # Errors
/// When another one of the webhook is running that sends something else.
pub async fn start(
    access: &Granted<WriteWebhooks>,
    webhook: &Webhook,
    Asked { selection, rate_per_second, .. }: Asked,
) -> Result<Job, Problem> {
    let (tenant, by) = (access.tenant.key, access.by());
    let job = access.engine().replay(tenant, webhook.key, selection.clone(), rate_per_second, by).await?;
    if job.selection.as_ref() != Some(&selection) || job.rate_per_second != rate_per_second {
        let detail =
            format!("{} replays something else of this webhook; stop it, or wait for its end", job.key);
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    Ok(job)
}
