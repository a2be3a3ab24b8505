//! Whoever follows hears each event once, in order, from memory or not.

use callboard_domain::clock::Timestamp;
use callboard_domain::wire::Renderings;
use proptest::prelude::*;

use super::*;

fn event(key: i64, bytes: usize) -> Arc<StoredEvent> {
    Arc::new(StoredEvent {
        key: EventKey(key),
        tenant: TenantKey(1),
        id: "an-event".parse().expect("an id"),
        type_name: "order.paid".to_owned(),
        subject_id: "1".to_owned(),
        accepted_at: Timestamp::UNIX_EPOCH,
        body: vec![b' '; bytes].into(),
        deliveries: 0,
        quantity_diff: None,
        renderings: Renderings::default(),
    })
}

/// The tenant's events and how far the log goes: other tenants' events are
/// where the keys have gaps.
#[derive(Default)]
struct Log {
    events: Vec<Arc<StoredEvent>>,
    last: i64,
}

impl Log {
    fn read(&self, place: EventKey, limit: usize) -> Piece {
        let rest = self.events.iter().filter(|event| event.key > place);
        let events: Vec<Arc<StoredEvent>> = rest.clone().take(limit).cloned().collect();
        let more = rest.count() > events.len();
        let end = events.last().filter(|_| more).map_or(EventKey(self.last).max(place), |event| event.key);
        Piece { events, end, more }
    }
}

proptest! {
    #[test]
    fn nothing_is_left_out_or_told_twice(
        steps in proptest::collection::vec((0..4_u8, 0..4_usize, 1..6_usize, 1..60_000_usize), 1..120),
    ) {
        let (mut log, mut recent) = (Log::default(), Recent::nothing_behind(EventKey(0)));
        // The places of four who follow, and what each has heard.
        let mut readers: Vec<(EventKey, Vec<i64>, i64)> = vec![(EventKey(0), Vec::new(), 0); 4];
        let mut from_memory = 0;
        for (what, who, count, bytes) in steps {
            match what {
                0 => for _ in 0..count {
                    log.last += 1;
                    log.events.push(event(log.last, bytes));
                },
                // Of another tenant.
                1 => log.last += i64::try_from(count).expect("few"),
                // Comes anew, from now on.
                2 if count == 1 => readers[who] = (EventKey(log.last), Vec::new(), log.last),
                _ => {
                    let (place, told, _) = &mut readers[who];
                    let piece = recent.after(*place).inspect(|_| from_memory += 1).unwrap_or_else(|| {
                        let piece = log.read(*place, count);
                        if *place >= recent.end {
                            recent.take(*place, &piece);
                        }
                        piece
                    });
                    prop_assert!(piece.end >= *place);
                    told.extend(piece.events.iter().map(|event| event.key.0));
                    *place = piece.end;
                }
            }
            let kept: usize = recent.events.iter().map(|event| event.body.len()).sum();
            prop_assert_eq!(kept, recent.bytes);
            prop_assert!(kept <= KEPT);
        }
        for (place, told, since) in readers {
            let expected = log.events.iter().map(|event| event.key.0);
            let expected: Vec<i64> = expected.filter(|key| *key > since && *key <= place.0).collect();
            prop_assert_eq!(told, expected, "{} from memory", from_memory);
        }
    }
}
