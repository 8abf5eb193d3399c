//! The rows that this handle's own last transactions left, so that a run's next commit need not read its row again.
//!
//! A remembered row is never trusted: the transaction that builds on it first compares, under the write lock, the
//! checksum that stands beside the stored row, and fails when another handle has changed it. The verdict is then given
//! again by what is read.

use std::{collections::HashMap, fmt::Write as _};

use milepost_core::{Checksum, RunId};

use crate::{
    row::Row,
    sql::{Script, Value},
};

/// More runs than this are not remembered at once.
const MOST: usize = 1024;

/// A run's row as a transaction left it, with the checksum that stands beside it.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) row: Row,
    pub(crate) checksum: Checksum,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Recent(HashMap<RunId, Left>);

impl Recent {
    pub(crate) fn get(&self, run: &RunId) -> Option<&Left> {
        self.0.get(run)
    }

    pub(crate) fn take(&mut self, run: &RunId) -> Option<Left> {
        self.0.remove(run)
    }

    /// Remembers what a transaction that holds has left. Outcomes are large and never built upon.
    pub(crate) fn put(&mut self, left: Left) {
        if left.row.outcome.is_some() {
            return;
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(left.row.id.clone(), left);
    }
}

/// Makes a number that has no absolute value unless as many rows are as they were left as there are: SQLite stops
/// there, and nothing behind it runs.
macro_rules! guard {
    ($count:literal, $expected:literal) => {
        concat!("SELECT 1 WHERE abs(iif((", $count, ") = ", $expected, ", 0, -9223372036854775808)) > 0")
    };
}

/// How many statements [`begin`] has: BEGIN, and the comparison.
pub(crate) const GUARDS: usize = 2;

/// Takes the write lock and fails unless every row is as it was left.
pub(crate) fn begin(rows: &[(i64, Checksum)]) -> Script {
    let begin = Script::new("BEGIN IMMEDIATE");
    if let [(key, checksum)] = rows {
        return begin.with(
            guard!("SELECT count(*) FROM run WHERE key = ? AND checksum = ?", "1"),
            [Value::Int(*key), Value::blob(&checksum.0)],
        );
    }
    let mut json = String::from("[");
    for (index, (key, checksum)) in rows.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing into a string does not fail.
        let _ = write!(json, "{comma}[{key},\"{checksum:?}\"]");
    }
    json.push(']');
    begin.with(
        guard!(
            "SELECT count(*) FROM json_each(?) AS j CROSS JOIN run AS r ON r.key = j.value ->> 0 \
             WHERE r.checksum = unhex(j.value ->> 1)",
            "?"
        ),
        [Value::Text(json), Value::Int(rows.len() as i64)],
    )
}
