//! What is failed now, brought together from the webhooks of a tenant: each has an
//! index of its own.

use std::cmp::Reverse;
use std::collections::HashMap;

use callboard_domain::delivery::Reason;
use callboard_domain::id::WebhookKey;
use callboard_domain::store::{FailedGroup, FailedGroups, Page};

use super::{Corrupt, cause, count, natural, timestamp};

/// Rows counted for one tenant: what is asked for again and again must not keep the
/// database busy for long.
pub(crate) const COUNTED: i64 = 100_000;

/// Groups that are told: there may be some for each of very many webhooks.
const GROUPS: usize = 1_000;

/// Rows looked at for a page, when not each that is looked at fits.
const LOOKED_AT: usize = 10_000;

/// Rows of one webhook that failed alike, among those that one turn looked at.
pub(crate) struct Part {
    pub(crate) webhook: i64,
    pub(crate) cause: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) count: i64,
    pub(crate) oldest: i64,
    pub(crate) newest: i64,
    /// The lowest key of them.
    pub(crate) lowest: i64,
}

/// Counts by reason. Webhooks take turns, so that none with very many rows leaves
/// nothing for the others.
pub(crate) struct Counting {
    /// Webhooks with rows left, and below which key those are.
    open: Vec<(i64, i64)>,
    left: i64,
    groups: HashMap<(i64, Option<String>, Option<u16>), Sum>,
}

struct Sum {
    count: i64,
    oldest: i64,
    newest: i64,
}

impl Counting {
    /// Of these webhooks, so many rows.
    pub(crate) fn new(webhooks: Vec<i64>, rows: i64) -> Self {
        let open = webhooks.into_iter().map(|webhook| (webhook, i64::MAX)).collect();
        Self { open, left: rows, groups: HashMap::new() }
    }

    /// The webhooks whose turn it is, each with the key below which to look, and at
    /// how many rows of each; `None` when that is all.
    pub(crate) fn turn(&self) -> Option<(Vec<(i64, i64)>, i64)> {
        if self.open.is_empty() || self.left <= 0 {
            return None;
        }
        Some((self.open.clone(), (self.left / count(self.open.len())).max(1)))
    }

    /// Takes what a turn of so many rows each has found.
    pub(crate) fn take(&mut self, share: i64, parts: Vec<Part>) {
        let mut reached: HashMap<i64, (i64, i64)> = HashMap::new();
        for part in parts {
            let (rows, lowest) = reached.entry(part.webhook).or_insert((0, i64::MAX));
            *rows += part.count;
            *lowest = part.lowest.min(*lowest);
            self.left -= part.count;
            let empty = Sum { count: 0, oldest: i64::MAX, newest: i64::MIN };
            let sum = self.groups.entry((part.webhook, part.cause, part.status)).or_insert(empty);
            sum.count += part.count;
            sum.oldest = sum.oldest.min(part.oldest);
            sum.newest = sum.newest.max(part.newest);
        }
        self.open.retain_mut(|(webhook, before)| match reached.get(webhook) {
            Some((rows, lowest)) if *rows >= share => {
                *before = *lowest;
                true
            }
            _ => false,
        });
    }

    /// What was counted.
    pub(crate) fn finish(self) -> Result<FailedGroups, Corrupt> {
        let mut groups = Vec::with_capacity(self.groups.len());
        for ((webhook, word, status), sum) in self.groups {
            groups.push(FailedGroup {
                webhook: WebhookKey(webhook),
                reason: Reason { cause: word.map(cause).transpose()?, status },
                count: natural(sum.count)?,
                oldest: timestamp(sum.oldest)?,
                newest: timestamp(sum.newest)?,
            });
        }
        let order = |group: &FailedGroup| (Reverse(group.count), Reverse(group.newest), named(group));
        groups.sort_unstable_by_key(order);
        let capped = !self.open.is_empty() || groups.len() > GROUPS;
        groups.truncate(GROUPS);
        Ok(FailedGroups { groups, capped })
    }
}

/// Tells groups apart that are equal otherwise.
fn named(group: &FailedGroup) -> (WebhookKey, Option<u16>, Option<String>) {
    (group.webhook, group.reason.status, group.reason.cause.and_then(super::cause_text))
}

/// Makes one list, newest first, of what is failed at several webhooks.
pub(crate) struct Merge {
    page: Page,
    /// Rows looked at of each webhook.
    pub(crate) share: usize,
    /// What is older than this was not looked at everywhere.
    floor: Option<i64>,
    fitting: Vec<i64>,
}

impl Merge {
    /// Chooses the webhooks to look at, of all that have failed deliveries, each
    /// with its newest. No page can show more webhooks than deliveries.
    pub(crate) fn of(mut newest: Vec<(i64, i64)>, exact: bool, page: Page) -> (Self, Vec<i64>) {
        let most = page.limit.max(1).saturating_add(1);
        newest.sort_unstable_by_key(|(_, delivery)| Reverse(*delivery));
        let floor = newest.get(most).map(|(_, delivery)| delivery + 1);
        newest.truncate(most);
        let share = if exact { most } else { most.max(LOOKED_AT / newest.len().max(1)) };
        let webhooks = newest.into_iter().map(|(webhook, _)| webhook).collect();
        (Self { page, share, floor, fitting: Vec::new() }, webhooks)
    }

    /// Takes the newest that one of them has, with whether each fits.
    pub(crate) fn take(&mut self, rows: &[(i64, bool)]) {
        if rows.len() >= self.share {
            self.floor = self.floor.max(rows.iter().map(|(delivery, _)| *delivery).min());
        }
        self.fitting.extend(rows.iter().filter(|(_, fits)| *fits).map(|(delivery, _)| delivery));
    }

    /// What the page shows, and where the next one starts.
    pub(crate) fn cut(self) -> (Vec<i64>, Option<i64>) {
        let Self { page, floor, mut fitting, .. } = self;
        fitting.retain(|delivery| floor.is_none_or(|floor| *delivery >= floor));
        fitting.sort_unstable_by_key(|delivery| Reverse(*delivery));
        super::looked::Looked { fitting, last: floor }.cut(page)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Webhooks with the keys of what is failed there, newest first.
    type Failed = BTreeMap<i64, Vec<i64>>;

    fn failed(keys: &[(i64, i64)]) -> Failed {
        let mut failed = Failed::new();
        for (webhook, key) in keys {
            failed.entry(*webhook).or_default().push(*key);
        }
        for keys in failed.values_mut() {
            keys.sort_unstable_by_key(|key| Reverse(*key));
        }
        failed
    }

    fn counted(failed: &Failed, rows: i64) -> (FailedGroups, usize) {
        let mut counting = Counting::new(failed.keys().copied().collect(), rows);
        let mut looked_at = 0;
        while let Some((open, share)) = counting.turn() {
            let mut parts = Vec::new();
            for (webhook, before) in open {
                let below = failed[&webhook].iter().filter(|key| **key < before);
                let most = usize::try_from(share).expect("a number");
                for key in below.take(most) {
                    looked_at += 1;
                    let (status, at) = (Some(if key % 2 == 0 { 503 } else { 500 }), *key);
                    let cause = Some("status".to_owned());
                    parts.push(Part { webhook, cause, status, count: 1, oldest: at, newest: at, lowest: at });
                }
            }
            counting.take(share, parts);
        }
        (counting.finish().expect("groups"), looked_at)
    }

    #[test]
    fn very_many_rows_of_one_webhook_leave_room_for_the_others() {
        let many: Vec<(i64, i64)> = (1..=1_000).map(|key| (1, key)).chain([(2, 2_000), (3, 4)]).collect();
        let (all, _) = counted(&failed(&many), 2_000);
        let sizes: Vec<_> = all.groups.iter().map(|group| (group.webhook.0, group.count)).collect();
        assert_eq!((sizes, all.capped), (vec![(1, 500), (1, 500), (2, 1), (3, 1)], false));
        let (some, looked_at) = counted(&failed(&many), 100);
        assert!(some.capped && (98..=102).contains(&looked_at), "{looked_at}");
        assert_eq!(some.groups.iter().map(|group| group.count).sum::<u64>(), looked_at as u64);
        assert_eq!(some.groups.len(), 4);
        let newest = some.groups.iter().filter(|group| group.webhook.0 == 1).map(|group| group.newest);
        assert_eq!(newest.max(), Some(timestamp(1_000).expect("a time")), "the newest are looked at");
        assert!(!counted(&Failed::new(), 100).0.capped);
    }

    /// All that a list shows, page by page.
    fn listed(failed: &Failed, fits: impl Fn(i64) -> bool, exact: bool, limit: usize) -> Vec<i64> {
        let (mut shown, mut after) = (Vec::new(), None);
        for _ in 0..10_000 {
            let page = Page { limit, after };
            let before = after.unwrap_or(i64::MAX);
            let below = |webhook: &i64| failed[webhook].iter().copied().filter(move |key| *key < before);
            let newest = failed.keys().filter_map(|webhook| Some((*webhook, below(webhook).next()?)));
            let (mut merge, webhooks) = Merge::of(newest.collect(), exact, page);
            for webhook in &webhooks {
                let rows: Vec<_> = below(webhook).take(merge.share).map(|key| (key, fits(key))).collect();
                merge.take(&rows);
            }
            let (keys, next) = merge.cut();
            assert!(keys.len() <= limit);
            assert!(!exact || next.is_none() || keys.len() == limit, "full pages");
            shown.extend(keys);
            if next.is_none() {
                return shown;
            }
            assert!(next < after.or(Some(i64::MAX)), "it goes on");
            after = next;
        }
        panic!("a list without an end");
    }

    #[test]
    fn lists_of_many_webhooks_show_everything_once_and_in_order() {
        let rows: Vec<(i64, i64)> = (1..=12_000).map(|key| ((key * key) % 17, key)).collect();
        let failed = failed(&rows);
        let wanted = |fits: &dyn Fn(i64) -> bool| -> Vec<i64> {
            (1..=12_000).rev().filter(|key| fits(*key)).collect()
        };
        for limit in [3, 16, 17, 200] {
            assert_eq!(listed(&failed, |_| true, true, limit), wanted(&|_| true));
            assert_eq!(listed(&failed, |key| key % 999 == 0, false, limit), wanted(&|key| key % 999 == 0));
            assert_eq!(listed(&failed, |_| false, false, limit), [0; 0]);
        }
    }
}
