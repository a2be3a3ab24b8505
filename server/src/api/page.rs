//! Lists in pages: an opaque cursor says where the next one starts.

pub use callboard_domain::cursor::{cursor, position};
use callboard_domain::store::Page;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::links::Links;
use super::problem::Problem;

/// Items of a page when the caller does not say.
const DEFAULT_LIMIT: usize = 50;

/// Most items of a page.
const MAX_LIMIT: usize = 200;

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Most items wanted, 1 to 200; 50 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    pub limit: Option<String>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    pub cursor: Option<String>,
}

/// A page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    /// The items. There may be fewer than the limit although more follow.
    pub items: Vec<T>,
    /// The cursor of the next page; null at the end.
    pub next: Option<String>,
}

impl<T> Items<T> {
    /// The page, with its cursor written out.
    pub fn new(items: Vec<T>, next: Option<i64>) -> Self {
        Self { items, next: next.map(cursor) }
    }
}

/// Reads how many items are wanted, from the parameter of this name, and
/// `cursor`.
///
/// # Errors
/// When one of them is wrong.
pub fn page((name, limit): (&str, Option<&str>), cursor: Option<&str>) -> Result<Page, Problem> {
    let limit = match limit {
        None => DEFAULT_LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| Problem::parameter(name, &format!("must be a number from 1 to {MAX_LIMIT}")))?,
    };
    let after = match cursor {
        None => None,
        Some(text) => Some(position(text).ok_or_else(|| {
            Problem::parameter("cursor", "is no cursor of this list; take it from the answer before")
        })?),
    };
    Ok(Page { limit, after })
}

impl PageQuery {
    /// The page that is asked for.
    ///
    /// # Errors
    /// When a parameter is wrong.
    pub fn page(&self) -> Result<Page, Problem> {
        page(("limit", self.limit.as_deref()), self.cursor.as_deref())
    }
}

/// Which page, where pages are numbered from 1.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// The page.
    pub page: u32,
    /// Items of a page.
    pub size: u32,
}

impl Numbers {
    /// Reads `page` and the parameter `size_name` from a query.
    ///
    /// # Errors
    /// When one of them is wrong.
    pub fn read(links: &Links, size_name: &str, default: u32, most: u32) -> Result<Self, Problem> {
        let number = |name, most: u32, default| match links.parameter(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| (1..=most).contains(number))
                .ok_or_else(|| Problem::parameter(name, &format!("must be a number from 1 to {most}"))),
        };
        let page = number("page", i32::MAX.unsigned_abs(), 1)?;
        Ok(Self { page, size: number(size_name, most, default)? })
    }

    /// How many items are on the pages before.
    #[must_use]
    pub fn offset(self) -> u64 {
        u64::from(self.page - 1) * u64::from(self.size)
    }

    /// The pages that lead on from here through `total` items: `first` and
    /// `last`, and `next` and `prev` where there are such pages.
    pub fn relations(self, total: u64) -> impl Iterator<Item = (&'static str, u64)> {
        let (here, last) = (u64::from(self.page), total.div_ceil(u64::from(self.size)).max(1));
        let next = (here < last).then(|| ("next", here + 1));
        let prev = (here > 1).then(|| ("prev", (here - 1).min(last)));
        [("first", 1), ("last", last)].into_iter().chain(next).chain(prev)
    }
}
