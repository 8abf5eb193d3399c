//! Places on PostgreSQL: a schema for each.

use std::collections::BTreeSet;

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::runtime::Builder;

/// A URL's place for a case: a schema of its own; one that the URL names is left alone.
pub(crate) fn place(base: &str, parameters: &str, scope: &str) -> String {
    let parameters = parameters.split('&').filter(|one| !one.is_empty() && !one.starts_with("schema="));
    let own = format!("schema={scope}");
    let all: Vec<&str> = parameters.chain([own.as_str(), "prepare=1"]).collect();
    format!("{base}?{}", all.join("&"))
}

/// Drops the schemas that these URLs name, each in a transaction of its own.
pub(crate) fn remove(urls: &BTreeSet<String>) -> anyhow::Result<()> {
    let Some(url) = urls.first() else { return Ok(()) };
    let base = url.split_once('?').map_or(url.as_str(), |(base, _)| base);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection =
            PgConnection::connect(base).await.context("cannot connect to remove the schemas")?;
        for url in urls {
            let schema = url.split(['?', '&']).find_map(|part| part.strip_prefix("schema="));
            let drop = format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", schema.unwrap_or_default());
            connection.execute(sqlx::raw_sql(AssertSqlSafe(drop))).await.context("cannot remove a schema")?;
        }
        Ok(())
    })
}
