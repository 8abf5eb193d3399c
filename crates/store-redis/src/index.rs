//! Which index a listing walks.

use milepost_core::{Head, Order, Query, Result, Status, Timestamp};
use redis::Value;

use crate::{
    answer::{list, number, option},
    error::damaged,
    layout,
    link::Call,
    row::{LARGEST, instant},
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

    /// Whether a member stands for the run of a head: not if the run was deleted and created again since it was read.
    pub(crate) fn is_of(member: &[u8], head: &Head, order: Order) -> bool {
        // As the script counts, in doubles.
        let place = || (LARGEST as f64 - head.created_at.0 as f64) as u64;
        order == Order::Id || member.starts_with(&place().to_be_bytes())
    }

    /// The run id of a member.
    pub(crate) fn run_of<'a>(&self, member: &'a [u8], order: Order) -> &'a [u8] {
        match order {
            Order::Id => member,
            Order::NewestFirst => member.get(8..).unwrap_or_default(),
        }
    }

    /// The indexes that are walked: by id, and by instant with the instant.
    fn names(&self, order: Order) -> (&str, Option<(&str, i64)>) {
        match self {
            Index::Due(until) => ("unfinished", Some(("due", *until))),
            Index::Expired(until) => ("all", Some(("expiry", *until))),
            Index::Named(name) => (name, None),
            Index::All if order == Order::NewestFirst => ("new", None),
            Index::All => ("all", None),
        }
    }

    /// The next members of some shards. One server is asked once for all of them; in a cluster a script keeps to one slot,
    /// so there is one for each shard, and each node is sent all of its own at once.
    pub(crate) async fn fetch(
        &self,
        inner: &Inner,
        order: Order,
        prefix: Option<&str>,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Page>> {
        let prefix = prefix.filter(|_| order == Order::Id).unwrap_or("").as_bytes();
        if !inner.link.is_cluster() {
            let answers = list(inner.link.call(&self.call(inner, order, prefix, &wanted)).await?)?;
            if answers.len() != wanted.len() {
                return Err(damaged());
            }
            return wanted.iter().zip(answers).map(|(one, answer)| page(one, answer)).collect();
        }
        let each = wanted.iter().map(|one| self.call(inner, order, prefix, std::slice::from_ref(one)));
        let answers = inner.link.call_all(each.collect()).await?;
        let each = wanted.iter().zip(answers).map(|(one, answer)| {
            let answer = list(answer)?.into_iter().next().ok_or_else(damaged)?;
            page(one, answer)
        });
        each.collect()
    }

    /// What is asked of some shards, of one on a cluster.
    fn call(&self, inner: &Inner, order: Order, prefix: &[u8], wanted: &[Wanted]) -> Call<'static> {
        let (by_id, by_instant) = self.names(order);
        let before = behind(prefix).map_or_else(|| b"+".to_vec(), |end| [b"(", &end[..]].concat());
        let instant = by_instant.map_or_else(String::new, |(_, instant)| instant.to_string());
        let mut args = vec![inner.now(), instant.into(), before];
        let mut keys = Vec::new();
        for one in wanted {
            keys.push(layout::index(&inner.config.prefix, one.shard, by_id));
            keys.extend(by_instant.map(|(name, _)| layout::index(&inner.config.prefix, one.shard, name)));
            args.push(match &one.last {
                Some(last) => [b"(", &last[..]].concat(),
                None => [b"[", prefix].concat(),
            });
            args.push(one.asked.to_string().into());
        }
        Call { script: &scripts::PAGES, keys, args, writes: false }
    }
}

/// What is asked of a shard.
pub(crate) struct Wanted {
    pub(crate) shard: u16,
    pub(crate) last: Option<Vec<u8>>,
    pub(crate) asked: usize,
}

/// A part of a shard's index, in order.
pub(crate) struct Page {
    pub(crate) members: Vec<Vec<u8>>,
    pub(crate) ended: bool,
}

/// Nothing, all members whose instant has come, to be sorted, or a page of an index by id.
fn page(wanted: &Wanted, answer: Value) -> Result<Page> {
    if answer == Value::Nil {
        return Ok(Page { members: Vec::new(), ended: true });
    }
    let mut answer = list(answer)?.into_iter();
    let whole = answer.next().as_ref().map(number).ok_or_else(damaged)?? == 1;
    let members = list(answer.next().ok_or_else(damaged)?)?.into_iter();
    let members = members.map(|member| Ok(option(member)?.ok_or_else(damaged)?.to_vec()));
    let mut members: Vec<Vec<u8>> = members.collect::<Result<_>>()?;
    if !whole {
        return Ok(Page { ended: members.len() < wanted.asked, members });
    }
    members.retain(|member| wanted.last.as_ref().is_none_or(|last| member > last));
    members.sort_unstable();
    Ok(Page { members, ended: true })
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
        for (prefix, end) in
            [(&b"user1"[..], Some(&b"user2"[..])), (b"a\xff", Some(b"b")), (b"", None), (b"\xff", None)]
        {
            assert_eq!(behind(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
