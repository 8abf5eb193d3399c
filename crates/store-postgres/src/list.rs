//! Listings: pages by key, filtered in SQL where an index or a column helps, and by the query itself in the end.
//!
//! A page is one statement with its values in its text: its best plan depends on them. Whether many runs are due or few
//! decides between the order of the ids and the index of what is due.

use std::sync::Arc;

use milepost_core::{BoxStream, Head, Operation, Order, Query, Result, RunId, Status, Timestamp};
use milepost_store_memory::{apart, paged};

use crate::{
    columns::Columns,
    error::BACKEND,
    link::Call,
    read,
    row::{Found, Parts, failure_state, tag},
    store::Inner,
    value::Value,
};

/// How many candidates are looked at in the first trip when nothing else is asked for, in the further ones, and at most.
/// Whoever wants only the first runs does not wait for many.
const FIRST_PAGE: u32 = 64;
const PAGE: u32 = 256;
const LARGEST_PAGE: u32 = 4096;

/// A page of outcomes larger than this is cut.
const MOST_BYTES: i64 = 1 << 20;

/// A listing that is being read.
struct Listing {
    inner: Arc<Inner>,
    query: Query,
    /// The first page's now, which everything is judged by.
    cut: Option<Timestamp>,
    /// The place of the last candidate that was looked at.
    last: Option<(Timestamp, RunId)>,
    ended: bool,
}

/// The runs that match.
pub(crate) fn runs(inner: &Arc<Inner>, query: Query) -> BoxStream<'static, Result<Head>> {
    let listing = Listing { inner: inner.clone(), query, cut: None, last: None, ended: false };
    paged(listing, |mut listing| {
        apart(async move {
            let page = listing.page().await.map_err(|error| error.during(BACKEND, Operation::List, None))?;
            Ok((!page.is_empty()).then_some((page, listing)))
        })
    })
}

impl Listing {
    /// The next page, which is empty if there are no more.
    async fn page(&mut self) -> Result<Vec<Head>> {
        loop {
            self.inner.check_open()?;
            if self.ended || self.query.limit == Some(0) {
                return Ok(Vec::new());
            }
            let mut page = self.fetch().await?;
            if let Some(limit) = &mut self.query.limit {
                page.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
                *limit -= page.len() as u64;
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }

    /// Looks at the next candidates, and gives those that match.
    async fn fetch(&mut self) -> Result<Vec<Head>> {
        let cut = match self.cut {
            Some(cut) => cut,
            None => *self.cut.insert(read::clock(&self.inner).await?),
        };
        let usual = if self.last.is_none() { FIRST_PAGE } else { PAGE };
        let size = self.query.page.unwrap_or(usual).clamp(1, LARGEST_PAGE);
        let (sql, values) = self.statement(cut, size);
        let call = Call { sql: &sql, values: &values, writes: false, once: true };
        let rows = self.inner.link.call(&call).await?;
        // Those that were left out because the outcomes before them are large come on the next page.
        self.ended = true;
        let mut page = Vec::new();
        for row in &rows {
            let mut columns = Columns::new(row);
            let candidates = columns.int()?;
            self.ended = candidates < size.into() && candidates == rows.len() as i64;
            let head = Found::read_any(Parts::read(&mut columns)?)?.head;
            self.last = Some((head.created_at, head.run.clone()));
            if self.query.matches(&head) {
                page.push(head);
            }
        }
        Ok(page)
    }

    /// The next candidates: at least every run that matches.
    fn statement(&self, cut: Timestamp, size: u32) -> (Arc<str>, Vec<Value>) {
        let by_info = self.query.name.is_some()
            || self.query.parent.is_some()
            || !self.query.labels.is_empty()
            || self.query.order == Order::NewestFirst;
        let (from, key, id) = if by_info {
            ("{s}.info i LEFT JOIN {s}.run r ON r.key = i.run", "i.run", "i.id")
        } else {
            ("{s}.run r LEFT JOIN {s}.info i ON i.run = r.key", "r.key", "r.id")
        };
        let mut filter = Filter { sql: String::new(), values: Vec::new() };
        // A run that lacks its info is a candidate, so that this is told.
        filter.and("coalesce(i.created, 0) <= $", [Value::int(cut.0)]);
        self.page_on(&mut filter, id);
        self.narrow_by_info(&mut filter, id);
        self.narrow_by_state(&mut filter, cut);
        let order = |created: &str, id: &str| match self.query.order {
            Order::Id => format!("ORDER BY {id}"),
            Order::NewestFirst => format!("ORDER BY {created} DESC, {id}"),
        };
        let (inner, outer) = (order("i.created", id), order("n.created", "n.id"));
        let Filter { sql, values } = filter;
        let sql = format!(
            "WITH near AS MATERIALIZED (SELECT {key} AS key, {id} AS id, i.created AS created FROM {from} \
             WHERE {sql} {inner} LIMIT {size}), sized AS (SELECT n.*, count(*) OVER () AS candidates, \
             sum(coalesce(octet_length(o.body), 0)) OVER ({outer} ROWS UNBOUNDED PRECEDING) \
             - coalesce(octet_length(o.body), 0) AS before FROM near n LEFT JOIN {{s}}.outcome o ON o.run = n.key) \
             SELECT n.candidates, record_send(r), record_send(c), record_send(i), record_send(o), {cut}::bigint \
             FROM sized n LEFT JOIN {{s}}.run r ON r.key = n.key LEFT JOIN {{s}}.cold c ON c.run = n.key \
             LEFT JOIN {{s}}.info i ON i.run = n.key LEFT JOIN {{s}}.outcome o ON o.run = n.key \
             WHERE n.before < {MOST_BYTES} {outer}",
            cut = cut.0,
        );
        (self.inner.config.place.expand(&sql).into(), values)
    }

    fn page_on(&self, filter: &mut Filter, id: &str) {
        let Some((created, run)) = &self.last else { return };
        let run = Value::text(run.as_str());
        match self.query.order {
            Order::Id => filter.and(&format!("{id} > $"), [run]),
            Order::NewestFirst => {
                let created = Value::int(created.0);
                filter.and("i.created <= $", [created.clone()]);
                filter.and(&format!("(i.created < $ OR {id} > $)"), [created, run]);
            }
        }
    }

    fn narrow_by_info(&self, filter: &mut Filter, id: &str) {
        let query = &self.query;
        if let Some(name) = &query.name {
            filter.and("sha256(i.name) = sha256($)", [Value::text(name)]);
        }
        if let Some(parent) = &query.parent {
            filter.and("i.parent = $", [Value::text(parent.as_str())]);
        }
        if let Some(prefix) = query.id_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            filter.and(&format!("{id} >= $"), [Value::text(prefix)]);
            if let Some(end) = behind(prefix) {
                filter.and(&format!("{id} < $"), [Value::bytes(&end)]);
            }
        }
        if !query.labels.is_empty() {
            let tags = query.labels.iter().map(|(key, value)| Some(tag(key, value))).collect();
            filter.and("i.tags <> ARRAY[]::bytea[] AND i.tags @> $", [Value::Many(tags)]);
        }
    }

    fn narrow_by_state(&self, filter: &mut Filter, cut: Timestamp) {
        let query = &self.query;
        match query.status {
            None => {}
            Some(Status::Completed) => filter.and("r.state = 1", []),
            Some(Status::Failed) => filter.and("r.state > 1", []),
            Some(Status::Running | Status::Waiting | Status::Interrupted) => filter.and("r.state = 0", []),
        }
        if query.status == Some(Status::Interrupted) {
            filter.due(cut);
        }
        if let Some(by) = query.due_by {
            filter.and("r.state = 0", []);
            filter.due(by);
        }
        if let Some(kind) = query.failure {
            filter.and("r.state = $", [Value::int(failure_state(kind))]);
        }
        if let Some(since) = query.idle_since {
            filter.and("r.updated <= $", [Value::int(since.0)]);
        }
        if query.expired {
            filter.and("r.delete_after <= $", [Value::int(cut.0)]);
        }
    }
}

/// Conditions that must all hold. A `$` stands for the next value.
struct Filter {
    sql: String,
    values: Vec<Value>,
}

impl Filter {
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        let mut parts = condition.split('$');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            self.values.push(value);
            self.sql.push_str(&format!("${}{part}", self.values.len()));
        }
    }

    /// The hint is never later than the due, and indexed.
    fn due(&mut self, by: Timestamp) {
        self.and("r.hint <= $ AND r.due <= $", [Value::int(by.0), Value::int(by.0)]);
    }
}

/// The least bytes that are greater than everything that begins with `prefix`; `None` if there are none.
fn behind(prefix: &str) -> Option<Vec<u8>> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
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
            ("user1", &b"user2"[..]),
            ("a%", b"a&"),
            ("\u{d7ff}", b"\xed\x9f\xc0"),
            ("a\u{10ffff}", b"a\xf4\x8f\xbf\xc0"),
        ] {
            assert_eq!(behind(prefix).as_deref(), Some(end), "{prefix:?}");
        }
    }

    #[test]
    fn conditions_number_their_values() {
        let mut filter = Filter { sql: String::new(), values: Vec::new() };
        filter.and("a = 1", []);
        filter.and("(b < $ OR c > $)", [Value::int(1), Value::int(2)]);
        filter.and("d = $", [Value::int(3)]);
        assert_eq!(filter.sql, "a = 1 AND (b < $1 OR c > $2) AND d = $3");
    }
}
