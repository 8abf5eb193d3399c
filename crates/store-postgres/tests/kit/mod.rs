//! What the kit needs of a PostgreSQL, with a pooler before it or without: a schema a scope, its clock, its rows, a server that
//! can be killed.

mod parts;

use std::{fs, sync::Arc, time::Duration};

use milepost_conformance::{Harness, Scope, Tuning, harness};
use milepost_core::{Error, ErrorKind, Result, Timestamp};
use milepost_servers::{PgBouncer, Postgres, Server};
use milepost_store_postgres::PostgresConfig;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgRow};
use tokio::sync::{Mutex, OnceCell};

/// In every URL, though the servers of the tests ask nobody for a password.
const SECRET: &str = "open-sesame-7391";

/// How the scopes reach their servers.
#[allow(dead_code, reason = "each test target goes one of the ways")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Pooled,
}

pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Other, error.to_string())
}

fn setup(error: anyhow::Error) -> Error {
    Error::new(ErrorKind::Config, format!("{error:#}"))
}

/// The server of a scope that has one for itself.
#[derive(Clone)]
struct Own {
    url: String,
    /// In the process that started it.
    server: Option<Arc<Postgres>>,
    _pooler: Option<Arc<PgBouncer>>,
}

impl Own {
    fn start(way: Way) -> Result<Self> {
        let server = Arc::new(Postgres::start().map_err(setup)?);
        let pooler = match way {
            Way::Direct => None,
            Way::Pooled => Some(Arc::new(PgBouncer::before(server.clone()).map_err(setup)?)),
        };
        let url = pooler.as_ref().map_or_else(|| server.url(), |pooler| pooler.url());
        Ok(Self { url, server: Some(server), _pooler: pooler })
    }
}

async fn own(scope: &Scope, way: Way) -> Result<Own> {
    let cell = scope.shared(Arc::<OnceCell<Own>>::default);
    let own = cell.get_or_try_init(async || {
        // Another process of the same scope finds the server here.
        let file = scope.dir()?.join("server");
        if let Ok(url) = fs::read_to_string(&file) {
            return Ok(Own { url, server: None, _pooler: None });
        }
        let own = tokio::task::spawn_blocking(move || Own::start(way)).await.map_err(failed)??;
        fs::write(file, &own.url).map_err(failed)?;
        Ok(own)
    });
    own.await.cloned()
}

/// The URL of a scope's server, with a password in it.
async fn url(scope: &Scope, way: Way) -> Result<String> {
    let url = if scope.own_server() {
        own(scope, way).await?.url
    } else {
        match way {
            Way::Direct => milepost_servers::postgres().map_err(setup)?.url().to_owned(),
            Way::Pooled => milepost_servers::pgbouncer().map_err(setup)?.url().to_owned(),
        }
    };
    Ok(url.replacen("postgres@", &format!("postgres:{SECRET}@"), 1))
}

/// A connection of the scope that the store knows nothing of.
#[derive(Clone, Default)]
pub(crate) struct Beside(Arc<Mutex<Option<PgConnection>>>);

/// Runs statements beside the store; each text is one transaction.
pub(crate) async fn beside(scope: &Scope, way: Way, sql: String) -> Result<Vec<PgRow>> {
    let beside = scope.shared(Beside::default);
    let mut slot = beside.0.lock().await;
    let mut connection = match slot.take() {
        Some(connection) => connection,
        None => PgConnection::connect(&url(scope, way).await?).await.map_err(failed)?,
    };
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.map_err(failed)?;
    *slot = Some(connection);
    Ok(rows)
}

/// Puts another clock in the place of the schema's own: one that stands in a table.
async fn set_clock(scope: Scope, now: Timestamp, way: Way) -> Result<()> {
    let (schema, now) = (scope.name(), now.0);
    let moved = format!("UPDATE {schema}.kit_clock SET now = {now}");
    let begun = scope.shared(Arc::<OnceCell<()>>::default);
    let first = async || {
        let sql = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE IF NOT EXISTS {schema}.kit_clock (now bigint); \
             INSERT INTO {schema}.kit_clock SELECT 0 WHERE NOT EXISTS (SELECT FROM {schema}.kit_clock); \
             CREATE OR REPLACE FUNCTION {schema}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS \
             $$ SELECT now FROM {schema}.kit_clock $$"
        );
        beside(&scope, way, sql).await.map(drop)
    };
    begun.get_or_try_init(first).await?;
    beside(&scope, way, moved).await.map(drop)
}

/// Does something with a scope's server that takes a while.
async fn with_server(scope: Scope, way: Way, act: fn(&Postgres) -> anyhow::Result<()>) -> Result<()> {
    let server = own(&scope, way).await?.server.ok_or_else(|| failed("the server is another process's"))?;
    // What was connected to it is not any more.
    scope.shared(Beside::default).0.lock().await.take();
    tokio::task::spawn_blocking(move || act(&server)).await.map_err(failed)?.map_err(setup)
}

/// Removes a scope's schema: the server looks through the functions of one name in all schemas that there are. A server of the
/// scope's own goes by itself.
async fn remove(scope: Scope, way: Way) -> Result<()> {
    if scope.own_server() {
        return Ok(());
    }
    let sql = format!("SET LOCAL lock_timeout = '20s'; DROP SCHEMA IF EXISTS {} CASCADE", scope.name());
    beside(&scope, way, sql).await.map(drop)
}

/// Restarts a scope's server, and waits until it is reached: a pooler looks for it only now and then.
async fn restart(scope: Scope, way: Way) -> Result<()> {
    with_server(scope.clone(), way, |server| server.restart()).await?;
    let mut attempts = 0;
    while let Err(error) = beside(&scope, way, "SELECT 1".to_owned()).await {
        attempts += 1;
        if attempts > 100 {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

pub(crate) fn backend(name: &'static str, way: Way) -> Harness {
    let connect = move |scope: Scope| async move {
        let config = PostgresConfig::from_url(&url(&scope, way).await?)?.schema(scope.name())?;
        config.prepare_on_connect(true).connections(6).connect().await
    };
    // A schema of its own for each case takes a while on a busy machine, and so does a server. A pooler lets each request wait
    // for a server that is down.
    let mut tuning = Tuning::default();
    tuning.timeout = Duration::from_secs(if way == Way::Pooled { 150 } else { 60 });
    harness(name, connect)
        .with_tuning(tuning)
        .with_server_clock(move |scope, now| set_clock(scope, now, way))
        .with_processes()
        .with_parts(move |scope, run| parts::list(scope, run, way))
        .with_flip(move |scope, part, byte| parts::flip(scope, part, byte, way))
        .with_removal(move |scope, part| parts::remove(scope, part, way))
        .with_server(
            move |scope| with_server(scope, way, |server| server.kill()),
            move |scope| restart(scope, way),
        )
        .with_teardown(move |scope| remove(scope, way))
        .with_secret(SECRET)
}
