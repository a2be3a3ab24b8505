//! The failed deliveries themselves: of all webhooks, of one, or those that failed
//! alike.

use askama::Template;
use axum::response::Response;
use callboard_domain::access::Scope;
use callboard_domain::delivery::Cause;
use callboard_domain::store::FailedFilter;

use super::failed::Chosen;
use super::frame::{Frame, Section, page};
use super::known::Known;
use super::list::{Pager, Query, curl};
use super::mark::Time;
use super::payload::visible;
use super::visit::Entered;
use super::words;
use crate::api::auth::ReadWebhooks;
use crate::api::problem::Problem;

/// A delivery that failed.
struct Row {
    id: String,
    type_name: String,
    subject: String,
    webhook: Option<(String, String)>,
    why: String,
    message: String,
    attempts: u32,
    at: Option<Time>,
}

/// A cause that can be chosen.
struct Choice {
    word: &'static str,
    title: &'static str,
}

#[derive(Template)]
#[template(path = "failed_list.html")]
struct FailedListPage {
    frame: Frame,
    /// Whose deliveries they are, where one webhook is chosen.
    of: Option<String>,
    rows: Vec<Row>,
    chosen: Chosen,
    causes: Vec<Choice>,
    is_filtered: bool,
    pager: Pager,
    curl: String,
    may_write: bool,
    may_export: bool,
}

/// `/dashboard/t/{tenant}/failed/list`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    query: Query,
) -> Result<Response, Problem> {
    let chosen = Chosen::of_query(&query);
    let (filter, webhook): (FailedFilter, _) = chosen.filter(&access).await?;
    let listed = access.store().list_failed(access.tenant.key, filter, query.page()?).await?;
    let mut known = Known::default();
    let mut rows = Vec::with_capacity(listed.items.len());
    for delivery in listed.items {
        let own = known.webhook(access.store(), delivery.webhook).await?;
        let own = own.map(|own| (own.id.to_string(), visible(&own.settings.name)));
        let last = delivery.last_attempt.as_ref();
        rows.push(Row {
            id: delivery.key.to_string(),
            subject: visible(&delivery.subject_id),
            webhook: own,
            why: words::reason(
                last.and_then(|attempt| attempt.cause),
                last.and_then(|attempt| attempt.status),
            ),
            message: last.map(|attempt| visible(&attempt.detail.message)).unwrap_or_default(),
            attempts: delivery.attempts,
            at: last.map(|attempt| Time(attempt.started_at)),
            type_name: delivery.type_name,
        });
    }
    let template = FailedListPage {
        frame: Frame::new(&visit, Section::Failed, "Failed invocations"),
        of: webhook.as_ref().map(|webhook| visible(&webhook.settings.name)),
        rows,
        causes: Cause::FAILURES
            .map(|cause| Choice { word: cause.as_str(), title: words::title(cause) })
            .into(),
        is_filtered: query.filters(),
        pager: Pager::new(&query, listed.next),
        curl: curl(
            &visit,
            "GET",
            "/v1/failed",
            &["webhook", "cause", "status"].map(|name| (name, query.get(name))),
        ),
        chosen,
        may_write: access.may(Scope::WriteWebhooks),
        may_export: access.may(Scope::ReadEvents),
    };
    page(&template)
}
