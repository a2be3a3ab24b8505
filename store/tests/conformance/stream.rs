//! The log read forwards: from every place, in stretches of every length.

use callboard_domain::id::{DeliveryKey, EventKey, TenantKey, WebhookKey};

use crate::world::{World, at, event_about, nth};

/// Reads to the end, `limit` at a time.
async fn read(
    world: &World,
    (tenant, webhook): (TenantKey, Option<WebhookKey>),
    mut after: EventKey,
    (limit, max_bytes): (usize, usize),
) -> Vec<(String, Option<DeliveryKey>)> {
    let mut read = Vec::new();
    loop {
        let stretch = world.store.events_after(tenant, webhook, after, limit, max_bytes).await;
        let stretch = stretch.expect("no error");
        assert!(stretch.events.len() <= limit && stretch.end >= after);
        assert!(stretch.events.iter().all(|(event, _)| event.key > after && event.key <= stretch.end));
        assert!(!stretch.more || !stretch.events.is_empty(), "it gets on");
        read.extend(stretch.events.into_iter().map(|(event, delivery)| (event.id.to_string(), delivery)));
        after = stretch.end;
        if !stretch.more {
            assert_eq!(after, world.store.place(None).await.expect("no error"), "to the end");
            return read;
        }
    }
}

pub(crate) async fn the_log_is_read_forwards_from_any_place(mut world: World) {
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let (all, few) = (world.webhook(tenant).await.key, world.webhook(tenant).await.key);
    let foreign = world.webhook(other).await.key;
    let start = world.store.place(None).await.expect("no error");
    let mut made = Vec::new();
    for second in 0..60 {
        let event = event_about(&format!("e{second}"), "order.paid", "1");
        if second % 7 == 3 {
            world.record(other, event, &[foreign], at(second)).await;
            continue;
        }
        let webhooks: &[_] = if second % 3 == 0 { &[all, few] } else { &[all] };
        let recorded = world.record(tenant, event, webhooks, at(second)).await;
        made.push((second, recorded));
        if second == 30 {
            world.settle().await;
        }
    }
    for restarted in [false, true] {
        if restarted {
            world.restart().await;
        }
        for (index, from) in [(None, start)]
            .into_iter()
            .chain(made.iter().map(|(second, recorded)| (Some(*second), recorded.key)))
        {
            let after = |second: i64| index.is_none_or(|from| second > from);
            let events: Vec<_> = made
                .iter()
                .filter(|(second, _)| after(*second))
                .map(|(second, _)| (format!("e{second}"), None))
                .collect();
            let heard: Vec<_> = made
                .iter()
                .filter(|(second, _)| after(*second) && second % 3 == 0)
                .map(|(second, recorded)| (format!("e{second}"), Some(nth(recorded, 1))))
                .collect();
            for stretch in [(1, usize::MAX), (7, usize::MAX), (500, usize::MAX), (500, 1)] {
                assert_eq!(read(&world, (tenant, None), from, stretch).await, events);
                assert_eq!(read(&world, (tenant, Some(few)), from, stretch).await, heard);
            }
        }
    }
    let place = |second| world.store.place(Some(at(second)));
    assert_eq!(place(0).await, Ok(start));
    assert_eq!(place(31).await, Ok(made.iter().rfind(|(second, _)| *second < 31).expect("one").1.key));
    assert_eq!(place(1_000).await, world.store.place(None).await, "not beyond the end");
}
