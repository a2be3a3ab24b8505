//! What has failed, as a file: one delivery a line, with the event that it was to
//! tell. It is written while it is read, so its size does not matter.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use callboard_domain::delivery::DeliverySummary;
use callboard_domain::store::{FailedFilter, Page, StoreError};
use futures_util::stream;
use serde::Serialize;
use serde_json::value::RawValue;

use super::failed::Chosen;
use super::known::Known;
use super::list::Query;
use super::visit::Entered;
use crate::api::DeliveryView;
use crate::api::auth::{Granted, ReadEvents, ReadWebhooks};
use crate::api::problem::Problem;

/// Deliveries that are read at a time.
const READ_AT_ONCE: usize = 100;

/// Bytes after which lines are handed on; a line is as long as it is.
const CHUNK: usize = 64 * 1024;

/// One line.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// The native body; null where retention has taken it meanwhile.
    event: Option<Box<RawValue>>,
}

/// What is still to be written.
struct Left {
    access: Granted<ReadEvents>,
    filter: FailedFilter,
    read: VecDeque<DeliverySummary>,
    /// Where the next ones are; `None` when there are none.
    page: Option<Page>,
    known: Known,
}

/// `/dashboard/t/{tenant}/failed.ndjson`. It needs the scopes of both: of deliveries
/// and of events.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    query: Query,
) -> Result<Response, Problem> {
    let (filter, _) = Chosen::of_query(&query).filter(&access).await?;
    let access = visit.access::<ReadEvents>()?;
    let name = format!("attachment; filename=\"failed-{}.ndjson\"", access.tenant.id);
    let page = Some(Page { limit: READ_AT_ONCE, after: None });
    let left = Left { access, filter, read: VecDeque::new(), page, known: Known::default() };
    let lines = stream::try_unfold(left, async |mut left: Left| {
        let chunk = left.chunk().await.inspect_err(|error| {
            // The connection breaks off, so that nobody takes a part for the whole.
            tracing::warn!(%error, "an export of what failed ends early");
        })?;
        Ok::<_, StoreError>(chunk.map(|chunk| (chunk, left)))
    });
    let headers =
        [(header::CONTENT_TYPE, "application/x-ndjson".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(lines)).into_response())
}

impl Left {
    /// The next lines; `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut out = Vec::new();
        while out.len() < CHUNK {
            let Some(delivery) = self.read.pop_front() else {
                if self.read_on().await? {
                    continue;
                }
                break;
            };
            let line = self.line(delivery).await?;
            serde_json::to_writer(&mut out, &line).map_err(|error| StoreError::Corrupt(error.to_string()))?;
            out.push(b'\n');
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }

    /// Reads what follows; whether there may have been something.
    async fn read_on(&mut self) -> Result<bool, StoreError> {
        let Some(page) = self.page.take() else { return Ok(false) };
        let listed = self.access.store().list_failed(self.access.tenant.key, self.filter, page).await?;
        self.read.extend(listed.items);
        self.page = listed.next.map(|next| Page { after: Some(next), ..page });
        Ok(true)
    }

    async fn line(&mut self, delivery: DeliverySummary) -> Result<Line, StoreError> {
        let store = self.access.store();
        let webhook =
            self.known.webhook(store, delivery.webhook).await?.map(|webhook| webhook.id.to_string());
        let event = store.event(self.access.tenant.key, &delivery.event_id).await?;
        let event = event
            .map(|event| serde_json::from_slice(&event.body))
            .transpose()
            .map_err(|error| StoreError::Corrupt(format!("the body of {}: {error}", delivery.event_id)))?;
        Ok(Line { delivery: DeliveryView::new(delivery, webhook), event })
    }
}
