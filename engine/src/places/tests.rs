//! Nobody takes everything, nobody waits while there is room, and nothing is
//! forgotten.

use proptest::prelude::*;

use super::*;

fn asker(tenant: i64, lane: i64, sick: bool) -> Asker {
    Asker { tenant: TenantKey(tenant), lane: WebhookKey(lane), sick }
}

/// How many places a tenant gets at once.
fn takes(places: &Places<i64>, tenant: i64, sick: bool) -> Vec<Place> {
    let lane = |number: i64| tenant * 1_000 + number;
    (0..1_000).map_while(|number| places.take(asker(tenant, lane(number), sick), &lane(number))).collect()
}

#[test]
fn the_only_tenant_gets_half_and_the_next_still_finds_its_share() {
    let places = Places::new(120);
    assert_eq!(takes(&places, 1, false).len(), 60);
    assert_eq!(takes(&places, 2, false).len(), 40, "a third, beside another one");
    assert_eq!(takes(&places, 3, false).len(), 20, "what is left");
    assert_eq!(places.used(), 120);
}

#[test]
fn the_dead_endpoints_of_a_tenant_leave_room_for_its_healthy_ones() {
    let places = Places::new(120);
    assert_eq!(takes(&places, 1, true).len(), 30);
    assert_eq!(takes(&places, 1, false).len(), 30);
}

#[test]
fn places_that_are_given_back_go_round() {
    let places = Places::new(12);
    let held = takes(&places, 1, false);
    takes(&places, 2, false);
    takes(&places, 3, false);
    assert_eq!((held.len(), places.used(), places.contended()), (6, 12, true));
    // Each was refused once, and has one lane that waits.
    let tenants: Vec<_> = held[..3]
        .iter()
        .flat_map(|place| places.give(*place))
        // It asks again, and gets the place.
        .filter(|lane| places.take(asker(lane / 1_000, *lane, false), lane).is_some())
        .map(|lane| lane / 1_000)
        .collect();
    assert_eq!(tenants, [3], "the others have more than their share");
    assert!(places.contended());
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask { lane: usize, sick: bool },
    End { which: usize },
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..24_usize, any::<bool>()).prop_map(|(lane, sick)| Step::Ask { lane, sick }),
        (0..64_usize).prop_map(|which| Step::End { which }),
    ]
}

proptest! {
    #[test]
    fn whoever_waits_is_set_going_in_the_end(
        limit in 4..20_usize,
        steps in proptest::collection::vec(steps(), 0..300),
    ) {
        let places: Places<usize> = Places::new(limit);
        let who = |lane: usize, sick| asker(i64::try_from(lane % 4).expect("small"), i64::try_from(lane).expect("small"), sick);
        let mut held = Vec::new();
        let mut wants: HashMap<usize, bool> = HashMap::new();
        let ask = |lane: usize, sick: bool, held: &mut Vec<Place>, wants: &mut HashMap<usize, bool>| {
            match places.take(who(lane, sick), &lane) {
                Some(place) => {
                    held.push(place);
                    wants.remove(&lane);
                }
                None => drop(wants.insert(lane, sick)),
            }
        };
        for step in steps {
            match step {
                // One that waits is asked for again only when it is set going.
                Step::Ask { lane, sick } if !wants.contains_key(&lane) => ask(lane, sick, &mut held, &mut wants),
                Step::End { which } if !held.is_empty() => {
                    let place = held.swap_remove(which % held.len());
                    for lane in places.give(place) {
                        let sick = wants.remove(&lane).expect("it waited");
                        ask(lane, sick, &mut held, &mut wants);
                    }
                }
                _ => {}
            }
            prop_assert_eq!(places.used(), held.len());
            prop_assert!(held.len() <= limit.max(4));
            prop_assert_eq!(places.contended(), !wants.is_empty());
        }
        // Everybody ends, and whoever waits gets on with nobody else asking.
        while let Some(place) = held.pop() {
            for lane in places.give(place) {
                let sick = wants.remove(&lane).expect("it waited");
                ask(lane, sick, &mut held, &mut wants);
            }
        }
        prop_assert!(wants.is_empty(), "{:?} wait for ever", wants);
        prop_assert_eq!(places.used(), 0);
    }
}
