//! Sessions of the operator in browsers, and the links that start one.

use callboard_domain::access::digest;
use callboard_domain::audit::EntryFilter;
use callboard_domain::clock::Timestamp;
use callboard_domain::store::{NewSession, Page};

use crate::world::{World, at, by};

const ALL: Page = Page { limit: 1_000, after: None };

fn new(session: &str, ends: i64) -> NewSession {
    NewSession { digest: digest(session), expires_at: at(ends) }
}

impl World {
    async fn sign_in(&self, session: &str, ends: i64, seconds: i64) {
        let made = self.store.create_operator_session(new(session, ends), by(seconds)).await;
        made.expect("a session");
    }

    async fn signed_in(&self, session: &str, seconds: i64) -> Option<Timestamp> {
        self.store.operator_session(digest(session), at(seconds)).await.expect("no error")
    }

    async fn sign_in_link(&self, token: &str, ends: i64) {
        self.store.create_sign_in_link(digest(token), at(ends), by(0)).await.expect("a link");
    }

    async fn sign_in_by(&self, token: &str, session: &str, seconds: i64) -> bool {
        let opened = self.store.open_sign_in_link(digest(token), new(session, 1_000), by(seconds)).await;
        opened.expect("no error")
    }

    /// Times of the entries of the deployment that tell of it.
    async fn told_of_sign_ins(&self) -> Vec<Timestamp> {
        let filter = EntryFilter { action: "operator.signed_in".parse().ok(), ..EntryFilter::default() };
        let log = self.store.list_audit(None, filter, ALL).await.expect("a log");
        log.items.iter().map(|entry| entry.at).collect()
    }
}

pub(crate) async fn a_session_of_the_operator_ends_in_time_or_by_hand(mut world: World) {
    world.sign_in("one", 100, 1).await;
    world.sign_in("two", 200, 2).await;
    world.restart().await;
    assert_eq!((world.signed_in("one", 99).await, world.signed_in("one", 100).await), (Some(at(100)), None));
    assert_eq!((world.signed_in("two", 100).await, world.signed_in("zero", 3).await), (Some(at(200)), None));
    world.store.end_operator_session(digest("two")).await.expect("ended");
    world.store.end_operator_session(digest("two")).await.expect("ended already");
    assert_eq!((world.signed_in("one", 4).await, world.signed_in("two", 4).await), (Some(at(100)), None));
    assert_eq!(world.told_of_sign_ins().await, [at(2), at(1)]);
    let tenant = world.tenant("acme").await;
    assert!(
        world
            .store
            .list_audit(Some(tenant), EntryFilter::default(), ALL)
            .await
            .expect("a log")
            .items
            .is_empty()
    );
}

pub(crate) async fn a_sign_in_link_is_spent_once(world: World) {
    world.sign_in_link("token", 100).await;
    world.sign_in_link("late", 100).await;
    assert!(!world.sign_in_by("another", "zero", 2).await);
    assert!(world.sign_in_by("token", "one", 3).await);
    assert!(!world.sign_in_by("token", "two", 4).await, "it is spent");
    assert!(!world.sign_in_by("late", "three", 100).await, "it has expired");
    let session = async |session| world.signed_in(session, 101).await;
    assert_eq!((session("one").await, session("two").await), (Some(at(1_000)), None));
    assert_eq!((session("zero").await, session("three").await), (None, None));
    assert_eq!(world.told_of_sign_ins().await, [at(3)], "what is refused is not told");
}

pub(crate) async fn of_many_who_open_a_link_at_once_one_signs_in(world: World) {
    for round in 0..5 {
        let token = format!("token {round}");
        world.sign_in_link(&token, 100).await;
        let opening = (0..8).map(|number| {
            let (store, token) = (world.store.clone(), digest(&token));
            let session = new(&format!("{round} {number}"), 1_000);
            tokio::spawn(async move { store.open_sign_in_link(token, session, by(2)).await })
        });
        let (opening, mut opened): (Vec<_>, Vec<usize>) = (opening.collect(), Vec::new());
        for (number, one) in opening.into_iter().enumerate() {
            if one.await.expect("no panic").expect("no error") {
                opened.push(number);
            }
        }
        assert_eq!(opened.len(), 1, "{opened:?}");
        for number in 0..8 {
            let session = world.signed_in(&format!("{round} {number}"), 3).await;
            assert_eq!(session.is_some(), opened == [number]);
        }
    }
}

pub(crate) async fn the_newest_sessions_of_the_operator_stay(world: World) {
    for number in 0..103 {
        world.sign_in(&format!("session {number}"), 100, 1).await;
    }
    let stays = async |number: i32| world.signed_in(&format!("session {number}"), 2).await;
    assert_eq!((stays(2).await, stays(3).await), (None, Some(at(100))));
    world.sign_in_link("token", 100).await;
    assert!(world.sign_in_by("token", "by link", 3).await);
    assert_eq!((stays(3).await, stays(4).await), (None, Some(at(100))));
}

pub(crate) async fn ended_sessions_and_expired_links_go_in_steps(world: World) {
    for number in 0..4 {
        world.sign_in(&format!("session {number}"), 10 + number, 1).await;
        world.sign_in_link(&format!("token {number}"), 10 + number).await;
    }
    world.sign_in("stays", 100, 1).await;
    world.sign_in_link("stays", 100).await;
    let prune = async |now| world.store.prune_portal(at(now), at(0), 3).await.expect("pruned");
    assert_eq!(prune(9).await.rows, 0);
    let steps = [prune(13).await, prune(13).await, prune(13).await];
    assert_eq!(steps.map(|step| (step.rows, step.more)), [(6, true), (2, false), (0, false)]);
    assert_eq!(world.signed_in("stays", 13).await, Some(at(100)));
    assert!(world.sign_in_by("stays", "by link", 13).await);
}
