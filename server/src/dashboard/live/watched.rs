//! What a live page shows, and how it is looked at again.

use askama::Template;
use callboard_domain::access::Scope;
use callboard_domain::id::{DeliveryKey, WebhookId, WebhookKey};
use callboard_domain::store::{FailedCount, Page};
use callboard_domain::webhook::Webhook;

use crate::api::auth::{Granted, ReadWebhooks};
use crate::api::problem::Problem;
use crate::dashboard::chart::hours_ago;
use crate::dashboard::invocation::{Found, Standing, Timeline};
use crate::dashboard::list::{LIMIT, Query};
use crate::dashboard::visit::Visit;
use crate::dashboard::webhook::banners::Banners;
use crate::dashboard::webhook::jobs::Jobs;
use crate::dashboard::webhook::{Head, Place, failed, find, log};
use crate::dashboard::webhooks;

/// How many looks one count of what has failed is good for.
const COUNTED_EVERY: u32 = 10;

/// How many looks one at all webhooks of a list is good for.
const LISTED_EVERY: u32 = 5;

/// Most rows that are looked up one by one, because the list does not hold them any
/// longer.
const LOOKED_UP: usize = 10;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Elements of the page: their ids, and their HTML.
    pub(super) parts: Vec<(String, String)>,
    /// How many rows are not on the page that would be.
    pub(super) newer: usize,
}

impl Look {
    fn add(&mut self, id: impl Into<String>, part: &impl Template) {
        match part.render() {
            Ok(html) => self.parts.push((id.into(), html)),
            Err(error) => tracing::error!(%error, "a part of a page can't be rendered"),
        }
    }
}

/// A page.
pub(super) struct Watched {
    /// Where it is, for its forms.
    at: String,
    what: What,
    /// How often it was looked at.
    looks: u32,
}

enum What {
    /// A page of a webhook.
    Webhook { id: WebhookId, failed: Option<FailedCount> },
    /// The same with its log.
    Log { id: WebhookId, failed: Option<FailedCount>, rows: Rows },
    /// An invocation.
    Invocation(DeliveryKey),
    /// The list of webhooks.
    Webhooks { rows: Rows, newer: usize },
}

impl Watched {
    /// Reads what a page says of itself.
    pub(super) fn read(query: Query) -> Result<Self, Problem> {
        let webhook = || query.text("webhook").parse().map_err(|_| Problem::not_found());
        let at = query.text("at").to_owned();
        let what = match query.text("page") {
            "webhook" => What::Webhook { id: webhook()?, failed: None },
            "log" => What::Log { id: webhook()?, failed: None, rows: Rows::read(query)? },
            "invocation" => What::Invocation(query.text("id").parse().map_err(|_| Problem::not_found())?),
            "webhooks" => What::Webhooks { rows: Rows::read(query)?, newer: 0 },
            _ => return Err(Problem::not_found()),
        };
        Ok(Self { at, what, looks: 0 })
    }

    /// Looks at everything on the page.
    pub(super) async fn look(
        &mut self,
        visit: &Visit,
        access: &Granted<ReadWebhooks>,
    ) -> Result<Look, Problem> {
        let place = Place::new(visit, access, &self.at);
        let turn = self.looks;
        self.looks = turn.wrapping_add(1);
        let mut look = Look::default();
        match &mut self.what {
            What::Webhook { id, failed } => {
                about(&mut look, access, &place, *id, (failed, turn)).await?;
            }
            What::Log { id, failed, rows } => {
                let webhook = about(&mut look, access, &place, *id, (failed, turn)).await?;
                invocations(&mut look, access, place, &webhook, rows).await?;
            }
            What::Invocation(key) => {
                let found = Found::new(access, *key).await?;
                look.add("standing", &Standing::new(&place, &found, access.may(Scope::ReadEvents)));
                look.add("attempts", &Timeline::new(&found.attempts));
            }
            What::Webhooks { rows, newer } => {
                if turn.is_multiple_of(LISTED_EVERY) {
                    *newer = listed(&mut look, access, &place, rows).await?;
                }
                look.newer = *newer;
            }
        }
        Ok(look)
    }
}

/// What every page of a webhook shows.
async fn about(
    look: &mut Look,
    access: &Granted<ReadWebhooks>,
    place: &Place,
    id: WebhookId,
    (counted, turn): (&mut Option<FailedCount>, u32),
) -> Result<Webhook, Problem> {
    let (store, webhook) = (access.store(), find(access, id).await?);
    let count = match *counted {
        Some(count) if !turn.is_multiple_of(COUNTED_EVERY) => count,
        _ => failed(store, &webhook).await?,
    };
    *counted = Some(count);
    look.add("head", &Head::new(place, &webhook, count));
    look.add("banners", &Banners::new(store, access.engine(), &webhook, access.now()).await?);
    look.add("jobs", &Jobs::new(store, place, &webhook).await?);
    Ok(webhook)
}

async fn invocations(
    look: &mut Look,
    access: &Granted<ReadWebhooks>,
    mut place: Place,
    webhook: &Webhook,
    rows: &mut Rows,
) -> Result<(), Problem> {
    place.may_write &= webhook.deleted_at.is_none();
    let (filter, page) = (log::filter(&rows.query)?, rows.query.page()?);
    let mut found = access.store().list_deliveries(webhook.key, filter, page).await?.items;
    let keys: Vec<i64> = found.iter().map(|delivery| delivery.key.0).collect();
    look.newer = rows.newer(&keys);
    for key in rows.left_out(&keys) {
        let delivery = access.store().delivery(access.tenant.key, DeliveryKey(key)).await?;
        found.extend(delivery.map(|(delivery, _)| delivery));
    }
    for delivery in found.iter().filter(|own| own.webhook == webhook.key && rows.has(own.key.0)) {
        look.add(format!("row-{}", delivery.key), &log::Row::new(&place, delivery));
    }
    Ok(())
}

/// The webhooks of a list; returns how many are new.
async fn listed(
    look: &mut Look,
    access: &Granted<ReadWebhooks>,
    place: &Place,
    rows: &mut Rows,
) -> Result<usize, Problem> {
    let (filter, page) = (webhooks::filter(&rows.query)?, rows.query.page()?);
    let (tenant, store, now) = (access.tenant.key, access.store(), access.now());
    let mut found = store.find_webhooks(tenant, filter, page).await?.items;
    let keys: Vec<i64> = found.iter().map(|webhook| webhook.key.0).collect();
    let newer = rows.newer(&keys);
    for key in rows.left_out(&keys) {
        found.extend(store.webhook_by_key(WebhookKey(key)).await?.filter(|own| own.tenant == tenant));
    }
    found.retain(|webhook| rows.has(webhook.key.0));
    let keys = found.iter().map(|webhook| webhook.key).collect();
    let vitals = store.vitals(keys, hours_ago(now, webhooks::HOURS)).await?;
    for (webhook, vitals) in found.iter().zip(&vitals) {
        look.add(format!("row-{}", webhook.id), &webhooks::Row::new(place, webhook, vitals, now));
    }
    Ok(newer)
}

/// The rows of a list, and what is listed.
struct Rows {
    query: Query,
    /// The keys of those that the page shows.
    shown: Vec<i64>,
    /// Which of those that are left out is looked up next.
    turn: usize,
}

impl Rows {
    fn read(query: Query) -> Result<Self, Problem> {
        let page: Page = query.page()?;
        let fault = |_| Problem::parameter("rows", "must be the numbers of the rows");
        let keys = query.text("rows").split(',').filter(|key| !key.is_empty()).take(page.limit);
        let shown = keys.map(str::parse).collect::<Result<_, _>>().map_err(fault)?;
        Ok(Self { query, shown, turn: 0 })
    }

    fn has(&self, key: i64) -> bool {
        self.shown.contains(&key)
    }

    /// How many of a list would be on the page: only its beginning grows.
    fn newer(&self, listed: &[i64]) -> usize {
        if self.query.get("cursor").is_some() {
            return 0;
        }
        let last = self.shown.iter().min().filter(|_| self.shown.len() >= LIMIT);
        let belongs = |key: &&i64| !self.has(**key) && last.is_none_or(|last| **key > *last);
        listed.iter().filter(belongs).count()
    }

    /// Rows that are shown and not listed any longer: a few, and the next ones the next
    /// time.
    fn left_out(&mut self, listed: &[i64]) -> Vec<i64> {
        let left_out: Vec<i64> = self.shown.iter().copied().filter(|key| !listed.contains(key)).collect();
        let from = self.turn.checked_rem(left_out.len()).unwrap_or(0);
        self.turn = from + LOOKED_UP;
        left_out.iter().cycle().skip(from).take(left_out.len().min(LOOKED_UP)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(query: &str, shown: Vec<i64>) -> Rows {
        Rows { query: Query::read(query), shown, turn: 0 }
    }

    #[test]
    fn what_would_be_on_the_page_is_new() {
        assert_eq!(rows("", vec![5, 4]).newer(&[7, 6, 5, 4, 3]), 3);
        assert_eq!(rows("", Vec::new()).newer(&[7]), 1);
        assert_eq!(rows("cursor=x", vec![5, 4]).newer(&[7]), 0);
        let full: Vec<i64> = (10..60).rev().collect();
        assert_eq!(rows("", full).newer(&[61, 60, 59, 9]), 2);
    }

    #[test]
    fn rows_that_are_left_out_are_looked_up_in_turn() {
        let mut rows = rows("", (1..=25).collect());
        assert_eq!(rows.left_out(&[]), (1..=10).collect::<Vec<_>>());
        assert_eq!(rows.left_out(&[]), (11..=20).collect::<Vec<_>>());
        assert_eq!(rows.left_out(&[]), (21..=25).chain(1..=5).collect::<Vec<_>>());
        assert_eq!(rows.left_out(&(2..=25).collect::<Vec<_>>()), [1]);
        assert!(rows.left_out(&(1..=25).collect::<Vec<_>>()).is_empty());
    }

    #[test]
    fn no_more_rows_are_followed_than_a_page_has() {
        let many = (1..=60).map(|key| key.to_string()).collect::<Vec<_>>().join(",");
        let read = Rows::read(Query::read(&format!("rows={many}"))).ok();
        assert_eq!(read.map(|rows| rows.shown.len()), Some(LIMIT));
        assert!(Rows::read(Query::read("rows=1,x")).is_err());
    }
}
