//! Listings: pages by key, filtered in SQL where an index or a column helps, and by the query itself in the end.

use std::{ops::ControlFlow, sync::Arc};

use milepost_core::{BoxStream, Head, Operation, Order, Query, Result, RunId, Status, Timestamp};
use milepost_store_memory::{apart, paged};
use sqlx::sqlite::SqliteRow;

use crate::{
    error::{BACKEND, from_driver},
    image::{Image, RUNS_OF_INFO, SELECT},
    sql::{Columns, Script, Value},
    store::Inner,
};

/// How many candidates are looked at in a trip when nothing else is asked for, and at most.
const PAGE: u32 = 256;
const LARGEST_PAGE: u32 = 4096;

/// A page of outcomes larger than this is cut.
const MOST_BYTES: usize = 8 << 20;

/// A listing that is being read.
struct Listing {
    inner: Arc<Inner>,
    query: Query,
    /// The first page's now, which everything is judged by.
    cut: Timestamp,
    /// As a JSON array: the holders of live leases that are gone, once they were looked up.
    gone: Option<String>,
    /// The place of the last candidate that was looked at.
    last: Option<(Timestamp, RunId)>,
    ended: bool,
}

/// The runs that match.
pub(crate) fn runs(inner: &Arc<Inner>, query: Query) -> BoxStream<'static, Result<Head>> {
    let cut = Timestamp::default();
    let listing = Listing { inner: inner.clone(), query, cut, gone: None, last: None, ended: false };
    paged(listing, |mut listing| {
        apart(async move {
            let page = listing.page().await.map_err(|error| error.during(BACKEND, Operation::List, None))?;
            Ok((!page.is_empty()).then_some((page, listing)))
        })
    })
}

/// What a page's candidates add up to.
#[derive(Default)]
struct Candidates {
    rows: Vec<SqliteRow>,
    bytes: usize,
    cut: bool,
}

impl Listing {
    /// The next page, which is empty if there are no more.
    async fn page(&mut self) -> Result<Vec<Head>> {
        while !self.ended && self.query.limit != Some(0) {
            let mut page = self.fetch().await?;
            if let Some(limit) = &mut self.query.limit {
                page.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
                *limit -= page.len() as u64;
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
        Ok(Vec::new())
    }

    /// Looks at the next candidates, and gives those that match.
    async fn fetch(&mut self) -> Result<Vec<Head>> {
        if self.gone.is_none() {
            self.cut = self.inner.config.clock.now();
            self.gone = Some(self.look_for_gone().await?);
        }
        let size = self.query.page.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
        let script = self.script(size);
        let found = self
            .inner
            .readers
            .read(script, |found: &mut Candidates, _, row| {
                found.bytes += Image::weight(&row);
                found.rows.push(row);
                if found.bytes < MOST_BYTES {
                    return ControlFlow::Continue(());
                }
                found.cut = true;
                ControlFlow::Break(())
            })
            .await?;
        self.ended = !found.cut && found.rows.len() < size as usize;
        let mut page = Vec::new();
        for row in found.rows {
            let head = Image::read(row)?.head(self.cut, &self.inner.here)?;
            self.last = Some((head.created_at, head.run.clone()));
            if self.query.matches(&head) {
                page.push(head);
            }
        }
        Ok(page)
    }

    /// Whether it matters that the holder of a lease is gone: its run is due at once.
    fn asks_for_due(&self) -> bool {
        self.query.due_by.is_some() || self.query.status == Some(Status::Interrupted)
    }

    async fn look_for_gone(&self) -> Result<String> {
        if !self.asks_for_due() {
            return Ok("[]".to_owned());
        }
        let script = Script::default().with(
            "SELECT DISTINCT holder FROM run WHERE outcome IS NULL AND holder IS NOT NULL AND until > ?",
            [Value::Int(self.cut.0)],
        );
        let holders = self
            .inner
            .readers
            .read(script, |holders: &mut Vec<SqliteRow>, _, row| {
                holders.push(row);
                ControlFlow::Continue(())
            })
            .await?;
        let mut gone = Vec::new();
        for row in &holders {
            let holder: String = Columns::new(row).get().map_err(from_driver)?;
            if self.inner.here.is_gone(&holder) {
                gone.push(holder);
            }
        }
        Ok(serde_json::json!(gone).to_string())
    }

    /// The next candidates: at least every run that matches.
    fn script(&self, size: u32) -> Script {
        let by_info = self.query.name.is_some()
            || self.query.parent.is_some()
            || self.query.order == Order::NewestFirst;
        let id = if by_info { "i.id" } else { "r.id" };
        let mut filter = Filter { sql: String::new(), values: Vec::new() };
        filter.and("i.created <= ?", [Value::Int(self.cut.0)]);
        self.page_on(&mut filter, id);
        self.narrow_by_info(&mut filter, id);
        self.narrow_by_state(&mut filter);
        let order = match self.query.order {
            Order::Id => format!("ORDER BY {id}"),
            Order::NewestFirst => format!("ORDER BY i.created DESC, {id}"),
        };
        let from = if by_info { &*RUNS_OF_INFO } else { &*SELECT };
        filter.values.push(Value::Int(size.into()));
        Script::default().with(&format!("{from} WHERE {} {order} LIMIT ?", filter.sql), filter.values)
    }

    fn page_on(&self, filter: &mut Filter, id: &str) {
        let Some((created, run)) = &self.last else { return };
        let run = Value::text(run.as_str());
        match self.query.order {
            Order::Id => filter.and(&format!("{id} > ?"), [run]),
            Order::NewestFirst => {
                let created = Value::Int(created.0);
                filter.and("i.created <= ?", [created.clone()]);
                filter.and(&format!("(i.created < ? OR {id} > ?)"), [created, run]);
            }
        }
    }

    fn narrow_by_info(&self, filter: &mut Filter, id: &str) {
        let query = &self.query;
        if let Some(name) = &query.name {
            filter.and("i.name = ?", [Value::text(name.as_str())]);
        }
        if let Some(parent) = &query.parent {
            filter.and("i.parent = ?", [Value::text(parent.as_str())]);
        }
        if let Some(prefix) = query.id_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            filter.and(&format!("{id} >= ?"), [Value::text(prefix)]);
            if let Some(end) = behind(prefix) {
                filter.and(&format!("{id} < ?"), [Value::Text(end)]);
            }
        }
        // SQLite is not asked for text that JSON escapes: the query itself is the judge of it.
        let plain = |text: &str| serde_json::json!(text).to_string().len() == text.len() + 2;
        for (key, value) in query.labels.iter().filter(|(key, value)| plain(key) && plain(value)) {
            let values = [Value::text(key.as_str()), Value::text(value.as_str())];
            filter.and(
                "EXISTS (SELECT 1 FROM json_each(i.labels) AS l WHERE l.key = ? AND l.value = ?)",
                values,
            );
        }
    }

    fn narrow_by_state(&self, filter: &mut Filter) {
        let query = &self.query;
        match query.status {
            None => {}
            Some(Status::Completed) => filter.and("r.outcome = 'completed'", []),
            Some(Status::Failed) => filter.and("r.outcome <> 'completed'", []),
            Some(Status::Running | Status::Waiting | Status::Interrupted) => {
                filter.and("r.outcome IS NULL", [])
            }
        }
        let gone = || Value::text(self.gone.as_deref().unwrap_or("[]"));
        let due = "(r.due <= ? OR r.holder IN (SELECT value FROM json_each(?)))";
        if query.status == Some(Status::Interrupted) {
            filter.and(due, [Value::Int(self.cut.0), gone()]);
        }
        if let Some(by) = query.due_by {
            filter.and("r.outcome IS NULL", []);
            filter.and(due, [Value::Int(by.0), gone()]);
        }
        if let Some(kind) = query.failure {
            filter.and("r.outcome = ?", [Value::text(kind.as_str())]);
        }
        if let Some(since) = query.idle_since {
            filter.and("r.updated <= ?", [Value::Int(since.0)]);
        }
        if query.expired {
            filter.and("r.delete_after IS NOT NULL AND r.delete_after <= ?", [Value::Int(self.cut.0)]);
        }
    }
}

/// Conditions that must all hold.
struct Filter {
    sql: String,
    values: Vec<Value>,
}

impl Filter {
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(condition);
        self.values.extend(values);
    }
}

/// The least text that is greater than everything that begins with `prefix`; `None` if there is none. The order of
/// UTF-8 bytes is that of its characters.
fn behind(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_range_of_bytes() {
        for (prefix, end) in [
            ("user1", Some("user2")),
            ("a%", Some("a&")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
        ] {
            assert_eq!(behind(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
