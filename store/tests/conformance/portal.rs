//! Portal links and the sessions made from them.

use std::net::IpAddr;

use callboard_domain::access::{Scope, Scopes, digest};
use callboard_domain::audit::EntryFilter;
use callboard_domain::id::{PortalLinkKey, TenantKey};
use callboard_domain::portal::PortalLink;
use callboard_domain::store::{NewPortalLink, Page};

use crate::world::{World, at, by};

const ALL: Page = Page { limit: 100, after: None };

impl World {
    async fn link(&self, tenant: TenantKey, token: &str, ends: i64) -> PortalLink {
        let scopes: Scopes = [Scope::ReadWebhooks, Scope::ReadEvents].into_iter().collect();
        let (name, token_digest) = ("Support".to_owned(), digest(token));
        let new = NewPortalLink { name, scopes, token_digest, expires_at: at(ends) };
        self.store.create_portal_link(tenant, new, by(1)).await.expect("a link")
    }

    async fn open(&self, token: &str, session: &str, seconds: i64) -> Option<PortalLinkKey> {
        let address = Some(IpAddr::from([203, 0, 113, 7]));
        let opened = self.store.open_portal_link(digest(token), digest(session), address, at(seconds)).await;
        opened.expect("no error").map(|link| link.key)
    }

    async fn session(&self, session: &str, seconds: i64) -> Option<PortalLinkKey> {
        let link = self.store.portal_session(digest(session), at(seconds)).await;
        link.expect("no error").map(|link| link.key)
    }
}

pub(crate) async fn a_link_makes_sessions_until_it_expires(world: World) {
    let tenant = world.tenant("acme").await;
    let made = world.link(tenant, "token", 100).await;
    assert_eq!(
        (made.tenant, &*made.name, made.created_at, made.expires_at),
        (tenant, "Support", at(1), at(100))
    );
    assert_eq!((made.scopes.to_string().as_str(), made.revoked_at), ("read:webhooks read:events", None));
    assert_eq!(world.store.portal_link(tenant, made.key).await, Ok(Some(made.clone())));
    let key = Some(made.key);
    assert_eq!(world.open("another", "zero", 2).await, None);
    assert_eq!((world.open("token", "one", 2).await, world.open("token", "two", 3).await), (key, key));
    assert_eq!((world.session("one", 4).await, world.session("two", 4).await), (key, key));
    assert_eq!((world.session("zero", 4).await, world.session("token", 4).await), (None, None));
    world.store.end_portal_session(digest("one")).await.expect("ended");
    assert_eq!((world.session("one", 5).await, world.session("two", 5).await), (None, key));
    assert_eq!((world.session("two", 99).await, world.session("two", 100).await), (key, None));
    assert_eq!(world.open("token", "three", 100).await, None);

    let log = world.store.list_audit(Some(tenant), EntryFilter::default(), ALL).await.expect("a log");
    let told: Vec<_> = log.items.iter().map(|entry| (&*entry.action, &*entry.actor_kind, entry.at)).collect();
    let expected = [
        ("portal_link.opened", "portal_link", at(3)),
        ("portal_link.opened", "portal_link", at(2)),
        ("portal_link.created", "system", at(1)),
    ];
    assert_eq!(told, expected);
    let opened = &log.items[0];
    assert_eq!((&*opened.actor_name, opened.address.as_deref()), ("Support", Some("203.0.113.7")));
    assert_eq!((&opened.actor_id, &opened.target_id), (&made.key.to_string(), &made.key.to_string()));
}

pub(crate) async fn revoking_a_link_ends_its_sessions(world: World) {
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let (made, kept) = (world.link(tenant, "token", 100).await, world.link(tenant, "kept", 100).await);
    world.open("token", "one", 2).await;
    world.open("kept", "two", 2).await;
    let revoke = async |tenant, seconds| {
        let revoked = world.store.revoke_portal_link(tenant, made.key, by(seconds)).await;
        revoked.expect("no error").map(|link| link.revoked_at)
    };
    assert_eq!((revoke(other, 3).await, world.session("one", 3).await), (None, Some(made.key)));
    assert_eq!(world.store.portal_link(other, made.key).await, Ok(None));
    assert_eq!(revoke(tenant, 4).await, Some(Some(at(4))));
    assert_eq!(revoke(tenant, 5).await, Some(Some(at(4))), "it is already");
    assert_eq!((world.session("one", 5).await, world.open("token", "three", 5).await), (None, None));
    assert_eq!(world.session("two", 5).await, Some(kept.key));

    let first = world.store.list_portal_links(tenant, Page { limit: 1, after: None }).await.expect("a list");
    assert_eq!(first.items, [kept]);
    let second = world.store.list_portal_links(tenant, Page { limit: 1, after: first.next }).await;
    let second = second.expect("a list");
    assert_eq!((second.items[0].key, second.next), (made.key, None));
    assert!(world.store.list_portal_links(other, ALL).await.expect("a list").items.is_empty());
    let revoked = EntryFilter { action: "portal_link.revoked".parse().ok(), ..EntryFilter::default() };
    let log = world.store.list_audit(Some(tenant), revoked, ALL).await.expect("a log");
    assert_eq!(log.items.iter().map(|entry| entry.at).collect::<Vec<_>>(), [at(4)]);
}

pub(crate) async fn of_a_link_the_newest_sessions_stay(world: World) {
    let tenant = world.tenant("acme").await;
    let key = Some(world.link(tenant, "token", 1_000).await.key);
    for number in 0..103 {
        assert_eq!(world.open("token", &format!("session {number}"), 2).await, key);
    }
    let stays = async |number: i32| world.session(&format!("session {number}"), 3).await;
    assert_eq!((stays(2).await, stays(3).await, stays(102).await), (None, key, key));
}

pub(crate) async fn what_has_ended_goes_in_steps(world: World) {
    let tenant = world.tenant("acme").await;
    let ended = world.link(tenant, "token", 10).await;
    let open = world.link(tenant, "open", 100).await;
    for number in 0..5 {
        world.open("token", &format!("session {number}"), 2).await;
    }
    world.open("open", "stays", 2).await;
    let prune = async |links: i64| world.store.prune_portal(at(20), at(links), 3).await.expect("pruned");
    let (first, second, third) = (prune(9).await, prune(9).await, prune(9).await);
    assert_eq!(
        ((first.rows, first.more), (second.rows, second.more), third.rows),
        ((3, true), (2, false), 0)
    );
    assert!(
        world.store.portal_link(tenant, ended.key).await.expect("no error").is_some(),
        "it is still shown"
    );
    assert_eq!(prune(10).await.rows, 1);
    assert_eq!(world.store.portal_link(tenant, ended.key).await, Ok(None));
    assert_eq!(world.session("stays", 20).await, Some(open.key));
}
