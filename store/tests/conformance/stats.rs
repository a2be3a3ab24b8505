//! Counts by webhook and hour.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::delivery::Outcome;
use callboard_domain::stats::latency_class;

use crate::world::{World, at, attempt, event};

pub(crate) async fn attempts_are_counted_by_the_hour(mut world: World) {
    let (tenant, webhook) = world.lane().await;
    let other = world.webhook(tenant).await.key;
    let hour = 3_600 - at(0).as_second() % 3_600;
    let mut attempts = Vec::new();
    for (index, (second, outcome)) in [
        (hour, Outcome::Delivered),
        (hour + 10, Outcome::Retry(at(99_999))),
        (hour + 10, Outcome::GivenUp),
        (hour + 10, Outcome::Superseded),
        (hour + 3_599, Outcome::Delivered),
        (hour + 7_200, Outcome::Delivered),
    ]
    .into_iter()
    .enumerate()
    {
        let recorded = world.record(tenant, event(&format!("e{index}")), &[webhook, other], at(second)).await;
        attempts.push(attempt(&recorded, 0, webhook, 1, outcome, at(second)));
    }
    attempts[0].duration = Duration::from_secs(31);
    let (first, rest) = attempts.split_at(1);
    world.store.finish_attempts(Arc::new(rest.to_vec()), at(9)).await.expect("finished");
    world.finish(first[0].clone()).await;
    world.restart().await;

    let stats = world.store.webhook_stats(webhook, at(0)).await.expect("statistics");
    let told: Vec<_> = stats
        .buckets
        .iter()
        .map(|bucket| (bucket.start, bucket.delivered, bucket.failed_attempts, bucket.given_up))
        .collect();
    assert_eq!(told, [(at(hour), 2, 2, 1), (at(hour + 7_200), 1, 0, 0)]);
    let latencies = stats.buckets[0].latencies;
    assert_eq!(latencies[latency_class(Duration::from_millis(41))], 3);
    assert_eq!((latencies.last(), latencies.iter().sum::<u64>()), (Some(&1), 4));
    assert_eq!((stats.queued, stats.oldest_queued_at), (1, Some(at(hour + 10))));

    let since = world.store.webhook_stats(webhook, at(hour + 3_700)).await.expect("statistics");
    assert_eq!(since.buckets, stats.buckets[1..]);
    let idle = world.store.webhook_stats(other, at(0)).await.expect("statistics");
    assert_eq!((idle.buckets.len(), idle.queued), (0, 6));
}
