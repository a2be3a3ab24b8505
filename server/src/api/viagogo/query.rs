//! Pages, order and sparse fieldsets, as viagogo's clients ask for them.

use callboard_domain::wire::viagogo::{Fieldsets, UnknownField};
use utoipa::IntoParams;

use crate::api::links::Links;
use crate::api::page::Numbers;
use crate::api::problem::Problem;

/// Items of a page when the caller does not say.
const DEFAULT_PAGE_SIZE: u32 = 100;

/// Most items of a page.
const MAX_PAGE_SIZE: u32 = 10_000;

/// Which page of the webhooks, in which order, and what of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query that is read by hand, naming every fault")]
pub struct ListQuery {
    /// Which page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u32>,
    /// Items of a page, 1 to 10000; 100 if left out.
    #[param(minimum = 1, maximum = 10_000, example = 100)]
    page_size: Option<u32>,
    /// `created_at`, or `-created_at` for the newest first.
    #[param(example = "-created_at", pattern = "^ *-?created_at *(, *-?created_at *)*$")]
    sort: Option<String>,
    /// Only these fields, comma-separated; `fields[webhook]` says it for the
    /// webhooks alone, `fields[webhooks]` for the list around them.
    #[param(
        example = "id,name,_embedded",
        pattern = "^ *(id|name|created_at|topics|url|authorization_header|total_items|page|page_size|_links|_embedded)?( *, *(id|name|created_at|topics|url|authorization_header|total_items|page|page_size|_links|_embedded)?)* *$"
    )]
    fields: Option<String>,
}

/// Reads `page` and `page_size`.
pub(super) fn numbers(links: &Links) -> Result<Numbers, Problem> {
    Numbers::read(links, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
}

/// Nothing else is sorted by, and no two webhooks are made at once, so only the
/// first of several counts.
pub(super) fn newest_first(links: &Links) -> Result<bool, Problem> {
    let sort = links.parameter("sort");
    let mut fields = sort.as_deref().unwrap_or("created_at").split(',').map(str::trim).peekable();
    let first = fields.peek() == Some(&"-created_at");
    if fields.all(|field| matches!(field, "created_at" | "-created_at")) {
        Ok(first)
    } else {
        Err(Problem::parameter("sort", "must be created_at or -created_at"))
    }
}

/// Reads which fields of which resources to show.
pub(super) fn fieldsets(links: &Links) -> Result<Fieldsets, Problem> {
    let unknown = |UnknownField { parameter, detail }| Problem::parameter(&parameter, &detail);
    Fieldsets::read(links.parameters()).map_err(unknown)
}
