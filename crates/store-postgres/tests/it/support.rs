//! The world that the tests live in.

use milepost_core::{
    Commit, Committed, Fence, Ids, Kind, Manifest, NewRecord, Open, OperationId, RunId, RunInfo, Store,
    SystemIds,
};
use milepost_servers::Proxy;
use milepost_store_postgres::{PostgresConfig, PostgresStore};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

/// A server and a schema of its own on it.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) schema: String,
}

impl World {
    /// On the server that all tests share.
    pub(crate) fn new() -> Self {
        Self::on(milepost_servers::postgres().unwrap().url())
    }

    pub(crate) fn on(url: &str) -> Self {
        Self { url: url.to_owned(), schema: format!("it{:x}", SystemIds.bits() as u64) }
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        self.config_at(&self.url)
    }

    /// The same place by another way, such as through a proxy.
    pub(crate) fn config_at(&self, url: &str) -> PostgresConfig {
        PostgresConfig::from_url(url).unwrap().schema(&self.schema).unwrap().prepare_on_connect(true)
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        self.config().connect().await.unwrap()
    }

    pub(crate) async fn raw(&self) -> Raw {
        Raw { connection: PgConnection::connect(&self.url).await.unwrap(), schema: self.schema.clone() }
    }
}

/// A proxy before the server of a URL. It has a runtime of its own, which cannot be started on a thread of another.
pub(crate) fn proxy(url: &str) -> Proxy {
    let url = url.to_owned();
    std::thread::spawn(move || Proxy::before(&url).unwrap()).join().unwrap()
}

/// The server without the store. `{s}` stands for the schema.
pub(crate) struct Raw {
    connection: PgConnection,
    schema: String,
}

impl Raw {
    /// The first column of every row.
    pub(crate) async fn ask<T>(&mut self, sql: &str) -> Vec<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let sql = sql.replace("{s}", &self.schema);
        let rows = self.connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn one<T>(&mut self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.ask(sql).await.pop().unwrap()
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        let sql = sql.replace("{s}", &self.schema);
        self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    }
}

pub(crate) fn run(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

pub(crate) fn operation() -> OperationId {
    SystemIds.operation()
}

pub(crate) fn create() -> Open {
    Open::create(operation(), RunInfo::named("job"), Manifest::of(b"input"))
}

pub(crate) fn record(body: impl Into<milepost_core::Bytes>) -> NewRecord {
    NewRecord::new(Kind::from_static("state"), body)
}

/// A created run with what its next commit needs.
pub(crate) struct Driver {
    pub(crate) store: PostgresStore,
    pub(crate) run: RunId,
    pub(crate) fence: Fence,
    pub(crate) version: u64,
}

impl Driver {
    pub(crate) async fn create(store: &PostgresStore, id: &str) -> Self {
        let opened = store.open(&run(id), create()).await.unwrap();
        Self { store: store.clone(), run: run(id), fence: opened.fence, version: opened.head.version }
    }

    /// An empty commit that fits.
    pub(crate) fn next(&self) -> Commit {
        Commit::new(self.run.clone(), self.fence, operation(), self.version)
    }

    pub(crate) async fn commit(&mut self, commit: Commit) -> Committed {
        let committed = self.store.commit(commit).await.unwrap();
        self.version = committed.version;
        committed
    }
}
