//! A database of its own for a test, which goes when the test does.
//!
//! Tests only. What runs on both databases asks for [`TestDatabase::chosen`],
//! and is run once with `CALLBOARD_TEST_DATABASE=postgres` and once without.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that has no database has failed")]

use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use tokio_postgres::NoTls;
use url::Url;

/// Says on which database tests run: `sqlite`, or `postgres`.
const CHOICE: &str = "CALLBOARD_TEST_DATABASE";

/// The URL of a PostgreSQL server whose user may make databases.
const SERVER: &str = "CALLBOARD_TEST_POSTGRES";

/// The key that seals secrets in databases of tests.
pub const ENCRYPTION_KEY: [u8; 32] = [7; 32];

/// A database that nobody else uses, and that does not hold anything yet.
pub struct TestDatabase {
    url: String,
    /// Removed with the file that is in it.
    _folder: Option<TempDir>,
    /// The name of the database on the server.
    name: Option<String>,
}

impl TestDatabase {
    /// One of the kind that `CALLBOARD_TEST_DATABASE` asks for: SQLite, unless it
    /// says `postgres`.
    ///
    /// # Panics
    /// When it asks for something else, or where there is none.
    #[must_use]
    pub fn chosen() -> Self {
        match variable(CHOICE).as_deref() {
            None | Some("" | "sqlite") => Self::sqlite(),
            Some("postgres") => Self::postgres(),
            Some(other) => panic!("{CHOICE} is {other:?}; say sqlite or postgres"),
        }
    }

    /// A file in a folder of its own.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("callboard.db").display());
        Self { url, _folder: Some(folder), name: None }
    }

    /// A database on the server that `CALLBOARD_TEST_POSTGRES` names.
    ///
    /// # Panics
    /// When it names none that can be used.
    #[must_use]
    pub fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("callboard_test_{}_{number}", std::process::id());
        // One of this name is left from a process that was killed.
        let mut url = server();
        let made =
            [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")];
        execute(&url, &made).expect("a database on the server");
        url.set_path(&name);
        Self { url: url.into(), _folder: None, name: Some(name) }
    }

    /// Where it is, as the setting `database` says it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a statement on the server returns: one number.
    ///
    /// # Panics
    /// When it returns something else, or the server does not know what it is about.
    #[must_use]
    pub fn number(&self, sql: &str) -> i64 {
        self.try_number(sql).expect("a number")
    }

    /// Like [`Self::number`]; `None` where the server refuses the statement.
    #[must_use]
    pub fn try_number(&self, sql: &str) -> Option<i64> {
        let row = on_a_thread(async {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
            tokio::spawn(connection);
            client.query_one(sql, &[]).await
        });
        row.ok().map(|row| row.get(0))
    }

    /// What a statement returns on the server that `url` names: rows of two texts.
    ///
    /// # Panics
    /// When it returns something else, or the server refuses it.
    #[must_use]
    pub fn pairs(url: &str, sql: &str) -> Vec<(String, String)> {
        let rows = on_a_thread(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            client.query(sql, &[]).await
        });
        rows.expect(sql).iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Runs a statement on the server.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn execute(&self, sql: &str) {
        execute(&Url::parse(&self.url).expect("a URL"), &[sql.to_owned()]).expect(sql);
    }

    /// Whether it is on a PostgreSQL server.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.name.is_some()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // The server may be gone already, and the database with it.
            let _ = execute(&server(), &[format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")]);
        }
    }
}

fn server() -> Url {
    let Some(url) = variable(SERVER) else {
        panic!("{SERVER} is not set; run `tests/postgres COMMAND...`, which starts a server and sets it");
    };
    Url::parse(&url).expect(SERVER)
}

/// Each statement is a transaction: databases are not made inside of one.
fn execute(url: &Url, statements: &[String]) -> Result<(), tokio_postgres::Error> {
    on_a_thread(async {
        let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls).await?;
        let connection = tokio::spawn(connection);
        for statement in statements {
            client.batch_execute(statement).await?;
        }
        drop(client);
        connection.await.expect("it does not panic")
    })
}

/// Runs `work` on a thread of its own, because a test may be in the middle of a
/// runtime.
fn on_a_thread<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let here = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(here).join()).expect("it does not panic")
}

#[expect(clippy::disallowed_methods, reason = "settings of tests are no settings of the program")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
