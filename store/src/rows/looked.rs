//! Pages of lists in which not everything fits that is looked at.

use callboard_domain::store::Page;

/// Rows looked at for one page, when not each that is looked at fits.
const LOOKED_AT: usize = 5_000;

/// How many rows to look at for a page. Where all of them fit, one more than
/// needed tells whether more follow.
pub(crate) fn look(page: Page, exact: bool) -> usize {
    let limit = page.limit.max(1);
    if exact { limit.saturating_add(1) } else { LOOKED_AT.max(limit) }
}

/// What came of looking at rows.
pub(crate) struct Looked {
    /// The keys of those that fit, in the order of the list.
    pub(crate) fitting: Vec<i64>,
    /// The last that was looked at, if there may be more behind it.
    pub(crate) last: Option<i64>,
}

impl Looked {
    /// What the page shows, and where the next one starts. It may be short of the
    /// limit, even empty, while more follow.
    pub(crate) fn cut(self, page: Page) -> (Vec<i64>, Option<i64>) {
        let Self { mut fitting, last } = self;
        let limit = page.limit.max(1);
        if fitting.len() <= limit {
            return (fitting, last);
        }
        fitting.truncate(limit);
        let next = fitting.last().copied();
        (fitting, next)
    }
}
