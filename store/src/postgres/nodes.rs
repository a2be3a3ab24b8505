//! The lease of this process, and what becomes of the claims of those whose lease
//! has passed.

use std::sync::Arc;

use deadpool_postgres::Pool;

use super::failure::Failure;
use super::signals::Signals;

/// This process among those that work on the database.
pub(super) struct Node;

impl Node {
    /// Enters this process into the table of nodes.
    pub(super) async fn register(pool: &Pool, name: &str, signals: &Signals) -> Result<Arc<Self>, Failure> {
        let _ = (pool, name, signals);
        std::future::ready(Ok(Arc::new(Self))).await
    }

    pub(super) fn clock_offset_us(&self) -> i64 {
        0
    }

    pub(super) async fn leave(&self, pool: &Pool) {
        let _ = pool;
        std::future::ready(()).await;
    }
}
