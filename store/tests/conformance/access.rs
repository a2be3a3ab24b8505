//! Tenants, clients, and what the deployment keeps.

use callboard_domain::access::{Scope, Scopes, digest};
use callboard_domain::store::{NewClient, Page};

use crate::world::{World, at, by};

const ALL: Page = Page { limit: 100, after: None };

pub(crate) async fn tenants_are_made_once_and_changed(world: World) {
    let made = world.tenant_keeping("acme", Some(3_600)).await;
    assert_eq!((made.id.as_str(), made.retention_seconds, made.created_at), ("acme", Some(3_600), at(0)));
    let again = world.store.create_tenant(made.id.clone(), "B".to_owned(), None, by(1)).await;
    assert_eq!(again, Ok(None));
    assert_eq!(world.store.tenant(&made.id).await, Ok(Some(made.clone())));
    assert_eq!(world.store.tenant_by_key(made.key).await, Ok(Some(made.clone())));

    let changed = world.store.update_tenant(&made.id, "C".to_owned(), None, by(0)).await;
    let changed = changed.expect("no error").expect("the tenant");
    assert_eq!((changed.key, changed.name.as_str(), changed.retention_seconds), (made.key, "C", None));
    let nobody = "nobody".parse().expect("an id");
    assert_eq!(world.store.update_tenant(&nobody, "D".to_owned(), None, by(0)).await, Ok(None));
    assert_eq!(world.store.tenant(&nobody).await, Ok(None));

    let newer = world.tenant_keeping("other", None).await;
    let first = world.store.list_tenants(Page { limit: 1, after: None }).await.expect("a list");
    assert_eq!(first.items, [newer]);
    let second = world.store.list_tenants(Page { limit: 1, after: first.next }).await.expect("a list");
    assert_eq!((second.items, second.next), (vec![changed], None));
}

pub(crate) async fn clients_come_and_go(world: World) {
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let new = |id: &str| NewClient {
        id: id.parse().expect("an id"),
        name: "Shop".to_owned(),
        secret_digest: digest("sesame"),
        scopes: [Scope::WriteEvents, Scope::ReadEvents].into_iter().collect::<Scopes>(),
    };
    let made = world.store.create_client(tenant, new("one"), by(3)).await.expect("a client");
    assert!(made.knows("sesame") && made.enabled && made.tenant == tenant && made.created_at == at(3));
    assert_eq!(made.scopes, new("one").scopes);
    world.store.create_client(tenant, new("two"), by(0)).await.expect("a client");
    world.store.create_client(other, new("three"), by(0)).await.expect("a client");
    assert_eq!(world.store.client(&made.id).await, Ok(Some(made.clone())));

    let first = world.store.list_clients(tenant, Page { limit: 1, after: None }).await.expect("a list");
    assert_eq!(first.items[0].id.as_str(), "two");
    let second = world.store.list_clients(tenant, Page { limit: 1, after: first.next }).await;
    assert_eq!(second.expect("a list").items, std::slice::from_ref(&made));

    assert_eq!(world.store.set_client_enabled(other, &made.id, false, by(0)).await, Ok(None));
    let disabled = world.store.set_client_enabled(tenant, &made.id, false, by(0)).await;
    assert!(disabled.expect("no error").is_some_and(|client| !client.enabled));
    assert_eq!(world.store.delete_client(other, &made.id, by(0)).await, Ok(false));
    assert_eq!(world.store.delete_client(tenant, &made.id, by(0)).await, Ok(true));
    assert_eq!(world.store.delete_client(tenant, &made.id, by(0)).await, Ok(false));
    assert_eq!(world.store.client(&made.id).await, Ok(None));
    assert_eq!(world.store.list_clients(tenant, ALL).await.expect("a list").items.len(), 1);
}

pub(crate) async fn deployment_values_are_kept(mut world: World) {
    let value = |value: &[u8]| world.store.deployment_value("token-key", value.to_vec());
    assert_eq!(value(b"first").await, Ok((b"first".to_vec(), true)));
    assert_eq!(value(b"second").await, Ok((b"first".to_vec(), false)));
    world.restart().await;
    let kept = world.store.deployment_value("token-key", b"third".to_vec()).await;
    assert_eq!(kept, Ok((b"first".to_vec(), false)));
    // A name that the store uses for itself elsewhere is free here.
    let free = world.store.deployment_value("next_event", b"x".to_vec()).await;
    assert_eq!(free, Ok((b"x".to_vec(), true)));
}

pub(crate) async fn when_a_client_was_used_never_goes_back(mut world: World) {
    let tenant = world.tenant("acme").await;
    let new = NewClient {
        id: "one".parse().expect("an id"),
        name: "Shop".to_owned(),
        secret_digest: digest("sesame"),
        scopes: Scopes::all(),
    };
    let id = world.store.create_client(tenant, new, by(1)).await.expect("a client").id;
    let used = async |world: &World| {
        let client = world.store.client(&id).await.expect("no error").expect("a client");
        client.last_used_at
    };
    assert_eq!(used(&world).await, None);
    for (at_second, expected) in [(5, 5), (3, 5), (9, 9), (9, 9)] {
        world.store.touch_client(&id, at(at_second)).await.expect("noted");
        assert_eq!(used(&world).await, Some(at(expected)));
    }
    world.store.set_client_enabled(tenant, &id, false, by(10)).await.expect("disabled");
    world.restart().await;
    let listed = world.store.list_clients(tenant, ALL).await.expect("a list");
    assert_eq!(listed.items[0].last_used_at, Some(at(9)));
    world.store.touch_client(&"nobody".parse().expect("an id"), at(11)).await.expect("nothing happens");
}
