//! What upkeep deletes beside events.

use std::time::Duration;

use callboard_domain::audit::EntryFilter;
use callboard_domain::store::Page;
use callboard_engine::Options;
use callboard_testing::TestDatabase;

use crate::world::World;

#[tokio::test]
async fn entries_of_the_audit_log_are_kept_as_long_as_is_set() {
    let database = TestDatabase::chosen();
    let options = Options { audit_retention_seconds: 3_600, ..Options::default() };
    let world = World::start(&database, options).await;
    world.make(r#"{"url": "https://one.example/", "events": ["*"]}"#).await;
    let told = async || {
        let page = Page { limit: 9, after: None };
        let listed = world.store.list_audit(Some(world.tenant), EntryFilter::default(), page).await;
        listed.unwrap().items.len()
    };
    world.clock.advance(Duration::from_hours(1));
    world.engine.upkeep().await.unwrap();
    assert_eq!(told().await, 1);
    world.clock.advance(Duration::from_secs(1));
    world.engine.upkeep().await.unwrap();
    assert_eq!(told().await, 0);
    world.stop().await;
}
