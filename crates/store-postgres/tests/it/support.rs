//! The world that the tests live in.

use milepost_core::{Ids, SystemIds};
use milepost_store_postgres::{PostgresConfig, PostgresStore};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

pub(crate) use milepost_store_tests::{create, operation, proxy, record, run};

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

/// A run that is driven through this store.
pub(crate) type Driver = milepost_store_tests::Driver<PostgresStore>;
