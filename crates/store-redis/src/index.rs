//! Which index a listing walks.

use milepost_core::{Order, Query, Result, Status, Timestamp};

use crate::{
    error::from_driver,
    layout,
    link::Call,
    list::{self, Page},
    row::instant,
    scripts,
    store::Inner,
};

/// What is walked: every run of an index, or those whose instant has come.
pub(crate) enum Index {
    All,
    /// An index of ids by its name.
    Named(String),
    /// Unfinished runs that are due by an instant.
    Due(i64),
    /// Finished runs that may be deleted by an instant.
    Expired(i64),
}

impl Index {
    /// The index that is likely to have the fewest candidates of a query.
    pub(crate) fn of(query: &Query, cut: Timestamp) -> Self {
        if query.order == Order::NewestFirst {
            return Index::All;
        }
        if let Some(parent) = &query.parent {
            return Index::Named(layout::parent_index(parent));
        }
        if let Some((key, value)) = query.labels.first() {
            return Index::Named(layout::label_index(key, value));
        }
        if query.expired {
            return Index::Expired(instant(cut));
        }
        let interrupted = (query.status == Some(Status::Interrupted)).then_some(cut);
        if let Some(by) = query.due_by.into_iter().chain(interrupted).min() {
            return Index::Due(instant(by));
        }
        match query.status {
            Some(Status::Completed) => Index::Named("completed".into()),
            Some(Status::Failed) => Index::Named("failed".into()),
            _ if query.failure.is_some() => Index::Named("failed".into()),
            _ if query.name.is_some() => {
                Index::Named(layout::name_index(query.name.as_deref().unwrap_or_default()))
            }
            Some(_) => Index::Named("unfinished".into()),
            None => Index::All,
        }
    }

    /// The run id of a member.
    pub(crate) fn run_of<'a>(&self, member: &'a [u8], order: Order) -> &'a [u8] {
        match order {
            Order::Id => member,
            Order::NewestFirst => member.get(8..).unwrap_or_default(),
        }
    }

    /// The members of a shard after `last`, about `asked` of them.
    pub(crate) async fn fetch(
        &self,
        inner: &Inner,
        shard: u16,
        order: Order,
        prefix: Option<&str>,
        last: Option<&[u8]>,
        asked: usize,
    ) -> Result<Page> {
        let prefix = prefix.filter(|_| order == Order::Id).unwrap_or("").as_bytes();
        let after = match last {
            Some(last) => [b"(", last].concat(),
            None => [b"[", prefix].concat(),
        };
        let before = behind(prefix).map_or_else(|| b"+".to_vec(), |end| [b"(", &end[..]].concat());
        let key = |name: &str| layout::index(&inner.config.prefix, shard, name);
        let (by_instant, by_id, until) = match self {
            Index::Due(until) => ("due", "unfinished", until),
            Index::Expired(until) => ("expiry", "all", until),
            Index::All | Index::Named(_) => {
                let name = match self {
                    Index::Named(name) => name,
                    _ if order == Order::NewestFirst => "new",
                    _ => "all",
                };
                let mut command = redis::cmd("ZRANGEBYLEX");
                command.arg(key(name)).arg(after).arg(before).arg("LIMIT").arg(0).arg(asked);
                let members = inner.link.send(&command).await.map_err(|error| from_driver(&error))?;
                return list::page(members, asked);
            }
        };
        let keys = vec![key(by_instant), key(by_id)];
        let args = vec![inner.now(), until.to_string().into(), after, before, asked.to_string().into()];
        let call = Call { script: &scripts::DUE, keys, args, writes: false };
        list::due_page(inner.link.call(&call).await?, last, asked)
    }
}

/// The least bytes that are greater than everything that begins with `prefix`; `None` if there are none.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
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
        for (prefix, end) in [(&b"user1"[..], Some(&b"user2"[..])), (b"a\xff", Some(b"b")), (b"", None), (b"\xff", None)] {
            assert_eq!(behind(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
