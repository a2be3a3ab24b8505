//! What only SQLite can do wrong: files, locks, full disks, and reading more
//! than is needed.

use std::path::Path;
use std::sync::Arc;

use callboard_domain::delivery::Outcome;
use callboard_domain::store::{AccessStore as _, DeliveryStore as _, EventStore as _, UpkeepStore as _};
use callboard_domain::store::{ClaimRequest, EventFilter, NewEvent, Page, StoreError, WebhookStore as _};
use callboard_store::OpenError;
use callboard_store::sqlite::{self, Options, SqliteStore};

use crate::world::{World, at, attempt, by, due, event, keys, leased, new_webhook, nth};

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    sqlite::open(path, &keys(&[7]), Options::default())
}

#[tokio::test]
async fn a_second_process_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("callboard.db");
    let first = open(&path).expect("a database");
    let text = open(&path).expect_err("a refusal").to_string();
    assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
    assert!(text.contains("callboard.db"), "{text}");
    first.close().await;
    open(&path).expect("free again").close().await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let nowhere = open(&dir.path().join("missing/callboard.db")).expect_err("a refusal");
    assert!(nowhere.to_string().contains("check that its directory exists"), "{nowhere}");

    let path = dir.path().join("letter.txt");
    std::fs::write(&path, "Dear Sir or Madam, ".repeat(500)).expect("a file");
    assert!(matches!(open(&path), Err(OpenError::NotADatabase)));

    let path = dir.path().join("newer.db");
    open(&path).expect("a database").close().await;
    rusqlite::Connection::open(&path)
        .and_then(|conn| conn.execute("INSERT INTO migrations VALUES (99, x'00')", []))
        .expect("a row of another version");
    assert!(matches!(open(&path), Err(OpenError::NewerSchema { found: 99, .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("callboard.db");
    let store = open(&path).expect("a database");
    store.check().await.expect("a write");
    for name in ["callboard.db", "callboard.db-wal", "callboard.db-lock"] {
        let mode = std::fs::metadata(dir.path().join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_closed_database_says_so() {
    let world = World::sqlite(0).await;
    world.store.close().await;
    world.store.close().await;
    let closed = |outcome: StoreError| matches!(outcome, StoreError::Unavailable(_));
    assert!(world.store.check().await.is_err_and(closed));
    assert!(world.store.waiting_lanes().await.is_err_and(closed));
}

#[tokio::test]
async fn closing_leaves_one_file_with_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("callboard.db");
    let store = open(&path).expect("a database");
    store.deployment_value("key", vec![1]).await.expect("stored");
    store.close().await;
    assert!(!dir.path().join("callboard.db-wal").exists());
    let copy = dir.path().join("copy.db");
    std::fs::copy(&path, &copy).expect("a copy");
    let copied = open(&copy).expect("a database");
    assert_eq!(copied.deployment_value("key", vec![2]).await, Ok((vec![1], false)));
    copied.close().await;
}

#[tokio::test]
async fn a_full_database_loses_nothing_and_recovers() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("callboard.db");
    let options = Options { max_bytes: Some(2 * 1024 * 1024), max_unindexed_events: 0 };
    let store = Arc::new(sqlite::open(&path, &keys(&[7]), options).expect("a database"));
    let id = "acme".parse().expect("an id");
    let tenant = store.create_tenant(id, "A".to_owned(), None, by(0)).await.expect("made").expect("new").key;
    let webhook = store.create_webhook(tenant, new_webhook(), by(0)).await.expect("a webhook").key;
    let large = move |index: u32| {
        let mut event = event(&format!("e{index}"));
        event.body = vec![b'x'; 20_000].into();
        vec![NewEvent { event: event.into(), deliveries: due(&[webhook]) }]
    };
    // Many at a time, so that good and bad ones share a transaction.
    let writes: Vec<_> = (0..200)
        .map(|index| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { (index, store.record_events(tenant, large(index), at(1)).await) })
        })
        .collect();
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for write in writes {
        let (index, outcome) = write.await.expect("no panic");
        match outcome {
            Ok(_) => kept.push(index),
            Err(error) => {
                assert!(error.to_string().contains("full"), "{error}");
                refused.push(index);
            }
        }
    }
    assert!(kept.len() > 50 && refused.len() > 50, "{} and {}", kept.len(), refused.len());
    let there = async |index: u32| -> bool {
        let id = event(&format!("e{index}")).id;
        store.event(tenant, &id).await.expect("readable").is_some()
    };
    for index in &kept {
        assert!(there(*index).await, "e{index} was promised");
    }
    for index in &refused {
        assert!(!there(*index).await, "e{index} was refused");
    }
    store.limit_size(None).await.expect("room");
    for index in refused {
        store.record_events(tenant, large(index), at(2)).await.expect("recorded");
    }
    let page = Page { limit: 500, after: None };
    let listed = store.list_events(tenant, EventFilter::default(), page).await.expect("a list");
    assert_eq!(listed.items.len(), 200);
    store.close().await;
}

#[tokio::test]
async fn pruning_gives_space_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("callboard.db");
    let store = open(&path).expect("a database");
    let id = "acme".parse().expect("an id");
    let tenant = store.create_tenant(id, "A".to_owned(), None, by(0)).await.expect("made").expect("new").key;
    for batch in 0..10 {
        let new = |index| {
            let mut event = event(&format!("e{batch}-{index}"));
            event.body = vec![b'x'; 20_000].into();
            NewEvent { event: event.into(), deliveries: vec![] }
        };
        store.record_events(tenant, (0..50).map(new).collect(), at(1)).await.expect("recorded");
    }
    let size = || std::fs::metadata(&path).expect("a file").len();
    while store.prune(at(9_999), 10, 100).await.expect("pruned").more {}
    store.prune(at(9_999), 10, 100).await.expect("pruned");
    store.close().await;
    assert!(size() < 3 * 1024 * 1024, "{} bytes are left", size());
}

/// A copy of the files is what a process leaves that is killed.
#[tokio::test]
async fn what_a_killed_process_was_sending_is_due_again_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("callboard.db");
    let store = Arc::new(open(&path).expect("a database"));
    let id = "acme".parse().expect("an id");
    let tenant = store.create_tenant(id, "A".to_owned(), None, by(0)).await.expect("made").expect("new").key;
    let webhook = store.create_webhook(tenant, new_webhook(), by(0)).await.expect("a webhook").key;
    let mut recorded = Vec::new();
    for name in ["under-way", "delivered", "failed", "released"] {
        let new = NewEvent { event: event(name).into(), deliveries: leased(webhook) };
        recorded.extend(store.record_events(tenant, vec![new], at(1)).await.expect("recorded"));
    }
    let finished = [
        attempt(&recorded[1], 0, webhook, 1, Outcome::Delivered, at(2)),
        attempt(&recorded[2], 0, webhook, 1, Outcome::Retry(at(60)), at(2)),
    ];
    store.finish_attempts(Arc::new(finished.to_vec()), at(2)).await.expect("written");
    store.release(vec![nth(&recorded[3], 0)], at(3)).await.expect("released");
    let copy = dir.path().join("copy.db");
    for (from, to) in [("callboard.db", "copy.db"), ("callboard.db-wal", "copy.db-wal")] {
        std::fs::copy(dir.path().join(from), dir.path().join(to)).expect("a copy");
    }

    let left = open(&copy).expect("a database");
    let request = vec![ClaimRequest { webhook, limit: 10, alone: false }];
    let claims = left.claim_due(request, at(10), usize::MAX).await.expect("a claim");
    let due: Vec<_> = claims[0].deliveries.iter().map(|one| (one.delivery, one.attempts)).collect();
    assert_eq!(due, [(nth(&recorded[0], 0), 0), (nth(&recorded[3], 0), 0)]);
    assert_eq!(claims[0].next_due, Some(at(60)));
    left.close().await;

    // The living one knows that it is still sending.
    let request = vec![ClaimRequest { webhook, limit: 10, alone: false }];
    let claims = store.claim_due(request, at(10), usize::MAX).await.expect("a claim");
    assert_eq!(claims[0].deliveries.len(), 1, "what was released");
    let stats = store.webhook_stats(webhook, at(0)).await.expect("counts");
    assert_eq!((stats.queued, stats.oldest_queued_at), (3, Some(at(1))));
    store.close().await;
}
